"""Every official client SDK with every server, in every way that the server answers: rows = requests.

All conversations run side by side, each under a name of its own, and each says in its transcript what went over its
wire. For each server there is one proxy with one store, so that conversations could be taken for one another. Then one
store is damaged, row by row, and the same check must notice.
"""

import json
import re
import signal
import sys
from collections import Counter
from contextlib import ExitStack
from urllib.parse import urlsplit

from harness import store, tamper
from harness.processes import (
    HERE,
    Failed,
    Process,
    fold,
    free_port,
    proxy_command,
    python_command,
    running,
    say,
    wait_for_all,
)
from scenarios.schema_change import LISTS

sys.path.insert(0, str(HERE / "servers"))
import catalogue  # noqa: E402

# How a server answers -> where.
WAYS = {
    "stateful": "/mcp",
    "stateless": "/stateless/mcp",
    "json": "/json/mcp",
    "stateless-json": "/stateless-json/mcp",
    "sse": "/sse",
}
SERVERS = ("python1", "fastmcp1", "python2", "mcpserver2", "typescript")
# What a client is -> the beginning of its name, which says its platform; how it runs; the mode of the 2.x SDK.
CLIENTS = {
    "python1": ("e2e-claude-mcp1", 1, None),
    "python2-legacy": ("e2e-cursor-mcp2-legacy", 2, "legacy"),
    "python2-auto": ("e2e-cursor-mcp2-auto", 2, "auto"),
    "python2-2026-07-28": ("e2e-cursor-mcp2-new", 2, "2026-07-28"),
    "typescript": ("e2e-vscode-typescript", None, None),
}
# How requests of every conversation end.
EVERY_END = ("ok", "tool_error", "error", "cancelled")
CLIENT_SECONDS_MAX = 300
DAMAGES = {
    "a row is missing": "DELETE FROM requests WHERE rowid = {one}",
    "a row is doubled": "INSERT INTO requests SELECT * FROM requests WHERE rowid = {one}",
    "a method is wrong": "UPDATE requests SET method = 'ping' WHERE rowid = {one}",
    "a tool is wrong": "UPDATE requests SET tool = 'other' WHERE rowid = {one}",
    "an answer is another's": "UPDATE requests SET outcome = 'tool_error', tool_error = 1 WHERE rowid = {one}",
    "an answered call has no answer": "UPDATE requests SET outcome = 'error', status = 'error',"
    " error_code = 'no_response' WHERE rowid = {one}",
    "an answered call's client is gone": "UPDATE requests SET outcome = 'error', status = 'error',"
    " error_code = 'client_gone' WHERE rowid = {one}",
    "a call that was taken back counts as an error": "UPDATE requests SET outcome = 'error' WHERE rowid ="
    " (SELECT min(rowid) FROM requests WHERE outcome = 'cancelled')",
    "a row has no session": "UPDATE requests SET session_id = NULL WHERE rowid = {one}",
    "a row is in another client's session": "UPDATE requests SET session_id ="
    " (SELECT min(session_id) FROM sessions WHERE session_id <> requests.session_id) WHERE rowid = {one}",
    "a list has a version that it never had": "UPDATE schema_changes SET change_type = 'tool_added' WHERE rowid ="
    " (SELECT min(rowid) FROM schema_changes)",
    "a list's version is of another server": "UPDATE schema_changes SET upstream_url = 'http://127.0.0.1/other'"
    " WHERE rowid = (SELECT min(rowid) FROM schema_changes)",
    "a session's client is another": "UPDATE sessions SET client_name = 'e2e-claude-mcp1' WHERE rowid ="
    " (SELECT min(rowid) FROM sessions)",
}
ONE = "(SELECT min(rowid) FROM requests WHERE tool = 'add' AND outcome = 'ok' AND session_id IS NOT NULL)"


def unavailable(client, server, way):
    """Why a client can't talk to a server in that way; None if it can."""
    if client == "python2-2026-07-28" and not server.endswith("2"):
        return "the server's SDK does not have the revision 2026-07-28, and this client insists on it"
    if client == "python2-2026-07-28" and way == "sse":
        return "the revision 2026-07-28 does not have that transport"
    return None


def combinations():
    """Every combination that can be had, as (client, server, way); says which can't."""
    found = []
    for server in SERVERS:
        for way in WAYS:
            for client in CLIENTS:
                why = unavailable(client, server, way)
                if why:
                    say(f"NOT TO BE HAD: {client} with {server} {way}: {why}")
                else:
                    found.append((client, server, way))
    return found


def server_command(server, port, work):
    """How a server is started."""
    if server == "typescript":
        path = work / "catalogue.json"
        path.write_text(json.dumps(catalogue.as_json()))
        return ["node", str(HERE / "servers/typescript_server.mjs"), str(port), str(path)]
    generation = server[-1]
    if not server.startswith("python"):
        return python_command(generation, "servers/high_level.py", port)
    return python_command(generation, f"servers/mcp{generation}_server.py", port)


def name_of(combination):
    """The name by which the store knows the client of a combination."""
    client, server, way = combination
    return f"{CLIENTS[client][0]}-to-{server}-{way}"


def hold_all(found, addresses, work):
    """Holds every conversation, all at the same time; returns combination -> transcript."""
    started = []
    # Every kind of client is one process, whatever its mode.
    for generation in (1, 2, None):
        jobs = [
            {
                "url": f"{addresses[combination[1]]}{WAYS[combination[2]]}",
                "name": name_of(combination),
                "mode": CLIENTS[combination[0]][2],
                "out": str(work / f"{name_of(combination)}.json"),
            }
            for combination in found
            if CLIENTS[combination[0]][1] == generation
        ]
        if not jobs:
            continue
        path = work / f"jobs-{generation}.json"
        path.write_text(json.dumps(jobs))
        if generation is None:
            command = ["node", str(HERE / "clients/many.mjs"), str(path)]
        else:
            command = python_command(generation, "clients/many.py", generation, path)
        started.append(Process(f"clients-{generation}", command, work))
    wait_for_all(started, CLIENT_SECONDS_MAX)
    return {combination: json.loads((work / f"{name_of(combination)}.json").read_text()) for combination in found}


def one_round(found, upstreams, work, mcplog):
    """All conversations through fresh proxies. Returns server -> (its transcripts, its store)."""
    work.mkdir()
    servers = sorted({server for _, server, _ in found})
    directories = {server: work / f"store-{server}" for server in servers}
    addresses, proxies = {}, {}
    with ExitStack() as stack:
        for server in servers:
            port = free_port()
            command = proxy_command(mcplog, f"{upstreams[server]}/mcp", port, directories[server])
            proxies[server] = stack.enter_context(running(f"proxy-{server}", command, work, port))
            addresses[server] = f"http://127.0.0.1:{port}"
        transcripts = hold_all(found, addresses, work)
        held = {
            server: ([it for (_, whose, _), it in transcripts.items() if whose == server], directories[server])
            for server in servers
        }
        for server, proxy in proxies.items():
            # Whatever still waits for a late answer gets its row when the proxy ends.
            if proxy.stop(signal.SIGTERM) != 0:
                raise Failed(f"the proxy before {server} did not end cleanly:\n{proxy.tail()}")
    for directory in directories.values():
        fold(mcplog, directory, work)
    return held


def wrong_in(transcripts, directory):
    """Everything that is wrong with what one store says of these conversations."""
    wrong = [f"{it['name']}: the conversation failed: {it['failed']}" for it in transcripts if it["failed"]]
    for it in transcripts:
        # Without all of these the conversation was none, and agrees with any store.
        met = {expected.get("outcome") for expected in store.expected_requests(it)}
        wrong += [f"{it['name']}: no request of it ended as {end}" for end in EVERY_END if end not in met]
    wrong += store.check_requests(transcripts, directory)
    of_sessions, derived = store.check_sessions(transcripts, directory)
    wrong += of_sessions
    query = "SELECT upstream_url, method, change_type FROM schema_changes"
    versions = Counter(
        (urlsplit(row["upstream_url"]).path, row["method"], row["change_type"]) for row in store.rows(directory, query)
    )
    paths = {urlsplit(it["url"]).path for it in transcripts}
    for version in versions:
        # Nothing that a server offers changes, so each list of each has one version, whoever reads its pages.
        if versions[version] != 1 or version[0] not in paths or version[2] != "initial":
            wrong.append(f"{version[0]}: a version that the server never had: {version}")
    wrong += [
        f"{path}: no version of {method}"
        for path in paths
        for method in LISTS
        if (path, method, "initial") not in versions
    ]
    made_up = Counter(row["client_name"] for row in derived.values())
    without = Counter(it["name"] for it in transcripts if not store.expected_sessions(it))
    for name in made_up | without:
        if made_up[name] != without[name]:
            wrong.append(f"{name}: {made_up[name]} made-up sessions, not {without[name]}")
    return wrong


def prove(transcripts, directory, work):
    """Each damage of a store must be noticed."""
    for number, (what, statement) in enumerate(DAMAGES.items()):
        damaged = tamper.copy(directory, work / f"damaged-{number}")
        tamper.change(damaged, statement.format(one=ONE))
        if not wrong_in(transcripts, damaged):
            raise Failed(f"the check did not notice that {what}")
    return len(DAMAGES)


def matrix(work, mcplog, rounds, only):
    """Holds the whole matrix so many times, with the same servers; ends with a list of what ever failed."""
    found = [it for it in combinations() if re.search(only, name_of(it))]
    if not found:
        raise Failed(f"no combination has a name like {only!r}")
    failed = Counter()
    with ExitStack() as stack:
        upstreams = {}
        for server in sorted({server for _, server, _ in found}):
            port = free_port()
            stack.enter_context(running(f"server-{server}", server_command(server, port, work), work, port))
            upstreams[server] = f"http://127.0.0.1:{port}"
        for number in range(1, rounds + 1):
            held = one_round(found, upstreams, work / f"round-{number}", mcplog)
            wrong = [line for transcripts, directory in held.values() for line in wrong_in(transcripts, directory)]
            for line in wrong:
                say(f"round {number}: {line}")
            failed.update({line.split(":")[0] for line in wrong})
            requests = sum(len(store.expected_requests(it)) for transcripts, _ in held.values() for it in transcripts)
            unseen = sum(len(it["unseen"]) for transcripts, _ in held.values() for it in transcripts)
            if unseen:
                say(f"round {number}: NOT JUDGED: {unseen} calls were given up before the server had them")
            say(f"round {number} of {rounds}: {len(found)} combinations, {requests} requests, {len(wrong)} wrong")
    if failed:
        lines = "\n".join(f"  {name}: in {times} of {rounds} rounds" for name, times in failed.most_common())
        raise Failed(f"combinations with something wrong:\n{lines}")
    noticed = sum(prove(*whole, work / f"round-{rounds}") for whole in list(held.values())[:1])
    say(f"{noticed} damages of a store were noticed")
