// Makes one call as a task of 2025-11-25 through Wicket, with the official TypeScript client, and prints what the client
// was told of it, one JSON document.
//
//   node tasks.mjs URL KEY TOOL TEXT

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [url, key, tool, text] = process.argv.slice(2);
const client = new Client({ name: "test-tasks", version: "1" });
const web = { requestInit: { headers: { authorization: `Bearer ${key}` } } };
await client.connect(new StreamableHTTPClientTransport(new URL(url), web));
const told = { statuses: [], listed: [] };
const calls = client.experimental.tasks;
for await (const message of calls.callToolStream({ name: tool, arguments: { text } }, undefined, { task: { ttl: 60000 } })) {
  if (message.type === "taskCreated") {
    told.id = message.task.taskId;
    told.listed = (await calls.listTasks()).tasks.map((task) => task.taskId);
  } else if (message.type === "taskStatus") {
    told.statuses.push([message.task.taskId, message.task.status, message.task.statusMessage]);
  } else if (message.type === "result") {
    told.text = message.result.content[0].text;
  } else {
    told.error = String(message.error);
  }
}
await client.close();
console.log(JSON.stringify(told));
