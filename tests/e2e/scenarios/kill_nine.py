"""`kill -9` of the proxy in the middle of traffic loses nothing that was answered before the stated window.

Several rounds on one directory: traffic, kill, then the store is opened again, by the next proxy or by
`mcplog ingest`. What a killed proxy leaves is recovered and folded by whoever opens the store next; nothing may be
lost by that, and nothing doubled.
"""

import random
import sys

from harness import loss, tamper
from harness.load import run_until_killed
from harness.processes import (
    HERE,
    Failed,
    fold,
    free_port,
    proxy_command,
    running,
    say,
    wait_until,
)

ROUNDS = 6
# Long enough for thousands of calls on an idle machine, and for hundreds on one that is busy with other tests.
TRAFFIC_SECONDS = (0.7, 1.3)
ANSWERED_MIN = 200


def one_round(number, mcplog, upstream, directory, work, earlier):
    """Starts the proxy on the directory, waits for what the last kill left in the log, then kills it in traffic."""
    port = free_port()
    command = proxy_command(mcplog, upstream, port, directory)
    with running(f"proxy-{number}", command, work, port) as proxy:
        if earlier:
            wait_until_folded(earlier, directory)
        seconds = random.uniform(*TRAFFIC_SECONDS)
        done = run_until_killed(port, f"round{number}", seconds, proxy.child.kill)
        proxy.child.wait()
    if len(done.answered_before(loss.WINDOW_SECONDS)) < ANSWERED_MIN:
        raise Failed(f"round {number} proves little: {len(done.calls)} calls in {seconds:.1f} s\n{proxy.tail()}")
    return done


def wait_until_folded(rounds, directory):
    """The proxy recovers what the killed one left in the log, and folds it while it serves."""
    try:
        wait_until("the log to be folded", lambda: not loss.check_calls(rounds, directory), seconds_max=20)
    except Failed:
        check(rounds, directory, "the proxy was started again")


def check(rounds, directory, when):
    """Holds the store to the promise."""
    if wrong := loss.check_calls(rounds, directory):
        raise Failed(f"after {when}, {len(wrong)} times:\n" + "\n".join(wrong[:20]))


def prove_checker(rounds, directory, work):
    """The checker must notice each kind of damage; else its silence means nothing."""
    victim = rounds[0].answered_before(loss.WINDOW_SECONDS)[0].rpc_id
    damages = {
        "lost": "DELETE FROM requests WHERE rpc_id = ?",
        "doubled": "INSERT INTO requests SELECT * FROM requests WHERE rpc_id = ?",
        "unknown": "UPDATE requests SET rpc_id = 'nobody' WHERE rpc_id = ?",
    }
    for kind, statement in damages.items():
        damaged = tamper.copy(directory, work / f"damaged-{kind}")
        tamper.change(damaged, statement, victim)
        found = loss.check_calls(rounds, damaged)
        if not any(line.startswith(kind) and ("nobody" in line or victim in line) for line in found):
            raise Failed(f"the checker did not notice a row that was {kind}: {found}")


def kill_nine(work, mcplog):
    """All rounds."""
    directory = work / "store"
    upstream_port = free_port()
    upstream = f"http://127.0.0.1:{upstream_port}/mcp"
    rounds = []
    steady = [sys.executable, str(HERE / "servers/steady.py"), str(upstream_port)]
    with running("upstream", steady, work, upstream_port):
        for number in range(ROUNDS):
            rounds.append(one_round(number, mcplog, upstream, directory, work, rounds))
            if number % 2:
                fold(mcplog, directory, work)
                check(rounds, directory, f"round {number}")
    fold(mcplog, directory, work)
    check(rounds, directory, "the last round")
    prove_checker(rounds, directory, work)

    answered = sum(call.answered_at is not None for one in rounds for call in one.calls)
    lost, age = loss.measured_loss(rounds, directory)
    say(
        f"{ROUNDS} kills, {answered} calls answered, {lost} of them lost, the oldest answered {age * 1000:.1f} ms before"
        f" its kill (promised: none older than {loss.WINDOW_SECONDS * 1000:.0f} ms)"
    )
