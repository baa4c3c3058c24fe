"""Reads mcplog segments and prints them as JSON, one object per line.

This reader was written from format.md alone, without a look at the Rust source, and must
stay so: it is the test that format.md is enough to write a reader in another language.
When the two disagree, mend format.md first and then this file. Where format.md leaves a
choice, a comment that starts with "Choice:" says which one was taken here.

Usage: python3 format_reader.py SEGMENT-FILE...

Per record: segment, sequence, offset, kind, version and the fields of the record; absent
fields are null. An undecodable record has "error" instead of fields, one of an unknown kind
or version (which is intact) has "unknown". Per file, at its end: segment, end ("sealed",
"open" or "torn"), offset of the end, corrupt (a list of offset, bytes, records). A file that
cannot be read as a segment has a null end and "error".

Exit code: 0 clean, 2 torn tail, 3 corruption, 1 anything else (unreadable file, no header,
newer version, undecodable record). Of several, 1 wins over 3 and 3 over 2.
"""

import json
import struct
import sys
import uuid
import zlib

MAGIC = b"\x89MCPLOG\n"
FORMAT_VERSION = 1
HEADER_LENGTH = 64
MARK_PLACES = (512, 1024)
FIRST_FRAME = 4096
FRAME_HEADER = 12
SMALLEST_FRAME = 16
LARGEST_PAYLOAD = 16_777_216
STATUSES = ("ok", "error", "timeout")

# (kind, version) -> fields, as "name type", a "?" behind the type for an optional one.
KINDS = {
    (1, 1): (
        "request_id id, ts i64, proxy text, session_id id?, method text, tool text?, "
        "latency_us i64, status status, error_code text?, error_msg text?, bytes_in i64?, "
        "bytes_out i64?, tool_error bool?, target text?, protocol_version text?, rpc_id text?"
    ),
    (2, 1): (
        "session_id id, proxy text, started_at i64, client_name text?, client_version text?, "
        "client_platform text?, protocol_version text?, derived bool"
    ),
    (3, 1): "session_id id, ended_at i64",
    (4, 1): (
        "ts i64, proxy text, upstream_url text, method text, payload text, content_hash text"
    ),
    (5, 1): "from_ts i64, to_ts i64, events u64",
}


class Unreadable(Exception):
    """A file that is no segment for this reader, or a payload that is no record."""


class Fields:
    """The fields of a payload, read one after the other (section 5)."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, length):
        if length > len(self.data) - self.at:
            raise Unreadable("the payload ends within a field")
        self.at += length
        return self.data[self.at - length : self.at]

    def u64(self):
        # Choice: a varint may be longer than it need be, but at most 10 bytes and 64 bits.
        value = 0
        for place in range(10):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                if value >= 1 << 64:
                    raise Unreadable("a varint of more than 64 bits")
                return value
        raise Unreadable("a varint of more than 10 bytes")

    def i64(self):
        value = self.u64()
        return value >> 1 if value % 2 == 0 else -(value >> 1) - 1

    def bool(self):
        byte = self.take(1)[0]
        if byte > 1:
            raise Unreadable(f"{byte} is neither 0 nor 1")
        return byte == 1

    def text(self):
        try:
            return self.take(self.u64()).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Unreadable("a text is not UTF-8") from error

    def id(self):
        variant = self.u64()
        if variant == 0:
            return self.text()
        if variant == 1:
            return str(uuid.UUID(bytes=self.take(16)))
        if variant == 2:
            return self.take(16).hex()
        raise Unreadable(f"there is no id variant {variant}")

    def status(self):
        number = self.u64()
        if number >= len(STATUSES):
            raise Unreadable(f"there is no status {number}")
        return STATUSES[number]

    def field(self, type_name):
        if type_name.endswith("?"):
            return self.field(type_name[:-1]) if self.bool() else None
        return getattr(self, type_name)()


def record(payload):
    """The keys of one record, but for its place in the log."""
    kind, version = payload[0], payload[1] if len(payload) > 1 else None
    found = {"kind": kind, "version": version}
    # Choice: kind 0, which is never used, and a payload without a version are no records.
    if kind == 0 or version is None:
        return found | {"error": "no kind, or no version"}
    if (kind, version) not in KINDS:
        return found | {"unknown": "a kind or version that this reader does not know"}
    fields, values = Fields(payload[2:]), {}
    try:
        for entry in KINDS[kind, version].split(", "):
            name, type_name = entry.split()
            values[name] = fields.field(type_name)
        if fields.at != len(fields.data):
            raise Unreadable("bytes are left over behind the last field")
    except Unreadable as error:
        return found | {"error": str(error)}
    return found | values


class Segment:
    """One segment: `frames` as (offset, index, payload), and how it ends."""

    def __init__(self, path):
        # From front to back: the marks are never newer than the frames. Not mapped: the
        # writer may shorten the file.
        with open(path, "rb") as file:
            self.data = file.read()
        self.frames, self.corrupt = [], []
        self.read_header()
        self.read_marks()
        self.read_frames()

    def read_header(self):
        header = self.data[:HEADER_LENGTH]
        if len(header) < HEADER_LENGTH or not any(header):
            raise Unreadable("never started: there is no header")
        magic, version, self.salt = struct.unpack_from("<8sH2xI", header)
        self.id, self.base, checksum = struct.unpack_from("<QQ12xI", header, 32)
        if magic != MAGIC:
            raise Unreadable("no segment: the magic is wrong")
        if version > FORMAT_VERSION:
            raise Unreadable(f"format version {version} is newer than this reader")
        if zlib.crc32(header[:60]) != checksum:
            raise Unreadable("the checksum of the header does not fit")
        if version == 0 or not all(0 < n < 1 << 63 for n in (self.id, self.base)):
            raise Unreadable("a field of the header is out of range")

    def read_marks(self):
        newest, self.durable, self.durable_frames, self.sealed = 0, FIRST_FRAME, 0, 0
        for place in MARK_PLACES:
            mark = self.data[place : place + 32]
            if len(mark) < 32:
                continue
            generation, durable, durable_frames, sealed, sealed_frames, checksum = (
                struct.unpack("<QIIII4xI", mark)
            )
            if (
                generation > newest
                and zlib.crc32(mark[:28], self.salt) == checksum
                and fits(durable, durable_frames)
                and (sealed == 0 or fits(sealed, sealed_frames))
            ):
                newest, self.sealed = generation, sealed
                self.durable, self.durable_frames = durable, durable_frames
        # Section 3: sealed, but not synced up to there, is like not sealed. Choice: of a
        # sealed segment nothing counts but the bytes before the sealed end.
        if self.durable < self.sealed:
            self.sealed = 0
        if self.sealed:
            self.durable, self.data = self.sealed, self.data[: self.sealed]

    def frame(self, at):
        """(index, payload, end) of the frame at `at`, or None if it is not valid."""
        if at % 4 != 0 or at + FRAME_HEADER > len(self.data):
            return None
        length, index, checksum = struct.unpack_from("<III", self.data, at)
        payload_end = at + FRAME_HEADER + length
        end = (payload_end + 3) // 4 * 4
        if not 1 <= length <= LARGEST_PAYLOAD or end > len(self.data):
            return None
        payload = self.data[at + FRAME_HEADER : payload_end]
        computed = zlib.crc32(payload, zlib.crc32(self.data[at : at + 8], self.salt))
        if computed != checksum or any(self.data[payload_end:end]):
            return None
        return index, payload, end

    def read_frames(self):
        at, due = FIRST_FRAME, 0
        while True:
            if at == self.sealed:
                self.end, self.end_offset = "sealed", at
                return
            frame = self.frame(at)
            if frame is not None and frame[0] == due:
                self.frames.append((at, due, frame[1]))
                at, due = frame[2], due + 1
            elif at < self.durable:
                at, due = self.skip_damage(at, due)
            else:
                # Choice: fewer than four bytes before the end of the file are a length of
                # zero if they are zero, and torn otherwise.
                self.end = "torn" if any(self.data[at : at + 4]) else "open"
                self.end_offset = at
                return

    def skip_damage(self, at, due):
        """Reports the corruption at `at`; returns where to go on, and the index due there."""
        # Choice: the search starts at `at` itself (only the index may be off there) and ends
        # before the durable end. If it finds nothing, everything up to the durable end is
        # lost, the mark tells how many records that is, and reading goes on there.
        to, index = self.durable, max(due, self.durable_frames)
        for place in range(at, min(self.durable, len(self.data)), 4):
            frame = self.frame(place)
            if frame is not None and frame[0] >= due:
                to, index = place, frame[0]
                break
        self.corrupt.append({"offset": at, "bytes": to - at, "records": index - due})
        return to, index


def fits(end, frames):
    """Whether a mark may hold this end and this number of frames."""
    return (
        end % 4 == 0
        and end >= FIRST_FRAME
        and frames * SMALLEST_FRAME <= end - FIRST_FRAME
    )


def read(path):
    """Prints one file; returns the exit code for it."""
    try:
        segment = Segment(path)
        if segment.corrupt or segment.end == "torn":
            segment = Segment(path)  # it may be live: the mark and the bytes once more
    except (OSError, Unreadable) as error:
        emit(segment=path, end=None, error=str(error))
        return 1
    code = 3 if segment.corrupt else 2 if segment.end == "torn" else 0
    for at, index, payload in segment.frames:
        found = record(payload)
        emit(segment=segment.id, sequence=segment.base + index, offset=at, **found)
        code = 1 if "error" in found else code
    end = {"end": segment.end, "offset": segment.end_offset, "corrupt": segment.corrupt}
    emit(segment=segment.id, **end)
    return code


def emit(**keys):
    print(json.dumps(keys))


def main(paths):
    if not paths:
        sys.exit("usage: format_reader.py SEGMENT-FILE...")
    return min(map(read, paths), key=(1, 3, 2, 0).index)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
