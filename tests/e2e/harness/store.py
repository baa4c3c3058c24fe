"""What the store must hold after a conversation, worked out from the client's own wire, and what it does hold."""

import json
import sqlite3
from contextlib import closing
from urllib.parse import urlsplit

from harness import wire

ERROR_MSG_CHARS_MAX = 512
# The first revision without sessions.
SESSIONLESS_SINCE = "2026-07-28"
# What the platform of our clients must be found to be, by what their names begin with.
PLATFORMS = {"e2e-claude-mcp1": "claude", "e2e-cursor-mcp2": "cursor", "e2e-vscode-typescript": "vscode"}


def platform_of(name):
    """The platform of the client with that name."""
    return next(platform for beginning, platform in PLATFORMS.items() if name.startswith(beginning))


def rows(directory, query, *parameters):
    """Reads store.db as any user would, with plain SQL."""
    with closing(sqlite3.connect(f"file:{directory}/store.db?mode=ro", uri=True, timeout=10)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(query, parameters)]


def target_of(method, params):
    """What a request is about when it is not a tool."""
    match method:
        case "resources/read" | "resources/subscribe" | "resources/unsubscribe":
            return params["uri"]
        case "prompts/get":
            return params["name"]
        case "completion/complete":
            return params["ref"].get("name") or params["ref"].get("uri")
    return None


def cancelled_ids(exchanges, was_accepted):
    """The JSON-RPC ids of what the client took back, by notifications that the server accepted, or by others."""
    return [
        message["params"]["requestId"]
        for exchange in exchanges
        if (exchange["status"] is not None) == was_accepted
        for message in wire.sent(exchange)
        if message.get("method") == "notifications/cancelled"
    ]


def expected_request(exchange, message, exchanges):
    """The row that one request of the client must have. A missing key means: any value is right."""
    method, params = message["method"], message.get("params", {})
    header = wire.headers(exchange, "request")
    answering = wire.answering_exchange(exchange, exchanges)
    answer = wire.response_to(answering, message["id"])
    row = {
        "rpc_id": str(message["id"]),
        "method": method,
        "tool": params["name"] if method == "tools/call" else None,
        "target": target_of(method, params),
        "direction": "client",
        "bytes_in": len(exchange["request_body"].encode()),
        "transport": "sse" if wire.session_of_old_transport(exchange) else "http",
        # In the transport of 2024-11-05, that of the stream: the path by which the client knows the server.
        "endpoint": urlsplit(answering["path"]).path,
        "cause": None,
    }
    if wire.session_of_old_transport(exchange):
        row["session_id"] = wire.session_of_old_transport(exchange)
    elif "mcp-session-id" in header:
        row["session_id"] = header["mcp-session-id"]
    elif method == "initialize" and "mcp-session-id" in wire.headers(exchange, "response"):
        row["session_id"] = wire.headers(exchange, "response")["mcp-session-id"]
    if "mcp-protocol-version" in header:
        row["protocol_version"] = header["mcp-protocol-version"]
    if answer is None and is_probe(exchange, method, exchanges):
        # A refusal with an id of the server's own, or without JSON-RPC.
        row |= {"status": "error", "outcome": "probe", "http_status": exchange["status"]}
    elif message["id"] in cancelled_ids(exchanges, was_accepted=True):
        # Taken back, whatever came after; an error that did is named, if only as far as the client still read.
        del row["cause"]
        row["taken_back"] = answer["error"] if answer and "error" in answer else None
        row |= {"status": "error", "outcome": "cancelled"}
    elif message["id"] in cancelled_ids(exchanges, was_accepted=False):
        # A client that closes everything at once breaks its notification off: nobody knows whether the server had it.
        del row["cause"]
        row["unfinished"] = True
    elif answer is None:
        # Given up by the client. That it has a row with a reason is checked in `mismatches`.
        row["unfinished"] = True
        if method == "subscriptions/listen":
            # Who ended it.
            del row["cause"]
        elif header.get("mcp-protocol-version", "") >= SESSIONLESS_SINCE:
            # There, closing the response is how a client takes a request back.
            row["outcome"] = "cancelled"
    elif "error" in answer:
        text = answer["error"]["message"]
        row |= {
            "status": "error",
            "outcome": "probe" if is_probe(exchange, method, exchanges) else "error",
            "http_status": answering["status"],
            "error_code": str(answer["error"]["code"]),
            "error_msg": beginning(text),
        }
    else:
        row |= {"status": "ok", "error_code": None, "http_status": answering["status"]}
        row["tool_error"] = answer["result"].get("isError", False)
        row["error_msg"] = words_of(answer["result"]) if row["tool_error"] else None
        row["outcome"] = outcome_of(method, answer["result"])
    return row


def is_probe(exchange, method, exchanges):
    """Whether the client found out by this request, which was refused, that it must begin with a handshake."""
    later = exchanges[exchanges.index(exchange) + 1 :]
    handshakes = [message for other in later for message in wire.sent(other) if message.get("method") == "initialize"]
    return method == "server/discover" and exchange["status"] < 500 and bool(handshakes)


def beginning(text):
    """As much of a message as a row shows."""
    return text if len(text) <= ERROR_MSG_CHARS_MAX else text[:ERROR_MSG_CHARS_MAX] + "…"


def words_of(result):
    """What a tool that failed said; None if it said nothing."""
    texts = [item["text"] for item in result.get("content", []) if item["type"] == "text"]
    return beginning("\n".join(text for text in texts if text)) or None


def outcome_of(method, result):
    """What became of a request that has a result."""
    if method == "subscriptions/listen":
        return "ended"
    if result.get("isError"):
        return "tool_error"
    return "input_required" if result.get("resultType") == "input_required" else "ok"


def expected_requests(transcript):
    """The rows of all requests of either side: messages with an id, and a method."""
    of_client = [
        expected_request(exchange, message, transcript["wire"])
        for exchange in transcript["wire"]
        for message in wire.sent(exchange)
        if "method" in message and "id" in message
    ]
    of_server = [
        expected_of_server(exchange, text, message, transcript["wire"])
        for exchange in transcript["wire"]
        for text in wire.received_texts(exchange)
        if "method" in (message := json.loads(text)) and "id" in message
    ]
    return of_client + of_server


def expected_of_server(exchange, text, message, exchanges):
    """The row that one request of the server must have: it came in an event, and the client answers with a POST."""
    row = {
        "rpc_id": str(message["id"]),
        "method": message["method"],
        "tool": None,
        "target": None,
        "direction": "server",
        "bytes_in": len(text.encode()),
        "endpoint": urlsplit(exchange["path"]).path,
        "http_status": None,
    }
    answers = (
        (other, answer)
        for other in exchanges
        for answer in wire.sent(other)
        if "method" not in answer and answer.get("id") == message["id"]
    )
    answering, answer = next(answers, (None, None))
    if answer is None:
        return row | {"unfinished": True}
    old_session = wire.session_of_old_transport(answering)
    session = old_session or wire.headers(answering, "request").get("mcp-session-id")
    row |= {"cause": None, "bytes_out": len(answering["request_body"].encode())}
    row |= {"transport": "sse" if old_session else "http", "session_id": session}
    if "error" in answer:
        error = answer["error"]
        row |= {"status": "error", "outcome": "error", "error_code": str(error["code"])}
        return row | {"error_msg": beginning(error["message"])}
    return row | {"status": "ok", "outcome": "ok", "error_code": None, "tool_error": False, "error_msg": None}


def mismatches(expected, row):
    """How a row differs from what it must be."""
    lines = []
    for column, value in expected.items():
        if column == "unfinished":
            # Listening ends by closing the stream, which is no failure; everything else that breaks off is one.
            listens = row["method"] == "subscriptions/listen"
            if listens != (row["status"] == "ok") or listens != (row["error_code"] is None):
                lines.append(f"given up, but status {row['status']!r}, error_code {row['error_code']!r}")
            if row["outcome"] not in (("ended",) if listens else ("cancelled", "error")):
                lines.append(f"given up, but outcome {row['outcome']!r}")
        elif column == "taken_back":
            late = value and f"late error {value['code']}: {value['message']}"
            if (late and row["cause"] != late) or not (row["cause"] or "late error").startswith("late error"):
                lines.append(f"cause is {row['cause']!r}, not {late!r}")
        elif column == "tool_error":
            if bool(row[column]) != value:
                lines.append(f"tool_error is {row[column]!r}, not {value!r}")
        elif row[column] != value:
            lines.append(f"{column} is {row[column]!r}, not {value!r}")
    if row["latency_us"] is None or row["latency_us"] < 0:
        lines.append(f"latency_us is {row['latency_us']!r}")
    return [f"row of {expected['method']} (JSON-RPC id {expected['rpc_id']}): {line}" for line in lines]


def check_requests(transcripts, directory):
    """Each request of these conversations has exactly one row, and each row a request. Returns what is wrong.

    A transcript that names its client is one of many on one server: the row must belong to a session of that client.
    """
    wrong = []
    left = {}
    query = "SELECT r.*, s.client_name FROM requests AS r LEFT JOIN sessions AS s USING (session_id)"
    for row in rows(directory, query):
        left.setdefault((row["rpc_id"], row["method"], row["bytes_in"]), []).append(row)
    for transcript in transcripts:
        for expected in expected_requests(transcript):
            key = (expected["rpc_id"], expected["method"], expected["bytes_in"])
            name = transcript.get("name")
            if name and expected.get("outcome") != "probe":
                expected["client_name"] = name
            # Many conversations may use the same ids; their session tells them apart, or their client, or their server.
            telling = [column for column in ("session_id", "client_name", "endpoint") if expected.get(column)]
            candidates = [row for row in left.get(key, []) if all(row[it] == expected[it] for it in telling)]
            about = f"{name}: " if name else ""
            if expected["rpc_id"] in map(str, transcript.get("unseen", [])):
                # Given up before the server had it: whether the proxy had, and what first, only chance knows.
                maybe = [row for row in left.get(key, []) if row["client_name"] in (name, None)]
                maybe = [row for row in maybe if row["endpoint"] == expected["endpoint"]]
                if maybe:
                    left[key].remove(maybe[0])
                continue
            if not candidates:
                wrong.append(f"{about}no row for {expected}")
                continue
            left[key].remove(candidates[0])
            found = mismatches(expected, candidates[0])
            if found and name:
                found.append(f"of the wire {expected}\n    of the store {candidates[0]}")
            wrong += [about + line for line in found]
    for rows_left in left.values():
        for row in rows_left:
            # Where there are many clients: whose it says that it is, or else where it came.
            of_whom = f"{row['client_name'] or row['endpoint']}: " if transcripts[0].get("name") else ""
            wrong.append(f"{of_whom}a row that no request explains: {row}")
    return wrong


def client_info(message):
    """Who the client says it is, in either era's place."""
    params = message.get("params", {})
    meta = params.get("_meta", {})
    return params.get("clientInfo") or meta.get("io.modelcontextprotocol/clientInfo")


def expected_sessions(transcript):
    """The announced sessions of a conversation: id -> [client, version, closed]; closed is None where both will do."""
    sessions = {}
    for exchange in transcript["wire"]:
        for message in wire.sent(exchange):
            old = wire.session_of_old_transport(exchange)
            session = old or wire.headers(exchange, "response").get("mcp-session-id")
            shakes_hands = message.get("method") == "initialize"
            # Without a handshake the client says in each request who it is, there, too.
            if session and client_info(message) and (shakes_hands or (old and session not in sessions)):
                info = client_info(message)
                # The old transport has no close; whether the end of its stream is one is the proxy's to say.
                sessions[session] = [info["name"], info["version"], None if old else False]
        if exchange["http_method"] == "DELETE" and exchange["status"] in (200, 202, 204, None):
            # Where the client did not wait for what the server says, either will do.
            closed = None if exchange["status"] is None else True
            sessions[wire.headers(exchange, "request")["mcp-session-id"]][2] = closed
    return sessions


def check_sessions(transcripts, directory):
    """Sessions open with the client's name and close with its DELETE; their counters add up."""
    wrong = []
    stored = {row["session_id"]: row for row in rows(directory, "SELECT * FROM sessions")}
    announced = set()
    for transcript in transcripts:
        for session, (name, version, closed) in expected_sessions(transcript).items():
            announced.add(session)
            row = stored.get(session)
            if row is None:
                wrong.append(f"no session row for {session} of {name}")
                continue
            if (row["client_name"], row["client_version"]) != (name, version):
                wrong.append(f"session of {name} {version} is {row['client_name']} {row['client_version']}")
            if row["client_platform"] != platform_of(name):
                wrong.append(f"session of {name} has the platform {row['client_platform']}")
            if row["derived"] or row["started_at"] is None:
                wrong.append(f"session of {name} was announced, but its row says {row}")
            if closed is not None and (row["ended_at"] is not None) != closed:
                wrong.append(f"session of {name}: ended_at {row['ended_at']!r}, but closed is {closed}")
    counted = rows(
        directory,
        "SELECT session_id, count(*) AS calls, sum(outcome IN ('error', 'timeout')) AS errors, max(ts) AS last"
        " FROM requests WHERE session_id IS NOT NULL GROUP BY session_id",
    )
    for row in counted:
        session = stored.get(row["session_id"])
        if session is None:
            wrong.append(f"requests of a session without a row: {row}")
        elif (session["total_calls"], session["total_errors"]) != (row["calls"], row["errors"]):
            wrong.append(f"counters of {session} do not add up to {row}")
        elif session["last_seen_at"] != row["last"]:
            wrong.append(f"last_seen_at of {session} is not {row['last']}")
    return wrong, {session: row for session, row in stored.items() if session not in announced}


def check_derived_sessions(transcript, directory):
    """In the sessionless era the proxy makes up a session per client, so that calls can be told by client."""
    wrong = []
    for exchange in transcript["wire"]:
        for message in wire.sent(exchange):
            info = client_info(message)
            announced = "mcp-session-id" in wire.headers(exchange, "request") or message.get("method") == "initialize"
            announced = announced or wire.session_of_old_transport(exchange)
            if "id" not in message or "method" not in message or announced or not info:
                continue
            if message["method"] == "server/discover" and exchange["status"] >= 400:
                # A probe that failed: this server does not know the sessionless era.
                continue
            found = rows(
                directory,
                "SELECT s.client_name, s.client_version FROM requests r JOIN sessions s USING (session_id)"
                " WHERE r.rpc_id = ? AND r.method = ? AND s.derived",
                str(message["id"]),
                message["method"],
            )
            if {(row["client_name"], row["client_version"]) for row in found} != {(info["name"], info["version"])}:
                wrong.append(f"{message['method']} (JSON-RPC id {message['id']}) of {info} belongs to {found}")
    return wrong
