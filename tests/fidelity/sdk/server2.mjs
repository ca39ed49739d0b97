// A server of the TypeScript SDK 2.x, in both eras: `stdio`, or a port that speaks streamable HTTP (`/mcp`).

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { NodeStreamableHTTPServerTransport, toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, inputRequired, ProtocolError, Server } from "@modelcontextprotocol/server";
import { serveStdio } from "@modelcontextprotocol/server/stdio";
import { answers, capabilities, offers, text } from "./offers.mjs";

function made({ era }) {
  const options = { capabilities, instructions: offers.instructions };
  const server = new Server({ name: "ts2", version: "1", title: "Tß", websiteUrl: "https://e.invalid" }, options);
  for (const [method, answer] of Object.entries(answers)) {
    server.setRequestHandler(method, (request, context) => {
      const { mcpReq } = context;
      const progressToken = mcpReq._meta?.progressToken;
      return answer(request.params ?? {}, {
        progress: (params) => mcpReq.notify({ method: "notifications/progress", params: { progressToken, ...params } }),
        log: (params) => mcpReq.notify({ method: "notifications/message", params }),
        error: (code, message, data) => new ProtocolError(code, message, data),
        ask: async (form) => {
          if (era === "modern") {
            const given = mcpReq.inputResponses?.who;
            if (!given) return inputRequired({ inputRequests: { who: { method: "elicitation/create", params: form } } });
            return text(`${given.action} ${given.content?.name}`);
          }
          const given = await mcpReq.elicitInput(form);
          return text(`${given.action} ${given.content?.name}`);
        },
      });
    });
  }
  return server;
}

const modern = toNodeHandler(createMcpHandler(made));
const sessions = new Map();

async function legacy(request, response) {
  let transport = sessions.get(request.headers["mcp-session-id"]);
  if (!transport) {
    transport = new NodeStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => void sessions.set(id, transport),
    });
    await made({ era: "legacy" }).connect(transport);
  }
  await transport.handleRequest(request, response);
}

const isModern = (request) => request.headers["mcp-protocol-version"] === "2026-07-28";
if (process.argv[2] === "stdio") serveStdio(made);
else createServer((request, response) => (isModern(request) ? modern : legacy)(request, response)).listen(Number(process.argv[2]), "127.0.0.1");
