"""Dense traffic through a proxy, and the moment at which the proxy is killed.

One thread does both, so that the order of answers and kill is certain. No length of time decides whether there was enough
traffic: a machine may be as slow as it likes.
"""

import asyncio
import json
import time
from dataclasses import dataclass

from harness import loss
from harness.processes import Failed

CONNECTIONS = 8
# Whatever takes longer hangs.
HANG_SECONDS = 300
LOOK_SECONDS = 0.01
SESSION = "session-of-the-load"


@dataclass
class Call:
    """One call, and when it was answered (monotonic seconds, one clock for all processes), or None."""

    session: str
    rpc_id: str
    answered_at: float | None = None

    @property
    def name(self):
        """What tells it from every other call of the test."""
        return f"{self.session}/{self.rpc_id}"


@dataclass
class Round:
    """The traffic up to one kill."""

    calls: list[Call]
    window_began_at: float
    killed_at: float

    def promised(self):
        """The calls that were answered before the window, oldest first: none of them may be lost."""
        answered = [call for call in self.calls if call.answered_at and call.answered_at < self.window_began_at]
        return sorted(answered, key=lambda call: call.answered_at)


def request_bytes(port, rpc_id):
    """A call as it goes over the wire."""
    body = json.dumps(
        {"jsonrpc": "2.0", "id": rpc_id, "method": "tools/call", "params": {"name": "steady", "arguments": {}}}
    ).encode()
    head = (
        f"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\naccept: application/json, text/event-stream\r\n"
        f"content-type: application/json\r\nmcp-session-id: {SESSION}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def read_answer(reader):
    """Reads one response to its end."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 200"):
        raise ConnectionError(head)
    if b"transfer-encoding: chunked" not in head:
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(length)
        return
    while size := int(await reader.readuntil(b"\r\n"), 16):
        await reader.readexactly(size + 2)
    await reader.readuntil(b"\r\n")


async def connection(port, name, calls):
    """One keep-alive connection, call after call, until the proxy is gone."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for number in range(10**9):
            call = Call(SESSION, f"{name}-{number}")
            calls.append(call)
            writer.write(request_bytes(port, call.rpc_id))
            await read_answer(reader)
            call.answered_at = time.monotonic()
    except (asyncio.IncompleteReadError, ConnectionError):
        # The proxy was killed; what had been answered is known.
        pass
    finally:
        writer.close()


async def traffic(port, name, seconds, answered_min, proxy):
    """Runs the connections and kills the proxy in the middle of it."""
    calls = []
    connections = [asyncio.create_task(connection(port, f"{name}-{index}", calls)) for index in range(CONNECTIONS)]
    began_at = time.monotonic()

    async def until(is_reached):
        while not is_reached():
            if any(task.done() for task in connections):
                raise Failed(f"a connection ended before the kill:\n{proxy.tail()}")
            if time.monotonic() > began_at + HANG_SECONDS:
                raise Failed(f"waited {HANG_SECONDS} s in vain for {answered_min} answers:\n{proxy.tail()}")
            await asyncio.sleep(LOOK_SECONDS)

    def is_enough():
        answered = sum(call.answered_at is not None for call in calls)
        return answered >= answered_min and time.monotonic() >= began_at + seconds

    await until(is_enough)
    window = loss.Window(proxy.child.pid)
    await until(window.is_over)
    killed_at = time.monotonic()
    proxy.child.kill()
    await asyncio.wait_for(asyncio.gather(*connections), timeout=HANG_SECONDS)
    return Round(calls, window.began_at, killed_at)


def run_until_killed(port, name, seconds, answered_min, proxy):
    """One round: traffic for that long, and until so many calls were answered; then the kill. Returns the round."""
    return asyncio.run(traffic(port, name, seconds, answered_min, proxy))
