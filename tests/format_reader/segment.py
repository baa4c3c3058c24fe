"""Segments: header, marks and frames (sections 1 to 3 of format.md)."""

import struct
import uuid
import zlib

from .record import record

HEADER = 96
FIRST_FRAME = 4096
LEVEL = 1  # Of the records that this reader knows.
VERDICTS = ("sound", "attention", "unreadable", "damaged")


class Segment:
    """One file: `frames` as (offset, index, payload), and what there is to say of it.

    `named` is the id in its name, `in_folder` the writer id in its folder's, and `in_store`
    the id of its store; None for what nobody asks.
    """

    def __init__(self, path, named=None, in_folder=None, in_store=None):
        self.path, self.named, self.id = path, named, None
        self.in_folder, self.in_store, self.needs = in_folder, in_store, 0
        self.end = self.offset = self.marks = None
        self.frames, self.corrupt, self.wrong_mark, self.behind = [], [], [], 0
        self.kinds, self.told = {}, 0
        self.undecodable, self.unknown = [], []
        try:
            # From front to back: the marks are never newer than the frames. Not mapped:
            # the writer may shorten the file.
            with open(path, "rb") as file:
                self.data = file.read()
        except OSError as error:
            self.header, self.error = None, str(error)
        else:
            self.header, self.error = self.read_header()

    def read_header(self):
        """What the header is, and why it is not intact."""
        header = self.data[:HEADER]
        if zeros(self.data):
            return "never_started", "every byte is zero, or there is none"
        lost = "first_page_lost", "the first page is cut short, or was never written"
        if len(header) < HEADER or zeros(header):
            return lost
        magic, version, self.needs, self.salt = struct.unpack_from("<8sHHI", header)
        number, self.base, checksum = struct.unpack_from("<QQ28xI", header, 48)
        self.store = str(uuid.UUID(bytes=header[16:32]))
        self.writer = str(uuid.UUID(bytes=header[32:48]))
        whole = magic == b"\x89MCPLOG\n" and zlib.crc32(header[:92]) == checksum
        if whole and version > 1:
            return "newer", f"format version {version} is newer than this reader"
        if len(self.data) < FIRST_FRAME:
            return lost
        for bad, word, why in (
            (not whole, "damaged", "the magic is wrong, or the checksum does not fit"),
            (version < 1, "damaged", "there is no format version 0"),
            (self.needs < 1, "damaged", "there is no level 0"),
            (not 0 < number <= 1 << 62, "damaged", "the segment id is out of range"),
            (not 0 < self.base <= 1 << 62, "damaged", "the base sequence is out of range"),
            (self.in_store not in (None, self.store), "foreign", f"of store {self.store}"),
            (self.in_folder not in (None, self.writer), "misplaced", f"of {self.writer}"),
            (self.named not in (None, number), "misplaced", f"it is segment {number}"),
        ):
            if bad:
                return word, why
        self.id = number
        return "intact", None

    def read(self):
        """Reads marks and frames of a segment whose header is intact."""
        self.read_marks()
        self.read_frames()
        for _, index, payload in self.frames:
            found = record(payload)
            self.kinds[self.base + index] = found.get("kind")
            if "error" in found:
                self.undecodable.append(self.base + index)
            if "unknown" in found:
                self.unknown.append(self.base + index)

    def read_marks(self):
        self.marks, newest, best = [], 0, (FIRST_FRAME, 0, 0, 0)
        for parity, place in enumerate((512, 1024)):
            mark = self.data[place : place + 32]
            generation, *ends, checksum = struct.unpack("<QIIII4xI", mark)
            valid = zlib.crc32(mark[:28], self.salt) == checksum and fit(*ends)
            valid = valid and 0 < generation < 1 << 63 and generation % 2 == parity
            self.marks.append("unwritten" if zeros(mark) else "valid" if valid else "damaged")
            if valid and generation > newest:
                newest, best = generation, ends
        self.durable, durable_frames, self.sealed, sealed_frames = best  # sealed: 0 if not
        self.ends = {"durable": (self.durable, durable_frames)}
        if self.sealed:
            self.ends["sealed"] = self.sealed, sealed_frames

    def frame(self, at):
        """(index, payload, end) of the frame at `at`; None if none is valid there."""
        if at + 12 > len(self.data):
            return None
        length, index, checksum = struct.unpack_from("<III", self.data, at)
        payload_end = at + 12 + length
        end = (payload_end + 3) // 4 * 4
        if not 1 <= length <= 16_777_216 or end > len(self.data):
            return None
        payload = self.data[at + 12 : payload_end]
        computed = zlib.crc32(payload, zlib.crc32(self.data[at : at + 8], self.salt))
        good = computed == checksum and zeros(self.data[payload_end:end])
        return (index, payload, end) if good else None

    def read_frames(self):
        """The table of section 3; `follows` is then the number behind the last one."""
        at, due = FIRST_FRAME, 0
        while self.end is None:
            for name, (end, frames) in self.ends.items():
                self.wrong(f"frames_at_{name}_end", at == end and due != frames)
            frame = self.frame(at)
            if frame is not None and frame[0] == due:
                for name, (end, _) in self.ends.items():
                    self.wrong(f"frame_across_{name}_end", at < end < frame[2])
                self.wrong("frame_behind_sealed_end", 0 < self.sealed <= at)
                self.frames.append((at, due, frame[1]))
                at, due = frame[2], due + 1
            elif 0 < self.sealed <= at:
                self.end, self.behind = "sealed", max(0, len(self.data) - at)
            elif at < self.durable:
                at, due = self.skip_damage(at, due)
            else:
                self.end = "torn" if self.sealed or not zeros(self.data, at) else "open"
        self.offset, self.follows = at, self.base + due

    def wrong(self, what, holds):
        if holds and what not in self.wrong_mark:
            self.wrong_mark.append(what)

    def skip_damage(self, at, due):
        """Notes the corruption at `at`; returns where to go on, and the index there."""
        if not hasattr(self, "words"):
            count = len(self.data) // 4
            self.words = struct.unpack_from(f"<{count}I", self.data)
        to, index = self.durable, max(due, self.ends["durable"][1])
        words, first = self.words, at // 4
        for place in range(first, min(self.durable // 4, len(words) - 3) + 1):
            # Length and index first: a checksum at every place would take too long.
            if words[place] and due <= words[place + 1] <= due + (place - first) // 4 + 1:
                frame = self.frame(place * 4)
                if frame is not None:
                    to, index = place * 4, frame[0]
                    break
        first = self.base + due
        self.corrupt.append({"offset": at, "bytes": to - at, "first": first, "records": index - due})
        return to, index

    def blank(self):
        """Whether its first page is lost as a power cut leaves it."""
        return self.header == "first_page_lost" and zeros(self.data[:HEADER])

    def things(self):
        """What is in it, in order: (number, None) of a record, (number, how many) of corruption."""
        things = [(at, self.base + index, None) for at, index, _ in self.frames]
        things += [(hole["offset"], hole["first"], hole["records"]) for hole in self.corrupt]
        # Corruption of no bytes comes before the frame at its place.
        things.sort(key=lambda thing: (thing[0], thing[2] is None))
        return [thing[1:] for thing in things]

    def verdict(self, living=False):
        """What there is to say of it; nothing of a tail, if its writer lives."""
        if self.header in (None, "newer"):
            return "unreadable"
        if self.blank():
            return "attention"
        if self.header not in ("intact", "never_started"):
            return "damaged"
        damaged_marks = (self.marks or []).count("damaged")
        if self.corrupt or self.wrong_mark or self.undecodable or damaged_marks == 2:
            return "damaged"
        if self.needs > LEVEL:
            return "unreadable"
        torn = (self.end == "torn" and not living) or damaged_marks or self.header == "never_started"
        return "attention" if torn else "sound"

    def waits(self):
        """Whether its log is left alone from here on."""
        return self.header in ("newer", "foreign")

    def vouches(self):
        """Whether all that was recorded before it was durable once."""
        return self.header == "intact" and self.durable > FIRST_FRAME

    def records(self):
        for at, index, payload in self.frames:
            place = {"sequence": self.base + index, "offset": at}
            yield {"segment": self.id} | place | record(payload)

    def line(self, verdict):
        keys = "header error end offset behind corrupt marks wrong_mark".split()
        number = self.id if self.named is None else self.named
        number = self.path if number is None else number
        line = {"segment": number, "verdict": verdict}
        return line | {key: getattr(self, key) for key in keys}

    def numbers(self):
        return [self.base + index for _, index, _ in self.frames]


def zeros(data, at=0):
    """Whether there is nothing but zeros from `at` on, or nothing at all."""
    return data.count(0, at) >= len(data) - at


def fit(durable, durable_frames, sealed, sealed_frames):
    """Whether a mark may hold these ends and numbers of frames."""
    ends = [(durable, durable_frames)]
    if sealed or sealed_frames:
        if durable > sealed or durable_frames > sealed_frames:
            return False
        ends.append((sealed, sealed_frames))
    return all(
        end % 4 == 0 and 0 <= frames * 16 <= end - FIRST_FRAME and (frames or end == FIRST_FRAME)
        for end, frames in ends
    )


def worst(verdicts):
    return max(verdicts, key=VERDICTS.index, default="sound")
