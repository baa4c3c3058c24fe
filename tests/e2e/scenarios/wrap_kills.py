"""`kill -9` of each party around `mcplog wrap`: no process stays behind, and the rows say what happened.

A client of the TypeScript SDK starts `mcplog wrap -- npx server-everything stdio`, makes some calls, and one that does
not end. Then it is killed, or the wrapper, or the server that npx started; or npx alone, behind which the server goes
on, as it does without a wrapper, until its client is killed; and once a client whose server ignores all but SIGKILL.
All of it at the same time, with one store.
"""

import os
import signal
import sys

from harness import loss, process_tree, store
from harness.processes import HERE, Failed, Process, fold, say, wait_until
from scenarios.wrap_fifty import SERVER, place_with_packages

CALLS = 20
# How many signs of life tell that a server goes on.
SIGNS = 5
SECONDS_MAX = 60
STUBBORN = [sys.executable, str(HERE / "servers/stubborn.py")]
# Who is killed -> the server's command, and how the call ends that was open: outcome, code, and words of the cause.
VICTIMS = {
    "client": (SERVER, ("error", "client_gone", "")),
    "client-of-stubborn": (STUBBORN, ("error", "client_gone", "")),
    # It dies with what it had not recorded.
    "wrapper": (SERVER, None),
    "launcher": (SERVER, ("error", "server_exited", "SIGKILL")),
    "server": (SERVER, ("error", "server_exited", "")),
}


class Scene:
    """A client, and what it started."""

    def __init__(self, victim, server, mcplog, directory, place):
        self.name = f"killed-{victim}"
        command = [mcplog, "wrap", "--name", self.name, "--dir", str(directory), "--", *server]
        self.client = Process(self.name, ["node", str(HERE / "clients/hanging.mjs"), str(CALLS), *command], place)

    def is_hanging(self):
        """Whether the last call has begun."""
        if self.client.child.poll() is not None:
            raise Failed(f"{self.name}: the client ended with {self.client.child.returncode}:\n{self.client.tail()}")
        return "hanging" in self.client.tail()

    def signs(self):
        """How often the last call has shown a sign of life."""
        return self.client.output.read_text().count("hanging")

    def everybody(self):
        """The client, the wrapper, and all below it, in that order: the server is the last."""
        return [process_tree.read(self.client.child.pid), *process_tree.descendants(self.client.child.pid)]


def victim_of(kind, everybody):
    """Whom to kill."""
    client, wrapper, *servers = everybody
    return {
        "client": client,
        "client-of-stubborn": client,
        "wrapper": wrapper,
        "launcher": servers[0],
        "server": servers[-1],
    }[kind]


def wrong_with_rows(kind, directory):
    """What is wrong with the rows of one scene."""
    name = f"killed-{kind}"
    found = store.rows(directory, "SELECT * FROM requests WHERE proxy = ?", name)
    echoes = [row["outcome"] for row in found if row["tool"] == "echo"]
    wrong = []
    if echoes != ["ok"] * CALLS:
        wrong.append(f"{name}: of {CALLS} answered calls {len(echoes)} have rows: {echoes}")
    open_calls = [row for row in found if row["tool"] == "trigger-long-running-operation"]
    expected = VICTIMS[kind][1]
    if expected is None:
        return wrong
    outcome, code, words = expected
    if [(row["outcome"], row["error_code"]) for row in open_calls] != [(outcome, code)]:
        wrong.append(f"{name}: the call that was open did not end as {outcome}, {code}: {open_calls}")
    elif words not in (open_calls[0]["cause"] or ""):
        wrong.append(f"{name}: the cause does not say {words}: {open_calls[0]['cause']!r}")
    sessions = store.rows(directory, "SELECT * FROM sessions WHERE proxy = ?", name)
    if len(sessions) != 1 or sessions[0]["ended_at"] is None:
        wrong.append(f"{name}: not one session that was closed: {sessions}")
    return wrong


def left_behind(everybody):
    """Who is still there."""
    return [entry for entry in everybody if not entry.is_gone()]


def end(everybody):
    """Ends whoever is still there: a scenario that failed leaves nobody behind either."""
    for entry in left_behind(everybody):
        try:
            os.kill(entry.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def wrap_kills(work, mcplog):
    """All scenes."""
    place = place_with_packages(work)
    directory = work / "store"
    scenes = {kind: Scene(kind, server, mcplog, directory, place) for kind, (server, _) in VICTIMS.items()}
    everybody = {kind: [] for kind in scenes}
    wrong = []
    try:
        for kind, scene in scenes.items():
            wait_until(f"{scene.name} to hang in its last call", scene.is_hanging, SECONDS_MAX)
            everybody[kind] = scene.everybody()
        # What was answered longer ago than this is on record, whoever is killed.
        window = loss.Window(everybody["wrapper"][1].pid)
        wait_until("the appender to have looked", window.is_over, SECONDS_MAX)
        for kind, scene in scenes.items():
            os.kill(victim_of(kind, everybody[kind]).pid, signal.SIGKILL)
            if kind == "launcher":
                enough = scene.signs() + SIGNS
                wait_until("the server to go on", lambda it=scene, n=enough: it.signs() >= n, SECONDS_MAX)
                os.kill(everybody[kind][0].pid, signal.SIGKILL)
            elif not kind.startswith("client"):
                wait_until(
                    f"{scene.name}: the client to notice", lambda it=scene: "closed" in it.client.tail(), SECONDS_MAX
                )
        for kind in scenes:
            try:
                wait_until("the end of all", lambda it=kind: not left_behind(everybody[it]), SECONDS_MAX)
            except Failed:
                left = [f"{entry.pid} {entry.command}" for entry in left_behind(everybody[kind])]
                wrong.append(f"killed-{kind}: left behind after {SECONDS_MAX} s: {left}")
    finally:
        for kind, scene in scenes.items():
            end(everybody[kind] or scene.everybody())
            scene.client.child.wait()
    fold(mcplog, directory, work)
    wrong += [line for kind in scenes for line in wrong_with_rows(kind, directory)]
    if wrong:
        raise Failed("\n".join(wrong))
    say(
        f"{len(scenes)} kills: nobody was left behind, {CALLS} calls of each are on record, and the open one says why"
        " it ended"
    )
