"""The harness must notice what is wrong; else its silence proves nothing.

One real conversation through the proxy; then its transcript and a copy of its store are damaged, one thing at a time,
and the check that is meant for it must speak up.
"""

import copy

from harness import tamper
from harness.compare import compare
from harness.processes import Failed, say
from scenarios.same_view import PAIRS, check_store, hold

ONE = "(SELECT min(rowid) FROM requests WHERE {where})"
STORE_DAMAGES = {
    "a row is missing": f"DELETE FROM requests WHERE rowid = {ONE.format(where='true')}",
    "a row is doubled": f"INSERT INTO requests SELECT * FROM requests WHERE rowid = {ONE.format(where='true')}",
    "a method is wrong": f"UPDATE requests SET method = 'ping' WHERE rowid = {ONE.format(where='tool IS NOT NULL')}",
    "a tool is wrong": f"UPDATE requests SET tool = 'other' WHERE rowid = {ONE.format(where='tool IS NOT NULL')}",
    "a status is wrong": "UPDATE requests SET status = 'ok' WHERE rowid = "
    + ONE.format(where="status = 'error' AND error_code = '-32050'"),
    "an error has another code": "UPDATE requests SET error_code = '1' WHERE rowid = "
    + ONE.format(where="error_code = '-32050'"),
    "isError is forgotten": f"UPDATE requests SET tool_error = 0 WHERE rowid = {ONE.format(where='tool_error = 1')}",
    "a direction is wrong": "UPDATE requests SET direction = 'client' WHERE rowid = "
    + ONE.format(where="direction = 'server'"),
    "an HTTP status is wrong": f"UPDATE requests SET http_status = 201 WHERE rowid = {ONE.format(where='true')}",
    "a transport is wrong": f"UPDATE requests SET transport = 'sse' WHERE rowid = {ONE.format(where='true')}",
    "an endpoint has a query": f"UPDATE requests SET endpoint = '/mcp?' WHERE rowid = {ONE.format(where='true')}",
    "an outcome is wrong": "UPDATE requests SET outcome = 'ok' WHERE rowid = "
    + ONE.format(where="outcome = 'tool_error'"),
    "a cancellation is forgotten": "UPDATE requests SET outcome = 'lost' WHERE rowid = "
    + ONE.format(where="outcome = 'cancelled'"),
    "a cause is made up": f"UPDATE requests SET cause = 'x' WHERE rowid = {ONE.format(where='true')}",
    "a session is wrong": f"UPDATE requests SET session_id = 'x' WHERE rowid = {ONE.format(where='tool IS NOT NULL')}",
}
SESSION_DAMAGES = {
    "a session is missing": "DELETE FROM sessions",
    "a session did not close": "UPDATE sessions SET ended_at = NULL",
    "a client is unknown": "UPDATE sessions SET client_name = NULL",
    "a version is wrong": "UPDATE sessions SET client_version = '0'",
    "a platform is wrong": "UPDATE sessions SET client_platform = 'unknown'",
    "a counter is off by one": "UPDATE sessions SET total_calls = total_calls + 1",
}


def damaged_transcripts(transcript):
    """Copies of a transcript, each with one thing changed that a proxy could spoil."""

    def damage(change):
        spoilt = copy.deepcopy(transcript)
        change(spoilt["wire"])
        return spoilt

    def first(wire, method):
        return next(item for item in wire if f'"method":"{method}"' in item["request_body"])

    def spoil_body(wire):
        call = first(wire, "tools/call")
        call["body"] = call["body"].replace("42", "43")

    def spoil_header(wire):
        call = first(wire, "tools/call")
        call["response_headers"] = [item for item in call["response_headers"] if item[0] != "content-type"]

    def spoil_status(wire):
        first(wire, "notifications/initialized")["status"] = 200

    def lose_event(wire):
        call = next(item for item in wire if "notifications/progress" in item["body"])
        call["body"] = call["body"].replace("\r\n", "\n").split("\n\n", 1)[1]

    return {
        "a byte of an answer": damage(spoil_body),
        "a header": damage(spoil_header),
        "a status": damage(spoil_status),
        "an event": damage(lose_event),
        "an exchange": damage(lambda wire: wire.pop()),
    }


def harness_proof(work, mcplog):
    """Damages everything in turn."""
    transcript = hold("proxied", work, *PAIRS["session-era"], mcplog=mcplog)
    directory = work / "store"
    check_store(transcript, directory)
    if compare(transcript, transcript):
        raise Failed("a transcript differs from itself")

    for what, spoilt in damaged_transcripts(transcript).items():
        if not compare(transcript, spoilt):
            raise Failed(f"the comparison did not notice that {what} differs")
    damages = STORE_DAMAGES | SESSION_DAMAGES
    for number, (what, statement) in enumerate(damages.items()):
        damaged = tamper.copy(directory, work / f"damaged-{number}")
        tamper.change(damaged, statement)
        try:
            check_store(transcript, damaged)
        except Failed:
            continue
        raise Failed(f"the check did not notice that {what}")
    say(f"{len(damages)} damages of the store and 5 of the transcript were noticed")
