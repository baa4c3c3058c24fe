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

use crate::event::{
    Code, DetailSink, DetailSource, ERROR_MSG_CHARS_MAX, Event, Limit, Notes, Observation, Request, SchemaVersion,
    Session, SessionClosed, Status,
};
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) const WORD_BYTES: usize = size_of::<u64>();

/// The first bit of the tag in an event's first word.
const TAG: u32 = 32;
/// The bit of the first word that says whether the last word has small values.
const HAS_SMALL: u64 = 1 << 36;
/// The first of the event's bits in the first word.
const BITS: u32 = 37;

const REQUEST: u64 = 1;
const SESSION: u64 = 2;
const SESSION_CLOSED: u64 = 3;
const SCHEMA_VERSION: u64 = 4;

/// How many bits a status takes.
const STATUS_BITS: u32 = 2;
/// How many bits a yes or no takes that may be absent.
const FLAG_BITS: u32 = 2;
/// How many bits a code takes that may be absent: there is room for 31 codes.
const CODE_BITS: u32 = 5;
/// How many bits a number of 16 bits takes that may be absent.
const SHORT_BITS: u32 = 17;

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
            packer.finish(SESSION)
        }
        Event::SessionClosed(closed) => {
            let mut packer = Packer::new(words, [closed.ended_at]);
            packer.put_text(Some(closed.session_id));
            packer.finish(SESSION_CLOSED)
        }
        Event::SchemaVersion(version) => {
            let mut packer = Packer::new(words, [version.ts]);
            for text in [version.proxy, version.upstream_url, version.method, version.payload, version.content_hash] {
                packer.put_text(Some(text));
            }
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
        self.bits(1, value.is_some().into());
        if let Some(number) = value {
            self.word(number.cast_unsigned());
        }
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

/// Reads an event back from what [`pack`] made in this process.
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
            Event::Session(session)
        }
        SESSION_CLOSED => {
            let ended_at = parts.required_number();
            Event::SessionClosed(SessionClosed::new(parts.required_text(), ended_at))
        }
        SCHEMA_VERSION => {
            let ts = parts.required_number();
            let [proxy, upstream_url, method, payload, content_hash] = std::array::from_fn(|_| parts.required_text());
            Event::SchemaVersion(SchemaVersion::new(ts, proxy, upstream_url, method, payload, content_hash))
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
        (self.bits(1) != 0).then(|| self.required_number())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::any::{with_any_details, with_one_detail_each};
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = String> {
        prop_oneof!["", ".{1,12}", ".{100,400}"]
    }

    fn option() -> impl Strategy<Value = Option<String>> {
        proptest::option::of(text())
    }

    fn packed(event: &Event<'_>) -> Vec<u8> {
        let count = pack(event, &[]);
        let block: Vec<_> = (0..count + 3).map(|_| AtomicU64::new(u64::MAX)).collect();
        assert_eq!(pack(event, &block[..count]), count);
        assert!(block[count..].iter().all(|word| word.load(Ordering::Relaxed) == u64::MAX));
        let mut bytes = Vec::new();
        copy(event_words(&block), &mut bytes);
        assert_eq!(bytes.len(), count * WORD_BYTES);
        bytes
    }

    fn survives(event: Event<'_>) -> Result<(), TestCaseError> {
        let packed = packed(&event);
        prop_assert_eq!(unpack(&packed), event);
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_request_survives_the_channel(
            texts in proptest::array::uniform3(text()), options in proptest::array::uniform2(option()),
            numbers in any::<(i64, i64)>(), status in 0..3_usize, details in any::<u64>(), long in text(),
        ) {
            let mut request = Request::new(&texts[0], numbers.0, &texts[1], &texts[2]);
            (request.latency_us, request.status) = (numbers.1, Status::ALL[status]);
            [request.session_id, request.tool] = options.each_ref().map(Option::as_deref);
            with_any_details(&mut request, details);
            request.target = Some(&long);
            survives(request.into())?;
        }

        #[test]
        fn any_other_event_survives_the_channel(
            texts in proptest::array::uniform5(text()), options in proptest::array::uniform4(option()),
            ts in any::<i64>(), derived in any::<bool>(),
        ) {
            let mut session = Session::new(&texts[0], ts, &texts[1]);
            let [name, version, platform, protocol] = options.each_ref().map(Option::as_deref);
            (session.client_name, session.client_version, session.client_platform) = (name, version, platform);
            (session.protocol_version, session.derived) = (protocol, derived);
            survives(session.into())?;
            survives(SessionClosed::new(&texts[0], ts).into())?;
            survives(SchemaVersion::new(ts, &texts[0], &texts[1], &texts[2], &texts[3], &texts[4]).into())?;
        }
    }

    #[test]
    fn each_detail_alone_survives_the_channel_and_takes_room() {
        let without = pack(&Request::new("id", 1, "proxy", "ping"), &[]);
        for (name, request) in with_one_detail_each() {
            let packed = packed(&request.into());
            assert_eq!(unpack(&packed), request.into(), "{name}");
            // `tool_error` alone has its bits in the head.
            assert!(packed.len() > without * WORD_BYTES || name == "tool_error", "{name}");
        }
    }

    #[test]
    fn an_error_message_is_cut_behind_513_characters_and_not_within_one() {
        let long = "é".repeat(600);
        let mut request = Request::new("id", 0, "p", "m");
        request.error_msg = Some(&long);
        let packed = packed(&request.into());
        let Event::Request(request) = unpack(&packed) else { panic!("not a request") };
        assert_eq!(request.error_msg, Some(&long[..1026]));
    }

    #[test]
    fn every_length_of_text_up_to_three_words_survives() {
        let text = "abcdefghijklmnopqrstuvwxyz";
        for length in 0..=25 {
            let closed = SessionClosed::new(&text[..length], 1).into();
            let packed = packed(&closed);
            assert_eq!(unpack(&packed), closed, "{length}");
        }
    }
}
