// The scripted client on the TypeScript SDK, talking to that SDK's reference server.
//
// Run as `node typescript.mjs URL OUT`: holds the conversation of everything.py and writes the transcript to OUT, in
// the form that the Python clients write. URL may be a server that is started (see pipe_tap.py).

import { writeFileSync } from "node:fs";

import { EXTRA_HEADERS, recordingFetch, sdk, tappedServer, until } from "./tap.mjs";

const { Client } = await sdk("client/index.js");
const { StdioClientTransport } = await sdk("client/stdio.js");
const { StreamableHTTPClientTransport } = await sdk("client/streamableHttp.js");
const types = await sdk("types.js");

const [url, out] = process.argv.slice(2);
const MESSAGE = "through the proxy: \u2028 日本 \u{1f980}";

const { exchanges, tap } = recordingFetch();
const steps = [];
let seen = [];

async function step(name, act, expectSeen = 0) {
  seen = [];
  const entry = { step: name, seen };
  steps.push(entry);
  try {
    entry.result = (await act()) ?? null;
  } catch (error) {
    if (!(error instanceof types.McpError)) {
      throw error;
    }
    entry.error = { code: error.code, message: error.message, data: error.data ?? null };
  }
  await until(name, () => entry.seen.length >= expectSeen);
  return entry.result;
}

const client = new Client(
  { name: "e2e-vscode-typescript", version: "7.8.9" },
  { capabilities: { sampling: {}, elicitation: {}, roots: { listChanged: true } } },
);
client.setRequestHandler(types.CreateMessageRequestSchema, ({ params }) => {
  seen.push({ sampling: params });
  return { role: "assistant", content: { type: "text", text: "word" }, model: "none" };
});
client.setRequestHandler(types.ElicitRequestSchema, ({ params }) => {
  seen.push({ elicitation: params });
  return { action: "accept", content: { name: "Ada" } };
});
client.setRequestHandler(types.ListRootsRequestSchema, () => {
  seen.push({ roots: {} });
  return { roots: [{ uri: "file:///one" }, { uri: "file:///two" }] };
});
client.setNotificationHandler(types.LoggingMessageNotificationSchema, ({ params }) => {
  seen.push({ log: params });
});

async function allPages(kind, list) {
  let cursor;
  let page = 0;
  do {
    const params = cursor ? { cursor } : undefined;
    cursor = (await step(`list ${kind} page ${page}`, () => list(params)))?.nextCursor;
    page += 1;
  } while (cursor);
}

function call(name, args = {}, expectSeen = 0) {
  // On pipes, an answer may come in one piece with the progress before it, which this SDK then drops: no run can promise it.
  const onprogress = (progress) => pipe || seen.push({ progress });
  return step(`call ${name}`, () => client.callTool({ name, arguments: args }, undefined, { onprogress }), expectSeen);
}

const pipe = url.startsWith("stdio:");
const transport = pipe
  ? new StdioClientTransport(tappedServer(url))
  : new StreamableHTTPClientTransport(new URL(url), { fetch: tap, requestInit: { headers: EXTRA_HEADERS } });
// The reference server asks for the roots soon after the handshake and logs what it got.
await step(
  "connect",
  async () => {
    await client.connect(transport);
    const hasStream = () => exchanges.some((item) => item.http_method === "GET" && item.status === 200);
    await until("the GET stream", () => pipe || hasStream());
    return { server: client.getServerVersion(), capabilities: client.getServerCapabilities() };
  },
  2,
);
await allPages("tools", (params) => client.listTools(params));
await allPages("resources", (params) => client.listResources(params));
await allPages("templates", (params) => client.listResourceTemplates(params));
await allPages("prompts", (params) => client.listPrompts(params));
await call("echo", { message: MESSAGE });
await call("echo", { wrong: "arguments" });
await call("get-sum", { a: 2, b: 40 });
await call("no such tool");
await call("get-structured-content", { location: "Chicago" });
await call("get-tiny-image");
await call("get-annotated-message", { messageType: "error", includeImage: true });
await call("get-resource-links", { count: 3 });
await call("trigger-long-running-operation", { duration: 0.3, steps: 3 }, pipe ? 0 : 3);
await call("trigger-sampling-request", { prompt: "Say a word.", maxTokens: 10 }, 1);
await call("trigger-elicitation-request", {}, 1);
await call("get-roots-list");
const documents = "demo://resource/static/document";
await step("read text", () => client.readResource({ uri: `${documents}/features.md` }));
await step("read missing", () => client.readResource({ uri: `${documents}/nowhere.md` }));
await step("prompt", () => client.getPrompt({ name: "args-prompt", arguments: { city: "Paris" } }));
await step("prompt missing", () => client.getPrompt({ name: "nobody", arguments: {} }));
await step("complete", () =>
  client.complete({
    ref: { type: "ref/prompt", name: "completable-prompt" },
    argument: { name: "department", value: "E" },
  }),
);
await step("ping", () => client.ping());
await step("set level", () => client.setLoggingLevel("warning"));
if (!pipe) {
  await transport.terminateSession();
}
await client.close();
writeFileSync(out, JSON.stringify({ url, steps, wire: exchanges }));
