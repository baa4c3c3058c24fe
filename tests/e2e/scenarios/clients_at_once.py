"""Several clients of both eras at once, through one proxy to one server: nobody's traffic becomes another's.

They use the same JSON-RPC ids and page through the same lists side by side. Each request has its row under its own
session, and the crossing pages make no schema version that the server never had.
"""

import json
from collections import Counter

from harness import store
from harness.processes import Failed, Process, free_port, proxy_command, running, say, wait_for_all
from scenarios.same_view import check, python_client, python_server, wait_for_rows
from scenarios.schema_change import LISTS, changes

CLIENTS = {
    "mcp1-a": python_client(1, "calls"),
    "mcp1-b": python_client(1, "calls"),
    "mcp2-session": python_client(2, "calls", "legacy"),
    "mcp2-sessionless": python_client(2, "calls", "auto"),
}
CLIENT_SECONDS_MAX = 90


def all_at_once(url, work):
    """Runs every client at the same time; returns their transcripts."""
    clients = [Process(name, command(url, work / f"{name}.json"), work) for name, command in CLIENTS.items()]
    wait_for_all(clients, CLIENT_SECONDS_MAX)
    return [json.loads((work / f"{name}.json").read_text()) for name in CLIENTS]


def clients_at_once(work, mcplog):
    """All clients, then the store."""
    port, proxy_port = free_port(), free_port()
    directory = work / "store"
    server, environment = python_server(2)(port)
    proxy_line = proxy_command(mcplog, f"http://127.0.0.1:{port}/mcp", proxy_port, directory)
    with running("server", server, work, port, environment), running("proxy", proxy_line, work, proxy_port) as proxy:
        transcripts = all_at_once(f"http://127.0.0.1:{proxy_port}/mcp", work)
        requests = sum(len(store.expected_requests(transcript)) for transcript in transcripts)
        wait_for_rows(directory, requests)
        if proxy.stop() != 0:
            raise Failed(f"the proxy did not end cleanly:\n{proxy.tail()}")
    check(store.check_requests(transcripts, directory))
    wrong, derived = store.check_sessions(transcripts, directory)
    check(wrong)
    names = Counter(row["client_name"] for row in derived.values())
    if names != Counter({"e2e-cursor-mcp2": 1}):
        raise Failed(f"one client spoke the sessionless era; derived sessions: {names}")
    expected = Counter({(method, "initial", None): 1 for method in ("initialize", "server/discover", *LISTS)})
    if changes(directory) != expected:
        raise Failed(f"schema changes: {changes(directory)}")
    say(f"{len(CLIENTS)} clients at once, {requests} requests, each under its own session")
