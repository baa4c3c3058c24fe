"""Reads mcplog segments, logs and stores, and prints them as JSON, one object per line.

This reader was written from format.md alone, without a look at the Rust source, and
must stay so: it is the test that format.md is enough to write a reader in another
language. When they disagree, mend format.md first. "Choice:" marks what format.md left
open when this was written. Its parts are in format_reader/: record.py (section 5),
segment.py (sections 1 to 3) and log.py (section 4).

Usage: python3 format_reader.py [--folded N] SEGMENT-FILE|LOG-FOLDER|STORE...
       python3 format_reader.py --batch

Per record: segment, sequence, offset, kind, version and the fields (absent ones null).
An undecodable record has "error" instead of fields; one of an unknown kind or version,
which is intact, has "unknown".

Per file, last: segment (its id; its path if it is not read as one of a log and the id
is not known), verdict, header ("intact", "never_started", "first_page_lost", "damaged",
"newer", "misplaced", "foreign"; null if the system does not let one read the file),
error (why it is not intact), end ("sealed", "open", "torn"; null if it is not read),
offset of the end, behind (bytes behind a sealed end), corrupt (a list of offset, bytes,
first number, records), marks (of place A and B: "unwritten", "valid", "damaged") and
wrong_mark (what contradicts the mark).

Per log, last: writer, verdict, living (somebody has its lock, and it does not say that
it ended), folded (the last number that the database has folded, as given by --folded,
for one log), taken (a list of first number, last number, segment), waits (the segment
at which the log waits, or null), lost (lists of first and last; missing instead where
nobody can say what is folded), records (how many are taken) and errors.

--batch reads lines of {"store": path, "folded": {writer: number} or null, "places": a
list of "wal", "kept", "quarantine", "folds": a flag} and prints one line each: "logs", a
list of the above for each writer, with the lines of its files in "files". There each
has, instead of its records, frames (ranges of sequence numbers), undecodable and unknown
(numbers). A writer that "folded" does not have is not folded at all. "folds": a log that
may have records which this reader does not know waits, as it does for who folds.

The exit code says the worst verdict: 0 sound, 2 attention, 1 unreadable, 3 damaged, in
this order. With --batch it is 0.
"""

import argparse
import json
import os
import re
import sys

from format_reader.log import PLACES, UUID, Log, folders, store_id
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


def print_segment(segment, verdict):
    for found in segment.records():
        print(json.dumps(found))
    print(json.dumps(segment.line(verdict)))
    return verdict


def read_log(writer, path, store, folded):
    """Prints a log; returns the verdict."""
    log = Log(writer, [path], store, folded)
    for segment in log.segments:
        print_segment(segment, log.verdict_of(segment))
    print(json.dumps(log.line()))
    return log.verdict()


def read_path(path, folded):
    """Prints a file, a log or a store; returns the verdict."""
    if not os.path.isdir(path):
        segment = read_file(path)
        return print_segment(segment, segment.verdict())
    wal = os.path.join(path, "wal")
    if not os.path.isdir(wal):
        name = os.path.basename(os.path.normpath(path))
        return read_log(name if UUID.fullmatch(name) else None, path, None, folded)
    store = store_id(os.path.join(path, "store-id"))
    return worst([read_log(writer, log, store, folded) for writer, log in folders(wal).items()])


def file_line(log, segment):
    return (
        segment.line(log.verdict_of(segment))
        | {"path": segment.path, "frames": ranges(segment.numbers())}
        | {"undecodable": segment.undecodable, "unknown": segment.unknown}
    )


def read_batch(lines):
    for line in lines:
        asked = json.loads(line)
        store = store_id(os.path.join(asked["store"], "store-id")) or asked.get("store_id")
        paths = {}
        for place in PLACES:
            if place in asked["places"]:
                for writer, path in folders(os.path.join(asked["store"], place)).items():
                    paths.setdefault(writer, []).append(path)
        logs = []
        for writer in sorted(paths):
            folded = asked["folded"] and asked["folded"].get(writer, 0)
            folded = None if asked["folded"] is None else folded or 0
            log = Log(writer, paths[writer], store, folded, asked["folds"])
            logs.append(log.line() | {"files": [file_line(log, segment) for segment in log.segments]})
        print(json.dumps({"logs": logs}), flush=True)


def main():
    parser = argparse.ArgumentParser(description="Reads mcplog segments, logs and stores.")
    parser.add_argument("paths", nargs="*", help="segment files, folders of logs, and stores")
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
