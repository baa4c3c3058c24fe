"""The scripted client on the 1.x Python SDK (session era; where the URL ends in /sse, the transport of 2024-11-05).

Run as `mcp1.py URL OUT SCRIPT`: holds that conversation (see conversation.py) with the server at URL and writes the
transcript to OUT. URL may be a server that is started (see pipe_tap.py).
"""

import asyncio
import sys
from datetime import timedelta

import anyio
import httpx
from mcp import ClientSession, McpError, types
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from pydantic import AnyUrl, BaseModel

from conversation import hold
from pipe_tap import pipe_of
from tap import recording_transport
from transcript import EXTRA_HEADERS, write


class Peer:
    """One SDK's verbs under the names that the conversation uses."""

    error_type = McpError

    def __init__(self, url, name="e2e-claude-mcp1", headers=EXTRA_HEADERS):
        self.url = url
        self.name = name
        self.headers = headers
        # The keys of calls of hang that were given up before the server was known to have them. Here none is.
        self.unseen = []
        self.pipe = pipe_of(url)
        self.tap = self.pipe or recording_transport(httpx)()

    @staticmethod
    def plain(value):
        """Any SDK value as JSON."""
        if isinstance(value, BaseModel):
            return value.model_dump(mode="json", by_alias=True, exclude_none=True)
        return value

    async def connect(self, stack, conversation):
        """Opens the session; returns the result of `initialize`."""

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
            if isinstance(getattr(message, "root", None), types.ToolListChangedNotification):
                conversation.note("tools changed", {})

        def tapped(headers=None, timeout=None, auth=None):
            return httpx.AsyncClient(transport=self.tap, headers=headers, timeout=timeout, auth=auth)

        if self.pipe:
            program, *arguments = self.pipe.command
            transport = stdio_client(StdioServerParameters(command=program, args=arguments))
        elif self.url.endswith("/sse"):
            transport = sse_client(self.url, headers=self.headers, timeout=60, httpx_client_factory=tapped)
        else:
            client = tapped(self.headers, httpx.Timeout(30, read=60))
            transport = streamable_http_client(self.url, http_client=await stack.enter_async_context(client))
        streams = await stack.enter_async_context(transport)
        self.session = await stack.enter_async_context(
            ClientSession(
                streams[0],
                streams[1],
                sampling_callback=on_sampling,
                elicitation_callback=on_elicitation,
                list_roots_callback=on_roots,
                logging_callback=on_log,
                message_handler=on_message,
                client_info=types.Implementation(name=self.name, version="1.2.3"),
            )
        )
        result = await self.session.initialize()
        with anyio.fail_after(20):
            while self.tap.has_session() and not self.tap.get_stream_is_open():
                await anyio.sleep(0.005)
        return result

    async def list(self, kind, cursor):
        """One page of a list."""
        verb = {
            "tools": self.session.list_tools,
            "resources": self.session.list_resources,
            "templates": self.session.list_resource_templates,
            "prompts": self.session.list_prompts,
        }[kind]
        return await verb(params=types.PaginatedRequestParams(cursor=cursor) if cursor else None)

    async def call(self, tool, arguments, on_progress):
        """`tools/call`."""
        return await self.session.call_tool(tool, arguments, progress_callback=on_progress)

    async def read(self, uri):
        """`resources/read`."""
        return await self.session.read_resource(AnyUrl(uri))

    async def prompt(self, name, arguments):
        """`prompts/get`."""
        return await self.session.get_prompt(name, arguments)

    async def complete(self, prompt, argument, prefix):
        """`completion/complete`."""
        ref = types.PromptReference(type="ref/prompt", name=prompt)
        return await self.session.complete(ref, {"name": argument, "value": prefix})

    async def cancel(self, tool, _scope):
        """Cancels by notification; the server answers the call with an error."""
        await self.session.send_notification(
            types.ClientNotification(
                types.CancelledNotification(
                    params=types.CancelledNotificationParams(
                        requestId=self.tap.last_request_id(tool), reason="no longer wanted"
                    )
                )
            )
        )

    async def ping(self):
        """`ping`."""
        return await self.session.send_ping()

    async def set_level(self, level):
        """`logging/setLevel`."""
        return await self.session.set_logging_level(level)

    def session_era_steps(self):
        """Requests that the sessionless era does not have."""
        uri = AnyUrl("test://static/alpha")
        return [
            ("ping", self.ping),
            ("set level", lambda: self.set_level("debug")),
            ("subscribe", lambda: self.session.subscribe_resource(uri)),
            ("unsubscribe", lambda: self.session.unsubscribe_resource(uri)),
        ]

    async def unknown(self):
        """A request that no server knows."""

        class Unknown(types.Request[None, str]):
            method: str = "e2e/unknown"
            params: None = None

        return await self.session.send_request(Unknown(), types.EmptyResult)

    async def notify(self):
        """A notification of the client's own."""
        await self.session.send_roots_list_changed()

    async def time_out(self, _key):
        """Gives a call up after a while. This SDK tells nobody, so the answer comes all the same, and is waited for."""
        try:
            await self.session.call_tool("slow", {"ms": 600}, read_timeout_seconds=timedelta(seconds=0.2))
        finally:
            with anyio.fail_after(60):
                while not self.tap.is_answered(self.tap.last_request_id("slow")):
                    await anyio.sleep(0.005)

    async def grow(self, conversation, name):
        """Makes the server add a tool; the news arrives on the GET stream."""
        await conversation.call("grow", expect_seen=1, name=name)


async def main(url, out, script):
    """Holds the conversation and writes the transcript."""
    peer = Peer(url)
    steps = await hold(peer, script)
    write(out, url, steps, [] if peer.pipe else peer.tap.exchanges)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
