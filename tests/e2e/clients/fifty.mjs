// Fifty calls of the TypeScript SDK's client to the reference server, which it starts; prints all that it got.
//
// Run as `node fifty.mjs COMMAND...`. Its output is the same from run to run: what the server wrote to standard error, each
// request of the server as it came, and each result.

import { sdk } from "./tap.mjs";

const { Client } = await sdk("client/index.js");
const { StdioClientTransport } = await sdk("client/stdio.js");
const types = await sdk("types.js");

const CALLS = 50;
// What the server answers, and asks meanwhile, depends on nothing else.
const TOOLS = [
  (number) => ["echo", { message: `call ${number}: \u2028 日本 \u{1f980}` }],
  (number) => ["get-sum", { a: number, b: 40 }],
  () => ["get-env", {}],
  () => ["get-tiny-image", {}],
  () => ["no such tool", {}],
  (number) => ["trigger-sampling-request", { prompt: `Say ${number}.`, maxTokens: 10 }],
  () => ["trigger-elicitation-request", {}],
  () => ["get-roots-list", {}],
  () => ["get-sum", { a: "not a number" }],
  () => ["get-structured-content", { location: "Chicago" }],
];

const print = (what, value) => process.stdout.write(`${what} ${JSON.stringify(value)}\n`);

const client = new Client(
  { name: "e2e-vscode-typescript", version: "7.8.9" },
  { capabilities: { sampling: {}, elicitation: {}, roots: {} } },
);
client.setRequestHandler(types.CreateMessageRequestSchema, ({ params }) => {
  print("asked for a sample", params);
  return { role: "assistant", content: { type: "text", text: "word" }, model: "none" };
});
client.setRequestHandler(types.ElicitRequestSchema, ({ params }) => {
  print("asked to elicit", params);
  return { action: "accept", content: { name: "Ada" } };
});
const asked = new Promise((resolve) => {
  client.setRequestHandler(types.ListRootsRequestSchema, () => {
    resolve();
    return { roots: [{ uri: "file:///one" }] };
  });
});

const [command, ...args] = process.argv.slice(2);
const transport = new StdioClientTransport({ command, args, stderr: "pipe" });
let errors = "";
transport.stderr.on("data", (chunk) => (errors += chunk));
await client.connect(transport);
print("connected to", client.getServerVersion());
// The server asks for the roots soon after the handshake.
await asked;
for (let number = 0; number < CALLS; number += 1) {
  const [name, args] = TOOLS[number % TOOLS.length](number);
  print(`call ${number}`, await client.callTool({ name, arguments: args }));
}
await client.close();
print("standard error", errors);
