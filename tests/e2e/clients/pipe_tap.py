"""What really went over a server's pipes, byte for byte: a process between the two that copies and records.

Run as `pipe_tap.py RECORDING COMMAND...`: starts the command, passes its standard input and output on as they come, and
ends as it ends. RECORDING gets a line for each chunk: who sent it, when (monotonic seconds), and its bytes as Latin-1,
which keeps every byte. `{pid}` in its name becomes the process's own id. Needs nothing but Python's own library.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

CHUNK_BYTES = 65536


class Recording:
    """What a tap has recorded so far; the clients ask while it goes on."""

    def __init__(self, path):
        self.path = path
        # What a client starts, where this is of a client's own tap.
        self.command = []

    def chunks(self):
        """Every chunk so far; a last line that is still being written is left out."""
        try:
            with open(self.path, encoding="ascii") as file:
                return [json.loads(line) for line in file if line.endswith("\n")]
        except FileNotFoundError:
            return []

    def sent_by(self, side):
        """Every byte that one side sent: "client" or "server"."""
        return "".join(chunk["bytes"] for chunk in self.chunks() if chunk["from"] == side).encode("latin-1")

    def lines(self):
        """Every complete line as (side, monotonic seconds of its end, bytes), in the order of their ends."""
        rest = {"client": "", "server": ""}
        found = []
        for chunk in self.chunks():
            side = chunk["from"]
            *complete, rest[side] = (rest[side] + chunk["bytes"]).split("\n")
            found += [(side, chunk["at"], line.encode("latin-1")) for line in complete]
        return found

    def last_request_id(self, tool):
        """The JSON-RPC id of the latest call of that tool."""
        for side, _, line in reversed(self.lines()):
            message = json.loads(line) if side == "client" else {}
            if message.get("method") == "tools/call" and message["params"]["name"] == tool:
                return message["id"]
        raise LookupError(tool)

    def is_answered(self, request_id):
        """Whether the server's answer to the request with that id has arrived."""
        answer = re.compile(rf'"id":\s*{request_id}\b')
        return any(side == "server" and answer.search(line.decode()) for side, _, line in self.lines())

    def has_session(self):
        """Whether there is a stream beside the answers. On pipes there is one for all."""
        return False


def pipe_of(url):
    """The recording of the server that a client is told to start and to talk to on its pipes; None for a URL of HTTP.

    Such a URL is `stdio:` and a list as JSON: where the tap records, then the command that it starts.
    """
    if not url.startswith("stdio:"):
        return None
    path, *command = json.loads(url.removeprefix("stdio:"))
    recording = Recording(path)
    recording.command = tapped(path, command)
    return recording


def tapped(recording, command):
    """The command line that runs a command behind a tap."""
    return [sys.executable, os.path.abspath(__file__), str(recording), *command]


def write_all(descriptor, data):
    """Writes all of it; one `write` to a pipe may take less."""
    while data:
        data = data[os.write(descriptor, data) :]


def main():
    """Copies until the command ends."""
    path, *command = sys.argv[1:]
    recording = os.open(path.replace("{pid}", str(os.getpid())), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    signal.signal(signal.SIGTERM, lambda number, _frame: child.send_signal(number))

    def copy(side, source, target):
        while chunk := os.read(source, CHUNK_BYTES):
            line = {"from": side, "at": time.monotonic(), "bytes": chunk.decode("latin-1")}
            # Before it is passed on, so that whoever sees the answer finds it here. One write: two threads append.
            os.write(recording, json.dumps(line).encode() + b"\n")
            try:
                write_all(target, chunk)
            except BrokenPipeError:
                return

    def copy_from_client():
        copy("client", 0, child.stdin.fileno())
        child.stdin.close()

    threading.Thread(target=copy_from_client, daemon=True).start()
    copy("server", child.stdout.fileno(), 1)
    os.close(1)
    code = child.wait()
    # The other thread may wait for the client for ever.
    os._exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
