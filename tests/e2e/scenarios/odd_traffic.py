"""Traffic that HTTP and MCP allow and the SDKs do not send: through the proxy it looks the same, and is recorded.

Each case is sent twice, directly and through the proxy; status, headers and body must be the same bytes. What the
store must hold of it is written beside each case. `servers/odd.py` answers.
"""

import http.client
import json
import socket
import sys
from dataclasses import dataclass, field

from harness import store
from harness.compare import NOT_COMPARED
from harness.processes import HERE, Failed, free_port, proxy_command, running, say, wait_until

# The rows of requests whose outcome the wire does not show must at least say why.
BROKEN = {"status": "error", "outcome": "error", "error_code": any}
CUT = BROKEN | {"http_status": 200, "cause": any}
REDIRECTED = {"outcome": "redirected", "http_status": 307, "error_code": "http_307", "cause": "307 to /mcp/elsewhere"}
OK = {"status": "ok", "outcome": "ok", "error_code": None, "http_status": 200, "cause": None}


def request(rpc_id, method="tools/call", **params):
    """A request as a message."""
    return {"jsonrpc": "2.0", "id": rpc_id, "method": method, "params": {"name": "odd", "arguments": {}} | params}


@dataclass
class Case:
    """One HTTP request, and the rows that it must leave behind."""

    way: str
    body: object = None
    rows: list = field(default_factory=list)
    headers: dict = field(default_factory=dict)
    http_method: str = "POST"

    def sent(self):
        """The body as bytes."""
        if self.body is None or isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body).encode()


def row(rpc_id, method="tools/call", **columns):
    """A row that a case must leave behind; a column whose value is `any` must only be set."""
    tool = "odd" if method == "tools/call" else None
    way = {"transport": "http", "endpoint": "/mcp"}
    return {"rpc_id": rpc_id, "method": method, "tool": tool, **way, **columns}


def handshake(session):
    """An `initialize` whose response carries that session id."""
    info = {"name": "odd-client", "version": "0.1"}
    params = {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": info}
    return {"jsonrpc": "2.0", "id": session, "method": "initialize", "params": params}


BATCH = [
    {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "never"}},
    {"jsonrpc": "2.0", "id": "answer", "result": {}},
]


def batch(name):
    """A batch of two requests, one of which fails, a notification and a response."""
    return [request(f"{name}-a"), *BATCH, request(f"{name}-b")]


def batch_rows(name):
    """What a batch leaves behind."""
    failed = {"status": "error", "outcome": "error", "error_code": "-32000", "error_msg": "no", "http_status": 200}
    return [row(f"{name}-a", **OK), row(f"{name}-b", **failed)]


CASES = [
    Case("session", handshake("odd-1"), [row("odd-1", "initialize", session_id="odd-1", **OK)]),
    Case("session-by-stream", handshake("odd-2"), [row("odd-2", "initialize", session_id="odd-2", **OK)]),
    Case("session", handshake("odd-3"), [row("odd-3", "initialize", session_id="odd-3", **OK)]),
    Case("batch", batch("batch"), batch_rows("batch")),
    Case("batch-by-events", batch("by-events"), batch_rows("by-events")),
    Case("batch-in-event", batch("in-event"), batch_rows("in-event")),
    Case("odd-stream", request("odd-stream"), [row("odd-stream", **OK)]),
    Case("stream-until-closed", request("closed"), [row("closed", **OK)]),
    Case("stream-without-answer", request("unanswered"), [row("unanswered", **BROKEN)]),
    Case("stream-cut", request("stream-cut"), [row("stream-cut", **CUT)]),
    Case("json-cut", request("json-cut"), [row("json-cut", **CUT)]),
    Case("html", request("html"), [row("html", http_status=500, **BROKEN)]),
    Case("unauthorized", request("unauthorized"), [row("unauthorized", http_status=401, **BROKEN)]),
    Case("redirect", request("redirect"), [row("redirect", **BROKEN | REDIRECTED)]),
    Case("accepted", request("accepted"), [row("accepted", http_status=202, **BROKEN)]),
    Case("error-400", request("bad"), [row("bad", status="error", error_code="-32602", error_msg="bad params", http_status=400)]),
    Case(
        "gone-404",
        request("gone"),
        [row("gone", session_id="odd-1", status="error", error_code="-32001", http_status=404)],
        {"mcp-session-id": "odd-1"},
    ),
    Case("refused", None, [], {"mcp-session-id": "odd-2"}, "DELETE"),
    Case("accepted", None, [], {"mcp-session-id": "odd-3"}, "DELETE"),
    Case("is-error", request("is-error"), [row("is-error", tool_error=1, **OK | {"outcome": "tool_error"})]),
    Case("gzip", request("gzip"), [row("gzip", tool_error=0, **OK)], {"accept-encoding": "gzip"}),
    # Larger than anything that a recorder should hold: passed on whole, and still a row.
    Case("big", request("big"), [row("big", **OK)]),
    Case("json", request("long", arguments={"text": "y" * 3_000_000}), [row("long", **OK)]),
    Case("json", request(9007199254740993), [row("9007199254740993", **OK)]),
    Case("json", request(-1), [row("-1", **OK)]),
    Case("json", request('with "quotes" and 日本'), [row('with "quotes" and 日本', **OK)]),
    Case(
        "json",
        b' {"params" : {"arguments": {"id": "inner", "method": "inner"}, "name":"o\\u0064d"} , "id": "order",'
        b'"method":"tools\\/call", "jsonrpc": "2.0"} \n',
        [row("order", **OK)],
    ),
    Case("json", request("unnamed", "custom/method"), [row("unnamed", "custom/method", **OK)]),
    Case("headers", request("headers"), [row("headers", **OK)], {"Authorization": "Bearer x", "X-Odd-2": "kept"}),
    Case("accepted", {"jsonrpc": "2.0", "method": "notifications/initialized"}),
    Case("accepted", {"jsonrpc": "2.0", "id": "server-1", "result": {}}),
    Case("parse-error", b'{"jsonrpc": "2.0", "id": "nobody", "method": '),
    Case("not-found", b""),
    Case("refused", None, [], {}, "GET"),
    Case("refused", None, [], {"access-control-request-method": "POST"}, "OPTIONS"),
]


class Connection:
    """A keep-alive connection; odd answers may end it, as they may in life."""

    def __init__(self, port):
        self.port = port
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def exchange(self, case):
        """Sends one case; returns what came back, as far as it came."""
        headers = {"accept": "application/json, text/event-stream", "x-odd": case.way} | case.headers
        if case.body is not None:
            headers["content-type"] = "application/json"
        self.http.request(case.http_method, "/mcp", body=case.sent(), headers=headers)
        response = self.http.getresponse()
        kept = sorted(
            (name.lower(), value) for name, value in response.getheaders() if name.lower() not in NOT_COMPARED
        )
        cut = False
        try:
            body = response.read()
        except http.client.IncompleteRead as incomplete:
            body, cut = incomplete.partial, True
            self.http.close()
        return {
            "status": response.status,
            "reason": response.reason,
            "headers": kept,
            "body": body.replace(f"127.0.0.1:{self.port}".encode(), b"<dialled>"),
            "cut": cut,
        }


def compare_cases(direct, proxied):
    """Every case must look the same from both sides."""
    wrong = []
    for number, case in enumerate(CASES):
        one, other = direct.exchange(case), proxied.exchange(case)
        # The text beside the status number means nothing (RFC 9112, 4), and not every library can pass it on.
        one.pop("reason"), other.pop("reason")
        for part in one:
            if one[part] != other[part]:
                seen = f"{str(one[part])[:300]} directly, {str(other[part])[:300]} proxied"
                wrong.append(f"case {number} ({case.way}): {part} is {seen}")
    return wrong


def check_rows(directory, expected):
    """Each expected row once, and no other."""
    wrong = []
    left = store.rows(directory, "SELECT * FROM requests")
    for want in expected:
        found = [row for row in left if row["rpc_id"] == want["rpc_id"]]
        if len(found) != 1:
            wrong.append(f"{len(found)} rows for {want}")
            continue
        left.remove(found[0])
        for column, value in want.items():
            if (found[0][column] is None) if value is any else (found[0][column] != value):
                wrong.append(f"row {want['rpc_id']}: {column} is {found[0][column]!r}, not {value!r}")
    return wrong + [f"a row that no case explains: {row}" for row in left]


def check_sessions(directory):
    """A 404 to a known session ends it, and so does a DELETE that the server accepts; one that it refuses does not."""
    ended = {row["session_id"]: row["ended_at"] for row in store.rows(directory, "SELECT * FROM sessions")}
    wanted = {"odd-1": True, "odd-2": False, "odd-3": True}
    return [
        f"session {session}: ended is {ended.get(session) is not None}, not {want}"
        for session, want in wanted.items()
        if session not in ended or (ended[session] is not None) != want
    ]


def client_leaves(proxy_port, direct):
    """A client that goes away takes its upstream request with it."""
    body = json.dumps(request("left")).encode()
    with socket.create_connection(("127.0.0.1", proxy_port), timeout=20) as client:
        client.sendall(
            b"POST /mcp HTTP/1.1\r\nhost: x\r\nx-odd: hang\r\ncontent-type: application/json\r\n"
            b"accept: application/json, text/event-stream\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
        )
        # The first event is there before the answer is: the proxy streams.
        seen = b""
        while b"notifications/progress" not in seen:
            received = client.recv(4096)
            if not received:
                raise Failed("the stream ended before its first event")
            seen += received
    count = Case("gone-count", request("count"))
    wait_until("the upstream to see the client go", lambda: b'"1"' in direct.exchange(count)["body"], seconds_max=20)
    return [row("left", http_status=200, **BROKEN)]


def odd_traffic(work, mcplog):
    """All cases, then a client that leaves, then an upstream that is gone."""
    port, proxy_port = free_port(), free_port()
    directory = work / "store"
    command = proxy_command(mcplog, f"http://127.0.0.1:{port}/mcp", proxy_port, directory)
    expected = [row for case in CASES for row in case.rows]
    with running("proxy", command, work, proxy_port) as proxy:
        with running("upstream", [sys.executable, str(HERE / "servers/odd.py"), str(port)], work, port):
            direct = Connection(port)
            wrong = compare_cases(direct, Connection(proxy_port))
            expected += client_leaves(proxy_port, direct)
        down = Connection(proxy_port).exchange(Case("json", request("down")))
        if down["status"] not in (502, 503, 504):
            wrong.append(f"with the upstream gone the proxy answers {down}")
        expected.append(row("down", http_status=None, **BROKEN | {"cause": any}))
        try:
            wait_until("the rows", lambda: not check_rows(directory, expected), seconds_max=10)
        except Failed:
            wrong += check_rows(directory, expected)
        wrong += check_sessions(directory)
        if proxy.stop() != 0:
            wrong.append(f"the proxy did not end cleanly:\n{proxy.tail()}")
    if wrong:
        raise Failed("\n".join(wrong))
    say(f"{len(CASES)} odd exchanges equal, {len(expected)} requests recorded")
