// What a client of either TypeScript SDK does, step by step. It gives what it was answered, and in which order.

/** How long a process may take to load and answer: on a busy machine longer than the 60 s that the SDKs wait. */
export const START_MS = 300_000;

const told = (error) => ({ error: { code: error.code, message: error.message, data: error.data } });

/** `way` is a connected client: its methods, with whatever its SDK wants beside the parameters. */
export async function play(way, modern) {
  const seen = { notes: way.notes };
  const step = async (name, run) => {
    seen[name] = await run().catch(told);
  };
  seen.introduction = [way.client.getServerVersion(), way.client.getServerCapabilities(), way.client.getInstructions()];
  const steps = [];
  await step("tools", () => way.client.listTools());
  const given = { text: "grüße 🦊 \u2028", who: way.name, safe: 9007199254740991, half: 0.5, no: null, list: [[], {}] };
  await step("echo", () => way.call("echo", given));
  await step("count", () => way.call("count", {}, { onprogress: (one) => steps.push(one) }));
  seen.steps = steps;
  await step("fail", () => way.call("fail", {}));
  await step("broken", () => way.call("broken", {}));
  await step("ask", () => way.call("ask", {}));
  await step("resources", () => way.client.listResources());
  await step("templates", () => way.client.listResourceTemplates());
  await step("contents", () => way.client.readResource({ uri: "x://y" }));
  await step("prompts", () => way.client.listPrompts());
  await step("prompt", () => way.client.getPrompt({ name: "p", arguments: { who: "ü" } }));
  const ref = { ref: { type: "ref/prompt", name: "p" }, argument: { name: "who", value: "" } };
  await step("completion", () => way.client.complete(ref));
  if (!modern) {
    await step("ping", () => way.client.ping());
    await step("level", () => way.client.setLoggingLevel("debug"));
    await step("log", () => way.call("log", {}));
  }
  const many = [0, 1, 2, 3, 4].map((n) => way.call("echo", { n, who: way.name }));
  await step("together", () => Promise.all(many));
  return seen;
}

/** Play against every target given as JSON on standard input, and write what was seen to standard output. */
export async function main(connect) {
  let input = "";
  for await (const chunk of process.stdin) input += chunk;
  const found = {};
  for (const target of JSON.parse(input)) {
    try {
      const way = await connect(target);
      found[target.name] = await play(way, target.modern);
      await way.client.close();
    } catch (error) {
      found[target.name] = { trouble: String(error?.stack ?? error) };
    }
  }
  process.stdout.write(JSON.stringify(found), () => process.exit(0));
}
