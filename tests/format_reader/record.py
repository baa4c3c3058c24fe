"""Records: payloads and their fields (section 5 of format.md)."""

import uuid

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
    "client_version text?, client_platform text?, protocol_version text?, derived bool, "
    "noise_lines i64?",
    (3, 1): "session_id id, ended_at i64",
    (4, 1): "ts i64, proxy text, upstream_url text, method text, payload text?, "
    "content_hash text, caller text",
    (5, 1): "from_ts i64, to_ts i64, events u64",
    (6, 1): "from_ts i64, to_ts i64, between_runs bool",
    (7, 1): "process_id u64, host text, program text, program_version text, "
    "started_at i64",
    (8, 1): "ended_at i64",
}


class Undecodable(Exception):
    """Why a payload is no record."""


class Fields:
    """The fields of a payload, read one after the other (section 5)."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        if length > len(self.data) - self.at:
            raise Undecodable("the payload ends within a field")
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
        raise Undecodable("a varint of more than 10 bytes or 64 bits")

    def i64(self):
        value = self.u64()
        return value >> 1 if value % 2 == 0 else -(value >> 1) - 1

    def one_of(self, number, *choices):
        if number >= len(choices):
            raise Undecodable(f"{number} is not below {len(choices)}")
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
            raise Undecodable("bits of the second word that have no meaning")
        has_more = flags >> 6 & 3 == 3
        tool_error = word & 3 if has_more else flags >> 6 & 3
        tool_error = self.one_of(tool_error, None, False, True)
        if id_form == 0:
            raise Undecodable("a request without an id")
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
    # Choice: a payload without a version is no record, whatever its kind.
    if not kind or not version:
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
            raise Undecodable("bytes are left over behind the last field")
    except (Undecodable, UnicodeDecodeError) as error:
        return found | {"error": str(error)}
    return found | values
