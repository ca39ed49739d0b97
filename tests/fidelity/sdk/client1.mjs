// A client of the TypeScript SDK 1.x.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { CallToolResultSchema, ElicitRequestSchema, LoggingMessageNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import { START_MS, main } from "./script.mjs";

const transports = {
  http: (target) => new StreamableHTTPClientTransport(new URL(target.url)),
  sse: (target) => new SSEClientTransport(new URL(target.url)),
  stdio: ({ command, env, cwd }) =>
    new StdioClientTransport({ command: command[0], args: command.slice(1), env: { ...process.env, ...env }, cwd, stderr: "inherit" }),
};

await main(async (target) => {
  const notes = [];
  const client = new Client({ name: "ts1", version: "9" }, { capabilities: { elicitation: { form: {} }, roots: {} } });
  client.setRequestHandler(ElicitRequestSchema, (request) => {
    notes.push(request);
    return { action: "accept", content: { name: "Ada" } };
  });
  client.setNotificationHandler(LoggingMessageNotificationSchema, (note) => void notes.push(note));
  await client.connect(transports[target.transport](target), { timeout: START_MS });
  const call = (name, given, options) => client.callTool({ name, arguments: given }, CallToolResultSchema, options);
  return { client, call, notes, name: target.who };
});
