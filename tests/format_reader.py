"""Reads mcplog segments and whole logs, and prints them as JSON, one object per line.

This reader was written from format.md alone, without a look at the Rust source, and
must stay so: it is the test that format.md is enough to write a reader in another
language. When they disagree, mend format.md first. "Choice:" marks what format.md left
open when this was written. Its parts are in format_reader/: record.py (section 5),
segment.py (sections 1 to 3) and log.py (section 4).

Usage: python3 format_reader.py [--folded N] SEGMENT-FILE|WAL-DIRECTORY...
       python3 format_reader.py --batch

Per record: segment, sequence, offset, kind, version and the fields (absent ones null).
An undecodable record has "error" instead of fields; one of an unknown kind or version,
which is intact, has "unknown".

Per file, last: segment (its id; its path if it is not read as one of a log and the id
is not known), verdict, header ("intact", "never_started", "first_page_lost", "damaged",
"newer", "misnamed", "foreign", "unreachable"; null if the system does not let one read
the file), error (why it is not intact), end ("sealed", "open", "torn"; null if it is not
read), offset of the end, behind (bytes behind a sealed end), corrupt (a list of offset,
bytes, records), marks (of place A and B: "unwritten", "valid", "damaged"), wrong_mark
(what contradicts the mark) and counts (in a log: "taken", "superseded", "behind_hole",
"empty" without frames, "no" if it is not part of the log, "unclear" if nobody knows).

Per log, last: wal, verdict, writer_id (null if unclear), folded (the last number that
the database has folded, as given by --folded), taken, set_aside (both lists of first
number, last number, segment), lost (lists of first and last; missing instead where
nobody can say what is folded), records (how many are taken) and error.

--batch reads lines of {"wal": path, "folded": number or null} and prints one line per
log: the above, and in "files" the lines of its files. There each has, instead of its
records, frames (ranges of sequence numbers), undecodable and unknown (numbers).

The exit code says the worst verdict: 0 sound, 2 attention, 1 unreadable, 3 damaged, in
this order. With --batch it is 0.
"""

import argparse
import json
import os
import re
import sys

from format_reader.log import Log
from format_reader.segment import Segment, worst

EXIT_CODES = {"sound": 0, "attention": 2, "unreadable": 1, "damaged": 3}


def ranges(numbers):
    found = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def read_file(path):
    """One segment by itself: whose log it is does not matter."""
    # Choice: a file that has not the name of a segment has no wrong one.
    match = re.fullmatch(r"([0-9]{12,})\.seg", os.path.basename(path))
    for _ in range(2):
        segment = Segment(path, match and int(match[1]))
        if segment.header == "intact":
            segment.read()
        if segment.verdict() == "sound":
            break  # Otherwise it may be live: marks and bytes once more.
    return segment


def read_path(path, folded):
    """Prints a file or a log; returns the verdict."""
    log = Log(path, folded) if os.path.isdir(path) else None
    for segment in log.segments if log else [read_file(path)]:
        for found in segment.records():
            print(json.dumps(found))
        print(json.dumps(segment.line()))
    if log:
        print(json.dumps(log.line()))
    return (log or segment).verdict()


def read_batch(lines):
    for line in lines:
        asked = json.loads(line)
        log = Log(asked["wal"], asked.get("folded"))
        files = [
            segment.line()
            | {"frames": ranges(segment.numbers())}
            | {"undecodable": segment.undecodable, "unknown": segment.unknown}
            for segment in log.segments
        ]
        print(json.dumps(log.line() | {"files": files}), flush=True)


def main():
    parser = argparse.ArgumentParser(description="Reads mcplog segments and logs.")
    parser.add_argument("paths", nargs="*", help="segment files and directories wal/")
    parser.add_argument("--folded", type=int, help="the last number that is folded")
    parser.add_argument("--batch", action="store_true", help="asks on standard input")
    arguments = parser.parse_args()
    if arguments.batch == bool(arguments.paths):
        parser.error("either paths or --batch")
    if arguments.batch:
        return read_batch(sys.stdin)
    return EXIT_CODES[worst([read_path(path, arguments.folded) for path in arguments.paths])]


if __name__ == "__main__":
    sys.exit(main())
