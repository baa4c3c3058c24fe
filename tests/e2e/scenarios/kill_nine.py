"""`kill -9` of the proxy in the middle of traffic loses nothing that was answered before the stated window.

Several rounds on one directory: traffic, kill, then the store is opened again, by the next proxy or by
`mcplog ingest`. What a killed proxy leaves is recovered and folded by whoever opens the store next; nothing may be
lost by that, and nothing doubled. The traffic is dense and raw, or a session of the Python SDK.
"""

import json
import random
import sys
import time

from harness import loss, tamper, wire
from harness.load import Call, Round, run_until_killed
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
    wait_until,
)

# Long enough for thousands of raw calls on an idle machine, and for hundreds on one that is busy with other tests.
TRAFFIC_SECONDS = (0.7, 1.3)


class RawTraffic:
    """As dense as it gets: many connections, half of the answers as event streams."""

    rounds = 6
    answered_min = 50

    def server(self, port):
        """Command of the upstream."""
        return [sys.executable, str(HERE / "servers/steady.py"), str(port)]

    def until_killed(self, number, port, proxy, _work):
        """One round of traffic."""
        return run_until_killed(port, f"round{number}", random.uniform(*TRAFFIC_SECONDS), proxy.child.kill)


class SdkTraffic:
    """What a real client does: a session, and calls side by side in it."""

    rounds = 3
    answered_min = 5

    def server(self, port):
        """Command of the upstream."""
        return python_command(1, "servers/mcp1_server.py", port)

    def until_killed(self, number, port, proxy, work):
        """One round of traffic; the client's tap knows when each answer arrived."""
        out = work / f"round{number}.json"
        url = f"http://127.0.0.1:{port}/mcp"
        client = Process(f"client{number}", python_command(1, "clients/busy.py", url, out), work)
        wait_until("the client to be busy", lambda: "busy" in client.tail())
        time.sleep(random.uniform(*TRAFFIC_SECONDS))
        killed_at = time.monotonic()
        proxy.child.kill()
        if client.child.wait(20) != 0:
            raise Failed(f"the client ended badly:\n{client.tail()}")
        return Round(list(calls_of(json.loads(out.read_text()))), killed_at)


def calls_of(transcript):
    """Every request of a transcript as a call."""
    for exchange in transcript["wire"]:
        for message in wire.sent(exchange):
            if "method" not in message or "id" not in message:
                continue
            session = wire.headers(exchange, "request").get("mcp-session-id")
            session = session or wire.headers(exchange, "response").get("mcp-session-id")
            answered = wire.response_to(exchange, message["id"])
            yield Call(session, str(message["id"]), exchange["seen_at"] if answered else None)


def one_round(number, traffic, mcplog, upstream, directory, work, earlier):
    """Starts the proxy on the directory, waits for what the last kill left in the log, then kills it in traffic."""
    port = free_port()
    command = proxy_command(mcplog, upstream, port, directory)
    with running(f"proxy-{number}", command, work, port) as proxy:
        if earlier:
            wait_until_folded(earlier, directory)
        done = traffic.until_killed(number, port, proxy, work)
        proxy.child.wait()
    if len(done.answered_before(loss.WINDOW_SECONDS)) < traffic.answered_min:
        raise Failed(f"round {number} proves little: of {len(done.calls)} calls few were answered\n{proxy.tail()}")
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
    victim = rounds[0].answered_before(loss.WINDOW_SECONDS)[0]
    damages = {
        "lost": "DELETE FROM requests",
        "doubled": "INSERT INTO requests SELECT * FROM requests",
        "unknown": "UPDATE requests SET rpc_id = 'nobody'",
    }
    for kind, statement in damages.items():
        damaged = tamper.copy(directory, work / f"damaged-{kind}")
        tamper.change(damaged, f"{statement} WHERE session_id = ? AND rpc_id = ?", victim.session, victim.rpc_id)
        found = loss.check_calls(rounds, damaged)
        if not any(line.startswith(kind) and ("nobody" in line or victim.name in line) for line in found):
            raise Failed(f"the checker did not notice a row that was {kind}: {found}")


def kill_nine(kind, work, mcplog):
    """All rounds."""
    traffic = {"raw": RawTraffic, "sdk": SdkTraffic}[kind]()
    directory = work / "store"
    upstream_port = free_port()
    upstream = f"http://127.0.0.1:{upstream_port}/mcp"
    rounds = []
    with running("upstream", traffic.server(upstream_port), work, upstream_port):
        for number in range(traffic.rounds):
            rounds.append(one_round(number, traffic, mcplog, upstream, directory, work, rounds))
            if number % 2:
                fold(mcplog, directory, work)
                check(rounds, directory, f"round {number}")
    fold(mcplog, directory, work)
    check(rounds, directory, "the last round")
    prove_checker(rounds, directory, work)

    answered = sum(call.answered_at is not None for one in rounds for call in one.calls)
    lost, age = loss.measured_loss(rounds, directory)
    say(
        f"{traffic.rounds} kills, {answered} calls answered, {lost} of them lost, the oldest answered"
        f" {age * 1000:.1f} ms before its kill (promised: none older than {loss.WINDOW_SECONDS * 1000:.0f} ms)"
    )
