// Some calls of the TypeScript SDK's client to the reference server, which it starts, and one that does not end.
//
// Run as `node hanging.mjs CALLS COMMAND...`; says `hanging` whenever the last call shows a sign of life, and `closed` when
// the server is gone. What kills it, or what it started, comes from outside.

import { sdk } from "./tap.mjs";

const { Client } = await sdk("client/index.js");
const { StdioClientTransport } = await sdk("client/stdio.js");

const [calls, command, ...args] = process.argv.slice(2);
const client = new Client({ name: "e2e-vscode-typescript", version: "7.8.9" });
client.onclose = () => console.log("closed");
await client.connect(new StdioClientTransport({ command, args }));
for (let number = 0; number < Number(calls); number += 1) {
  await client.callTool({ name: "echo", arguments: { message: `call ${number}` } });
}
const endless = { name: "trigger-long-running-operation", arguments: { duration: 3600, steps: 36000 } };
const onprogress = () => console.log("hanging");
await client.callTool(endless, undefined, { onprogress, timeout: 3_600_000 }).catch(() => {});
