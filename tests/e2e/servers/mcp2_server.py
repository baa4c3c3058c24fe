"""An MCP server on the 2.x Python SDK; it speaks both eras of the protocol.

Run as `mcp2_server.py PORT` (more with --help); serves http://127.0.0.1:PORT/mcp until it is killed, and beside it
what answers without sessions or in JSON bodies (see catalogue.py), and the transport of 2024-11-05 at /sse. Without a
port it serves on standard input and output.
"""

import argparse
import contextlib

import anyio
import mcp_types as types
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.sse import SseServerTransport
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route

import catalogue

TOOLS = []
BUS = InMemorySubscriptionBus()


def refusals_become_errors(handler):
    """Turns the catalogue's `Refused` into the SDK's error."""

    async def wrapped(ctx, params):
        try:
            return await handler(ctx, params)
        except catalogue.Refused as refused:
            raise MCPError(**refused.error) from refused

    return wrapped


def lister(result_type, field, items):
    """A list handler with pages. `items` is read at each call: it may grow."""

    async def handler(_ctx, params):
        listed, cursor = catalogue.page(items, params.cursor if params else None)
        # No time to live: a client that caches lists would not ask again.
        return result_type.model_validate({field: listed, "nextCursor": cursor, "ttlMs": 0})

    return handler


async def count(ctx, steps):
    """Progress and log messages inside the call's own stream."""
    for step in range(1, steps + 1):
        await ctx.session.report_progress(step, steps, f"step {step}")
        await ctx.session.send_log_message("info", f"at {step}", logger="count", related_request_id=ctx.request_id)
    return catalogue.text_result(f"counted to {steps}")


async def ask_in_stream(ctx):
    """Session era: the server's own requests travel inside the call's stream."""
    answer = await ctx.session.elicit_form(
        catalogue.ELICITATION["message"], catalogue.ELICITATION["requestedSchema"], related_request_id=ctx.request_id
    )
    said = await ctx.session.create_message(
        [types.SamplingMessage.model_validate(message) for message in catalogue.SAMPLING["messages"]],
        max_tokens=catalogue.SAMPLING["maxTokens"],
        related_request_id=ctx.request_id,
    )
    return catalogue.text_result(f"{answer.action} {answer.content['colour']}, said {said.content.text}")


def ask_by_result(params):
    """Sessionless era: two rounds of `input_required`, the second reached through the state of the first."""
    answers = params.input_responses or {}
    if params.request_state is None:
        wanted = types.ElicitRequest(params=types.ElicitRequestFormParams.model_validate(catalogue.ELICITATION))
        return types.InputRequiredResult(input_requests={"colour": wanted}, request_state="round 1")
    if params.request_state == "round 1":
        colour = answers["colour"].content["colour"]
        wanted = types.CreateMessageRequest(params=types.CreateMessageRequestParams.model_validate(catalogue.SAMPLING))
        return types.InputRequiredResult(input_requests={"word": wanted}, request_state=f"round 2 {colour}")
    return catalogue.text_result(f"{params.request_state}, said {answers['word'].content.text}")


def roots_by_result(params):
    """Sessionless era: roots are asked for like any other input."""
    if not params.input_responses:
        return types.InputRequiredResult(input_requests={"roots": types.ListRootsRequest()})
    return catalogue.text_result(str(len(params.input_responses["roots"].roots)))


async def grow(ctx, name):
    """The server's schema changes while clients are connected."""
    TOOLS.append(catalogue.tool(name, "Added later."))
    await BUS.publish(ToolsListChanged())
    await ctx.session.send_tool_list_changed()
    return catalogue.text_result(f"added {name}")


async def call_tool(ctx, params):
    """Every tool; what needs no server is in the catalogue."""
    arguments = params.arguments or {}
    sessionless = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
    match params.name:
        case "ask":
            result = ask_by_result(params) if sessionless else await ask_in_stream(ctx)
        case "roots":
            # In the session era this one goes over the standalone GET stream.
            result = (
                roots_by_result(params)
                if sessionless
                else catalogue.text_result(str(len((await ctx.session.list_roots()).roots)))
            )
        case "count":
            result = await count(ctx, arguments["steps"])
        case "grow":
            result = await grow(ctx, arguments["name"])
        case "hang":
            catalogue.BEGUN.add(arguments.get("key"))
            await ctx.session.report_progress(1)
            await anyio.sleep_forever()
        case "headers":
            result = catalogue.headers(ctx.request.headers if ctx.request else {})
        case "slow":
            await anyio.sleep(arguments["ms"] / 1000)
            result = catalogue.text_result("done")
        case _:
            result = catalogue.call(params.name, arguments)
    return types.CallToolResult.model_validate(result) if isinstance(result, dict) else result


async def read_resource(_ctx, params):
    """`resources/read`."""
    return types.ReadResourceResult.model_validate(catalogue.read(str(params.uri)) | {"ttlMs": 0})


async def get_prompt(_ctx, params):
    """`prompts/get`."""
    return types.GetPromptResult.model_validate(catalogue.prompt(params.name, params.arguments or {}))


async def complete(_ctx, params):
    """`completion/complete`."""
    return types.CompleteResult.model_validate(catalogue.completion(params.argument.value))


async def done(_ctx, _params):
    """For requests whose result is empty."""
    return types.EmptyResult()


async def serve_on_pipes(server):
    """Serves its parent on standard input and output, until that closes."""
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def main():
    """Serves until killed."""
    parser = argparse.ArgumentParser()
    catalogue.add_options(parser)
    options = parser.parse_args()
    TOOLS.extend(catalogue.tools_for(options))

    server = Server(
        "e2e-mcp2",
        version="2.0",
        instructions="Made for tests.",
        on_list_tools=lister(types.ListToolsResult, "tools", TOOLS),
        on_list_resources=lister(types.ListResourcesResult, "resources", catalogue.RESOURCES),
        on_list_resource_templates=lister(types.ListResourceTemplatesResult, "resourceTemplates", catalogue.TEMPLATES),
        on_list_prompts=lister(types.ListPromptsResult, "prompts", catalogue.PROMPTS),
        on_call_tool=refusals_become_errors(call_tool),
        on_read_resource=refusals_become_errors(read_resource),
        on_get_prompt=refusals_become_errors(get_prompt),
        on_completion=complete,
        on_subscribe_resource=done,
        on_unsubscribe_resource=done,
        on_set_logging_level=done,
        on_subscriptions_listen=ListenHandler(BUS),
    )
    if options.port is None:
        anyio.run(serve_on_pipes, server)
        return
    endpoints = {"/mcp": (False, options.json), **catalogue.MORE_ENDPOINTS}
    apps = [
        server.streamable_http_app(streamable_http_path=path, stateless_http=stateless, json_response=json)
        for path, (stateless, json) in endpoints.items()
    ]
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=["127.0.0.1:*", "localhost:*"],
        allowed_origins=["http://127.0.0.1:*", "http://localhost:*"],
    )
    messages = SseServerTransport("/messages/", security_settings=security)

    async def stream(request):
        async with messages.connect_sse(request.scope, request.receive, request._send) as (read, write):
            await server.run(read, write, server.create_initialization_options())
        return Response()

    @contextlib.asynccontextmanager
    async def lifespan(_app):
        async with contextlib.AsyncExitStack() as stack:
            for app in apps:
                await stack.enter_async_context(app.router.lifespan_context(app))
            yield

    old = [Route("/sse", endpoint=stream, methods=["GET"]), Mount("/messages/", app=messages.handle_post_message)]
    app = Starlette(routes=[*(route for app in apps for route in app.routes), *old], lifespan=lifespan)
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
