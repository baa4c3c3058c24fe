//! The layout of an event in a block: words that a recording thread writes and the appender reads.
//!
//! | words | what |
//! |---|---|
//! | 1 | how many words the event has (32 bits), its tag (8 bits), its flags (24 bits: which texts there are, and the tag's own) |
//! | one for each number | times, sizes |
//! | one for every two texts | their lengths in bytes, 32 bits each |
//! | the texts | eight bytes a word, each text from a word of its own |
//!
//! Pure functions: packing runs on the recording thread, unpacking on the appender. The layout never leaves the process;
//! what is on disk is [`crate::record`]'s.

use crate::event::{ERROR_MSG_CHARS_MAX, Event, Request, SchemaVersion, Session, SessionClosed, Status};
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) const WORD_BYTES: usize = size_of::<u64>();

const REQUEST: u8 = 1;
const SESSION: u8 = 2;
const SESSION_CLOSED: u8 = 3;
const SCHEMA_VERSION: u8 = 4;

/// An event, taken apart.
pub(super) struct Parts<'a, const NUMBERS: usize, const TEXTS: usize> {
    tag: u8,
    /// The tag's own flags, eight of them.
    flags: u8,
    numbers: [i64; NUMBERS],
    /// Which texts there are, a bit each.
    present: u16,
    /// Those that are not there are empty, which spares a branch for each wherever lengths are added up.
    texts: [&'a [u8]; TEXTS],
}

impl<'a, const NUMBERS: usize, const TEXTS: usize> Parts<'a, NUMBERS, TEXTS> {
    #[inline]
    fn new(tag: u8, flags: u8, numbers: [i64; NUMBERS], texts: [Option<&'a str>; TEXTS]) -> Self {
        let mut present = 0;
        for (index, text) in texts.iter().enumerate() {
            present |= u16::from(text.is_some()) << index;
        }
        Self { tag, flags, numbers, present, texts: texts.map(|text| text.unwrap_or_default().as_bytes()) }
    }
}

const STATUS: u8 = 3;
const HAS_BYTES_IN: u8 = 1 << 2;
const HAS_BYTES_OUT: u8 = 1 << 3;
const HAS_TOOL_ERROR: u8 = 1 << 4;
const TOOL_ERROR: u8 = 1 << 5;

#[inline]
pub(super) fn request_parts<'a>(request: &Request<'a>) -> Parts<'a, 4, 10> {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    Parts::new(
        REQUEST,
        request.status.number()
            | flag(request.bytes_in.is_some(), HAS_BYTES_IN)
            | flag(request.bytes_out.is_some(), HAS_BYTES_OUT)
            | flag(request.tool_error.is_some(), HAS_TOOL_ERROR)
            | flag(request.tool_error == Some(true), TOOL_ERROR),
        [request.ts, request.latency_us, request.bytes_in.unwrap_or_default(), request.bytes_out.unwrap_or_default()],
        [
            Some(request.request_id),
            Some(request.proxy),
            request.session_id,
            Some(request.method),
            request.tool,
            request.error_code,
            request.error_msg.map(cut_error_msg),
            request.target,
            request.protocol_version,
            request.rpc_id,
        ],
    )
}

pub(super) fn session_parts<'a>(session: &Session<'a>) -> Parts<'a, 1, 6> {
    let texts = [
        Some(session.session_id),
        Some(session.proxy),
        session.client_name,
        session.client_version,
        session.client_platform,
        session.protocol_version,
    ];
    Parts::new(SESSION, u8::from(session.derived), [session.started_at], texts)
}

pub(super) fn closed_parts<'a>(closed: &SessionClosed<'a>) -> Parts<'a, 1, 1> {
    Parts::new(SESSION_CLOSED, 0, [closed.ended_at], [Some(closed.session_id)])
}

pub(super) fn schema_parts<'a>(version: &SchemaVersion<'a>) -> Parts<'a, 1, 5> {
    let texts = [version.proxy, version.upstream_url, version.method, version.payload, version.content_hash];
    Parts::new(SCHEMA_VERSION, 0, [version.ts], texts.map(Some))
}

/// The first [`ERROR_MSG_CHARS_MAX`] characters and one more, by which the folder sees that there were more.
fn cut_error_msg(text: &str) -> &str {
    if text.len() <= ERROR_MSG_CHARS_MAX {
        return text;
    }
    text.char_indices().nth(ERROR_MSG_CHARS_MAX + 1).map_or(text, |(end, _)| &text[..end])
}

impl<const NUMBERS: usize, const TEXTS: usize> Parts<'_, NUMBERS, TEXTS> {
    /// How many words it takes.
    #[inline]
    pub(super) fn words(&self) -> usize {
        let mut words = 1 + NUMBERS + TEXTS.div_ceil(2);
        for text in &self.texts {
            words += text.len().div_ceil(WORD_BYTES);
        }
        words
    }

    /// Writes it into words, which must be as many as [`Self::words`] says.
    #[inline]
    pub(super) fn pack(&self, words: &[AtomicU64]) {
        let flags = u64::from(self.tag) | u64::from(self.present) << 8 | u64::from(self.flags) << 24;
        pack(flags, &self.numbers, &self.texts, words);
    }
}

/// Not inlined, and over slices, so that there is one copy of it for all sorts of events.
#[inline(never)]
fn pack(flags: u64, numbers: &[i64], texts: &[&[u8]], words: &[AtomicU64]) {
    let (head, mut rest) = words.split_at(1 + numbers.len() + texts.len().div_ceil(2));
    head[0].store(words.len() as u64 | flags << 32, Ordering::Relaxed);
    let (places, lengths) = head[1..].split_at(numbers.len());
    for (word, number) in places.iter().zip(numbers) {
        word.store(number.cast_unsigned(), Ordering::Relaxed);
    }
    for (word, pair) in lengths.iter().zip(texts.chunks(2)) {
        // No event has 4 GiB: the limit on its size comes first.
        let second = pair.get(1).map_or(0, |text| text.len() as u64);
        word.store(pair[0].len() as u64 | second << 32, Ordering::Relaxed);
    }
    for text in texts {
        rest = put_text(text, rest);
    }
}

/// Writes a text to the front of `words`; what is left of them comes back.
#[inline]
fn put_text<'w>(text: &[u8], words: &'w [AtomicU64]) -> &'w [AtomicU64] {
    let (chunks, last) = text.as_chunks::<WORD_BYTES>();
    let (whole, mut rest) = words.split_at(chunks.len());
    for (word, chunk) in whole.iter().zip(chunks) {
        word.store(u64::from_le_bytes(*chunk), Ordering::Relaxed);
    }
    if !last.is_empty() {
        rest[0].store(last_word(text, last), Ordering::Relaxed);
        rest = &rest[1..];
    }
    rest
}

/// The one to seven bytes at the end of a text. Loads that overlap: a copy of unknown length would be a call.
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

/// Reads an event back from what [`Parts::pack`] made in this process.
///
/// # Panics
/// If the bytes are anything else: our own bug.
pub(super) fn unpack(bytes: &[u8]) -> Event<'_> {
    let (head, rest) = bytes.split_first_chunk::<WORD_BYTES>().expect(OWN_BYTES);
    let [_, _, _, _, tag, present @ .., flags] = *head;
    let source = Source { present: u16::from_le_bytes(present), rest };
    match tag {
        REQUEST => Event::Request(request(flags, source)),
        SESSION => {
            let ([started_at], [id, proxy, client_name, client_version, client_platform, protocol_version]) =
                source.parts();
            let mut session = Session::new(required(id), started_at, required(proxy));
            session.client_name = client_name;
            session.client_version = client_version;
            session.client_platform = client_platform;
            session.protocol_version = protocol_version;
            session.derived = flags != 0;
            Event::Session(session)
        }
        SESSION_CLOSED => {
            let ([ended_at], [id]) = source.parts();
            Event::SessionClosed(SessionClosed::new(required(id), ended_at))
        }
        SCHEMA_VERSION => {
            let ([ts], texts) = source.parts();
            let [proxy, upstream_url, method, payload, content_hash] = texts.map(required);
            Event::SchemaVersion(SchemaVersion::new(ts, proxy, upstream_url, method, payload, content_hash))
        }
        tag => unreachable!("packed event with tag {tag}"),
    }
}

fn request(flags: u8, source: Source<'_>) -> Request<'_> {
    let ([ts, latency_us, bytes_in, bytes_out], texts) = source.parts();
    let [id, proxy, session_id, method, tool, error_code, error_msg, target, protocol_version, rpc_id] = texts;
    let mut request = Request::new(required(id), ts, required(proxy), required(method));
    request.latency_us = latency_us;
    request.status = Status::from_number(i64::from(flags & STATUS));
    request.bytes_in = (flags & HAS_BYTES_IN != 0).then_some(bytes_in);
    request.bytes_out = (flags & HAS_BYTES_OUT != 0).then_some(bytes_out);
    request.tool_error = (flags & HAS_TOOL_ERROR != 0).then_some(flags & TOOL_ERROR != 0);
    (request.session_id, request.tool, request.target) = (session_id, tool, target);
    (request.error_code, request.error_msg) = (error_code, error_msg);
    (request.protocol_version, request.rpc_id) = (protocol_version, rpc_id);
    request
}

const OWN_BYTES: &str = "bytes that this process packed";

fn required(text: Option<&str>) -> &str {
    text.expect(OWN_BYTES)
}

/// The words after the first.
struct Source<'a> {
    /// Which texts there are, a bit each.
    present: u16,
    rest: &'a [u8],
}

impl<'a> Source<'a> {
    fn parts<const NUMBERS: usize, const TEXTS: usize>(mut self) -> ([i64; NUMBERS], [Option<&'a str>; TEXTS]) {
        let numbers = std::array::from_fn(|_| i64::from_le_bytes(self.take()));
        let (lengths, mut texts) = self.rest.split_at_checked(TEXTS.div_ceil(2) * WORD_BYTES).expect(OWN_BYTES);
        let lengths = lengths.as_chunks::<4>().0;
        let texts = std::array::from_fn(|index| {
            if self.present & 1 << index == 0 {
                return None;
            }
            let length = u32::from_le_bytes(lengths[index]) as usize;
            let (words, rest) = texts.split_at_checked(length.next_multiple_of(WORD_BYTES)).expect(OWN_BYTES);
            texts = rest;
            Some(str::from_utf8(&words[..length]).expect(OWN_BYTES))
        });
        (numbers, texts)
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (bytes, rest) = self.rest.split_first_chunk().expect(OWN_BYTES);
        self.rest = rest;
        *bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = String> {
        prop_oneof!["", ".{1,12}", ".{100,400}"]
    }

    fn option() -> impl Strategy<Value = Option<String>> {
        proptest::option::of(text())
    }

    fn packed(event: &Event<'_>) -> Vec<u8> {
        match event {
            Event::Request(request) => packed_parts(&request_parts(request)),
            Event::Session(session) => packed_parts(&session_parts(session)),
            Event::SessionClosed(closed) => packed_parts(&closed_parts(closed)),
            Event::SchemaVersion(version) => packed_parts(&schema_parts(version)),
        }
    }

    fn packed_parts<const NUMBERS: usize, const TEXTS: usize>(parts: &Parts<'_, NUMBERS, TEXTS>) -> Vec<u8> {
        let count = parts.words();
        let block: Vec<_> = (0..count + 3).map(|_| AtomicU64::new(u64::MAX)).collect();
        parts.pack(&block[..count]);
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
            texts in proptest::array::uniform3(text()), options in proptest::array::uniform7(option()),
            numbers in any::<(i64, i64, Option<i64>, Option<i64>, Option<bool>)>(), status in 0..3_usize,
        ) {
            let mut request = Request::new(&texts[0], numbers.0, &texts[1], &texts[2]);
            request.latency_us = numbers.1;
            (request.bytes_in, request.bytes_out, request.tool_error) = (numbers.2, numbers.3, numbers.4);
            request.status = [Status::Ok, Status::Error, Status::Timeout][status];
            let [session, tool, code, msg, target, version, rpc] = options.each_ref().map(Option::as_deref);
            (request.session_id, request.tool, request.error_code) = (session, tool, code);
            (request.error_msg, request.target, request.protocol_version, request.rpc_id) = (msg, target, version, rpc);
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
