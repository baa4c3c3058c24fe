"""An upstream that answers in every way that HTTP and Server-Sent Events allow and no SDK here uses.

Run as `odd.py PORT`. The request's header `x-odd` names the way; see scenarios/odd_traffic.py, which also says what a
recording of it must hold. Needs nothing but Python's own library.
"""

import asyncio
import gzip
import json
import sys

GONE = {"count": 0}


def result(request_id, value="fine", **more):
    """A tool's result as a message."""
    content = {"content": [{"type": "text", "text": value}], **more}
    return {"jsonrpc": "2.0", "id": request_id, "result": content}


def error(request_id, code=-32000, message="no"):
    """An error as a message."""
    return {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}}


def dump(message):
    """Compact JSON, not escaped: characters of several bytes must survive being cut between them."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


class Response:
    """Writes one response."""

    def __init__(self, writer):
        self.writer = writer

    def head(self, status, *headers):
        """The status line and the headers."""
        lines = [f"HTTP/1.1 {status}", *headers, "", ""]
        self.writer.write("\r\n".join(lines).encode())

    def whole(self, status, body, *headers):
        """A body of known length."""
        self.head(status, f"content-length: {len(body)}", *headers)
        self.writer.write(body)

    def json(self, message, *headers, status="200 OK"):
        """A JSON body."""
        self.whole(status, dump(message), "content-type: application/json", *headers)

    async def stream(self, body, chunk_bytes=1 << 16, end=b"0\r\n\r\n", headers=()):
        """An event stream, in chunks of that size; `end` closes it properly or not."""
        self.head("200 OK", "content-type: text/event-stream", "transfer-encoding: chunked", *headers)
        for start in range(0, len(body), chunk_bytes):
            chunk = body[start : start + chunk_bytes]
            self.writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            await self.writer.drain()
            await asyncio.sleep(0)
        self.writer.write(end)


def events(*messages):
    """Messages as a plain event stream."""
    return b"".join(b"event: message\ndata: " + dump(message) + b"\n\n" for message in messages)


PROGRESS = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}}


async def answer(response, way, body, headers):
    """Answers in the way that was asked for. Returns whether the connection may serve another request."""
    try:
        message = json.loads(body) if body else None
    except ValueError:
        response.json(error(None, -32700, "Parse error"), status="400 Bad Request")
        return True
    requests = message if isinstance(message, list) else [message or {}]
    ids = [item["id"] for item in requests if "method" in item and "id" in item]
    answers = [error(item) if str(item).endswith("b") else result(item) for item in ids]
    match way:
        case "json":
            response.json(answers[0])
        case "headers":
            # Their order and the case of their names mean nothing; those of the connection are not passed on.
            lines = sorted(f"{name}: {value}" for name, value in headers.items() if name != "connection")
            response.json(result(ids[0], "\n".join(lines)))
        case "session":
            response.json(result(ids[0]), f"mcp-session-id: {ids[0]}")
        case "session-by-stream":
            await response.stream(events(result(ids[0])), headers=(f"mcp-session-id: {ids[0]}",))
        case "batch":
            response.json(answers[::-1])
        case "batch-by-events":
            await response.stream(events(PROGRESS, *answers[::-1]))
        case "batch-in-event":
            await response.stream(events(answers[::-1]))
        case "odd-stream":
            halves = dump(result(ids[0], "日本 \U0001f980 \u2028")).split(b",", 1)
            stream = (
                b"\xef\xbb\xbf: a byte order mark, then a comment\r\n\r\n"
                b"id: 7\rretry: 5\rdata\r\r"
                b"event: message\r\nid:8\r\ndata: " + halves[0] + b",\r\ndata:" + halves[1] + b"\r\n\r\n"
            )
            await response.stream(stream, chunk_bytes=1)
        case "stream-until-closed":
            response.head("200 OK", "content-type: text/event-stream", "connection: close")
            response.writer.write(events(PROGRESS, result(ids[0])))
            return False
        case "stream-without-answer":
            await response.stream(events(PROGRESS))
        case "stream-cut":
            await response.stream(events(PROGRESS) + b"event: mess", end=b"")
            return False
        case "json-cut":
            response.head("200 OK", "content-type: application/json", "content-length: 1000")
            response.writer.write(dump(result(ids[0]))[:-10])
            return False
        case "html":
            response.whole("500 Oops", b"<h1>Oops</h1>", "content-type: text/html")
        case "unauthorized":
            response.whole("401 Unauthorized", b"", "www-authenticate: Bearer", "set-cookie: a=1", "set-cookie: b=2")
        case "error-400":
            response.json(error(ids[0], -32602, "bad params"), status="400 Bad Request")
        case "gone-404":
            response.json(error(ids[0], -32001, "Session not found"), status="404 Not Found")
        case "redirect":
            response.whole("307 Temporary Redirect", b"", "location: /mcp/elsewhere")
        case "accepted":
            response.whole("202 Accepted", b"")
        case "refused":
            response.whole("405 Method Not Allowed", b"", "allow: POST")
        case "gzip":
            packed = gzip.compress(dump(answers[0]), mtime=0)
            response.whole("200 OK", packed, "content-type: application/json", "content-encoding: gzip")
        case "big":
            response.json(result(ids[0], "z" * 20_000_000))
        case "is-error":
            response.json(result(ids[0], "failed", isError=True))
        case "hang":
            response.head("200 OK", "content-type: text/event-stream", "transfer-encoding: chunked")
            event = events(PROGRESS)
            response.writer.write(b"%x\r\n%s\r\n" % (len(event), event))
            return None
        case "gone-count":
            response.json(result(ids[0], str(GONE["count"])))
        case _:
            response.whole("404 Not Found", b"")
    return True


async def serve(reader, writer):
    """One connection, request after request."""
    response = Response(writer)
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            fields = [line.split(":", 1) for line in head[1:] if line]
            headers = {name.lower(): value.strip() for name, value in fields}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            if headers.get("transfer-encoding") == "chunked":
                while size := int(await reader.readuntil(b"\r\n"), 16):
                    body += (await reader.readexactly(size + 2))[:-2]
                await reader.readuntil(b"\r\n")
            again = await answer(response, headers.get("x-odd", ""), body, headers)
            await writer.drain()
            # Hanging: the next thing to come from the other side is its end.
            if again is None and not await reader.read(1):
                GONE["count"] += 1
            if not again:
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()


async def main(port):
    """Serves until killed."""
    server = await asyncio.start_server(serve, "127.0.0.1", port, limit=1 << 25)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
