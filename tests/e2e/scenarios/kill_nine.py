"""`kill -9` of the proxy in the middle of traffic loses nothing that was answered before the stated window.

Several rounds on one directory: traffic, kill, then the store is opened again, by the next proxy or by
`mcplog ingest`. What a killed proxy leaves is recovered and folded by whoever opens the store next; nothing may be
lost by that, and nothing doubled. The traffic is dense and raw, or a session of the Python SDK.
"""

import json
import random
import sys
import time
from http.client import HTTPConnection

from harness import loss, tamper, wire
from harness.load import HANG_SECONDS, Call, Round, run_until_killed
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

# Long enough for thousands of raw calls on an idle machine; on a busy one traffic goes on until enough were answered.
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
        seconds = random.uniform(*TRAFFIC_SECONDS)
        return run_until_killed(port, f"round{number}", seconds, self.answered_min, proxy)


class SdkTraffic:
    """What a real client does: a session, and calls side by side in it."""

    rounds = 3
    answered_min = 10

    def server(self, port):
        """Command of the upstream."""
        return python_command(1, "servers/mcp1_server.py", port)

    def until_killed(self, number, port, proxy, work):
        """One round of traffic; the client's tap knows when each answer arrived."""
        out = work / f"round{number}.json"
        url = f"http://127.0.0.1:{port}/mcp"
        client = Process(f"client{number}", python_command(1, "clients/busy.py", url, out, self.answered_min), work)

        def is_busy():
            if client.child.poll() is not None:
                raise Failed(f"the client ended before the kill:\n{client.tail()}")
            return "busy" in client.tail()

        wait_until("the client to have enough answers", is_busy, HANG_SECONDS)
        time.sleep(random.uniform(*TRAFFIC_SECONDS))
        window = loss.Window(proxy.child.pid)
        wait_until("the appender to look at the channel", window.is_over, HANG_SECONDS)
        killed_at = time.monotonic()
        proxy.child.kill()
        client.child.terminate()
        if client.child.wait(HANG_SECONDS) != 0:
            raise Failed(f"the client ended badly:\n{client.tail()}")
        return Round(list(calls_of(json.loads(out.read_text()))), window.began_at, killed_at)


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
            wait_until_folded(number, earlier, port, directory)
        done = traffic.until_killed(number, port, proxy, work)
        proxy.child.wait()
    if len(done.promised()) < traffic.answered_min:
        # Traffic goes on until there are enough, however slow the machine is: so the harness is wrong.
        raise Failed(f"round {number} proves little: of {len(done.calls)} calls few were answered\n{proxy.tail()}")
    return done


def wait_until_folded(number, rounds, port, directory):
    """The proxy recovers what the killed one left in the log, and folds it while it serves."""
    # Records are folded in their order: once a call of the new proxy has its row, so has all that was left.
    last = Call(None, f"first-of-round{number}")
    ask(port, last.rpc_id)
    rounds[-1].calls.append(last)
    wait_until("the log to be folded", lambda: loss.recorded(directory)[last.name], HANG_SECONDS, 0.1)
    check(rounds, directory, "the proxy was started again")


def ask(port, rpc_id):
    """A call outside of any session; what the upstream makes of it does not matter."""
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    connection = HTTPConnection("127.0.0.1", port, timeout=HANG_SECONDS)
    connection.request("POST", "/mcp", json.dumps({"jsonrpc": "2.0", "id": rpc_id, "method": "ping"}), headers)
    connection.getresponse().read()
    connection.close()


def check(rounds, directory, when):
    """Holds the store to the promise."""
    if wrong := loss.check_calls(rounds, directory):
        raise Failed(f"after {when}, {len(wrong)} times:\n" + "\n".join(wrong[:20]))


def prove_checker(rounds, directory, work):
    """The checker must notice each kind of damage, to the oldest call of all and to the last one of each round that must
    be there; else its silence means nothing."""
    damages = {
        "lost": "DELETE FROM requests",
        "doubled": "INSERT INTO requests SELECT * FROM requests",
        "unknown": "UPDATE requests SET rpc_id = 'nobody'",
    }
    victims = [rounds[0].promised()[0], *(one.promised()[-1] for one in rounds)]
    for number, victim in enumerate(victims):
        for kind, statement in damages.items():
            damaged = tamper.copy(directory, work / f"damaged-{kind}-{number}")
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
    longest = max(one.killed_at - one.window_began_at for one in rounds)
    say(
        f"{traffic.rounds} kills, {answered} calls answered, {lost} of them lost, the oldest answered"
        f" {age * 1000:.1f} ms before its kill (the longest window: {longest * 1000:.0f} ms)"
    )
