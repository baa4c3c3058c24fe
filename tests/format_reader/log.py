"""Logs: whose they are, which frames count, and what is missing (section 4)."""

import collections
import math
import os
import re
import stat

from .segment import FIRST_FRAME, Segment, worst

REACHABLE = 1 << 62  # No store has a higher id or number.
WRITER_ID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\n")
NAME = re.compile(r"([1-9][0-9]{12,}|[0-9]{12})\.seg")


class Log:
    """The segments of a directory, and which of their records count (section 4)."""

    def __init__(self, wal, folded):
        self.wal, self.folded, self.error = wal, folded, None
        self.segments, self.owners, self.holes = [], {}, []
        self.writer, self.unclear = None, False
        try:
            names = os.listdir(wal)
        except OSError as error:
            self.error = str(error)
            return
        found = filter(None, map(NAME.fullmatch, names))
        for number, name in sorted((int(match[1]), match[0]) for match in found):
            self.segments.append(Segment(os.path.join(wal, name), number))
        self.find_writer()
        for segment in self.segments:
            self.admit(segment)
        self.set_aside()
        self.take()

    def find_writer(self):
        path, text = os.path.join(self.wal, "writer-id"), b""
        try:
            if stat.S_ISREG(os.lstat(path).st_mode):
                with open(path, "rb") as file:
                    text = file.read(38)
        except OSError:
            pass  # As if it were missing.
        if WRITER_ID.fullmatch(text):
            self.writer = text.decode().strip()
            return
        votes = collections.Counter(
            segment.writer
            for segment in self.segments
            if segment.header == "intact" and max(segment.id, segment.base) <= REACHABLE
        ).most_common(2)
        # Choice: if no segment has a say, nothing is unclear: there is nothing to read.
        self.unclear = len(votes) == 2 and votes[0][1] == votes[1][1]
        if votes and not self.unclear:
            self.writer = votes[0][0]

    def admit(self, segment):
        """Reads the segment if it is part of this log."""
        segment.counts = "empty" if segment.header == "never_started" else "no"
        if segment.header != "intact":
            return
        if max(segment.id, segment.base) > REACHABLE:
            segment.header, segment.error = "unreachable", "no store gets so far"
        elif self.unclear:
            segment.counts = "unclear"
        elif segment.writer != self.writer:
            segment.header, segment.error = "foreign", f"its writer is {segment.writer}"
        else:
            segment.read()
            segment.counts = "superseded" if segment.frames else "empty"

    def set_aside(self):
        """Finds the segments behind a hole."""
        due = None if self.folded is None else self.folded + 1
        missing = went = False
        read = [segment for segment in self.segments if segment.end is not None]
        vouched = max((s.id for s in read if s.durable > FIRST_FRAME), default=0)
        for segment in self.segments:
            segment.vouched_for = segment.named < vouched
            if segment.header == "never_started" or segment.blank():
                missing = True
            if segment.end is None:
                continue
            ahead = due is not None and segment.base > due
            if segment.id > vouched and ahead and (missing or went):
                segment.counts, went = "behind_hole", True
                continue
            due = max(due or 0, segment.follows)
            missing, went = not segment.sealed or segment.end == "torn", False

    def take(self):
        """Finds for each number the segment that it is taken from."""
        runs = []
        for segment in self.segments:
            if segment.end is None or segment.counts == "behind_hole":
                continue
            if segment.follows == segment.base:
                continue  # It has no numbers; where all frames are corrupt, it has.
            if not runs or runs[-1][-1].follows != segment.base:
                runs.append([])
            runs[-1].append(segment)
        left = []
        for run in sorted(runs, key=lambda run: (run[0].base, -reach(run)[0], -run[-1].id)):
            if not left or reach(run) > reach(left[-1]):
                left.append(run)
        ends = [run[0].base for run in left[1:]] + [math.inf]
        for run, end in zip(left, ends):
            for segment in run:
                numbers = (number for number in segment.numbers() if number < end)
                self.owners.update(dict.fromkeys(numbers, segment))
        for segment in self.owners.values():
            segment.counts = "taken"
        if left:
            self.find_holes(left[0][0].base, left[-1][-1].follows)

    def find_holes(self, due, end):
        """Finds what is missing before `end`, from `due` on or from what is not folded."""
        due = due if self.folded is None else self.folded + 1
        for number in sorted(self.owners) + [end]:
            if number > due:
                self.holes.append([due, number - 1])
            due = max(due, number + 1)

    def verdict(self):
        verdicts = [segment.verdict() for segment in self.segments]
        if self.holes:
            verdicts.append("attention" if self.folded is None else "damaged")
        if self.error is not None:
            verdicts.append("unreadable")
        return worst(verdicts)

    def line(self):
        taken, aside = [], []
        for number, segment in sorted(self.owners.items(), key=lambda item: item[0]):
            if taken and taken[-1][1:] == [number - 1, segment.id]:
                taken[-1][1] = number
            else:
                taken.append([number, number, segment.id])
        for segment in self.segments:
            if segment.counts == "behind_hole" and segment.frames:
                aside.append([segment.base, segment.follows - 1, segment.id])
        holes = ("missing", "lost") if self.folded is None else ("lost", "missing")
        return {
            "wal": self.wal,
            "verdict": self.verdict(),
            "writer_id": self.writer,
            "folded": self.folded,
            "taken": taken,
            "set_aside": aside,
            holes[0]: self.holes,
            holes[1]: [],
            "records": len(self.owners),
            "error": self.error,
        }


def reach(run):
    """How much a run counts: what follows its last number; of equal ones, the ids."""
    return run[-1].follows, run[-1].id
