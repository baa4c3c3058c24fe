// Many conversations of the TypeScript client at the same time: what many.py is for the Python clients.
//
// Run as `node many.mjs JOBS`; JOBS and the transcripts are as many.py says, the conversation is `every_end` of
// conversation.py.

import { readFileSync, writeFileSync } from "node:fs";

import { EXTRA_HEADERS, recordingFetch, sdk, until } from "./tap.mjs";

const { Client } = await sdk("client/index.js");
const { StreamableHTTPClientTransport } = await sdk("client/streamableHttp.js");
const { SSEClientTransport } = await sdk("client/sse.js");
const types = await sdk("types.js");

async function hold({ url, name }, steps, unseen, { exchanges, tap }) {
  const lastRequestId = (tool) =>
    exchanges
      .filter((item) => item.request_body)
      .map((item) => JSON.parse(item.request_body))
      .findLast((message) => message.params?.name === tool).id;
  const client = new Client({ name, version: "7.8.9" }, { capabilities: { roots: { listChanged: true } } });
  client.setRequestHandler(types.ListRootsRequestSchema, () => ({ roots: [] }));
  client.onerror = () => {};
  const old = url.endsWith("/sse");
  const headers = { ...EXTRA_HEADERS, authorization: `${EXTRA_HEADERS.authorization}-${name}` };
  const transport = new (old ? SSEClientTransport : StreamableHTTPClientTransport)(new URL(url), {
    fetch: tap,
    requestInit: { headers },
    eventSourceInit: { fetch: (input, init) => tap(input, { ...init, headers: { ...init?.headers, ...headers } }) },
  });

  async function step(what, act) {
    const entry = { step: what, seen: [] };
    steps.push(entry);
    try {
      entry.result = (await act()) ?? null;
    } catch (error) {
      if (!(error instanceof types.McpError)) {
        throw error;
      }
      entry.error = { code: error.code, message: error.message, data: error.data ?? null };
    }
    return entry.result;
  }
  const callTool = (tool, args, options) => client.callTool({ name: tool, arguments: args }, undefined, options);
  const call = (tool, args = {}) => step(`call ${tool}`, () => callTool(tool, args, { onprogress: () => {} }));
  const settled = (promise) => promise.then(() => {}, () => {});

  await step("connect", async () => {
    await client.connect(transport);
    // The answer to the GET: a stream, or that there is none.
    await until("the GET", () => exchanges.some((item) => item.http_method === "GET" && item.status !== null));
    return client.getServerVersion();
  });
  const lists = {
    tools: (params) => client.listTools(params),
    resources: (params) => client.listResources(params),
    templates: (params) => client.listResourceTemplates(params),
    prompts: (params) => client.listPrompts(params),
  };
  for (const [kind, list] of Object.entries(lists)) {
    let cursor;
    do {
      const params = cursor ? { cursor } : undefined;
      cursor = (await step(`list ${kind}`, () => list(params)))?.nextCursor;
    } while (cursor);
  }
  await call("add", { a: 2, b: 40 });
  await call("fail", { reason: "on purpose" });
  await call("refuse");
  await call("no such tool");
  await call("count", { steps: 3 });
  const atOnce = [0, 1, 2, 3, 4, 5].map((number) => ["add", { a: number, b: 1 }]);
  atOnce.push(["fail", { reason: "at once" }], ["refuse", {}], ["slow", { ms: 150 }], ["slow", { ms: 50 }]);
  await Promise.all(atOnce.map(([tool, args]) => settled(callTool(tool, args))));
  await step("read text", () => client.readResource({ uri: "test://static/alpha" }));
  await step("read missing", () => client.readResource({ uri: "test://nowhere" }));
  await step("prompt", () => client.getPrompt({ name: "greet", arguments: { who: "Ada" } }));
  await step("prompt missing", () => client.getPrompt({ name: "nobody", arguments: {} }));
  const argument = { name: "who", value: "wor" };
  await step("complete", () => client.complete({ ref: { type: "ref/prompt", name: "greet" }, argument }));
  await step("ping", () => client.ping());
  await step("set level", () => client.setLoggingLevel("debug"));
  await step("subscribe", () => client.subscribeResource({ uri: "test://static/alpha" }));
  await step("unsubscribe", () => client.unsubscribeResource({ uri: "test://static/alpha" }));
  await step("unknown", () => client.request({ method: "e2e/unknown" }, types.EmptyResultSchema));
  await step("notify", () => client.sendRootsListChanged());

  const giveUp = new AbortController();
  const hanging = settled(callTool("hang", { key: name }, { signal: giveUp.signal }));
  await until("hang has begun", async () => (await callTool("begun", { key: name })).content[0].text === "yes");
  giveUp.abort("no longer wanted");
  await hanging;
  steps.push({ step: "taken back", result: null });
  // A call that is given up may be so before the server had it: that is noted.
  const key = `${name} timed out`;
  let isOver = false;
  let seen = false;
  const watching = until("the end of a call", async () => {
    seen ||= !isOver && (await callTool("begun", { key })).content[0].text === "yes";
    return isOver || seen;
  });
  const timingOut = step("time out", () => callTool("hang", { key }, { timeout: 1000 }));
  await timingOut.finally(() => {
    isOver = true;
    if (!seen) {
      unseen.push(lastRequestId("hang"));
    }
  });
  await watching;
  await call("add", { a: 1, b: 1 });
  if (!old) {
    await transport.terminateSession();
  }
  await client.close();
}

async function one(job) {
  const [steps, unseen] = [[], []];
  const recorder = recordingFetch();
  let failed = null;
  try {
    await hold(job, steps, unseen, recorder);
  } catch (error) {
    failed = String(error.stack ?? error);
  }
  const { url, name, out } = job;
  writeFileSync(out, JSON.stringify({ url, name, steps, wire: recorder.exchanges, failed, unseen }));
}

await Promise.all(JSON.parse(readFileSync(process.argv[2], "utf8")).map(one));
