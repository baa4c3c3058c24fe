"""Logs: which frames count, what is missing, and whether it is damage (section 4)."""

import fcntl
import os
import re

from .segment import LEVEL, Segment, worst

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NAME = re.compile(r"([1-9][0-9]{12,}|[0-9]{12})\.seg")
PLACES = ("wal", "kept", "quarantine")
ENDED = 8


def store_id(path):
    """What the file says; None where it says nothing."""
    try:
        with open(path, "rb") as file:
            text = file.read(38).decode("ascii", "replace")
    except OSError:
        return None
    return text[:36] if text[36:] == "\n" and UUID.fullmatch(text[:36]) else None


def folders(directory):
    """The folders of logs in a directory, by writer id."""
    try:
        names = os.listdir(directory)
    except OSError:
        return {}
    paths = {name: os.path.join(directory, name) for name in sorted(names) if UUID.fullmatch(name)}
    return {name: path for name, path in paths.items() if os.path.isdir(path) and not os.path.islink(path)}


def is_living(path):
    """Whether somebody has the lock of a folder, or nobody can ask."""
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return True
    try:
        fcntl.flock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(folder)
    return False


class Log:
    """The segments of one writer, wherever they lie, and which of their records count.

    `folded` is the last number that is folded; None where nobody can say. `folds`: what may
    have records that the reader does not know waits, as for who folds.
    """

    def __init__(self, writer, paths, store=None, folded=None, folds=False):
        self.writer, self.folded, self.folds = writer, folded, folds
        self.segments, self.taken, self.holes, self.errors = [], {}, [], []
        self.stopped = False  # At a hole that is not yet one.
        # Asked first: what is read afterwards is all that a dead writer ever wrote.
        living = [is_living(path) for path in paths]
        files = []
        for place, path in enumerate(paths):
            try:
                names = os.listdir(path)
            except OSError as error:
                self.errors.append(str(error))
                continue
            found = filter(None, map(NAME.fullmatch, names))
            files += [(int(match[1]), place, os.path.join(path, match[0])) for match in found]
        for number, _, path in sorted(files):
            self.segments.append(Segment(path, number, writer, store))
        self.waits = next((segment for segment in self.segments if self.waits_at(segment)), None)
        self.read = []
        for segment in self.segments:
            if segment is self.waits:
                break
            if segment.header == "intact":
                segment.read()
                self.read.append(segment)
            elif segment.header == "misplaced":
                segment.told = self.told(segment)
        ended = any(ENDED in segment.kinds.values() for segment in self.read)
        # What is folded is read and looked at like the rest, and not taken.
        self.living = any(living) and not ended
        self.due = 1 if folded is None else folded + 1
        # What was folded may be removed: what lies before the first segment, nobody misses.
        self.known_from = self.due if folded is not None else self.read[0].base if self.read else 1
        self.take()

    def waits_at(self, segment):
        return segment.waits() or (self.folds and segment.header == "intact" and segment.needs > LEVEL)

    def told(self, segment):
        """What follows the numbers of a file that is misplaced only by its own name; 0 if it is not."""
        if segment.writer != self.writer:
            return 0
        segment.read_marks()
        ends = segment.ends
        return segment.base + ends.get("sealed", ends["durable"])[1]

    def take(self):
        """Goes through the segments by ascending id, with a due number."""
        before = None  # The segment that was read last.
        for place, segment in enumerate(self.segments):
            if segment is self.waits or self.stopped:
                return
            if segment.header == "misplaced" and not self.living:
                self.catch_up(segment.told, place, before)
            if segment.header != "intact":
                continue
            self.catch_up(segment.base, place, before)
            for number, length in segment.things():
                if self.stopped:
                    return
                if length is not None:  # Corruption: these numbers were given.
                    self.catch_up(number + length, place, None)
                elif number >= self.due:
                    self.catch_up(number, place, None)
                    self.taken[number] = segment
                    self.due = number + 1
            # A living writer's log is never read to its end.
            if segment.sealed and not segment.wrong_mark and not self.living:
                self.catch_up(segment.base + segment.ends["sealed"][1], place, None)
            before = segment

    def catch_up(self, end, place, before):
        """Takes what is due up to `end` from segments behind `place`, and notes what none has.

        `before` is the segment that was read last before a hole there, if it may be the one
        that a second writing is going to fill.
        """
        later = [segment for segment in self.segments[place:] if segment in self.read]
        while self.due < end and not self.stopped:
            owner = next((segment for segment in later if self.due in segment.kinds), None)
            if owner is not None:
                self.taken[self.due] = owner
            elif self.due < self.known_from:
                pass
            elif self.living and before and not before.sealed and not self.vouched(self.due):
                self.stopped = True
                return
            elif self.holes and self.holes[-1][1] == self.due - 1:
                self.holes[-1][1] = self.due
            else:
                self.holes.append([self.due, self.due])
            self.due += 1

    def vouched(self, number):
        """Whether a segment behind a missing number tells that it was durable once."""
        return any(segment.base > number and segment.vouches() for segment in self.read)

    def verdict(self):
        verdicts = [self.verdict_of(segment) for segment in self.segments]
        for first, _ in self.holes:
            damage = self.folded is not None and self.vouched(first)
            verdicts.append("damaged" if damage else "attention")
        if self.errors:
            verdicts.append("unreadable")
        return worst(verdicts)

    def verdict_of(self, segment):
        waiting = self.waits is not None and self.segments.index(segment) > self.segments.index(self.waits)
        return "unreadable" if waiting else segment.verdict(self.living)

    def line(self):
        taken = []
        for number, segment in sorted(self.taken.items(), key=lambda item: item[0]):
            if taken and taken[-1][1:] == [number - 1, segment.id]:
                taken[-1][1] = number
            else:
                taken.append([number, number, segment.id])
        holes = ("missing", "lost") if self.folded is None else ("lost", "missing")
        return {
            "writer": self.writer,
            "verdict": self.verdict(),
            "living": self.living,
            "folded": self.folded,
            "taken": taken,
            "waits": self.waits and self.waits.named,
            holes[0]: self.holes,
            holes[1]: [],
            "records": len(self.taken),
            "errors": self.errors,
        }
