// A client of the TypeScript SDK 2.x, in either era.

import { Client, SSEClientTransport, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { START_MS, main } from "./script.mjs";

const transports = {
  http: (target) => new StreamableHTTPClientTransport(new URL(target.url)),
  sse: (target) => new SSEClientTransport(new URL(target.url)),
  stdio: ({ command, env, cwd }) =>
    new StdioClientTransport({ command: command[0], args: command.slice(1), env: { ...process.env, ...env }, cwd, stderr: "inherit" }),
};

await main(async (target) => {
  const notes = [];
  const mode = target.modern ? { pin: "2026-07-28" } : "legacy";
  const capabilities = { elicitation: { form: {} }, roots: {} };
  const client = new Client({ name: "ts2", version: "9" }, { capabilities, versionNegotiation: { mode } });
  client.setRequestHandler("elicitation/create", (request) => {
    notes.push(request);
    return { action: "accept", content: { name: "Ada" } };
  });
  client.setNotificationHandler("notifications/message", (note) => void notes.push(note));
  await client.connect(transports[target.transport](target), { timeout: START_MS });
  const call = (name, given, options) => client.callTool({ name, arguments: given }, options);
  return { client, call, notes, name: target.who };
});
