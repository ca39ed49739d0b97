// What a server of either TypeScript SDK answers, whatever the SDK calls its handlers.

import { readFileSync } from "node:fs";

export const offers = JSON.parse(readFileSync(new URL("offers.json", import.meta.url)));
export const capabilities = { tools: {}, resources: {}, prompts: {}, completions: {}, logging: {} };
export const text = (words, more = {}) => ({ content: [{ type: "text", text: words }], ...more });

/** Answers by method. `way` is how this SDK notifies, asks and refuses. */
export const answers = {
  "tools/list": () => ({ tools: offers.tools }),
  "resources/list": () => ({ resources: offers.resources }),
  "resources/templates/list": () => ({ resourceTemplates: offers.templates }),
  "resources/read": () => ({ contents: offers.contents }),
  "prompts/list": () => ({ prompts: offers.prompts }),
  "prompts/get": () => ({ description: "d", messages: offers.messages }),
  "completion/complete": () => ({ completion: offers.completion }),
  "tools/call": async ({ name, arguments: given }, way) => {
    switch (name) {
      case "echo":
        return text("echo", { structuredContent: { given }, _meta: { "vendor/x": [null, 0.5] } });
      case "count":
        for (let step = 1; step <= 3; step++) await way.progress({ progress: step, total: 3, message: `step ${step}` });
        return text("counted");
      case "log":
        await way.log({ level: "info", logger: "l", data: { a: [null, 0.5] } });
        return text("logged");
      case "fail":
        return text("no", { isError: true });
      case "ask":
        return await way.ask(offers.form);
      default:
        throw way.error(-31999, "out of order", { why: [null, 0.5] });
    }
  },
};
