//! An event read back from the words that `packing.rs` made of it. Pure functions; they run on the appender.

use super::packing::{
    BITS, CODE_BITS, FLAG_BITS, HAS_SMALL, REQUEST, SCHEMA_VERSION, SESSION, SESSION_CLOSED, SHORT_BITS, STATUS_BITS,
    TAG, WORD_BYTES,
};
use crate::event::{Code, DetailSource, Event, Limit, Notes, Request, SchemaVersion, Session, SessionClosed, Status};
use std::sync::atomic::{AtomicU64, Ordering};

/// The words of the event that begins with the first of `words`.
#[inline]
pub(super) fn event_words(words: &[AtomicU64]) -> &[AtomicU64] {
    let head = words.first().map_or(0, |head| head.load(Ordering::Relaxed));
    let [a, b, c, d, ..] = head.to_le_bytes();
    &words[..u32::from_le_bytes([a, b, c, d]) as usize]
}

/// Copies words out, as bytes.
#[inline]
pub(super) fn copy(words: &[AtomicU64], bytes: &mut Vec<u8>) {
    bytes.resize(words.len() * WORD_BYTES, 0);
    for (word, bytes) in words.iter().zip(bytes.as_chunks_mut::<WORD_BYTES>().0) {
        *bytes = word.load(Ordering::Relaxed).to_le_bytes();
    }
}

/// Reads an event back from what [`pack`](super::packing::pack) made in this process.
///
/// # Panics
/// If the bytes are anything else: our own bug.
pub(super) fn unpack(bytes: &[u8]) -> Event<'_> {
    let head = bytes.first_chunk::<WORD_BYTES>().map(|head| u64::from_le_bytes(*head)).expect(OWN_BYTES);
    let small = if head & HAS_SMALL == 0 { None } else { bytes.last_chunk() };
    let small = small.map_or(0, |word| u64::from_le_bytes(*word));
    let mut parts = Unpacker { bits: head >> BITS, rest: &bytes[WORD_BYTES..], small };
    match head >> TAG & 0xf {
        REQUEST => Event::Request(request(parts)),
        SESSION => {
            let started_at = parts.required_number();
            let (session_id, proxy) = (parts.required_text(), parts.required_text());
            let mut session = Session::new(session_id, started_at, proxy);
            session.client_name = parts.optional_text();
            session.client_version = parts.optional_text();
            session.client_platform = parts.optional_text();
            session.protocol_version = parts.optional_text();
            session.derived = parts.bits(1) != 0;
            session.noise_lines = parts.optional_number();
            Event::Session(session)
        }
        SESSION_CLOSED => {
            let ended_at = parts.required_number();
            Event::SessionClosed(SessionClosed::new(parts.required_text(), ended_at))
        }
        SCHEMA_VERSION => {
            let ts = parts.required_number();
            let [proxy, upstream_url, method, content_hash, caller] = std::array::from_fn(|_| parts.required_text());
            let mut version = SchemaVersion::seen_again(ts, proxy, upstream_url, method, content_hash);
            (version.caller, version.payload) = (caller, parts.optional_text());
            Event::SchemaVersion(version)
        }
        tag => unreachable!("packed event with tag {tag}"),
    }
}

fn request(mut parts: Unpacker<'_>) -> Request<'_> {
    let (ts, latency_us) = (parts.required_number(), parts.required_number());
    let status = Status::from_number(i64::try_from(parts.bits(STATUS_BITS)).unwrap_or_default());
    let (request_id, proxy) = (parts.required_text(), parts.required_text());
    let session_id = parts.optional_text();
    let mut request = Request::new(request_id, ts, proxy, parts.required_text());
    (request.latency_us, request.status, request.session_id) = (latency_us, status, session_id);
    request.tool = parts.optional_text();
    request.take_details(&mut parts);
    request
}

const OWN_BYTES: &str = "bytes that this process packed";

/// Reads an event's parts in the order in which they were written.
struct Unpacker<'a> {
    /// The head's bits that are not read yet.
    bits: u64,
    /// The bytes that are not read yet.
    rest: &'a [u8],
    /// The bits of small values that are not read yet.
    small: u64,
}

impl<'a> Unpacker<'a> {
    fn bits(&mut self, bits: u32) -> u64 {
        low_bits(&mut self.bits, bits)
    }

    fn small(&mut self, bits: u32) -> u64 {
        low_bits(&mut self.small, bits)
    }

    fn word(&mut self) -> [u8; WORD_BYTES] {
        let (word, rest) = self.rest.split_first_chunk().expect(OWN_BYTES);
        self.rest = rest;
        *word
    }

    fn required_number(&mut self) -> i64 {
        i64::from_le_bytes(self.word())
    }

    fn optional_number(&mut self) -> Option<i64> {
        (self.bits(1) != 0).then(|| self.required_number())
    }

    fn required_text(&mut self) -> &'a str {
        self.optional_text().expect(OWN_BYTES)
    }

    fn optional_text(&mut self) -> Option<&'a str> {
        if self.bits(1) == 0 {
            return None;
        }
        let length = usize::try_from(u64::from_le_bytes(self.word())).expect(OWN_BYTES);
        let (words, rest) = self.rest.split_at_checked(length.next_multiple_of(WORD_BYTES)).expect(OWN_BYTES);
        self.rest = rest;
        Some(str::from_utf8(&words[..length]).expect(OWN_BYTES))
    }
}

/// Takes so many bits from the low end.
fn low_bits(from: &mut u64, bits: u32) -> u64 {
    let value = *from & ((1 << bits) - 1);
    *from >>= bits;
    value
}

impl<'a> DetailSource<'a, &'a str> for Unpacker<'a> {
    fn id(&mut self, _name: &'static str) -> Option<&'a str> {
        self.optional_text()
    }

    fn text(&mut self, _name: &'static str, _limit: Limit) -> Option<&'a str> {
        self.optional_text()
    }

    fn number(&mut self, _name: &'static str) -> Option<i64> {
        self.optional_number()
    }

    fn short(&mut self, _name: &'static str) -> Option<u16> {
        let value = self.small(SHORT_BITS);
        (value != 0).then(|| u16::try_from(value >> 1).expect(OWN_BYTES))
    }

    fn flag(&mut self, _name: &'static str) -> Option<bool> {
        let value = self.bits(FLAG_BITS);
        (value != 0).then_some(value >> 1 != 0)
    }

    fn code<C: Code>(&mut self, _name: &'static str) -> Option<C> {
        let value = self.small(CODE_BITS);
        value.checked_sub(1).map(|number| C::with_number(number).expect(OWN_BYTES))
    }

    fn bytes<const N: usize>(&mut self, _name: &'static str) -> Option<[u8; N]> {
        if self.bits(1) == 0 {
            return None;
        }
        let (bytes, rest) = self.rest.split_first_chunk().expect(OWN_BYTES);
        self.rest = rest;
        Some(*bytes)
    }

    fn notes(&mut self, _name: &'static str) -> Notes {
        if self.bits(1) == 0 { Notes::NONE } else { Notes::from_bits(u64::from_le_bytes(self.word())) }
    }
}
