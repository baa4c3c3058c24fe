// The TypeScript SDK's client, configured as clients are: it reads a configuration file and starts a server that stands there.
//
// Run as `node from_config.mjs NAME FILE KEY SERVER`: the client's own name, the file, the member that holds the servers, and
// one of them. The file may have comments, and commas before a closing bracket. Prints what it got.

import { readFileSync } from "node:fs";

import { sdk } from "./tap.mjs";

const { Client } = await sdk("client/index.js");
const { StdioClientTransport, getDefaultEnvironment } = await sdk("client/stdio.js");

const [name, file, key, server] = process.argv.slice(2);
const print = (what, value) => process.stdout.write(`${what} ${JSON.stringify(value)}\n`);

// A string stays as it is, whatever is in it; a comment goes, and a comma with nothing but spaces before the bracket.
const withoutComments = (text) =>
  text
    .replace(/("(?:[^"\\]|\\.)*")|\/\/[^\n]*|\/\*[^]*?\*\//g, (_, string) => string ?? "")
    .replace(/("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])/g, (_, string) => string ?? "");

const entry = JSON.parse(withoutComments(readFileSync(file, "utf8")))[key][server];
const env = { ...getDefaultEnvironment(), HOME: process.env.HOME, ...entry.env };
const transport = new StdioClientTransport({ command: entry.command, args: entry.args, env, stderr: "pipe" });
let errors = "";
transport.stderr.on("data", (chunk) => (errors += chunk));
const client = new Client({ name, version: "7.8.9" });
await client.connect(transport);
print("connected to", client.getServerVersion());
print("tools", await client.listTools());
for (const message of ["one", "two", "three"]) {
  print("call", await client.callTool({ name: "echo", arguments: { message } }));
}
// What the entry sets arrives at the server.
const { content } = await client.callTool({ name: "get-env", arguments: {} });
print("environment", JSON.parse(content[0].text).E2E_TOKEN);
await client.close();
print("standard error", errors);
