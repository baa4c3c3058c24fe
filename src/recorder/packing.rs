//! The layout of an event in a block: words that a recording thread writes and the appender reads.
//!
//! | words | what |
//! |---|---|
//! | 1 | how many words the event has (32 bits), its tag (4), whether there are small values (1), its bits (27: which of the parts below there are, and the smallest values) |
//! | one for each number that every event of the tag has | times |
//! | for each number that is there, one | sizes |
//! | for each text that is there, one | its length in bytes |
//! | and as many as it needs | the text, eight bytes a word |
//! | 1, if there are any | the small values of details, a few bits each |
//!
//! Pure functions: packing runs on the recording thread, unpacking on the appender. The layout never leaves the
//! process; what is on disk is [`crate::record`]'s.

use crate::event::{Code, DetailSink, ERROR_MSG_CHARS_MAX, Event, Limit, Notes, Observation, Request};
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) const WORD_BYTES: usize = size_of::<u64>();

/// The first bit of the tag in an event's first word.
pub(super) const TAG: u32 = 32;
/// The bit of the first word that says whether the last word has small values.
pub(super) const HAS_SMALL: u64 = 1 << 36;
/// The first of the event's bits in the first word.
pub(super) const BITS: u32 = 37;

pub(super) const REQUEST: u64 = 1;
pub(super) const SESSION: u64 = 2;
pub(super) const SESSION_CLOSED: u64 = 3;
pub(super) const SCHEMA_VERSION: u64 = 4;

/// How many bits a status takes.
pub(super) const STATUS_BITS: u32 = 2;
/// How many bits a yes or no takes that may be absent.
pub(super) const FLAG_BITS: u32 = 2;
/// How many bits a code takes that may be absent: there is room for 31 codes.
pub(super) const CODE_BITS: u32 = 5;
/// How many bits a number of 16 bits takes that may be absent.
pub(super) const SHORT_BITS: u32 = 17;

/// Writes an event into `words`, as far as there is room; returns how many words it takes.
///
/// Packing makes one pass, in little code. With another pass before to add up the lengths, and an array of the texts, a
/// request took 820 instructions in 47 cache lines, in a burst 49 ns above the timer; now it takes 495 in 23, and 30
/// ns. The number of instructions decides: more than five of them run in a cycle.
#[inline]
pub(super) fn pack<'a>(event: &impl Observation<'a>, words: &[AtomicU64]) -> usize {
    match event.as_request() {
        Some(request) => pack_request(request, words),
        None => pack_other(&(*event).into(), words),
    }
}

#[inline(never)]
fn pack_request(request: &Request<'_>, words: &[AtomicU64]) -> usize {
    let mut packer = Packer::new(words, [request.ts, request.latency_us]);
    packer.bits(STATUS_BITS, request.status.number().into());
    packer.put_text(Some(request.request_id));
    packer.put_text(Some(request.proxy));
    packer.put_text(request.session_id);
    packer.put_text(Some(request.method));
    packer.put_text(request.tool);
    request.put_details(&mut packer);
    packer.finish(REQUEST)
}

/// Packs the rare events, apart from requests, whose code stays short that way.
#[cold]
fn pack_other(event: &Event<'_>, words: &[AtomicU64]) -> usize {
    match event {
        Event::Request(request) => pack_request(request, words),
        Event::Session(session) => {
            let mut packer = Packer::new(words, [session.started_at]);
            packer.put_text(Some(session.session_id));
            packer.put_text(Some(session.proxy));
            packer.put_text(session.client_name);
            packer.put_text(session.client_version);
            packer.put_text(session.client_platform);
            packer.put_text(session.protocol_version);
            packer.bits(1, session.derived.into());
            packer.put_number(session.noise_lines);
            packer.finish(SESSION)
        }
        Event::SessionClosed(closed) => {
            let mut packer = Packer::new(words, [closed.ended_at]);
            packer.put_text(Some(closed.session_id));
            packer.finish(SESSION_CLOSED)
        }
        Event::SchemaVersion(version) => {
            let mut packer = Packer::new(words, [version.ts]);
            for text in [version.proxy, version.upstream_url, version.method, version.content_hash, version.caller] {
                packer.put_text(Some(text));
            }
            packer.put_text(version.payload);
            packer.finish(SCHEMA_VERSION)
        }
    }
}

/// The first [`ERROR_MSG_CHARS_MAX`] characters and one more, by which folding sees that there were more.
fn cut_error_msg(text: &str) -> &str {
    if text.len() <= ERROR_MSG_CHARS_MAX {
        return text;
    }
    text.char_indices().nth(ERROR_MSG_CHARS_MAX + 1).map_or(text, |(end, _)| &text[..end])
}

/// Writes an event's parts, as far as there is room.
struct Packer<'w> {
    words: &'w [AtomicU64],
    /// How many words the event has so far.
    at: usize,
    /// The head so far, and its next bit.
    head: u64,
    bit: u32,
    /// The small values of details so far, and the next bit for them.
    small: u64,
    small_bit: u32,
}

impl<'w> Packer<'w> {
    /// Begins an event: puts its numbers behind the place of its head.
    #[inline]
    fn new<const N: usize>(words: &'w [AtomicU64], numbers: [i64; N]) -> Self {
        if let Some(places) = words.get(1..).and_then(|rest| rest.first_chunk::<N>()) {
            for (place, number) in places.iter().zip(numbers) {
                place.store(number.cast_unsigned(), Ordering::Relaxed);
            }
        }
        Self { words, at: 1 + N, head: 0, bit: BITS, small: 0, small_bit: 0 }
    }

    /// Puts a value into so many bits of the head.
    #[inline]
    fn bits(&mut self, bits: u32, value: u64) {
        self.head |= value << self.bit;
        self.bit += bits;
    }

    /// Puts a value into so many bits of the word for small ones; zero stands for none.
    #[inline]
    fn small(&mut self, bits: u32, value: u64) {
        self.small |= value << self.small_bit;
        self.small_bit += bits;
    }

    #[inline]
    fn put_text(&mut self, text: Option<&str>) {
        self.bits(1, text.is_some().into());
        if let Some(text) = text {
            self.at = put_text(self.words, self.at, text);
        }
    }

    #[inline]
    fn put_number(&mut self, value: Option<i64>) {
        self.bits(1, value.is_some().into());
        if let Some(number) = value {
            self.word(number.cast_unsigned());
        }
    }

    #[inline]
    fn word(&mut self, word: u64) {
        if let Some(place) = self.words.get(self.at) {
            place.store(word, Ordering::Relaxed);
        }
        self.at += 1;
    }

    /// Writes the small values and the head; returns how many words the event takes.
    #[inline]
    fn finish(mut self, tag: u64) -> usize {
        debug_assert!(self.bit <= u64::BITS && self.small_bit <= u64::BITS, "the words have room for all parts");
        if self.small != 0 {
            self.head |= HAS_SMALL;
            self.word(self.small);
        }
        if let Some(head) = self.words.first() {
            // No event has 2^32 words: the limit on its size comes first.
            head.store(self.at as u64 | tag << TAG | self.head, Ordering::Relaxed);
        }
        self.at
    }
}

impl<'a> DetailSink<'a, &'a str> for Packer<'_> {
    #[inline]
    fn id(&mut self, _name: &'static str, value: Option<&'a str>) {
        self.put_text(value);
    }

    #[inline]
    fn text(&mut self, _name: &'static str, limit: Limit, value: Option<&'a str>) {
        self.put_text(if limit == Limit::Message { value.map(cut_error_msg) } else { value });
    }

    #[inline]
    fn number(&mut self, _name: &'static str, value: Option<i64>) {
        self.put_number(value);
    }

    #[inline]
    fn short(&mut self, _name: &'static str, value: Option<u16>) {
        self.small(SHORT_BITS, value.map_or(0, |number| u64::from(number) << 1 | 1));
    }

    #[inline]
    fn flag(&mut self, _name: &'static str, value: Option<bool>) {
        self.bits(FLAG_BITS, value.map_or(0, |flag| u64::from(flag) << 1 | 1));
    }

    #[inline]
    fn code<C: Code>(&mut self, _name: &'static str, value: Option<C>) {
        self.small(CODE_BITS, value.map_or(0, |code| u64::from(code.number()) + 1));
    }

    #[inline]
    fn bytes<const N: usize>(&mut self, _name: &'static str, value: Option<[u8; N]>) {
        self.bits(1, value.is_some().into());
        for word in value.iter().flat_map(|bytes| bytes.as_chunks::<WORD_BYTES>().0) {
            self.word(u64::from_le_bytes(*word));
        }
    }

    #[inline]
    fn notes(&mut self, _name: &'static str, value: Notes) {
        self.bits(1, (!value.is_empty()).into());
        if !value.is_empty() {
            self.word(value.bits());
        }
    }
}

/// Writes a text and its length at `at`, if there is room; returns where it ends.
#[inline(never)]
fn put_text(words: &[AtomicU64], at: usize, text: &str) -> usize {
    let end = at + 1 + text.len().div_ceil(WORD_BYTES);
    if let Some([length, places @ ..]) = words.get(at..end) {
        length.store(text.len() as u64, Ordering::Relaxed);
        let (chunks, last) = text.as_bytes().as_chunks::<WORD_BYTES>();
        // No `zip`: the compiler unrolled that loop, and texts as short as names took longer.
        for (index, chunk) in chunks.iter().enumerate() {
            places[index].store(u64::from_le_bytes(*chunk), Ordering::Relaxed);
        }
        if !last.is_empty() {
            places[chunks.len()].store(last_word(text.as_bytes(), last), Ordering::Relaxed);
        }
    }
    end
}

/// The one to seven bytes at the end of a text, by loads that overlap: a copy of unknown length would be a call.
#[inline]
fn last_word(text: &[u8], rest: &[u8]) -> u64 {
    let bits = |bytes: usize| 8 * bytes;
    if let Some(last) = text.last_chunk::<WORD_BYTES>() {
        return u64::from_le_bytes(*last) >> bits(WORD_BYTES - rest.len());
    }
    if let (Some(first), Some(last)) = (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return u64::from(first) | u64::from(last) << bits(rest.len() - 4);
    }
    // One to three bytes.
    let (middle, last) = (rest.len() / 2, rest.len() - 1);
    u64::from(rest[0]) | u64::from(rest[middle]) << bits(middle) | u64::from(rest[last]) << bits(last)
}
