"""A client on the 1.x Python SDK that calls a tool over and over, side by side, until the proxy is gone.

Run as `busy.py URL OUT`: says "busy" when its calls have begun, and writes its transcript when nobody answers it any
more. That is how it is meant to end.
"""

import asyncio
import itertools
import sys

import anyio
import httpx
from mcp import ClientSession, types
from mcp.client.streamable_http import streamable_http_client

from tap import recording_transport
from transcript import write

SIDE_BY_SIDE = 4


async def call_until_gone(session, tap, numbers):
    """Calls until a call is not answered."""
    for number in numbers:
        try:
            with anyio.fail_after(2):
                await session.call_tool("echo", {"text": str(number)})
        except Exception:  # Whatever the SDK makes of a dead server: the tap knows what was answered.
            return
        if number == SIDE_BY_SIDE:
            print("busy", flush=True)


async def main(url, out):
    """Opens a session and keeps it busy."""
    tap = recording_transport(httpx)()
    numbers = itertools.count()
    info = types.Implementation(name="e2e-busy", version="1.0")
    try:
        async with (
            httpx.AsyncClient(transport=tap, timeout=5) as client,
            streamable_http_client(url, http_client=client) as (read, send, _),
            ClientSession(read, send, client_info=info) as session,
        ):
            await session.initialize()
            await session.list_tools()
            async with anyio.create_task_group() as group:
                for _ in range(SIDE_BY_SIDE):
                    group.start_soon(call_until_gone, session, tap, numbers)
    except* httpx.HTTPError:
        # Closing the session of a dead server fails; that is no news.
        pass
    write(out, url, [], tap.exchanges)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
