// What all TypeScript clients share: the SDK, and the tap beneath it, a `fetch` of our own.

import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";

const require = createRequire(new URL("../.installed/package.json", import.meta.url));

// A module of the SDK that setup.sh installed.
export const sdk = (path) => import(pathToFileURL(require.resolve(`@modelcontextprotocol/sdk/${path}`)).href);

// As in transcript.py.
export const EXTRA_HEADERS = {
  authorization: "Bearer e2e-secret-token",
  origin: "http://127.0.0.1:1",
  "x-unknown-to-proxies": "kept as it is",
};

// A `fetch` that records every exchange in `exchanges`; the SDK reads the same bytes.
export function recordingFetch() {
  const exchanges = [];
  async function tap(input, init = {}) {
    const { pathname, search } = new URL(input);
    const exchange = {
      http_method: init.method ?? "GET",
      path: pathname + search,
      request_headers: [...new Headers(init.headers).entries()].sort(),
      request_body: init.body ?? "",
      status: null,
      response_headers: [],
      body: "",
      ended: false,
      seen_at: null,
    };
    exchanges.push(exchange);
    const response = await fetch(input, init);
    exchange.status = response.status;
    exchange.response_headers = [...response.headers.entries()].sort();
    if (!response.body) {
      return response;
    }
    const copy = new TransformStream({
      transform(chunk, controller) {
        exchange.body += Buffer.from(chunk).toString("latin1");
        controller.enqueue(chunk);
      },
    });
    return new Response(response.body.pipeThrough(copy), response);
  }
  return { exchanges, tap };
}

// The command line of a server that is started, behind the tap of pipe_tap.py, which says what such a URL looks like.
export function tappedServer(url) {
  const tap = fileURLToPath(new URL("pipe_tap.py", import.meta.url));
  return { command: "python3", args: [tap, ...JSON.parse(url.slice("stdio:".length))] };
}

// Polls until the condition holds.
export async function until(what, condition) {
  for (const deadline = Date.now() + 60_000; !(await condition()); ) {
    if (Date.now() > deadline) {
      throw new Error(`waited in vain: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
