"""An MCP server that answers as fast as Python can: the upstream for traffic that is dense enough to kill a proxy in.

Run as `steady.py PORT`. Every second answer is an event stream with a notification before the result, so that both
ways of answering are in flight when the proxy dies. Needs nothing but Python's own library.
"""

import asyncio
import json
import sys


async def answer(writer, request, as_stream):
    """Writes one response."""
    result = {"content": [{"type": "text", "text": "ok"}], "isError": False}
    message = json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result})
    if not as_stream:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(message)}\r\n\r\n"
        writer.write(head.encode() + message.encode())
        return
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    progress = json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info"}})
    for data in (progress, message):
        event = f"event: message\ndata: {data}\n\n".encode()
        writer.write(b"%x\r\n%s\r\n" % (len(event), event))
    writer.write(b"0\r\n\r\n")


async def serve(reader, writer):
    """One connection, request after request."""
    count = 0
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
            )
            request = json.loads(await reader.readexactly(length))
            count += 1
            await answer(writer, request, as_stream=count % 2 == 0)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(port):
    """Serves until killed."""
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
