"""A client on the 1.x Python SDK that calls a tool over and over, side by side, until the proxy is gone.

Run as `busy.py URL OUT CALLS`: says "busy" once so many calls were answered, and writes its transcript when it gets
SIGTERM, as it does when the proxy is gone. It does not give up by itself: how long an answer takes says nothing.
"""

import asyncio
import itertools
import signal
import sys

import anyio
import httpx
from mcp import ClientSession, types
from mcp.client.streamable_http import streamable_http_client

from tap import recording_transport
from transcript import write

SIDE_BY_SIDE = 4


async def call_until_gone(session, numbers, answers, enough):
    """Calls until a call is not answered."""
    for number in numbers:
        try:
            await session.call_tool("echo", {"text": str(number)})
        except Exception:  # Whatever the SDK makes of a dead server: the tap knows what was answered.
            return
        if next(answers) == enough:
            print("busy", flush=True)


async def stop_when_told(group):
    """Ends the group at SIGTERM."""
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        async for _ in signals:
            group.cancel_scope.cancel()
            return


async def main(url, out, enough):
    """Opens a session and keeps it busy."""
    tap = recording_transport(httpx)()
    numbers, answers = itertools.count(), itertools.count(1)
    info = types.Implementation(name="e2e-busy", version="1.0")
    try:
        async with (
            httpx.AsyncClient(transport=tap, timeout=None) as client,
            streamable_http_client(url, http_client=client) as (read, send, _),
            ClientSession(read, send, client_info=info) as session,
        ):
            await session.initialize()
            await session.list_tools()
            async with anyio.create_task_group() as group:
                group.start_soon(stop_when_told, group)
                for _ in range(SIDE_BY_SIDE):
                    group.start_soon(call_until_gone, session, numbers, answers, int(enough))
    except* httpx.HTTPError:
        # Closing the session of a dead server fails; that is no news.
        pass
    write(out, url, [], tap.exchanges)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
