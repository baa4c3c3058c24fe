//! Reads JSON-RPC messages out of a JSON byte stream while it passes, without keeping the stream.
//!
//! A body of any size is read in memory that depends only on the few short values the recording wants (an id, a
//! method, a tool's name): the bytes of arguments and contents are looked at once and forgotten. That is why a body is
//! never buffered for recording, and why there is no body so large that its row would be missing. `serde_json` was
//! rejected for this place because it wants the whole text.
//!
//! Runs inside the tasks that pass bytes on, on bytes that are on their way. It must not do I/O, and must not fail: text that
//! is not JSON ends the reading and nothing else. It is lenient on purpose (numbers and literals are not validated,
//! brackets in skipped values are only counted): the peers decide what they accept, this only reads along.

use super::collector::Collector;
use super::message::Message;
use super::place::{Place, member};
use crate::budget::Budget;
use memchr::memchr2;

/// The longest key that is compared, in bytes of JSON text. The longest known one has 39 characters, each of which may be
/// written as an escape of six bytes.
const KEY_BYTES_MAX: usize = 256;

/// Where the reading stands between two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing but whitespace yet.
    Start,
    /// In a batch or another list, before an element.
    Element,
    /// In an object, before a key or the end.
    Key,
    InKey {
        escape: bool,
    },
    Colon,
    /// Before the value of a key.
    Value,
    InString {
        escape: bool,
    },
    InScalar,
    /// After a value, before a comma or the end.
    After,
    /// Inside a value nobody wants, `skip_depth` brackets deep.
    Skip,
    SkipString {
        escape: bool,
    },
    /// The document is complete; what may follow is [`Follows`].
    Done,
    /// This is not JSON-RPC; what follows is ignored.
    Malformed,
}

/// What may follow a document that is complete, beside whitespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follows {
    /// Anything: it is ignored.
    Anything,
    /// Another document.
    Document,
    /// Nothing: what does makes the whole no JSON-RPC.
    Nothing,
}

/// Reads a JSON document, a message or a batch of them; or several that follow each other.
pub struct Scanner {
    state: State,
    /// The places the reading is in, outermost first; at most six deep.
    places: Vec<Place>,
    key: Vec<u8>,
    key_is_escaped: bool,
    /// The place that begins with the value of the current key, if that is an object or an array as it should be.
    inside: Option<Place>,
    skip_depth: u64,
    /// Bytes read before the current chunk.
    offset: u64,
    follows: Follows,
    collector: Collector,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// A scanner before the first byte of a document, with a budget of its own.
    pub fn new() -> Self {
        Self::within(&Budget::default())
    }

    /// A scanner before the first byte of a document. What it captures is taken from that budget, unless it is little.
    pub fn within(budget: &Budget) -> Self {
        Self {
            state: State::Start,
            places: Vec::with_capacity(6),
            key: Vec::new(),
            key_is_escaped: false,
            inside: None,
            skip_depth: 0,
            offset: 0,
            follows: Follows::Anything,
            collector: Collector::within(budget),
        }
    }

    /// The same, but that it never looks into what results contain.
    #[must_use]
    pub fn without_error_text(self) -> Self {
        Self { collector: self.collector.without_error_text(), ..self }
    }

    /// The same for documents that follow each other, as lines of newline-delimited JSON do.
    #[must_use]
    pub fn of_many(self) -> Self {
        Self { follows: Follows::Document, ..self }
    }

    /// The same for a document that stands alone, as each line of a pipe has one: what follows it makes it none.
    #[must_use]
    pub fn of_one(self) -> Self {
        Self { follows: Follows::Nothing, ..self }
    }

    /// Starts over with a new document, keeping what is allocated.
    pub fn reset(&mut self) {
        self.state = State::Start;
        self.places.clear();
        self.skip_depth = 0;
        self.offset = 0;
        self.collector.begin_message(0, false);
    }

    /// Whether a whole document was read.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the budget had no room for what was to be captured. Nothing is read from then on.
    pub fn is_starved(&self) -> bool {
        self.collector.is_starved()
    }

    /// The last message that was read, as long as no other begins; an empty one, where there is none or it was taken away.
    pub(crate) fn message(&self) -> &Message {
        &self.collector.message
    }

    /// The message that the stream broke off in, if it was in one.
    pub fn unfinished(&mut self) -> Option<&Message> {
        if self.state == State::Malformed || !self.places.contains(&Place::Message) {
            return None;
        }
        // A scalar at the very end may be half a number: it does not count.
        self.collector.message.end = self.offset;
        Some(&self.collector.message)
    }

    /// Reads the next bytes; `on_message` gets every message that ends in them, and may take it away.
    pub fn push(&mut self, bytes: &[u8], mut on_message: impl FnMut(&mut Message)) {
        let mut at = 0;
        while at < bytes.len() && !self.is_starved() {
            let byte = bytes[at];
            match self.state {
                State::Malformed => break,
                State::Done if self.follows == Follows::Anything => break,
                State::InKey { escape } => at = self.in_key(bytes, at, escape),
                State::InString { escape } => at = self.in_string(bytes, at, escape),
                State::InScalar => at = self.in_scalar(bytes, at),
                State::Skip => at = self.skip(bytes, at),
                State::SkipString { escape } => at = self.skip_string(bytes, at, escape),
                _ if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') => at += 1,
                State::Done if self.follows == Follows::Document => self.state = State::Start,
                State::Done => self.state = State::Malformed,
                State::Start => {
                    at += 1;
                    match byte {
                        b'{' => self.enter_message(at),
                        b'[' => {
                            self.places.push(Place::Batch);
                            self.state = State::Element;
                        }
                        // A byte order mark; whatever else these bytes begin is refused by what follows.
                        0xEF | 0xBB | 0xBF => {}
                        _ => self.state = State::Malformed,
                    }
                }
                State::Element => {
                    at += 1;
                    match (byte, self.places.last()) {
                        (b'{', Some(Place::Content)) => self.enter_item(),
                        (b'{', _) => self.enter_message(at),
                        (b']', _) => self.leave_list(),
                        _ => at = self.enter_value(bytes, at - 1),
                    }
                }
                State::Key => {
                    at += 1;
                    match byte {
                        b'"' => {
                            self.key.clear();
                            self.key_is_escaped = false;
                            self.state = State::InKey { escape: false };
                        }
                        b'}' => self.leave(at, &mut on_message),
                        b',' => {}
                        _ => self.state = State::Malformed,
                    }
                }
                State::Colon => {
                    at += 1;
                    self.state = if byte == b':' { State::Value } else { State::Malformed };
                }
                State::Value => at = self.enter_value(bytes, at),
                State::After => {
                    at += 1;
                    match (byte, self.places.last()) {
                        (b',', Some(place)) if place.is_list() => self.state = State::Element,
                        (b',', Some(_)) => self.state = State::Key,
                        (b']', Some(place)) if place.is_list() => self.leave_list(),
                        (b'}', Some(place)) if !place.is_list() => self.leave(at, &mut on_message),
                        _ => self.state = State::Malformed,
                    }
                }
            }
        }
        self.offset += bytes.len() as u64;
    }

    /// A message begins; `at` is the position after its brace.
    fn enter_message(&mut self, at: usize) {
        self.collector.begin_message(self.offset + at as u64 - 1, !self.places.is_empty());
        self.places.push(Place::Message);
        self.state = State::Key;
    }

    /// An item of a result's content begins.
    fn enter_item(&mut self) {
        if self.collector.begin_item() {
            self.places.push(Place::Item);
            self.state = State::Key;
        } else {
            self.begin_skip();
        }
    }

    /// A list ends.
    fn leave_list(&mut self) {
        self.places.pop();
        self.state = if self.places.is_empty() { State::Done } else { State::After };
    }

    /// An object ends; `at` is the position after its brace.
    fn leave(&mut self, at: usize, on_message: &mut impl FnMut(&mut Message)) {
        let place = self.places.pop();
        self.state = if self.places.is_empty() { State::Done } else { State::After };
        match place {
            Some(Place::Message) => {
                self.collector.message.end = self.offset + at as u64;
                on_message(&mut self.collector.message);
            }
            Some(Place::Result) => self.collector.end_result(),
            Some(Place::TaskResult) => self.collector.end_task_result(),
            Some(Place::Item) => self.collector.end_item(),
            _ => {}
        }
    }

    fn in_key(&mut self, bytes: &[u8], at: usize, escape: bool) -> usize {
        let (end, closed, escape) = string_end(bytes, at, escape);
        let part = &bytes[at..end - usize::from(closed)];
        self.key_is_escaped |= part.contains(&b'\\');
        let room = KEY_BYTES_MAX.saturating_sub(self.key.len());
        self.key.extend_from_slice(&part[..part.len().min(room)]);
        if !closed {
            self.state = State::InKey { escape };
            return end;
        }
        self.state = State::Colon;
        let place = self.places.last().copied().unwrap_or(Place::Batch);
        let member = if self.key_is_escaped {
            let mut quoted = vec![b'"'];
            quoted.extend_from_slice(&self.key);
            quoted.push(b'"');
            let key: String = serde_json::from_slice(&quoted).unwrap_or_default();
            member(place, key.as_bytes())
        } else {
            member(place, &self.key)
        };
        self.inside = self.collector.expect(member);
        end
    }

    /// A value begins with the byte at `at`.
    fn enter_value(&mut self, bytes: &[u8], at: usize) -> usize {
        if self.state == State::Element {
            self.collector.expect_nothing();
            self.inside = None;
        }
        match bytes[at] {
            b'{' => {
                if let Some(place) = self.inside.take_if(|place| !place.is_list()) {
                    self.collector.begin_object(place);
                    self.places.push(place);
                    self.state = State::Key;
                } else {
                    self.begin_skip();
                }
                at + 1
            }
            b'[' => {
                if let Some(place) = self.inside.take_if(|place| place.is_list()) {
                    self.places.push(place);
                    self.state = State::Element;
                } else {
                    self.begin_skip();
                }
                at + 1
            }
            b'"' => {
                self.collector.begin_string();
                self.state = State::InString { escape: false };
                at + 1
            }
            b'}' | b']' | b',' | b':' => {
                self.state = State::Malformed;
                at
            }
            _ => {
                self.collector.begin_scalar();
                self.state = State::InScalar;
                at
            }
        }
    }

    fn in_string(&mut self, bytes: &[u8], at: usize, escape: bool) -> usize {
        let (end, closed, escape) = string_end(bytes, at, escape);
        self.collector.push_string(&bytes[at..end], closed);
        self.state = if closed { State::After } else { State::InString { escape } };
        end
    }

    fn in_scalar(&mut self, bytes: &[u8], at: usize) -> usize {
        let rest = &bytes[at..];
        let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n');
        let len = rest.iter().position(is_end).unwrap_or(rest.len());
        self.collector.push_scalar(&rest[..len]);
        if len < rest.len() {
            self.collector.end_scalar();
            self.state = State::After;
        }
        at + len
    }

    /// The bracket of a value that nobody wants has passed.
    fn begin_skip(&mut self) {
        self.skip_depth = 1;
        self.state = State::Skip;
    }

    fn skip(&mut self, bytes: &[u8], mut at: usize) -> usize {
        while at < bytes.len() {
            let byte = bytes[at];
            at += 1;
            match byte {
                b'"' => {
                    self.state = State::SkipString { escape: false };
                    return at;
                }
                b'{' | b'[' => self.skip_depth += 1,
                b'}' | b']' => {
                    self.skip_depth -= 1;
                    if self.skip_depth == 0 {
                        self.state = State::After;
                        return at;
                    }
                }
                _ => {}
            }
        }
        at
    }

    fn skip_string(&mut self, bytes: &[u8], at: usize, escape: bool) -> usize {
        let (end, closed, escape) = string_end(bytes, at, escape);
        self.state = if closed { State::Skip } else { State::SkipString { escape } };
        end
    }
}

/// Looks for the end of a string: the position after what was consumed, whether the closing quote was (it is then the
/// last byte consumed), and whether the next byte is escaped.
fn string_end(bytes: &[u8], mut at: usize, escape: bool) -> (usize, bool, bool) {
    if escape {
        at += 1;
    }
    while let Some(found) = memchr2(b'"', b'\\', &bytes[at..]) {
        at += found + 1;
        if bytes[at - 1] == b'"' {
            return (at, true, false);
        }
        if at == bytes.len() {
            return (at, false, true);
        }
        // The escaped byte is none of ours, whatever it is.
        at += 1;
    }
    (bytes.len(), false, false)
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
