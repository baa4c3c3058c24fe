"""`mcplog wrap` under and around other people's programs: Inspector's command line, mcp-remote, supergateway.

Behind the wrapper a tap records what the server was asked. What the user or client of such a program gets is what it
gets without the wrapper.
"""

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import pipe
from harness.compare import compare
from harness.processes import INSTALLED, Failed, fold, free_port, run, running, say
from scenarios.same_view import everything_server, python_client, typescript_client
from scenarios.wrap_view import EVERYTHING, python_server, tapped, wrapped

PACKAGES = INSTALLED / "node_modules"
INSPECTOR = PACKAGES / "@modelcontextprotocol/inspector/clients/launcher/build/index.js"
# What is asked of the server by hand.
QUESTIONS = {
    "tools": ["--method", "tools/list"],
    "call": ["--method", "tools/call", "--tool-name", "get-sum", "--tool-arg", "a=2", "--tool-arg", "b=40"],
}


def new_node():
    """Node 22, which Inspector wants, as npm brings it; where it brings none for this machine, the one of the path."""
    brought = sorted(PACKAGES.glob("node-linux-*/bin/node"))
    return str(brought[0]) if brought else "node"


def inspector(work, mcplog, directory):
    """Inspector reads a configuration file as a client does, and starts the server in it."""
    wrong, talks = [], []
    for what, question in QUESTIONS.items():
        name = f"inspector-{what}"
        recording = work / f"{name}.rec"
        answers = []
        for how, server in (
            ("bare", EVERYTHING),
            ("wrapped", wrapped(mcplog, directory, name, tapped(recording, EVERYTHING))),
        ):
            config = work / f"{name}-{how}.json"
            config.write_text(json.dumps({"mcpServers": {"everything": {"command": server[0], "args": server[1:]}}}))
            command = [
                new_node(),
                str(INSPECTOR),
                "--cli",
                "--config",
                str(config),
                "--server",
                "everything",
                *question,
            ]
            run(f"{name}-{how}", command, work)
            answers.append((work / f"{name}-{how}.log").read_bytes())
        if answers[0] != answers[1]:
            wrong.append(f"{name}: Inspector printed {answers[0][:400]} bare, {answers[1][:400]} wrapped")
        talks.append(pipe.Talk(name, recording))
    return wrong, talks


def mcp_remote(work, mcplog, directory):
    """A program that is a server on its pipes, and a client of a server over HTTP."""
    name = "mcp-remote"
    port = free_port()
    command, environment = everything_server(port)
    transcripts = {}
    with running(f"{name}-upstream", command, work, port, environment):
        remote = ["node", str(PACKAGES / "mcp-remote/dist/proxy.js"), f"http://127.0.0.1:{port}/mcp"]
        behind = wrapped(mcplog, directory, name, tapped(work / f"{name}-inner.rec", remote))
        for how, server in (("bare", remote), ("wrapped", behind)):
            url = "stdio:" + json.dumps([str(work / f"{name}-{how}.rec"), *server])
            out = work / f"{name}-{how}.json"
            # It keeps what it knows of servers in the user's home.
            run(f"{name}-{how}", typescript_client(url, out), work, environment={"HOME": str(work)})
            transcripts[how] = json.loads(out.read_text())
    outer, inner = pipe.Talk(name, work / f"{name}-wrapped.rec"), pipe.Talk(name, work / f"{name}-inner.rec")
    wrong = pipe.check_same_steps(name, transcripts["bare"], transcripts["wrapped"])
    return wrong + pipe.check_same_bytes(name, outer, inner), [outer]


def supergateway(work, mcplog, directory):
    """A program that serves a server on its pipes over HTTP: it starts one for each session."""
    name = "supergateway"
    server = python_server(1, "mcp1_server")
    behind = wrapped(mcplog, directory, name, tapped(work / f"{name}-{{pid}}.rec", server))
    transcripts = {}
    for how, command in (("bare", server), ("wrapped", behind)):
        port = free_port()
        gateway = ["node", str(PACKAGES / "supergateway/dist/index.js"), "--stdio", " ".join(command), "--stateful"]
        gateway += ["--outputTransport", "streamableHttp", "--port", str(port)]
        out = work / f"{name}-{how}.json"
        with running(f"{name}-{how}", gateway, work, port) as process:
            run(f"{name}-{how}-client", python_client(1, "high level")(f"http://127.0.0.1:{port}/mcp", out), work)
            process.stop(signal.SIGTERM)
        transcripts[how] = json.loads(out.read_text())
    wrong = [f"{name}: {line}" for line in compare(transcripts["bare"], transcripts["wrapped"])]
    return wrong, [pipe.Talk(name, path) for path in sorted(Path(work).glob(f"{name}-*.rec"))]


def wrap_tools(work, mcplog):
    """All of them at once, into one store."""
    directory = work / "store"
    programs = (inspector, mcp_remote, supergateway)
    with ThreadPoolExecutor() as threads:
        done = list(threads.map(lambda program: program(work, mcplog, directory), programs))
    fold(mcplog, directory, work)
    wrong = [line for found, _ in done for line in found]
    talks = [talk for _, found in done for talk in found]
    wrong += pipe.check(talks, directory)
    if wrong:
        raise Failed("\n".join(wrong))
    rows = sum(1 for talk in talks for _ in talk.expected_rows())
    say(f"Inspector, mcp-remote and supergateway do as they do without the wrapper; {rows} requests were recorded")
