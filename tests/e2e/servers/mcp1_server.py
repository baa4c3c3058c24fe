"""An MCP server on the 1.x Python SDK: the session era, as most servers of today run it.

Run as `mcp1_server.py PORT` (more with --help); serves http://127.0.0.1:PORT/mcp until it is killed, and beside it
what answers without sessions or in JSON bodies (see catalogue.py), and the transport of 2024-11-05 at /sse. Without a
port it serves on standard input and output.
"""

import argparse
import contextlib

import anyio
import uvicorn
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.sse import SseServerTransport
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import McpError
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route

import catalogue

TOOLS = []
SERVER = Server("e2e-mcp1", version="1.0", instructions="Made for tests.")


def handles(request_type):
    """Registers a handler for raw requests: the SDK's decorators turn errors into isError and know no pages."""

    def register(handler):
        async def wrapped(request):
            try:
                return types.ServerResult(await handler(request.params))
            except catalogue.Refused as refused:
                raise McpError(types.ErrorData(**refused.error)) from refused

        SERVER.request_handlers[request_type] = wrapped
        return handler

    return register


def lists(request_type, result_type, field, items):
    """Registers a list handler with pages. `items` is read at each call: it may grow."""

    @handles(request_type)
    async def handler(params):
        listed, cursor = catalogue.page(items, params.cursor if params else None)
        return result_type.model_validate({field: listed, "nextCursor": cursor})


async def count(context, steps):
    """Progress and log messages inside the call's own stream."""
    token = context.meta.progressToken if context.meta else None
    for step in range(1, steps + 1):
        if token is not None:
            await context.session.send_progress_notification(
                token, step, steps, f"step {step}", related_request_id=str(context.request_id)
            )
        await context.session.send_log_message("info", f"at {step}", "count", related_request_id=context.request_id)
    return catalogue.text_result(f"counted to {steps}")


async def ask(context):
    """The server's own requests travel inside the call's stream."""
    answer = await context.session.elicit_form(
        catalogue.ELICITATION["message"],
        catalogue.ELICITATION["requestedSchema"],
        related_request_id=context.request_id,
    )
    said = await context.session.create_message(
        [types.SamplingMessage.model_validate(message) for message in catalogue.SAMPLING["messages"]],
        max_tokens=catalogue.SAMPLING["maxTokens"],
        related_request_id=context.request_id,
    )
    return catalogue.text_result(f"{answer.action} {answer.content['colour']}, said {said.content.text}")


@handles(types.CallToolRequest)
async def call_tool(params):
    """Every tool; what needs no server is in the catalogue."""
    context = SERVER.request_context
    arguments = params.arguments or {}
    match params.name:
        case "ask":
            result = await ask(context)
        case "roots":
            # This one goes over the standalone GET stream.
            result = catalogue.text_result(str(len((await context.session.list_roots()).roots)))
        case "count":
            result = await count(context, arguments["steps"])
        case "grow":
            TOOLS.append(catalogue.tool(arguments["name"], "Added later."))
            await context.session.send_tool_list_changed()
            result = catalogue.text_result(f"added {arguments['name']}")
        case "hang":
            catalogue.BEGUN.add(arguments.get("key"))
            if context.meta and context.meta.progressToken is not None:
                await context.session.send_progress_notification(
                    context.meta.progressToken, 1, related_request_id=str(context.request_id)
                )
            await anyio.sleep_forever()
        case "headers":
            result = catalogue.headers(context.request.headers if context.request else {})
        case "slow":
            await anyio.sleep(arguments["ms"] / 1000)
            result = catalogue.text_result("done")
        case _:
            result = catalogue.call(params.name, arguments)
    return types.CallToolResult.model_validate(result)


@handles(types.ReadResourceRequest)
async def read_resource(params):
    """`resources/read`."""
    return types.ReadResourceResult.model_validate(catalogue.read(str(params.uri)))


@handles(types.GetPromptRequest)
async def get_prompt(params):
    """`prompts/get`."""
    return types.GetPromptResult.model_validate(catalogue.prompt(params.name, params.arguments or {}))


@handles(types.CompleteRequest)
async def complete(params):
    """`completion/complete`."""
    return types.CompleteResult.model_validate(catalogue.completion(params.argument.value))


@handles(types.SubscribeRequest)
@handles(types.UnsubscribeRequest)
@handles(types.SetLevelRequest)
async def done(_params):
    """For requests whose result is empty."""
    return types.EmptyResult()


async def serve_on_pipes():
    """Serves its parent on standard input and output, until that closes."""
    async with stdio_server() as (read, write):
        await SERVER.run(read, write, SERVER.create_initialization_options())


def main():
    """Serves until killed."""
    parser = argparse.ArgumentParser()
    catalogue.add_options(parser)
    options = parser.parse_args()
    TOOLS.extend(catalogue.tools_for(options))

    lists(types.ListToolsRequest, types.ListToolsResult, "tools", TOOLS)
    lists(types.ListResourcesRequest, types.ListResourcesResult, "resources", catalogue.RESOURCES)
    lists(
        types.ListResourceTemplatesRequest,
        types.ListResourceTemplatesResult,
        "resourceTemplates",
        catalogue.TEMPLATES,
    )
    lists(types.ListPromptsRequest, types.ListPromptsResult, "prompts", catalogue.PROMPTS)
    if options.port is None:
        anyio.run(serve_on_pipes)
        return

    # The same defence against DNS rebinding that the SDK's high-level server switches on for loopback.
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=["127.0.0.1:*", "localhost:*"],
        allowed_origins=["http://127.0.0.1:*", "http://localhost:*"],
    )
    endpoints = {"/mcp": (False, options.json), **catalogue.MORE_ENDPOINTS}
    managers = {
        path: StreamableHTTPSessionManager(SERVER, stateless=stateless, json_response=json, security_settings=security)
        for path, (stateless, json) in endpoints.items()
    }
    messages = SseServerTransport("/messages/", security_settings=security)

    @contextlib.asynccontextmanager
    async def lifespan(_app):
        async with contextlib.AsyncExitStack() as stack:
            for manager in managers.values():
                await stack.enter_async_context(manager.run())
            yield

    class Endpoint:
        """An ASGI application as a class: starlette would take a plain function for a request handler."""

        def __init__(self, manager):
            self.manager = manager

        async def __call__(self, scope, receive, send):
            await self.manager.handle_request(scope, receive, send)

    async def stream(request):
        async with messages.connect_sse(request.scope, request.receive, request._send) as (read, write):
            await SERVER.run(read, write, SERVER.create_initialization_options())
        return Response()

    routes = [
        *(Route(path, endpoint=Endpoint(manager)) for path, manager in managers.items()),
        Route("/sse", endpoint=stream, methods=["GET"]),
        Mount("/messages/", app=messages.handle_post_message),
    ]
    app = Starlette(routes=routes, lifespan=lifespan)
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
