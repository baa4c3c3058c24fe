"""The scripted client on the 2.x Python SDK, in either era.

Run as `mcp2.py URL OUT SCRIPT MODE`: holds that conversation (see conversation.py) with the server at URL and writes
the transcript to OUT. MODE is `legacy`, `auto` or `2026-07-28`; `auto` is what the SDK does by itself: it tries the
sessionless era and falls back to `initialize`. URL may be a server that is started (see pipe_tap.py).
"""

import asyncio
import sys

import anyio
import httpx2
import mcp_types as types
from mcp import Client, MCPError
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel

from conversation import hold
from pipe_tap import pipe_of
from tap import recording_transport
from transcript import EXTRA_HEADERS, write


class Peer:
    """One SDK's verbs under the names that the conversation uses."""

    error_type = MCPError

    def __init__(self, url, mode, name="e2e-cursor-mcp2", headers=EXTRA_HEADERS):
        self.url = url
        self.name = name
        self.headers = headers
        # The keys of calls of hang that were given up before the server was known to have them.
        self.unseen = []
        self.mode = mode
        self.pipe = pipe_of(url)
        self.tap = self.pipe or recording_transport(httpx2)()

    @staticmethod
    def plain(value):
        """Any SDK value as JSON."""
        if isinstance(value, BaseModel):
            return value.model_dump(mode="json", by_alias=True, exclude_none=True)
        return value

    @property
    def sessionless(self):
        """Whether the two sides agreed on the sessionless era."""
        return self.client.protocol_version in MODERN_PROTOCOL_VERSIONS

    async def connect(self, stack, conversation):
        """Opens the connection; returns what was agreed."""

        async def on_sampling(_context, params):
            conversation.note("sampling", params)
            return types.CreateMessageResult(
                role="assistant", content=types.TextContent(type="text", text="word"), model="none"
            )

        async def on_elicitation(_context, params):
            conversation.note("elicitation", params)
            return types.ElicitResult(action="accept", content={"colour": "green"})

        async def on_roots(_context):
            conversation.note("roots", {})
            return types.ListRootsResult(roots=[types.Root(uri="file:///one"), types.Root(uri="file:///two")])

        async def on_log(params):
            conversation.note("log", params)

        async def on_message(message):
            if isinstance(message, types.ToolListChangedNotification):
                conversation.note("tools changed", {})

        def tapped(headers=None, timeout=None, auth=None):
            return httpx2.AsyncClient(transport=self.tap, headers=headers, timeout=timeout, auth=auth)

        if self.pipe:
            program, *arguments = self.pipe.command
            transport = stdio_client(StdioServerParameters(command=program, args=arguments))
        elif self.url.endswith("/sse"):
            transport = sse_client(self.url, headers=self.headers, timeout=60, httpx_client_factory=tapped)
        else:
            client = tapped(self.headers, httpx2.Timeout(30, read=60))
            transport = streamable_http_client(self.url, http_client=await stack.enter_async_context(client))
        self.client = await stack.enter_async_context(
            Client(
                transport,
                mode=self.mode,
                sampling_callback=on_sampling,
                elicitation_callback=on_elicitation,
                list_roots_callback=on_roots,
                logging_callback=on_log,
                log_level="debug",
                message_handler=on_message,
                client_info=types.Implementation(name=self.name, version="4.5.6"),
                # Every listing is to reach the server.
                cache=None,
            )
        )
        if not self.sessionless:
            with anyio.fail_after(20):
                while self.tap.has_session() and not self.tap.get_stream_is_open():
                    await anyio.sleep(0.005)
        return {
            "protocolVersion": self.client.protocol_version,
            "serverInfo": self.plain(self.client.server_info),
            "capabilities": self.plain(self.client.server_capabilities),
            "instructions": self.client.instructions,
        }

    async def list(self, kind, cursor):
        """One page of a list."""
        verb = {
            "tools": self.client.list_tools,
            "resources": self.client.list_resources,
            "templates": self.client.list_resource_templates,
            "prompts": self.client.list_prompts,
        }[kind]
        return await verb(cursor=cursor)

    async def call(self, tool, arguments, on_progress):
        """`tools/call`, with as many rounds as the server asks for."""
        return await self.client.call_tool(tool, arguments, progress_callback=on_progress)

    async def read(self, uri):
        """`resources/read`."""
        return await self.client.read_resource(uri)

    async def prompt(self, name, arguments):
        """`prompts/get`."""
        return await self.client.get_prompt(name, arguments)

    async def complete(self, prompt, argument, prefix):
        """`completion/complete`."""
        ref = types.PromptReference(type="ref/prompt", name=prompt)
        return await self.client.complete(ref, {"name": argument, "value": prefix})

    async def cancel(self, _tool, scope):
        """Gives the call up; the SDK says so in the way of the era (a notification, or closing the stream)."""
        scope.cancel()

    async def ping(self):
        """`ping`."""
        return await self.client.send_ping()

    async def set_level(self, level):
        """`logging/setLevel`."""
        return await self.client.set_logging_level(level)

    def session_era_steps(self):
        """Requests that the sessionless era does not have."""
        if self.sessionless:
            return []
        uri = "test://static/alpha"
        return [
            ("ping", self.ping),
            ("set level", lambda: self.set_level("debug")),
            ("subscribe", lambda: self.client.subscribe_resource(uri)),
            ("unsubscribe", lambda: self.client.unsubscribe_resource(uri)),
        ]

    async def unknown(self):
        """A request that no server knows."""
        return await self.client.session.send_request(
            types.Request(method="e2e/unknown", params=None), types.EmptyResult
        )

    async def notify(self):
        """A notification of the client's own, in the era that has one."""
        if not self.sessionless:
            await self.client.send_roots_list_changed()

    async def time_out(self, key):
        """Gives a call up after a while; the SDK takes it back, perhaps before the server had it: that is noted."""
        key = f"{key} timed out"
        is_over = seen = False

        async def watch():
            nonlocal seen
            while not (is_over or seen):
                seen = "yes" in str(self.plain(await self.call("begun", {"key": key}, None)))
                await anyio.sleep(0.05)

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            try:
                return await self.client.call_tool("hang", {"key": key}, read_timeout_seconds=1)
            except MCPError as error:
                given_up = error
            finally:
                is_over = True
                if not seen:
                    self.unseen.append(key)
        raise given_up

    async def grow(self, conversation, name):
        """Makes the server add a tool; the news arrives on the GET stream, or on a stream that listens for it."""
        if not self.sessionless:
            await conversation.call("grow", expect_seen=1, name=name)
            return
        async with self.client.listen(tools_list_changed=True) as subscription:
            await conversation.call("grow", expect_seen=1, name=name)
            with anyio.fail_after(20):
                event = await anext(aiter(subscription))
        conversation.steps.append({"step": "listened", "result": type(event).__name__})


async def main(url, out, script, mode):
    """Holds the conversation and writes the transcript."""
    peer = Peer(url, mode)
    steps = await hold(peer, script)
    write(out, url, steps, [] if peer.pipe else peer.tap.exchanges)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
