"""The scripted conversation that every Python client holds with the test servers.

It covers what a proxy can spoil: pages, errors of three kinds, slow answers side by side, streams that carry
notifications and the server's own requests, large and odd bodies, headers, cancelling, closing. Each step is written
into the transcript with what the SDK handed back and with what arrived on the way.
"""

from contextlib import AsyncExitStack, suppress
from functools import partial

import anyio

import everything

ODD_TEXT = 'quotes " and \\ and \u2028 and \u0000 and \x7f and 日本 and \U0001f980 and data: x\n\nevent: y\r\n'
# How `every_end` ends: after it, nothing but closing is left.
LAST_STEP = "the last call"


class Conversation:
    """Runs the steps on a peer (see mcp1.py and mcp2.py for the two kinds) and keeps the transcript."""

    def __init__(self, peer):
        self.peer = peer
        self.steps = []
        self.seen = []
        # Kinds of arrivals that are left out, because the server itself leaves them to chance.
        self.deaf_to = frozenset()

    async def step(self, name, act, expect_seen=0):
        """Runs one step. `expect_seen` notifications must have arrived before the next step may begin."""
        self.seen = []
        entry = {"step": name, "seen": self.seen}
        self.steps.append(entry)
        try:
            result = await act()
        except self.peer.error_type as error:
            entry["error"] = self.peer.plain(error.error)
            result = None
        else:
            entry["result"] = self.peer.plain(result)
        with anyio.fail_after(20):
            while len(self.seen) < expect_seen:
                await anyio.sleep(0.005)
        return result

    def note(self, kind, value):
        """Called by the peer's callbacks: something arrived that is no answer."""
        if kind not in self.deaf_to:
            self.seen.append({kind: self.peer.plain(value)})

    async def all_pages(self, kind):
        """Lists everything of a kind, page by page."""
        cursor, pages = None, 0
        while pages == 0 or cursor:
            page = await self.step(f"list {kind} page {pages}", partial(self.peer.list, kind, cursor))
            cursor = self.peer.plain(page).get("nextCursor")
            pages += 1

    async def call(self, tool, expect_seen=0, **arguments):
        """Calls a tool; its progress is noted."""

        async def on_progress(progress, total, message):
            self.note("progress", {"progress": progress, "total": total, "message": message})

        await self.step(f"call {tool}", lambda: self.peer.call(tool, arguments, on_progress), expect_seen)

    async def side_by_side(self):
        """Several calls in flight at once, the longest first: answers may overtake each other."""
        answers = {}

        async def one(label, tool, arguments):
            answers[label] = self.peer.plain(await self.peer.call(tool, arguments, None))

        async with anyio.create_task_group() as group:
            for index, ms in enumerate((400, 200, 0)):
                group.start_soon(one, f"slow {index}", "slow", {"ms": ms})
                # The requests leave in a known order, so that their ids are the same in every run.
                await anyio.sleep(0.05)
            group.start_soon(one, "echo", "echo", {"text": "overtakes"})
        self.steps.append({"step": "side by side", "result": dict(sorted(answers.items()))})

    async def cancelled(self):
        """A call that is cancelled after its first sign of life."""
        alive = anyio.Event()

        async def on_progress(*_):
            alive.set()

        outcome = None
        async with anyio.create_task_group() as group:

            async def hang():
                nonlocal outcome
                try:
                    outcome = await self.peer.call("hang", {}, on_progress)
                except self.peer.error_type as error:
                    outcome = error.error

            group.start_soon(hang)
            with anyio.fail_after(20):
                await alive.wait()
            await self.peer.cancel("hang", group.cancel_scope)
        self.steps.append({"step": "cancelled", "result": self.peer.plain(outcome)})

    async def lists(self):
        """Everything that the server offers."""
        for kind in ("tools", "resources", "templates", "prompts"):
            await self.all_pages(kind)

    async def calls(self):
        """What needs no stream and leaves the server as it was."""
        peer = self.peer
        await self.lists()
        await self.call("add", a=2, b=40)
        await self.call("echo", text=ODD_TEXT)
        await self.call("fail", reason="on purpose")
        await self.call("refuse")
        await self.call("no such tool")
        await self.call("headers")
        await self.call("big", chars=600_000)
        await self.call("echo", text="x" * 300_000)
        await self.call("slow", ms=300)
        await self.side_by_side()
        await self.step("read text", lambda: peer.read("test://static/alpha"))
        await self.step("read blob", lambda: peer.read("test://static/blob"))
        await self.step("read made", lambda: peer.read("test://made/x%20y"))
        await self.step("read missing", lambda: peer.read("test://nowhere"))
        await self.step("prompt", lambda: peer.prompt("greet", {"who": "Ada"}))
        await self.step("prompt missing", lambda: peer.prompt("nobody", {}))
        await self.step("complete", lambda: peer.complete("greet", "who", "wor"))
        for name, act in peer.session_era_steps():
            await self.step(name, act)

    async def without_streams(self):
        """What needs no stream under a call: a server that answers in JSON bodies can do this much."""
        await self.calls()
        await self.call("roots", expect_seen=1)
        await self.peer.grow(self, "later")
        await self.all_pages("tools")

    async def whole(self):
        """The whole conversation, after the handshake and up to the close."""
        await self.without_streams()
        # Of each step, one progress notification and one log message.
        await self.call("count", steps=4, expect_seen=4 * 2)
        await self.call("ask", expect_seen=2)
        await self.cancelled()
        await self.call("add", a=1, b=1)

    async def high_level(self):
        """What servers on high-level classes do, whichever class that is."""
        peer = self.peer
        await self.lists()
        await self.call("add", a=2, b=40)
        await self.call("add", wrong="arguments")
        await self.call("fail", reason="on purpose")
        await self.call("no such tool")
        await self.call("count", steps=3, expect_seen=3)
        await self.step("read text", lambda: peer.read("test://static/alpha"))
        await self.step("read missing", lambda: peer.read("test://nowhere"))
        await self.step("prompt", lambda: peer.prompt("greet", {"who": "Ada"}))
        await self.step("prompt missing", lambda: peer.prompt("nobody", {}))
        await self.step("unknown", peer.unknown)
        await self.step("notify", peer.notify)

    async def at_once(self):
        """Calls of every kind of end in flight at the same time."""
        calls = [("add", {"a": number, "b": 1}) for number in range(6)]
        calls += [("fail", {"reason": "at once"}), ("refuse", {}), ("slow", {"ms": 150}), ("slow", {"ms": 50})]

        async def one(tool, arguments):
            with suppress(self.peer.error_type):
                await self.peer.call(tool, arguments, None)

        async with anyio.create_task_group() as group:
            for tool, arguments in calls:
                group.start_soon(one, tool, arguments)
        self.steps.append({"step": "at once", "result": len(calls)})

    async def taken_back(self):
        """A call that is given up once it has begun on the server's side."""
        key = self.peer.name

        async def hang():
            with suppress(self.peer.error_type):
                await self.peer.call("hang", {"key": key}, None)

        async with anyio.create_task_group() as group:
            group.start_soon(hang)
            with anyio.fail_after(60):
                while "yes" not in str(self.peer.plain(await self.peer.call("begun", {"key": key}, None))):
                    await anyio.sleep(0.02)
            await self.peer.cancel("hang", group.cancel_scope)
            # Not every server answers a call that was taken back.
            group.cancel_scope.cancel()
        self.steps.append({"step": "taken back", "result": None})

    async def every_end(self):
        """Every way in which a request can end, on any server: with or without sessions, streams and JSON bodies."""
        peer = self.peer
        await self.lists()
        await self.call("add", a=2, b=40)
        await self.call("fail", reason="on purpose")
        await self.call("refuse")
        await self.call("no such tool")
        await self.call("count", steps=3)
        await self.at_once()
        await self.step("read text", lambda: peer.read("test://static/alpha"))
        await self.step("read missing", lambda: peer.read("test://nowhere"))
        await self.step("prompt", lambda: peer.prompt("greet", {"who": "Ada"}))
        await self.step("prompt missing", lambda: peer.prompt("nobody", {}))
        await self.step("complete", lambda: peer.complete("greet", "who", "wor"))
        for name, act in peer.session_era_steps():
            await self.step(name, act)
        await self.step("unknown", peer.unknown)
        await self.step("notify", peer.notify)
        await self.taken_back()
        await self.step("time out", lambda: peer.time_out(peer.name))
        await self.step(LAST_STEP, lambda: peer.call("add", {"a": 1, "b": 1}, None))


async def hold(peer, script, steps=None):
    """Connects, runs the script of that name and closes; returns the steps, which `steps` gets as they are done."""
    conversation = Conversation(peer)
    conversation.steps = conversation.steps if steps is None else steps
    expect_seen = 0
    if script == "everything":
        # The reference server asks for the roots soon after the handshake and logs what it got. That its tools changed
        # is told at the handshake itself, and lost where the client's GET comes a moment later.
        expect_seen = 2
        conversation.deaf_to = {"tools changed"}
    async with AsyncExitStack() as stack:
        await conversation.step("connect", lambda: peer.connect(stack, conversation), expect_seen)
        match script:
            case "whole":
                await conversation.whole()
            case "json":
                await conversation.without_streams()
            case "calls":
                await conversation.calls()
            case "every end":
                await conversation.every_end()
            case "high level":
                await conversation.high_level()
            case "lists":
                await conversation.lists()
            case "everything":
                await everything.converse(conversation)
            case _:
                raise ValueError(script)
    return conversation.steps
