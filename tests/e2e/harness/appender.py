"""What the kernel tells of the proxy's appender: how often it has gone to sleep."""

from pathlib import Path

from harness.processes import Failed

# The name that src/store/ gives the thread.
THREAD = "mcplog-append"


class Appender:
    """The thread of a running proxy that takes events from the channel and appends them to the log.

    It looks at the channel, takes what is there, and goes to sleep. So whoever has seen it go to sleep often enough knows
    that it has looked, however long that took on a busy machine.
    """

    def __init__(self, pid):
        found = [task for task in Path(f"/proc/{pid}/task").iterdir() if name_of(task) == THREAD]
        if len(found) != 1:
            raise Failed(f"process {pid} has {len(found)} threads of the name {THREAD}")
        self.status = found[0] / "status"

    def sleeps(self):
        """How often it has gone to sleep since it began. It does so, too, where it waits for a page or a lock."""
        lines = self.status.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches:"))


def name_of(task):
    """The name of a thread, or none of one that has just ended."""
    try:
        return (task / "comm").read_text().strip()
    except OSError:
        return None
