"""Starting and stopping what a scenario needs; nothing outlives its scenario."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
INSTALLED = HERE / ".installed"
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 20


class Failed(Exception):
    """A scenario's verdict, in words for the one who reads the test's output."""


def python(generation):
    """The interpreter that has that generation of the SDK (1 or 2), or the package `fastmcp`."""
    environment = generation if generation == "fastmcp" else f"mcp{generation}"
    return str(INSTALLED / environment / "bin" / "python")


def python_command(generation, script, *arguments):
    """A command that runs one of our scripts on that generation of the SDK."""
    # The SDKs warn about what the newest revision deprecates; old revisions are what we test.
    return [python(generation), "-W", "ignore", str(HERE / script), *map(str, arguments)]


def free_port():
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(what, condition, seconds_max=START_SECONDS_MAX, interval=0.02):
    """Polls until the condition holds; returns its value. Bounded, so that a hang becomes a failure with a name."""
    deadline = time.monotonic() + seconds_max
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed(f"waited {seconds_max} s in vain: {what}")
        time.sleep(interval)


def accepts(port):
    """Whether something listens on that port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


class Process:
    """A child process whose output goes to a file, so that no full pipe can stop it."""

    def __init__(self, name, command, work, environment=None):
        self.name = name
        self.output = work / f"{name}.log"
        with open(self.output, "ab") as output:
            self.child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=work,
                env={**os.environ, **(environment or {}), "PYTHONPATH": f"{HERE}/clients:{HERE}/servers"},
            )

    def wait_for_port(self, port):
        """Returns when the process accepts connections."""

        def ready():
            if self.child.poll() is not None:
                raise Failed(f"{self.name} ended with {self.child.returncode}:\n{self.tail()}")
            return accepts(port)

        wait_until(f"{self.name} on port {port}", ready)

    def tail(self, characters_max=4000):
        """The end of what it printed."""
        return self.output.read_text(errors="replace")[-characters_max:]

    def stop(self, with_signal=signal.SIGTERM):
        """Ends it; returns the exit code."""
        if self.child.poll() is None:
            self.child.send_signal(with_signal)
        try:
            return self.child.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            what = f"{self.name} was still there {STOP_SECONDS_MAX} s after {with_signal!r}"
            raise Failed(f"{what}:\n{self.tail()}") from None


@contextmanager
def running(name, command, work, port, environment=None):
    """A process that serves on a port, for the length of a block."""
    process = Process(name, command, work, environment)
    try:
        process.wait_for_port(port)
        yield process
    finally:
        if process.child.poll() is None:
            process.child.kill()
            process.child.wait()


def run(name, command, work, seconds_max=120, environment=None):
    """Runs a command to its end; it must succeed."""
    process = Process(name, command, work, environment)
    try:
        code = process.child.wait(seconds_max)
    except subprocess.TimeoutExpired:
        process.child.kill()
        process.child.wait()
        raise Failed(f"{name} did not end within {seconds_max} s:\n{process.tail()}") from None
    if code != 0:
        raise Failed(f"{name} ended with {code}:\n{process.tail()}")
    return process.tail()


def proxy_command(mcplog, upstream, listen_port, directory, *more):
    """The command line of the recording proxy."""
    listen = f"127.0.0.1:{listen_port}"
    return [mcplog, "proxy", "--upstream", upstream, "--listen", listen, "--dir", str(directory), *more]


def fold(mcplog, directory, work):
    """Reopens a store, which recovers its log and folds all of it."""
    return run("ingest", [mcplog, "ingest", "--dir", str(directory), "/dev/null"], work)


def say(text):
    """A line of a scenario's report."""
    print(text, flush=True)


def exit_with(scenario):
    """Runs a scenario as a program: its verdict becomes the exit code."""
    try:
        scenario()
    except Failed as failure:
        say(f"FAILED: {failure}")
        sys.exit(1)


def wait_for_all(processes, seconds_max):
    """Returns when all of them have ended well. Whatever happens, none is left behind."""
    try:
        for process in processes:
            if process.child.wait(seconds_max) != 0:
                raise Failed(f"{process.name} failed:\n{process.tail()}")
    except subprocess.TimeoutExpired:
        raise Failed(f"{process.name} did not end within {seconds_max} s:\n{process.tail()}") from None
    finally:
        for process in processes:
            process.child.kill()
            process.child.wait()
