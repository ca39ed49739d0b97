// A server of the TypeScript SDK 1.x: `stdio`, or a port that speaks streamable HTTP (`/mcp`) and HTTP+SSE (`/sse`).

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { SSEServerTransport } from "@modelcontextprotocol/sdk/server/sse.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import * as types from "@modelcontextprotocol/sdk/types.js";
import { answers, capabilities, offers, text } from "./offers.mjs";

const schemas = {
  "tools/list": types.ListToolsRequestSchema,
  "tools/call": types.CallToolRequestSchema,
  "resources/list": types.ListResourcesRequestSchema,
  "resources/templates/list": types.ListResourceTemplatesRequestSchema,
  "resources/read": types.ReadResourceRequestSchema,
  "prompts/list": types.ListPromptsRequestSchema,
  "prompts/get": types.GetPromptRequestSchema,
  "completion/complete": types.CompleteRequestSchema,
};

function made() {
  const options = { capabilities, instructions: offers.instructions };
  const server = new Server({ name: "ts1", version: "1", title: "Tß", websiteUrl: "https://e.invalid" }, options);
  for (const [method, answer] of Object.entries(answers)) {
    server.setRequestHandler(schemas[method], (request, extra) => {
      const notify = (method, params) => extra.sendNotification({ method, params });
      const progressToken = extra._meta?.progressToken;
      return answer(request.params ?? {}, {
        progress: (params) => notify("notifications/progress", { progressToken, ...params }),
        log: (params) => notify("notifications/message", params),
        error: (code, message, data) => new types.McpError(code, message, data),
        ask: async (form) => {
          const given = await extra.sendRequest({ method: "elicitation/create", params: form }, types.ElicitResultSchema);
          return text(`${given.action} ${given.content?.name}`);
        },
      });
    });
  }
  return server;
}

const sessions = new Map();

async function streamable(request, response) {
  let transport = sessions.get(request.headers["mcp-session-id"]);
  if (!transport) {
    transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => sessions.set(id, transport),
    });
    await made().connect(transport);
  }
  await transport.handleRequest(request, response);
}

async function old(request, response) {
  const url = new URL(request.url, "http://localhost");
  if (request.method === "POST") return sessions.get(url.searchParams.get("sessionId")).handlePostMessage(request, response);
  const transport = new SSEServerTransport("/messages", response);
  sessions.set(transport.sessionId, transport);
  await made().connect(transport);
}

if (process.argv[2] === "stdio") await made().connect(new StdioServerTransport());
else createServer((request, response) => (request.url === "/mcp" ? streamable : old)(request, response)).listen(Number(process.argv[2]), "127.0.0.1");
