"""Versions of what a server offers: recorded once each, and every change named.

Four visits on one upstream address: a server whose tools grow while it is watched; the same server restarted with a
tool added, one removed and one reworded; the same again; and the same again after the proxy was restarted. The last
two must add nothing.
"""

import json
import signal
from collections import Counter

from harness import store
from harness.processes import Failed, free_port, proxy_command, run, running, say, wait_until
from scenarios.same_view import python_client, python_server

LISTS = {
    "tools/list": "tools",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
    "prompts/list": "prompts",
}


def changes(directory):
    """How often each change was recorded."""
    found = store.rows(directory, "SELECT method, change_type, item_name FROM schema_changes")
    return Counter((row["method"], row["change_type"], row["item_name"]) for row in found)


def listed(transcript, field):
    """The last complete listing of a kind that the client saw, all pages together."""
    items = []
    for step in transcript["steps"]:
        result = step.get("result")
        if isinstance(result, dict) and field in result:
            # A page that another one follows is not the last of its listing.
            fresh = not items or items[-1] is None
            items = ([] if fresh else items) + result[field]
            if "nextCursor" not in result:
                items.append(None)
    return items[:-1]


class Visits:
    """A proxy, a server behind it, and visits of a client."""

    def __init__(self, generation, mode, work, mcplog):
        self.generation = generation
        self.mode = mode
        self.work = work
        self.mcplog = mcplog
        self.directory = work / "store"
        self.port = free_port()
        self.proxy_port = free_port()
        self.count = 0
        self.requests = 0

    def server(self, *options):
        """The server, always on the same port: one upstream."""
        command, environment = python_server(self.generation, *options)(self.port)
        return running("server", command, self.work, self.port, environment)

    def proxy(self):
        """The proxy, on the same directory each time."""
        upstream = f"http://127.0.0.1:{self.port}/mcp"
        command = proxy_command(self.mcplog, upstream, self.proxy_port, self.directory)
        return running("proxy", command, self.work, self.proxy_port)

    def visit(self, script):
        """A client comes, holds that conversation and goes; returns its transcript when the store has it."""
        self.count += 1
        out = self.work / f"visit{self.count}.json"
        url = f"http://127.0.0.1:{self.proxy_port}/mcp"
        run(f"client{self.count}", python_client(self.generation, script, *self.mode)(url, out), self.work)
        transcript = json.loads(out.read_text())
        self.requests += len(store.expected_requests(transcript))
        wait_until("the rows of the visit", self.all_requests_are_there)
        return transcript

    def all_requests_are_there(self):
        """Whether the store has a row for each request of all visits. Schema versions precede them in the log."""
        path = self.directory / "store.db"
        return path.exists() and len(store.rows(self.directory, "SELECT id FROM requests")) == self.requests

    def expect(self, when, expected):
        """The changes must become exactly these."""
        try:
            wait_until("the schema changes", lambda: changes(self.directory) == expected, seconds_max=10)
        except Failed:
            missing, extra = expected - changes(self.directory), changes(self.directory) - expected
            raise Failed(f"{when}: missing {dict(missing)}, not expected {dict(extra)}") from None

    def expect_payloads(self, transcript):
        """The stored versions are what the client saw, all pages in one."""
        stored = {row["method"]: row for row in store.rows(self.directory, "SELECT * FROM server_schema")}
        for method, field in LISTS.items():
            payload = json.loads(stored[method]["payload"])[field]
            key = {"resources": "uri", "resourceTemplates": "uriTemplate"}.get(field, "name")
            seen = {item[key]: item for item in listed(transcript, field)}
            if {item[key]: item for item in payload} != seen or len(payload) != len(seen):
                raise Failed(f"server_schema of {method} holds {payload}, the client saw {list(seen.values())}")


def schema_change(era, work, mcplog):
    """All visits, in one era."""
    generation, mode, handshake = {
        "session": (1, (), "initialize"),
        "sessionless": (2, ("auto",), "server/discover"),
    }[era]
    visits = Visits(generation, mode, work, mcplog)
    expected = Counter({(method, "initial", None): 1 for method in (handshake, *LISTS)})
    with visits.proxy() as proxy:
        with visits.server():
            visits.visit("json" if era == "sessionless" else "whole")
            expected["tools/list", "tool_added", "later"] += 1
            visits.expect("tools grew", expected)
        changed = ("--extra-tool", "between", "--without-tool", "echo", "--reworded-tool", "add")
        with visits.server(*changed):
            transcript = visits.visit("lists")
            expected["tools/list", "tool_removed", "later"] += 1
            expected["tools/list", "tool_added", "between"] += 1
            expected["tools/list", "tool_removed", "echo"] += 1
            expected["tools/list", "tool_modified", "add"] += 1
            visits.expect("the server was restarted with other tools", expected)
            visits.expect_payloads(transcript)

            visits.visit("lists")
            visits.expect("nothing changed", expected)
            if proxy.stop(signal.SIGINT) != 0:
                raise Failed(f"the proxy did not end cleanly on Ctrl-C:\n{proxy.tail()}")
            with visits.proxy():
                visits.visit("lists")
                visits.expect("the proxy was restarted", expected)
                visits.expect_payloads(transcript)
    say(f"{era} era: {visits.count} visits, {sum(expected.values())} changes recorded, and no other")
