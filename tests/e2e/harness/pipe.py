"""What the store must hold of a server that its client started, worked out from what went over the pipes.

The recordings are of a tap (clients/pipe_tap.py) and never of mcplog: before the wrapper stands one tap, behind it
another.
"""

import json
import sys
from dataclasses import dataclass
from itertools import count

from harness import store
from harness.compare import RANDOM_ID, TIMESTAMP, differences
from harness.processes import HERE

sys.path.insert(0, str(HERE / "clients"))
from pipe_tap import Recording  # noqa: E402

OTHER = {"client": "server", "server": "client"}


@dataclass
class Sent:
    """One message: who sent it, and how many bytes its line had without what ends it."""

    side: str
    size: int
    message: dict

    @property
    def is_request(self):
        """Whether an answer is due."""
        return "method" in self.message and "id" in self.message

    def answers(self, request):
        """Whether it is the answer to that request."""
        answered = "method" not in self.message and self.message.get("id") == request.message["id"]
        return answered and self.side == OTHER[request.side]

    def takes_back(self, request):
        """Whether it says that the request's sender no longer wants the answer."""
        is_cancelling = self.message.get("method") == "notifications/cancelled" and self.side == request.side
        return is_cancelling and self.message["params"]["requestId"] == request.message["id"]


class Talk:
    """Everything that one server and its client said on the server's pipes."""

    def __init__(self, name, path):
        # Under which name the wrapper records.
        self.name = name
        self.recording = Recording(path)
        self.sent = []
        self.noise_lines = 0
        for side, _at, line in self.recording.lines():
            if message := as_message(line):
                self.sent.append(Sent(side, len(line.removesuffix(b"\r")), message))
            elif side == "server":
                self.noise_lines += 1

    def client(self):
        """Who the client says that it is: name and version."""
        infos = (store.client_info(sent.message) for sent in self.sent if sent.side == "client")
        info = next(info for info in infos if info)
        return info["name"], info["version"]

    def expected_rows(self):
        """The row of each request of either side, in the order in which they were sent."""
        for index, sent in enumerate(self.sent):
            if sent.is_request:
                yield self.expected_row(sent, self.sent[index + 1 :])

    def expected_row(self, request, later):
        """The row that one request must have."""
        message = request.message
        method, params = message["method"], message.get("params") or {}
        answer = next((sent for sent in later if sent.answers(request)), None)
        taken_back = next((sent for sent in later if sent.takes_back(request)), None)
        row = {
            "proxy": self.name,
            "rpc_id": str(message["id"]),
            "method": method,
            "tool": params["name"] if method == "tools/call" else None,
            "target": store.target_of(method, params),
            "direction": request.side,
            "transport": "stdio",
            "endpoint": None,
            "bytes_in": request.size,
            "http_status": None,
            "cause": None,
        }
        if taken_back and (answer is None or later.index(taken_back) < later.index(answer)):
            del row["cause"]
            if method == "subscriptions/listen":
                return row | {"unfinished": True}
            error = answer.message.get("error") if answer else None
            return row | {"status": "error", "outcome": "cancelled", "taken_back": error}
        if answer is None:
            del row["cause"]
            return row | {"status": "error", "outcome": "error"}
        row["bytes_out"] = answer.size
        if "error" in answer.message:
            error = answer.message["error"]
            shakes_hands = any(sent.message.get("method") == "initialize" for sent in later)
            return row | {
                "status": "error",
                "outcome": "probe" if method == "server/discover" and shakes_hands else "error",
                "error_code": str(error["code"]),
                "error_msg": store.beginning(error["message"]),
            }
        result = answer.message["result"]
        tool_error = result.get("isError", False)
        return row | {
            "status": "ok",
            "error_code": None,
            "tool_error": tool_error,
            "error_msg": store.words_of(result) if tool_error else None,
            "outcome": store.outcome_of(method, result),
        }


def as_message(line):
    """The JSON-RPC message that a line is, or None."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) and message.get("jsonrpc") == "2.0" else None


def check_rows(talks, directory):
    """Each request on these pipes has exactly one row, and each row of the store a request. Returns what is wrong."""
    wrong = []
    left = store.rows(
        directory, "SELECT r.*, s.client_name FROM requests AS r LEFT JOIN sessions AS s USING (session_id)"
    )
    for talk in talks:
        client_name, _ = talk.client()
        for expected in talk.expected_rows():
            keys = ("proxy", "rpc_id", "method", "direction", "bytes_in")
            found = [row for row in left if all(row[key] == expected[key] for key in keys)]
            if not found:
                wrong.append(f"{talk.name}: no row for {expected}")
                continue
            left.remove(found[0])
            if expected.get("outcome") != "probe":
                expected["client_name"] = client_name
            wrong += [f"{talk.name}: {line}" for line in store.mismatches(expected, found[0])]
    return wrong + [f"a row that no request explains: {row}" for row in left]


def check_sessions(talks, directory):
    """Each talk is one session, made up, with the client's name, closed, and with what its rows add up to."""
    wrong = []
    stored = {row["session_id"]: row for row in store.rows(directory, "SELECT * FROM sessions")}
    sums = store.rows(
        directory,
        "SELECT session_id, count(*) AS calls, sum(outcome IN ('error', 'timeout')) AS errors FROM requests"
        " WHERE session_id IS NOT NULL GROUP BY session_id",
    )
    for row in sums:
        session = stored.get(row["session_id"])
        if session is None:
            wrong.append(f"rows of a session without a row of its own: {row}")
        elif (session["total_calls"], session["total_errors"]) != (row["calls"], row["errors"]):
            wrong.append(f"counters of {session} do not add up to {row}")
    for talk in talks:
        of_talk = [row for row in stored.values() if row["proxy"] == talk.name]
        client = talk.client()
        mine = [row for row in of_talk if (row["client_name"], row["client_version"]) == client]
        if not mine:
            wrong.append(f"{talk.name}: no session of {client}: {of_talk}")
            continue
        session = stored.pop(mine[0]["session_id"])
        if not session["derived"] or session["started_at"] is None:
            wrong.append(f"{talk.name}: not a session that was made up: {session}")
        if session["ended_at"] is None:
            wrong.append(f"{talk.name}: the session was not closed: {session}")
        if (session["noise_lines"] or 0) != talk.noise_lines:
            wrong.append(f"{talk.name}: {talk.noise_lines} lines of noise, but {session['noise_lines']!r} are counted")
    return wrong + [f"a session that nobody had: {row}" for row in stored.values()]


def check(talks, directory):
    """Everything that is wrong with what the store says of these talks."""
    return check_rows(talks, directory) + check_sessions(talks, directory)


def check_same_bytes(name, outer, inner):
    """What the wrapper passed on is what it got, in both directions. Returns what is wrong."""
    wrong = []
    for side in OTHER:
        before, after = (outer, inner) if side == "client" else (inner, outer)
        sent, arrived = before.recording.sent_by(side), after.recording.sent_by(side)
        if sent != arrived:
            at = next(
                (at for at, one, other in zip(count(), sent, arrived) if one != other), min(len(sent), len(arrived))
            )
            wrong.append(
                f"{name}: of {len(sent)} bytes that the {side} sent, {len(arrived)} arrived; they differ at {at}:"
                f" {sent[at : at + 80]!r}, {arrived[at : at + 80]!r}"
            )
    return wrong


def check_same_steps(name, bare, wrapped):
    """What the client made of the server is the same with the wrapper and without. Returns what is wrong."""
    one, other = comparable(bare["steps"]), comparable(wrapped["steps"])
    return [f"{name}: {line}" for line in differences(one, other)]


def comparable(steps):
    """The steps with everything that must vary from run to run replaced by a name."""
    names = {}
    text = json.dumps(steps, ensure_ascii=False)
    text = RANDOM_ID.sub(lambda match: names.setdefault(match.group(), f"<id {len(names)}>"), text)
    return json.loads(TIMESTAMP.sub("<time>", text))
