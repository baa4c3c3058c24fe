"""Real clients start real servers over stdio, bare and behind `mcplog wrap`, a dozen at once into one store.

Before and behind each wrapper a tap records every byte. The wrapper must pass what it gets, the client must see the
same as without it, and the store must hold exactly what went over the pipes.
"""

import json

from harness import pipe
from harness.processes import HERE, INSTALLED, Failed, Process, fold, python, python_command, say, wait_for_all
from scenarios.same_view import python_client, typescript_client

SECONDS_MAX = 120
EVERYTHING = ["node", str(INSTALLED / "node_modules/@modelcontextprotocol/server-everything/dist/index.js"), "stdio"]


def python_server(environment, script):
    """A test server on its standard input and output."""
    return python_command(environment, f"servers/{script}.py")


# Also the name under which each is recorded.
PAIRS = {
    "typescript-everything": (typescript_client, EVERYTHING),
    "python1-everything": (python_client(1, "everything"), EVERYTHING),
    "python2-everything": (python_client(2, "everything", "auto"), EVERYTHING),
    "python1-python1": (python_client(1, "whole"), python_server(1, "mcp1_server")),
    # But for what this client waits for in vain: that SDK's server does not answer on pipes what was taken back.
    "python1-python2": (python_client(1, "json"), python_server(2, "mcp2_server")),
    "python2-auto-python1": (python_client(2, "whole", "auto"), python_server(1, "mcp1_server")),
    "python2-legacy-python2": (python_client(2, "whole", "legacy"), python_server(2, "mcp2_server")),
    "python2-new-python2": (python_client(2, "whole", "2026-07-28"), python_server(2, "mcp2_server")),
    "python1-fastmcp1": (python_client(1, "high level"), python_server(1, "high_level")),
    "python2-mcpserver2": (python_client(2, "high level", "auto"), python_server(2, "high_level")),
    "python1-fastmcp4": (python_client(1, "high level"), python_server("fastmcp", "high_level")),
    "python2-fastmcp4": (python_client(2, "high level", "2026-07-28"), python_server("fastmcp", "high_level")),
}


def wrapped(mcplog, directory, name, command):
    """A server's command behind the wrapper."""
    return [mcplog, "wrap", "--name", name, "--dir", str(directory), "--", *command]


def tapped(path, command):
    """A server's command behind a tap."""
    return [python(1), str(HERE / "clients/pipe_tap.py"), str(path), *command]


def hold_all(pairs, work, how, server_command):
    """Holds all conversations at once; returns name -> transcript."""
    started = []
    for name, (client, server) in pairs.items():
        url = "stdio:" + json.dumps([str(work / f"{name}-{how}-outer.rec"), *server_command(name, server)])
        started.append(Process(f"{name}-{how}", client(url, work / f"{name}-{how}.json"), work))
    wait_for_all(started, SECONDS_MAX)
    return {name: json.loads((work / f"{name}-{how}.json").read_text()) for name in pairs}


def wrong_in(bare, transcripts, work, directory):
    """Everything that the wrappers spoiled, or recorded wrongly."""
    wrong = []
    talks = []
    for name, transcript in transcripts.items():
        outer = pipe.Talk(name, work / f"{name}-wrapped-outer.rec")
        inner = pipe.Talk(name, work / f"{name}-wrapped-inner.rec")
        wrong += pipe.check_same_bytes(name, outer, inner)
        wrong += pipe.check_same_steps(name, bare[name], transcript)
        talks.append(outer)
    return wrong + pipe.check(talks, directory)


def wrap_view(work, mcplog, only=""):
    """All pairs."""
    pairs = {name: pair for name, pair in PAIRS.items() if only in name}
    directory = work / "store"

    def wrapped_command(name, server):
        return wrapped(mcplog, directory, name, tapped(work / f"{name}-wrapped-inner.rec", server))

    bare = hold_all(pairs, work, "bare", lambda _, server: server)
    transcripts = hold_all(pairs, work, "wrapped", wrapped_command)
    # Their wrappers have ended, and one of them folds what the others left.
    fold(mcplog, directory, work)
    if wrong := wrong_in(bare, transcripts, work, directory):
        raise Failed("\n".join(wrong))
    rows = sum(1 for name in pairs for _ in pipe.Talk(name, work / f"{name}-wrapped-outer.rec").expected_rows())
    say(f"{len(pairs)} servers wrapped at once: the clients saw the same, and {rows} requests were recorded")
