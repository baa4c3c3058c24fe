"""What the client really saw: every HTTP exchange, byte for byte, recorded under the SDK.

The SDKs hide much of the wire (headers, framing, what they ignore). The tap sits between the SDK and its HTTP
library, so that a transcript shows what arrived and not only what the SDK made of it.
"""

import json
import re
import time


class Exchange(dict):
    """One HTTP request and what came back, as plain JSON."""


def recording_transport(http):
    """A transport class for `http`, which is httpx or httpx2 (one SDK generation uses each)."""

    class TapStream(http.AsyncByteStream):
        """Copies a response body while the SDK reads it; as Latin-1, which keeps every byte wherever a chunk ends."""

        def __init__(self, inner, exchange):
            self.inner = inner
            self.exchange = exchange

        async def __aiter__(self):
            async for chunk in self.inner:
                self.exchange["body"] += chunk.decode("latin-1")
                self.exchange["seen_at"] = time.monotonic()
                yield chunk
            self.exchange["ended"] = True

        async def aclose(self):
            await self.inner.aclose()

    class Tap(http.AsyncHTTPTransport):
        """Records every exchange in `exchanges`, in the order in which the requests left."""

        def __init__(self):
            # No retries and no pooling surprises: what the SDK sends is what is recorded.
            super().__init__(retries=0)
            self.exchanges = []

        async def handle_async_request(self, request):
            exchange = Exchange(
                http_method=request.method,
                path=request.url.raw_path.decode(),
                request_headers=sorted((name.lower(), value) for name, value in request.headers.items()),
                request_body=request.content.decode() if request.method == "POST" else "",
                status=None,
                response_headers=[],
                body="",
                ended=False,
                seen_at=None,
            )
            self.exchanges.append(exchange)
            response = await super().handle_async_request(request)
            exchange["status"] = response.status_code
            exchange["response_headers"] = sorted(
                (name.lower(), value) for name, value in response.headers.multi_items()
            )
            response.stream = TapStream(response.stream, exchange)
            return response

        def last_request_id(self, tool):
            """The JSON-RPC id of the latest call of that tool."""
            for exchange in reversed(self.exchanges):
                message = json.loads(exchange["request_body"] or "{}")
                if message.get("method") == "tools/call" and message["params"]["name"] == tool:
                    return message["id"]
            raise LookupError(tool)

        def is_answered(self, request_id):
            """Whether an answer to the request with that id has arrived, on whichever stream."""
            answer = re.compile(rf'"id":\s*{request_id}\b')
            return any(answer.search(item["body"]) for item in self.exchanges)

        def has_session(self):
            """Whether the server began a session: only then is there a standalone GET stream."""
            return any("mcp-session-id" in dict(item["response_headers"]) for item in self.exchanges)

        def get_stream_is_open(self):
            """Whether the server has accepted the standalone GET stream."""
            return any(item["http_method"] == "GET" and item["status"] == 200 for item in self.exchanges)

    return Tap
