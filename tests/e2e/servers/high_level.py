"""A server on the high-level class that most people write one with: FastMCP (1.x), MCPServer (2.x), package fastmcp.

Run as `high_level.py PORT`; the paths are those of the other servers. Without a port it serves on standard input and
output, which is the only way here with the package. What a tool raises becomes isError here, lists have one page, and
arguments are checked before the tool sees them: calls end otherwise than on low-level servers.
"""

import argparse
import contextlib

import anyio
import uvicorn
from starlette.applications import Starlette

import catalogue

try:
    from fastmcp import Context
    from fastmcp import FastMCP as Server
except ImportError:
    try:
        from mcp.server.fastmcp import Context, FastMCP

        Server = None
    except ImportError:
        from mcp.server.mcpserver import Context
        from mcp.server.mcpserver import MCPServer as Server


def register(server):
    """What the server offers."""

    @server.tool()
    def add(a: float, b: float) -> float:
        """Adds two numbers."""
        return a + b

    @server.tool()
    def begun(key: str) -> str:
        """Tells whether a call of hang with that key has begun."""
        return "yes" if key in catalogue.BEGUN else "no"

    @server.tool()
    async def count(steps: int, ctx: Context) -> str:
        """Counts up, reporting progress."""
        for step in range(1, steps + 1):
            await ctx.report_progress(step, steps)
        return f"counted to {steps}"

    @server.tool()
    def fail(reason: str) -> str:
        """Raises."""
        raise ValueError(reason)

    @server.tool()
    def refuse() -> str:
        """Raises, too: this class makes a result of every exception."""
        raise catalogue.Refused(catalogue.REFUSAL)

    @server.tool()
    async def hang(key: str) -> str:
        """Never answers."""
        catalogue.BEGUN.add(key)
        await anyio.sleep_forever()
        return ""

    @server.tool()
    async def slow(ms: int) -> str:
        """Answers after a while."""
        await anyio.sleep(ms / 1000)
        return "done"

    @server.resource("test://static/alpha")
    def alpha() -> str:
        return "the text"

    @server.prompt()
    def greet(who: str) -> str:
        return f"Greet {who}."

    return server


def apps():
    """An application for each way to answer."""
    endpoints = {"/mcp": (False, False), **catalogue.MORE_ENDPOINTS}
    if Server:
        server = register(Server("e2e-high-level"))
        for path, (stateless, json) in endpoints.items():
            yield server.streamable_http_app(streamable_http_path=path, stateless_http=stateless, json_response=json)
        yield server.sse_app()
        return
    for path, (stateless, json) in endpoints.items():
        server = FastMCP("e2e-high-level", streamable_http_path=path, stateless_http=stateless, json_response=json)
        yield register(server).streamable_http_app()
    yield register(FastMCP("e2e-high-level")).sse_app()


def main():
    """Serves until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int, nargs="?", help="where to serve HTTP; without it, standard input and output")
    options = parser.parse_args()
    if options.port is None:
        register((Server or FastMCP)("e2e-high-level")).run("stdio")
        return
    parts = list(apps())

    @contextlib.asynccontextmanager
    async def lifespan(_app):
        async with contextlib.AsyncExitStack() as stack:
            for part in parts:
                await stack.enter_async_context(part.router.lifespan_context(part))
            yield

    app = Starlette(routes=[route for part in parts for route in part.routes], lifespan=lifespan)
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
