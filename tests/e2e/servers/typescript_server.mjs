// A server on the TypeScript SDK that offers the catalogue, in every way that the SDK has.
//
// Run as `node typescript_server.mjs PORT CATALOGUE`: CATALOGUE is catalogue.py as JSON, so that all servers offer the
// same. The paths are those of the Python servers: /mcp, /stateless/mcp, /json/mcp, /stateless-json/mcp, and /sse.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(new URL("../.installed/package.json", import.meta.url));
const sdk = (path) => import(pathToFileURL(require.resolve(`@modelcontextprotocol/sdk/${path}`)).href);
const { Server } = await sdk("server/index.js");
const { StreamableHTTPServerTransport } = await sdk("server/streamableHttp.js");
const { SSEServerTransport } = await sdk("server/sse.js");
const types = await sdk("types.js");

const [port, cataloguePath] = process.argv.slice(2);
const catalogue = JSON.parse(readFileSync(cataloguePath, "utf8"));
const begun = new Set();
const text = (words, more = {}) => ({ content: [{ type: "text", text: words }], ...more });
const refuse = ({ code, message, data }) => {
  throw Object.assign(new Error(message), { code, data });
};

// One page of a list.
function page(field, { params }) {
  const items = catalogue[field];
  const start = Number(params?.cursor ?? 0);
  const end = start + catalogue.pageItems;
  return { [field]: items.slice(start, end), nextCursor: end < items.length ? String(end) : undefined };
}

async function call({ params }, extra) {
  const given = params.arguments ?? {};
  switch (params.name) {
    case "add":
      return text(String(given.a + given.b), { structuredContent: { sum: given.a + given.b } });
    case "begun":
      return text(begun.has(given.key) ? "yes" : "no");
    case "count":
      for (let step = 1; step <= given.steps; step += 1) {
        const progressToken = params._meta?.progressToken;
        if (progressToken !== undefined) {
          const progress = { progressToken, progress: step, total: given.steps };
          await extra.sendNotification({ method: "notifications/progress", params: progress });
        }
        const entry = { level: "info", data: `at ${step}`, logger: "count" };
        await extra.sendNotification({ method: "notifications/message", params: entry });
      }
      return text(`counted to ${given.steps}`);
    case "echo":
      return text(given.text);
    case "fail":
      return text(`failed: ${given.reason}`, { isError: true });
    case "hang":
      begun.add(given.key);
      return new Promise(() => {});
    case "refuse":
      return refuse(catalogue.refusal);
    case "slow":
      await new Promise((resolve) => setTimeout(resolve, given.ms));
      return text("done");
    default:
      return refuse(catalogue.noSuchTool);
  }
}

function makeServer() {
  const capabilities = { tools: {}, resources: { subscribe: true }, prompts: {}, completions: {}, logging: {} };
  const server = new Server({ name: "e2e-typescript", version: "3.0" }, { capabilities });
  server.setRequestHandler(types.ListToolsRequestSchema, (request) => page("tools", request));
  server.setRequestHandler(types.ListResourcesRequestSchema, (request) => page("resources", request));
  server.setRequestHandler(types.ListResourceTemplatesRequestSchema, (request) => page("resourceTemplates", request));
  server.setRequestHandler(types.ListPromptsRequestSchema, (request) => page("prompts", request));
  server.setRequestHandler(types.CallToolRequestSchema, call);
  server.setRequestHandler(types.ReadResourceRequestSchema, ({ params: { uri } }) => {
    if (uri === "test://static/blob") {
      return { contents: [{ uri, mimeType: "application/octet-stream", blob: "AAECAwT/" }] };
    }
    const known = uri.startsWith("test://made/") || catalogue.resources.some((resource) => resource.uri === uri);
    return known ? { contents: [{ uri, mimeType: "text/plain", text: `the text of ${uri}` }] } : refuse(catalogue.noSuchResource);
  });
  server.setRequestHandler(types.GetPromptRequestSchema, ({ params }) => {
    if (!catalogue.prompts.some((prompt) => prompt.name === params.name)) {
      return refuse(catalogue.noSuchPrompt);
    }
    return { messages: [{ role: "user", content: { type: "text", text: "Be plain." } }] };
  });
  server.setRequestHandler(types.CompleteRequestSchema, ({ params }) => {
    const values = ["world", "word", "nobody"].filter((name) => name.startsWith(params.argument.value));
    return { completion: { values, hasMore: false } };
  });
  for (const schema of [types.SubscribeRequestSchema, types.UnsubscribeRequestSchema, types.SetLevelRequestSchema]) {
    server.setRequestHandler(schema, () => ({}));
  }
  return server;
}

const sessions = new Map();

async function serveStreamable(request, response, stateless, enableJsonResponse) {
  const id = request.headers["mcp-session-id"];
  let transport = stateless ? undefined : sessions.get(id);
  if (!transport && !stateless && id) {
    // A session that has ended, as the specification says.
    response.writeHead(404).end();
    return;
  }
  if (!transport) {
    transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: stateless ? undefined : randomUUID,
      enableJsonResponse,
      onsessioninitialized: (session) => sessions.set(session, transport),
      onsessionclosed: (session) => sessions.delete(session),
    });
    const server = makeServer();
    await server.connect(transport);
    if (stateless) {
      // One server for each request, as the SDK's own example has it.
      response.on("close", () => server.close());
    }
  }
  await transport.handleRequest(request, response);
}

async function serve(request, response) {
  const { pathname, searchParams } = new URL(request.url, "http://localhost");
  if (pathname === "/sse" && request.method === "GET") {
    const transport = new SSEServerTransport("/messages", response);
    sessions.set(transport.sessionId, transport);
    await makeServer().connect(transport);
  } else if (pathname === "/messages" && sessions.has(searchParams.get("sessionId"))) {
    await sessions.get(searchParams.get("sessionId")).handlePostMessage(request, response);
  } else if (pathname in catalogue.endpoints) {
    const [stateless, json] = catalogue.endpoints[pathname];
    if (stateless && request.method !== "POST") {
      response.writeHead(405, { allow: "POST" }).end();
      return;
    }
    await serveStreamable(request, response, stateless, json);
  } else {
    response.writeHead(404).end();
  }
}

createServer((request, response) => {
  serve(request, response).catch((error) => {
    console.error(error);
    response.destroy();
  });
}).listen(Number(port), "127.0.0.1");
