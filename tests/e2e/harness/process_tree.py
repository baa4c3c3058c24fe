"""Which processes a process has started, and whether they are gone, as the kernel's process table says."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """One process; the time of its start tells it from a later one with the same id."""

    pid: int
    parent: int
    started: str
    state: str
    command: str

    def is_gone(self):
        """Whether it has ended. One that nobody has asked for its exit code has."""
        now = read(self.pid)
        return now is None or now.started != self.started or now.state == "Z"


def read(pid):
    """One process's entry, or None."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        command = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ").strip()
    except OSError:
        return None
    # The name stands in brackets and may hold anything.
    fields = stat.rpartition(")")[2].split()
    return Entry(int(pid), int(fields[1]), fields[19], fields[0], command)


def descendants(pid):
    """Every process below one, parents before their children."""
    entries = [entry for path in Path("/proc").iterdir() if path.name.isdigit() and (entry := read(path.name))]
    found = []
    parents = {pid}
    while parents:
        below = [entry for entry in entries if entry.parent in parents]
        found += below
        parents = {entry.pid for entry in below}
    return found
