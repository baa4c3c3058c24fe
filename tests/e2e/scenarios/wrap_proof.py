"""The checks of wrapped servers must notice what is wrong; else their silence proves nothing.

One real conversation through `mcplog wrap`; then its recordings and a copy of its store are damaged, one thing at a
time. And a process that stays behind must be seen.
"""

import json
import subprocess

from harness import pipe, process_tree, tamper
from harness.processes import Failed, fold, run, say
from scenarios.wrap_kills import end, left_behind
from scenarios.wrap_view import PAIRS, tapped, wrapped

PAIR = "python1-python1"
ONE = "(SELECT min(rowid) FROM requests WHERE {where})"
DAMAGES = {
    "a row is missing": f"DELETE FROM requests WHERE rowid = {ONE.format(where='true')}",
    "a row is doubled": f"INSERT INTO requests SELECT * FROM requests WHERE rowid = {ONE.format(where='true')}",
    "a method is wrong": f"UPDATE requests SET method = 'ping' WHERE rowid = {ONE.format(where='tool IS NOT NULL')}",
    "a tool is wrong": f"UPDATE requests SET tool = 'other' WHERE rowid = {ONE.format(where='tool IS NOT NULL')}",
    "a direction is wrong": "UPDATE requests SET direction = 'client' WHERE rowid = "
    + ONE.format(where="direction = 'server'"),
    "a transport is wrong": f"UPDATE requests SET transport = 'http' WHERE rowid = {ONE.format(where='true')}",
    "a server is wrong": f"UPDATE requests SET proxy = 'other' WHERE rowid = {ONE.format(where='true')}",
    "a size is wrong": "UPDATE requests SET bytes_out = bytes_out + 1 WHERE rowid = "
    + ONE.format(where="tool IS NOT NULL"),
    "an outcome is wrong": "UPDATE requests SET outcome = 'ok' WHERE rowid = "
    + ONE.format(where="outcome = 'tool_error'"),
    "a cancellation is forgotten": "UPDATE requests SET outcome = 'error' WHERE rowid = "
    + ONE.format(where="outcome = 'cancelled'"),
    "a cause is made up": f"UPDATE requests SET cause = 'x' WHERE rowid = {ONE.format(where='tool IS NOT NULL')}",
    "a session is wrong": f"UPDATE requests SET session_id = 'x' WHERE rowid = {ONE.format(where='tool IS NOT NULL')}",
    "a session is missing": "DELETE FROM sessions",
    "a session did not close": "UPDATE sessions SET ended_at = NULL",
    "a client is unknown": "UPDATE sessions SET client_name = NULL",
    "a version is wrong": "UPDATE sessions SET client_version = '0'",
    "a session counts as announced": "UPDATE sessions SET derived = 0",
    "noise is made up": "UPDATE sessions SET noise_lines = 1",
}


def damaged_recordings(path):
    """Copies of a recording, each with one thing changed that a wrapper could spoil."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    of_server = next(number for number, line in enumerate(lines) if line["from"] == "server")
    whole = lines[of_server]["bytes"]
    changed = {
        "a byte is another": whole.replace("{", "[", 1),
        "a byte is missing": whole[:-1],
        "a line ends otherwise": whole.replace("\n", "\r\n", 1),
        "a line is too many": "mcplog: recording\n" + whole,
        "a chunk is missing": "",
    }
    for index, (what, text) in enumerate(changed.items()):
        damaged = path.with_name(f"{path.stem}-damaged-{index}.rec")
        spoilt = [line | {"bytes": text} if number == of_server else line for number, line in enumerate(lines)]
        damaged.write_text("".join(json.dumps(line) + "\n" for line in spoilt))
        yield what, damaged


def wrap_proof(work, mcplog):
    """Damages everything in turn."""
    directory = work / "store"
    inner_path, outer_path = work / "inner.rec", work / "outer.rec"
    client, server = PAIRS[PAIR]
    url = "stdio:" + json.dumps([str(outer_path), *wrapped(mcplog, directory, PAIR, tapped(inner_path, server))])
    run("client", client(url, work / "transcript.json"), work)
    fold(mcplog, directory, work)
    outer, inner = pipe.Talk(PAIR, outer_path), pipe.Talk(PAIR, inner_path)
    transcript = json.loads((work / "transcript.json").read_text())
    if wrong := pipe.check_same_bytes(PAIR, outer, inner) + pipe.check([outer], directory):
        raise Failed("\n".join(wrong))

    recordings = dict(damaged_recordings(outer_path))
    for what, path in recordings.items():
        if not pipe.check_same_bytes(PAIR, pipe.Talk(PAIR, path), inner):
            raise Failed(f"the comparison did not notice that {what}")
    if not pipe.check_same_steps(PAIR, transcript, transcript | {"steps": transcript["steps"][:-1]}):
        raise Failed("the comparison did not notice that a step is missing")
    for number, (what, statement) in enumerate(DAMAGES.items()):
        damaged = tamper.copy(directory, work / f"damaged-{number}")
        tamper.change(damaged, statement)
        if not pipe.check([outer], damaged):
            raise Failed(f"the check did not notice that {what}")

    stays = subprocess.Popen(["sleep", "3600"])
    entry = process_tree.read(stays.pid)
    if left_behind([entry]) != [entry]:
        raise Failed("a process that stays behind was not noticed")
    end([entry])
    stays.wait()
    if left_behind([entry]):
        raise Failed("a process that is gone counts as left behind")
    say(
        f"{len(DAMAGES)} damages of the store, {len(recordings)} of what passed, and a process left behind were noticed"
    )
