"""What a client sees through the proxy equals what it sees without it, and the store has all of it once.

The same conversation is held twice, each time with a server process of its own: directly, and through the proxy. The
two transcripts must be equal; the store must hold exactly the requests, sessions and schema versions that the second
transcript shows.
"""

import json
import signal

from harness import store
from harness.compare import compare
from harness.processes import (
    HERE,
    INSTALLED,
    Failed,
    fold,
    free_port,
    proxy_command,
    python_command,
    run,
    running,
    say,
    wait_until,
)

SECRET = b"e2e-secret-token"


def python_server(generation, *options):
    """A test server on that generation of the Python SDK."""

    def command(port):
        return python_command(generation, f"servers/mcp{generation}_server.py", port, *options), {}

    return command


def everything_server(port):
    """The reference server of the TypeScript SDK."""
    script = INSTALLED / "node_modules/@modelcontextprotocol/server-everything/dist/index.js"
    return ["node", str(script), "streamableHttp"], {"PORT": str(port)}


def python_client(generation, *options):
    """The scripted client on that generation of the Python SDK."""

    def command(url, out):
        return python_command(generation, f"clients/mcp{generation}.py", url, out, *options)

    return command


def typescript_client(url, out):
    """The scripted client on the TypeScript SDK."""
    return ["node", str(HERE / "clients/typescript.mjs"), url, str(out)]


PAIRS = {
    "session-era": (python_client(1, "whole"), python_server(1)),
    "session-era-json": (python_client(1, "json"), python_server(1, "--json")),
    "oldest-transport": (python_client(1, "whole"), python_server(1), "/sse"),
    "new-client-old-server": (python_client(2, "whole", "auto"), python_server(1)),
    "old-client-new-server": (python_client(1, "whole"), python_server(2)),
    "new-client-in-session-era": (python_client(2, "whole", "legacy"), python_server(2)),
    "sessionless-era": (python_client(2, "whole", "auto"), python_server(2)),
    "sessionless-era-json": (python_client(2, "json", "2026-07-28"), python_server(2, "--json")),
    "everything-python": (python_client(2, "everything", "auto"), everything_server),
    "everything-typescript": (typescript_client, everything_server),
}


def hold(name, work, client, server, path="/mcp", mcplog=None):
    """Holds the conversation once, directly or through the proxy; returns its transcript."""
    server_port = free_port()
    command, environment = server(server_port)
    url = f"http://127.0.0.1:{server_port}{path}"
    out = work / f"{name}.json"
    with running(f"{name}-server", command, work, server_port, environment):
        if mcplog is None:
            run(f"{name}-client", client(url, out), work)
            return json.loads(out.read_text())
        proxy_port = free_port()
        directory = work / "store"
        command = proxy_command(mcplog, url, proxy_port, directory)
        with running(f"{name}-proxy", command, work, proxy_port) as proxy:
            run(f"{name}-client", client(f"http://127.0.0.1:{proxy_port}{path}", out), work)
            transcript = json.loads(out.read_text())
            wait_for_rows(directory, len(store.expected_requests(transcript)))
            code = proxy.stop(signal.SIGTERM)
            if code != 0:
                raise Failed(f"the proxy ended with {code} on SIGTERM:\n{proxy.tail()}")
        return transcript


def wait_for_rows(directory, count):
    """The rows are there while the proxy still runs, for any reader."""

    def there():
        return (directory / "store.db").exists() and len(store.rows(directory, "SELECT id FROM requests")) >= count

    try:
        wait_until("rows", there, seconds_max=20)
    except Failed:
        found = store.rows(directory, "SELECT method, tool, rpc_id, status FROM requests ORDER BY id")
        lines = "\n".join(str(row) for row in found)
        raise Failed(f"{len(found)} of {count} rows while the proxy runs:\n{lines}") from None


def check(wrong):
    """Fails with everything that is wrong, not only the first of it."""
    if wrong:
        raise Failed("\n".join(wrong))


def check_store(transcript, directory):
    """The store holds this conversation, once, and nothing else."""
    check(store.check_requests([transcript], directory))
    wrong, _derived = store.check_sessions([transcript], directory)
    check(wrong + store.check_derived_sessions(transcript, directory))


def check_privacy(directory):
    """Nobody else may read the store, and the client's credentials are not in it."""
    for path in (directory, *directory.rglob("*")):
        mode = path.stat().st_mode & 0o777
        if mode != (0o700 if path.is_dir() else 0o600):
            raise Failed(f"{path.name} has mode {mode:o}")
        if path.is_file() and SECRET in path.read_bytes():
            raise Failed(f"{path.name} holds the client's credentials")


def same_view(pair, work, mcplog):
    """One pair of client and server."""
    direct = hold("direct", work, *PAIRS[pair])
    proxied = hold("proxied", work, *PAIRS[pair], mcplog=mcplog)
    check(compare(direct, proxied, tools_change_by_chance=PAIRS[pair][1] is everything_server))
    directory = work / "store"
    check_store(proxied, directory)
    check_privacy(directory)
    # Opening the store again must change nothing: nothing was left in the log, and nothing is folded twice.
    fold(mcplog, directory, work)
    check_store(proxied, directory)
    requests = len(store.expected_requests(proxied))
    say(f"{pair}: {len(direct['steps'])} steps and {len(direct['wire'])} exchanges equal, {requests} requests recorded")
