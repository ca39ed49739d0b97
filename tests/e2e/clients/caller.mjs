// Makes one call through Wicket with an official TypeScript client in its default settings, as an agent does: a call
// that is told to be pending is made again. Prints one JSON document.
//
//   node caller.mjs v1|v2|v2-modern|v2-pages URL KEY TEXT

import * as v2 from "@modelcontextprotocol/client";
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as TransportV1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const MOST_CALLS = 20;
const [kind, url, key, text] = process.argv.slice(2);
const info = { name: `test-${kind}`, version: "1" };
const web = { requestInit: { headers: { authorization: `Bearer ${key}`, "x-wicket-session": kind } } };
const opened = [];

function made() {
  if (kind === "v1") return [new ClientV1(info), new TransportV1(new URL(url), web)];
  const modern = kind === "v2" ? {} : { versionNegotiation: { mode: "auto" } };
  const able = kind === "v2-pages" ? { capabilities: { elicitation: { url: {} } } } : {};
  const client = new v2.Client(info, { ...modern, ...able });
  if (kind === "v2-pages") {
    client.setRequestHandler("elicitation/create", async (request) => {
      opened.push(request.params.url);
      return { action: "accept" };
    });
  }
  return [client, new v2.StreamableHTTPClientTransport(new URL(url), web)];
}

const [client, transport] = made();
await client.connect(transport);
let calls = 0;
let result;
do {
  calls += 1;
  result = await client.callTool({ name: "mark", arguments: { text } });
} while (result._meta?.["wicket/verdict"]?.decision === "hold" && calls < MOST_CALLS);
await client.close();
console.log(JSON.stringify({ calls, opened, isError: result.isError ?? false, text: result.content[0].text }));
