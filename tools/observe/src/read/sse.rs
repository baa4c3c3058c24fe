//! An incremental parser of server-sent events, as the WHATWG HTML standard defines them.
//!
//! It hands over the pieces of an event's data as they come and keeps none of them, so an event may be of any size.
//! Runs inside the tasks that pass bytes on; it must not do I/O, and has no way to fail: every byte sequence is some event
//! stream.

/// The longest field name and the longest small value (`event`, `retry`) that is kept, in bytes.
const FIELD_BYTES_MAX: usize = 64;
/// How much of an event's id is kept, in bytes; those of SDKs have up to 60. What is longer is told apart by its beginning.
pub const EVENT_ID_BYTES_MAX: usize = 256;

/// What the stream consists of.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// The next bytes of the current event's data. Lines are joined by a line feed.
    Data(&'a [u8]),
    /// The event is over. One without data never gets here.
    Dispatch {
        /// The event's type; empty where the stream names none.
        event: &'a str,
    },
    /// The event has this id, so a client can resume the stream behind it. At most [`EVENT_ID_BYTES_MAX`] of it.
    Id(&'a [u8]),
    /// The server asks to wait this long before reconnecting, in milliseconds.
    Retry(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Data,
    Event,
    Id,
    Retry,
    Ignored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the stream's first bytes, where a byte order mark may be; this many of its bytes were seen.
    Mark(usize),
    /// In a field's name.
    Name,
    /// After the colon, where one space is dropped.
    Space(Field),
    Value(Field),
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Parses one stream.
pub struct SseParser {
    state: State,
    /// The last byte was a carriage return: a line feed right behind it belongs to it.
    after_carriage_return: bool,
    /// Nothing of the current line was seen.
    line_is_empty: bool,
    name: Vec<u8>,
    value: Vec<u8>,
    /// The value was longer than what is kept.
    value_is_cut: bool,
    /// The value has a NUL, which makes an id void.
    value_has_nul: bool,
    event: Vec<u8>,
    /// The current event has a `data` field.
    has_data: bool,
}

impl Default for SseParser {
    fn default() -> Self {
        Self::new()
    }
}

impl SseParser {
    /// A parser before the first byte of a stream.
    pub fn new() -> Self {
        Self {
            state: State::Mark(0),
            after_carriage_return: false,
            line_is_empty: true,
            name: Vec::new(),
            value: Vec::new(),
            value_is_cut: false,
            value_has_nul: false,
            event: Vec::new(),
            has_data: false,
        }
    }

    /// Parses the next bytes; `on_part` gets what they contain, in order.
    pub fn push(&mut self, bytes: &[u8], mut on_part: impl FnMut(Part<'_>)) {
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            if self.after_carriage_return {
                self.after_carriage_return = false;
                if byte == b'\n' {
                    at += 1;
                    continue;
                }
            }
            match self.state {
                State::Mark(seen) if seen < BYTE_ORDER_MARK.len() && byte == BYTE_ORDER_MARK[seen] => {
                    at += 1;
                    self.state = State::Mark(seen + 1);
                }
                State::Mark(seen) => {
                    self.state = State::Name;
                    if seen < BYTE_ORDER_MARK.len() && seen > 0 {
                        // It only looked like a mark: it is the beginning of a field name that nobody knows.
                        self.line_is_empty = false;
                        self.name.extend_from_slice(&BYTE_ORDER_MARK[..seen]);
                    }
                }
                State::Name => at = self.in_name(bytes, at, &mut on_part),
                State::Space(field) => {
                    at += usize::from(byte == b' ');
                    self.state = State::Value(field);
                }
                State::Value(field) => at = self.in_value(field, bytes, at, &mut on_part),
            }
        }
    }

    fn in_name(&mut self, bytes: &[u8], at: usize, on_part: &mut impl FnMut(Part<'_>)) -> usize {
        let rest = &bytes[at..];
        let end = memchr::memchr3(b':', b'\n', b'\r', rest);
        let part = &rest[..end.unwrap_or(rest.len())];
        if !part.is_empty() {
            self.line_is_empty = false;
            let room = FIELD_BYTES_MAX.saturating_sub(self.name.len());
            self.name.extend_from_slice(&part[..part.len().min(room)]);
        }
        let Some(end) = end else { return bytes.len() };
        let at = at + end;
        if bytes[at] == b':' {
            self.line_is_empty = false;
            let field = self.begin_field(on_part);
            self.state = State::Space(field);
        } else if self.line_is_empty {
            self.dispatch(on_part);
            self.end_line(bytes[at]);
        } else {
            // A line without a colon is a field with an empty value.
            let field = self.begin_field(on_part);
            self.end_field(field, on_part);
            self.end_line(bytes[at]);
        }
        at + 1
    }

    fn in_value(&mut self, field: Field, bytes: &[u8], at: usize, on_part: &mut impl FnMut(Part<'_>)) -> usize {
        let rest = &bytes[at..];
        let end = memchr::memchr2(b'\n', b'\r', rest);
        let part = &rest[..end.unwrap_or(rest.len())];
        match field {
            Field::Data if !part.is_empty() => on_part(Part::Data(part)),
            Field::Event | Field::Retry => {
                let room = FIELD_BYTES_MAX.saturating_sub(self.value.len());
                self.value.extend_from_slice(&part[..part.len().min(room)]);
                self.value_is_cut |= part.len() > room;
            }
            Field::Id => {
                let room = EVENT_ID_BYTES_MAX.saturating_sub(self.value.len());
                self.value.extend_from_slice(&part[..part.len().min(room)]);
                self.value_has_nul |= memchr::memchr(0, part).is_some();
            }
            Field::Data | Field::Ignored => {}
        }
        let Some(end) = end else { return bytes.len() };
        self.end_field(field, on_part);
        self.end_line(bytes[at + end]);
        at + end + 1
    }

    /// The field's name is complete.
    fn begin_field(&mut self, on_part: &mut impl FnMut(Part<'_>)) -> Field {
        let field = match self.name.as_slice() {
            b"data" => Field::Data,
            b"event" => Field::Event,
            b"id" => Field::Id,
            b"retry" => Field::Retry,
            _ => Field::Ignored,
        };
        self.name.clear();
        self.value.clear();
        (self.value_is_cut, self.value_has_nul) = (false, false);
        if field == Field::Data {
            if self.has_data {
                on_part(Part::Data(b"\n"));
            }
            self.has_data = true;
        }
        field
    }

    fn end_field(&mut self, field: Field, on_part: &mut impl FnMut(Part<'_>)) {
        match field {
            Field::Event => std::mem::swap(&mut self.event, &mut self.value),
            Field::Id if !self.value_has_nul => on_part(Part::Id(&self.value)),
            Field::Retry if !self.value_is_cut => {
                let digits = std::str::from_utf8(&self.value)
                    .ok()
                    .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
                if let Some(retry_ms) = digits.and_then(|text| text.parse().ok()) {
                    on_part(Part::Retry(retry_ms));
                }
            }
            Field::Id | Field::Retry | Field::Data | Field::Ignored => {}
        }
    }

    fn end_line(&mut self, terminator: u8) {
        self.after_carriage_return = terminator == b'\r';
        self.line_is_empty = true;
        self.state = State::Name;
    }

    fn dispatch(&mut self, on_part: &mut impl FnMut(Part<'_>)) {
        if self.has_data {
            on_part(Part::Dispatch { event: std::str::from_utf8(&self.event).unwrap_or("?") });
        }
        self.event.clear();
        self.has_data = false;
    }
}

#[cfg(test)]
#[path = "sse_tests.rs"]
mod tests;
