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

use super::content_text::{ContentText, ItemMember};
use super::message::{Capture, Message, Slot};
use super::place::{Member, Place, member, slots_inside};
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
    /// The document is complete; what follows is ignored.
    Done,
    /// This is not JSON-RPC; what follows is ignored.
    Malformed,
}

/// Reads one JSON document: a message or a batch of them.
pub struct Scanner {
    state: State,
    /// The places the reading is in, outermost first; at most five deep.
    places: Vec<Place>,
    key: Vec<u8>,
    key_is_escaped: bool,
    /// What the value of the current key is worth.
    wanted: Option<Slot>,
    /// The same, if it is a member of an item of a result's content.
    wanted_of_item: Option<ItemMember>,
    inside: Option<Place>,
    /// The current scalar or string, if it is being captured.
    capture: Option<Capture>,
    skip_depth: u64,
    /// The budget had no room for a value: nothing more is read.
    is_starved: bool,
    /// Bytes read before the current chunk.
    offset: u64,
    message: Message,
    /// What the content of the current result says, as long as nobody knows whether it is an error. `None` where that is not
    /// to be read.
    content: Option<ContentText>,
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
            places: Vec::with_capacity(5),
            key: Vec::new(),
            key_is_escaped: false,
            wanted: None,
            wanted_of_item: None,
            inside: None,
            capture: None,
            skip_depth: 0,
            is_starved: false,
            offset: 0,
            message: Message::within(budget),
            content: Some(ContentText::default()),
        }
    }

    /// The same, but that it never looks into what results contain.
    #[must_use]
    pub fn without_error_text(self) -> Self {
        Self { content: None, ..self }
    }

    /// Starts over with a new document, keeping what is allocated.
    pub fn reset(&mut self) {
        self.state = State::Start;
        self.places.clear();
        self.capture = None;
        self.skip_depth = 0;
        self.offset = 0;
        self.message.clear(0, false);
        self.forget_content();
    }

    /// Whether a whole document was read.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the budget had no room for what was to be captured. Nothing is read from then on.
    pub fn is_starved(&self) -> bool {
        self.is_starved
    }

    /// The message that the stream broke off in, if it was in one.
    pub fn unfinished(&mut self) -> Option<&Message> {
        if self.state == State::Malformed || !self.places.contains(&Place::Message) {
            return None;
        }
        // A scalar at the very end may be half a number: it does not count.
        self.message.end = self.offset;
        Some(&self.message)
    }

    /// Reads the next bytes; `on_message` gets every message that ends in them, and may take it away.
    pub fn push(&mut self, bytes: &[u8], mut on_message: impl FnMut(&mut Message)) {
        let mut at = 0;
        while at < bytes.len() && !self.is_starved {
            let byte = bytes[at];
            match self.state {
                State::Done | State::Malformed => break,
                State::InKey { escape } => at = self.in_key(bytes, at, escape),
                State::InString { escape } => at = self.in_string(bytes, at, escape),
                State::InScalar => at = self.in_scalar(bytes, at),
                State::Skip => at = self.skip(bytes, at),
                State::SkipString { escape } => at = self.skip_string(bytes, at, escape),
                _ if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') => at += 1,
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
        self.message.clear(self.offset + at as u64 - 1, !self.places.is_empty());
        self.forget_content();
        self.places.push(Place::Message);
        self.state = State::Key;
    }

    /// An item of a result's content begins.
    fn enter_item(&mut self) {
        match &mut self.content {
            Some(content) if !content.is_full() => {
                content.begin_item();
                self.places.push(Place::Item);
                self.state = State::Key;
            }
            _ => {
                self.skip_depth = 1;
                self.state = State::Skip;
            }
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
                self.message.end = self.offset + at as u64;
                on_message(&mut self.message);
            }
            Some(Place::Result) => {
                if let Some(content) = self.content.as_ref().filter(|_| self.message.is_error()) {
                    self.message.set_error_text(content.text());
                }
                self.forget_content();
            }
            Some(Place::Item) => self.content.iter_mut().for_each(ContentText::end_item),
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
        self.expect(member);
        end
    }

    /// The value of that member comes next. It takes the place of an earlier one, whatever it is.
    fn expect(&mut self, member: Member) {
        (self.wanted, self.wanted_of_item, self.inside) = (None, None, None);
        match member {
            Member::Nothing => {}
            Member::OfItem(member) => {
                self.content.iter_mut().for_each(|content| content.begin(member));
                self.wanted_of_item = Some(member);
            }
            Member::List(place) => {
                self.forget_content();
                self.inside = Some(place);
            }
            Member::Value(slot) => {
                self.message.forget(&[slot]);
                self.wanted = Some(slot);
            }
            Member::Object(place) => {
                self.message.forget(slots_inside(place));
                match place {
                    Place::Result => {
                        self.message.has_result = true;
                        self.message.set_error_text(None);
                        self.forget_content();
                    }
                    Place::Error => self.message.has_error = false,
                    _ => {}
                }
                self.inside = Some(place);
            }
        }
    }

    /// A value begins with the byte at `at`.
    fn enter_value(&mut self, bytes: &[u8], at: usize) -> usize {
        if self.state == State::Element {
            (self.wanted, self.wanted_of_item, self.inside) = (None, None, None);
        }
        match bytes[at] {
            b'{' => {
                if let Some(place) = self.inside.take_if(|place| !place.is_list()) {
                    self.message.has_error |= place == Place::Error;
                    self.places.push(place);
                    self.state = State::Key;
                } else {
                    self.skip_depth = 1;
                    self.state = State::Skip;
                }
                at + 1
            }
            b'[' => {
                if let Some(place) = self.inside.take_if(|place| place.is_list() && self.content.is_some()) {
                    self.places.push(place);
                    self.state = State::Element;
                } else {
                    self.skip_depth = 1;
                    self.state = State::Skip;
                }
                at + 1
            }
            b'"' => {
                self.begin_capture();
                self.capture(b"\"");
                self.state = State::InString { escape: false };
                at + 1
            }
            b'}' | b']' | b',' | b':' => {
                self.state = State::Malformed;
                at
            }
            _ => {
                self.begin_capture();
                self.state = State::InScalar;
                at
            }
        }
    }

    fn in_string(&mut self, bytes: &[u8], at: usize, escape: bool) -> usize {
        let (end, closed, escape) = string_end(bytes, at, escape);
        self.capture(&bytes[at..end]);
        if let (Some(member), Some(content)) = (self.wanted_of_item, &mut self.content) {
            content.push(member, &bytes[at..end - usize::from(closed)]);
            if closed {
                content.end(member);
            }
        }
        if closed {
            self.end_capture();
            self.state = State::After;
        } else {
            self.state = State::InString { escape };
        }
        end
    }

    fn in_scalar(&mut self, bytes: &[u8], at: usize) -> usize {
        let rest = &bytes[at..];
        let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n');
        let len = rest.iter().position(is_end).unwrap_or(rest.len());
        self.capture(&rest[..len]);
        if len < rest.len() {
            self.end_capture();
            self.state = State::After;
        }
        at + len
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

    fn forget_content(&mut self) {
        self.content.iter_mut().for_each(ContentText::clear);
    }

    fn begin_capture(&mut self) {
        self.capture = self.wanted.map(|_| self.message.begin_capture());
    }

    fn capture(&mut self, part: &[u8]) {
        if let Some(capture) = &mut self.capture {
            self.is_starved |= !self.message.capture(capture, part);
        }
    }

    fn end_capture(&mut self) {
        if let (Some(capture), Some(slot)) = (self.capture.take(), self.wanted.take()) {
            self.message.end_capture(slot, &capture);
        }
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
