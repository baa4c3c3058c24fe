"""Reads mcplog segments and prints them as JSON, one object per line.

This reader was written from format.md alone, without a look at the Rust source, and
must stay so: it is the test that format.md is enough to write a reader in another
language. When they disagree, mend format.md first. "Choice:" marks what format.md left
open when this was written.

Usage: python3 format_reader.py SEGMENT-FILE...

Per record: segment, sequence, offset, kind, version and the fields (absent ones null).
An undecodable record has "error" instead of fields; one of an unknown kind or version,
which is intact, has "unknown". Per file, last: segment, end ("sealed", "open", "torn"),
offset of the end, corrupt (a list of offset, bytes, records). A file that cannot be
read as a segment has a null end and "error", and its path as segment.

Exit code: 0 clean, 2 torn tail, 3 corruption, 1 anything else (unreadable file, no
header, newer version, undecodable record). Of several, 1 beats 3 and 3 beats 2.
"""

import json
import struct
import sys
import uuid
import zlib

FIRST_FRAME = 4096
STATUSES = ("ok", "error", "timeout")
WORDS = (  # Counted from 1: 0 stands for a text that follows.
    "initialize ping tools/list tools/call resources/list resources/templates/list "
    "resources/read resources/subscribe resources/unsubscribe prompts/list prompts/get "
    "completion/complete logging/setLevel server/discover subscriptions/listen "
    "2024-11-05 2025-03-26 2025-06-18 2025-11-25 2026-07-28"
).split()
FLAGGED = "tool text, bytes_in i64, bytes_out i64, error_code text, error_msg text, "
FLAGGED += "target text, protocol_version word, rpc_id text"
MORE = (  # From bit 4 of the second word of flags on.
    "http_status status, endpoint text, outcome outcome, cause text, notes notes, "
    "direction direction, principal text, trace_id hex16, parent_span_id hex8, "
    "input_wait_us i64"
)
OUTCOMES = "ok tool_error error timeout cancelled probe redirected ended input_required "
OUTCOMES += "lost"
NOTES = ("lenient_id", "late_answer", "unread")
KINDS = {  # (kind, version): fields; kind 1 is read by `request`
    (1, 1): "",
    (2, 1): "session_id id, proxy text, started_at i64, client_name text?, "
    "client_version text?, client_platform text?, protocol_version text?, derived bool",
    (3, 1): "session_id id, ended_at i64",
    (4, 1): "ts i64, proxy text, upstream_url text, method text, payload text?, "
    "content_hash text, caller text",
    (5, 1): "from_ts i64, to_ts i64, events u64",
    (6, 1): "from_ts i64, to_ts i64, between_runs bool",
}


class Unreadable(Exception):
    """Why a file is no segment for this reader, or a payload no record."""


class Fields:
    """The fields of a payload, read one after the other (section 5)."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        if length > len(self.data) - self.at:
            raise Unreadable("the payload ends within a field")
        self.at += length
        return self.data[self.at - length : self.at]

    def u64(self):
        # Choice: a varint longer than need be is good, up to 10 bytes and 64 bits.
        value = 0
        for place in range(10):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80 and value < 1 << 64:
                return value
        raise Unreadable("a varint of more than 10 bytes or 64 bits")

    def i64(self):
        value = self.u64()
        return value >> 1 if value % 2 == 0 else -(value >> 1) - 1

    def one_of(self, number, *choices):
        if number >= len(choices):
            raise Unreadable(f"{number} is not below {len(choices)}")
        return choices[number]

    def bool(self):
        return self.one_of(self.take(1)[0], False, True)

    def text(self):
        return self.take(self.u64()).decode("utf-8")

    def id(self):
        variant = self.one_of(self.u64(), "text", "uuid", "hex")
        if variant == "text":
            return self.text()
        value = uuid.UUID(bytes=self.take(16))
        return str(value) if variant == "uuid" else value.hex

    def word(self):
        place = self.u64()
        return self.one_of(place - 1, *WORDS) if place else self.text()

    def formed(self, form):
        if form == 1:
            return self.text()
        value = uuid.UUID(bytes=self.take(16))
        return str(value) if form == 2 else value.hex

    def status(self):
        return self.one_of(self.u64(), *range(1 << 16))

    def named(self, names):
        number = self.u64()
        return self.one_of(number - 1, *names) if number else self.one_of(1)

    def outcome(self):
        return self.named(OUTCOMES.split())

    def direction(self):
        return self.named(("client", "server"))

    def notes(self):
        bits = self.u64()
        names = dict(enumerate(NOTES))
        return [names.get(n, f"note_{n}") for n in range(64) if bits >> n & 1]

    def hex16(self):
        return self.take(16).hex()

    def hex8(self):
        return self.take(8).hex()

    def more(self, word):
        values = {"transport": (None, "http", "sse", "stdio")[word >> 2 & 3]}
        for bit, (name, of) in enumerate(map(str.split, MORE.split(", ")), 4):
            absent = [] if name == "notes" else None
            values[name] = getattr(self, of)() if word >> bit & 1 else absent
        form = word >> 14 & 3
        return values | {"retry_of": self.formed(form) if form else None}

    def request(self):
        flags = int.from_bytes(self.take(2), "little")
        status = self.one_of(flags & 3, *STATUSES)
        id_form, session_form = flags >> 2 & 3, flags >> 4 & 3
        word = self.u64() if flags >> 6 & 3 == 3 else 0
        if word >> 16:
            raise Unreadable("bits of the second word that have no meaning")
        has_more = flags >> 6 & 3 == 3
        tool_error = word & 3 if has_more else flags >> 6 & 3
        tool_error = self.one_of(tool_error, None, False, True)
        if id_form == 0:
            raise Unreadable("a request without an id")
        request_id = self.formed(id_form)
        base = uuid.UUID(request_id).int >> 80 if id_form == 2 else 0
        ts = (self.i64() + base + (1 << 63)) % (1 << 64) - (1 << 63)
        values = {"request_id": request_id, "ts": ts, "latency_us": self.i64()}
        values["session_id"] = self.formed(session_form) if session_form else None
        values |= {"proxy": self.text(), "method": self.word()}
        for bit, (name, of) in enumerate(map(str.split, FLAGGED.split(", ")), 8):
            values[name] = getattr(self, of)() if flags >> bit & 1 else None
        values |= self.more(word)
        return values | {"status": status, "tool_error": tool_error}

    def field(self, of):
        if of.endswith("?") and not self.bool():
            return None
        return getattr(self, of.rstrip("?"))()


def record(payload):
    """The keys of one record, but for its place in the log."""
    kind, version = payload[0], payload[1] if len(payload) > 1 else None
    found = {"kind": kind, "version": version}
    # Choice: kind 0 and a payload without a version are no records.
    if kind == 0 or version is None:
        return found | {"error": "no kind, or no version"}
    if (kind, version) not in KINDS:
        return found | {"unknown": "a kind or version that this reader does not know"}
    fields = Fields(payload[2:])
    try:
        if kind == 1:
            values = fields.request()
        else:
            layout = map(str.split, KINDS[kind, version].split(", "))
            values = {name: fields.field(of) for name, of in layout}
        if fields.at != len(fields.data):
            raise Unreadable("bytes are left over behind the last field")
    except (Unreadable, UnicodeDecodeError) as error:
        return found | {"error": str(error)}
    return found | values


class Segment:
    """One segment: `frames` as (offset, index, payload), `corrupt`, and its end."""

    def __init__(self, path):
        # From front to back: the marks are never newer than the frames. Not mapped:
        # the writer may shorten the file.
        with open(path, "rb") as file:
            self.data = file.read()
        self.frames, self.corrupt, self.end = [], [], "sealed"
        self.read_header()
        self.read_marks()
        self.read_frames()

    def read_header(self):
        header = self.data[:64]
        if len(header) < 64 or not any(header):
            raise Unreadable("never started: there is no header")
        magic, version, self.salt = struct.unpack_from("<8sH2xI", header)
        self.id, self.base, checksum = struct.unpack_from("<QQ12xI", header, 32)
        for bad, why in (
            (magic != b"\x89MCPLOG\n", "no segment: the magic is wrong"),
            (version > 1, f"format version {version} is newer than this reader"),
            (zlib.crc32(header[:60]) != checksum, "the header's checksum does not fit"),
            (version < 1, "there is no format version 0"),
            (not 0 < self.id < 1 << 63, "the segment id is out of range"),
            (not 0 < self.base < 1 << 63, "the base sequence is out of range"),
        ):
            if bad:
                raise Unreadable(why)

    def read_marks(self):
        newest, sealed, sealed_frames = 0, 0, 0
        self.durable, self.durable_frames = FIRST_FRAME, 0
        for place in (512, 1024):
            mark = self.data[place : place + 32].ljust(32, b"\0")
            generation, *ends, checksum = struct.unpack("<QIIII4xI", mark)
            good = zlib.crc32(mark[:28], self.salt) == checksum and fits(*ends[:2])
            if good and generation > newest and (ends[2] == 0 or fits(*ends[2:])):
                newest = generation
                self.durable, self.durable_frames, sealed, sealed_frames = ends
        # Sealed, but not synced up to there, is like not sealed (section 3). Choice: of
        # a sealed segment nothing counts but what lies before the sealed end.
        self.sealed = 0 < sealed <= self.durable
        if self.sealed:
            self.durable, self.durable_frames = sealed, sealed_frames
            self.data = self.data[:sealed]

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
        computed = zlib.crc32(self.data[at : at + 8] + payload, self.salt)
        good = computed == checksum and not any(self.data[payload_end:end])
        return (index, payload, end) if good else None

    def read_frames(self):
        at, due = FIRST_FRAME, 0
        while not (self.sealed and at == self.durable):
            frame = self.frame(at)
            if frame is not None and frame[0] == due:
                self.frames.append((at, due, frame[1]))
                at, due = frame[2], due + 1
            elif at < self.durable:
                at, due = self.skip_damage(at, due)
            else:
                # Choice: a length cut short by the end of the file is zero if all of
                # its bytes are.
                self.end = "torn" if any(self.data[at : at + 4]) else "open"
                break
        self.end_offset = at

    def skip_damage(self, at, due):
        """Notes the corruption at `at`; returns where to go on, and the index there."""
        # Choice: the search begins at `at` itself (only the index may be off there) and
        # stops before the durable end. If it finds nothing, all up to the durable end
        # is lost, the mark tells how many records that is, and reading goes on there.
        to, index = self.durable, max(due, self.durable_frames)
        for place in range(at, min(self.durable, len(self.data)), 4):
            frame = self.frame(place)
            if frame is not None and frame[0] >= due and frame[2] <= self.durable:
                to, index = place, frame[0]
                break
        self.corrupt.append({"offset": at, "bytes": to - at, "records": index - due})
        return to, index


def fits(end, frames):
    """Whether a mark may hold this end and this number of frames."""
    return end % 4 == 0 and 0 <= frames * 16 <= end - FIRST_FRAME and (frames > 0 or end == FIRST_FRAME)


def read(path):
    """Prints one file; returns the exit code for it."""
    try:
        segment = Segment(path)
        if segment.corrupt or segment.end == "torn":
            segment = Segment(path)  # it may be live: the mark and the bytes once more
    except (OSError, Unreadable) as error:
        print(json.dumps({"segment": path, "end": None, "error": str(error)}))
        return 1
    code = 3 if segment.corrupt else 2 if segment.end == "torn" else 0
    for at, index, payload in segment.frames:
        found = record(payload)
        place = {"sequence": segment.base + index, "offset": at}
        print(json.dumps({"segment": segment.id} | place | found))
        code = 1 if "error" in found else code
    end = {"end": segment.end, "offset": segment.end_offset, "corrupt": segment.corrupt}
    print(json.dumps({"segment": segment.id} | end))
    return code


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: format_reader.py SEGMENT-FILE...")
    sys.exit(min(map(read, sys.argv[1:]), key=(1, 3, 2, 0).index))
