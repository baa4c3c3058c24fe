//! How an event crosses the channel: flattened into a message of fixed size.
//!
//! Packing runs on the recording thread: it copies the event's strings into the message, so that handing an event
//! over allocates nothing, takes no lock and makes no system call. An event that does not fit goes into a buffer
//! from a pool. Unpacking runs on the appender. The layout never leaves the process; what is on disk is
//! [`crate::record`]'s.

use crate::event::{ERROR_MSG_CHARS_MAX, Event, Request, SchemaVersion, Session, SessionClosed, Status};
use crossbeam_channel::{Receiver, Sender};

/// Bytes of event that a message holds by itself. With tag and length the message has 248 bytes, and with crossbeam's
/// stamp a slot of the channel 256: four cache lines. A typical request packs into 150 to 200 bytes.
const INLINE_BYTES: usize = 246;
const _: () = assert!(size_of::<Message>() == 248, "a slot of the channel is four cache lines");

/// How many buffers for larger events are kept for reuse.
const POOL_BUFFERS: usize = 1024;
/// The size they start with: an error message of 512 characters and everything else fits.
const POOL_BUFFER_BYTES: usize = 1024;
/// A buffer that grew beyond this is not kept: a rare large payload must not hold its memory for ever.
const POOL_BUFFER_BYTES_MAX: usize = 64 * 1024;

/// What goes through the channel.
#[expect(clippy::large_enum_variant, reason = "the message is the place where an event waits; a box would allocate")]
pub(crate) enum Message {
    /// An event, packed in place.
    Inline { length: u8, bytes: [u8; INLINE_BYTES] },
    /// An event, packed into a buffer of the pool.
    Large(Vec<u8>),
}

impl Message {
    /// Packs an event. `Err` says how many bytes it takes, where that is more than `bytes_max`.
    #[inline]
    pub(crate) fn pack(event: &Event<'_>, pool: &Pool, bytes_max: usize) -> Result<Self, usize> {
        let mut size = Measure(0);
        put_event(event, &mut size);
        let size = size.0;
        if let (true, Ok(length)) = (size <= INLINE_BYTES, u8::try_from(size)) {
            let mut inline = Inline { bytes: [0; INLINE_BYTES], at: 0 };
            put_event(event, &mut inline);
            return Ok(Self::Inline { length, bytes: inline.bytes });
        }
        if size > bytes_max {
            return Err(size);
        }
        let mut buffer = pool.take();
        buffer.reserve(size);
        put_event(event, &mut buffer);
        Ok(Self::Large(buffer))
    }

    /// The packed bytes of an event; `None` for a barrier.
    pub(crate) fn packed(&self) -> Option<&[u8]> {
        match self {
            Self::Inline { length, bytes } => Some(&bytes[..usize::from(*length)]),
            Self::Large(bytes) => Some(bytes),
        }
    }
}

/// Buffers for events that a message can't hold by itself.
///
/// They wait in a channel of their own: recording threads take them without a lock, the appender gives them back. With
/// all of them under way a new one is allocated, which may make a system call.
#[derive(Debug)]
pub(crate) struct Pool {
    give: Sender<Vec<u8>>,
    take: Receiver<Vec<u8>>,
}

impl Pool {
    pub(crate) fn new() -> Self {
        let (give, take) = crossbeam_channel::bounded(POOL_BUFFERS);
        let pool = Self { give, take };
        for _ in 0..POOL_BUFFERS {
            // Touched now, so that the page faults are not the recording thread's.
            let mut buffer = vec![1; POOL_BUFFER_BYTES];
            buffer.clear();
            pool.put(buffer);
        }
        pool
    }

    fn take(&self) -> Vec<u8> {
        self.take.try_recv().unwrap_or_default()
    }

    pub(crate) fn put(&self, mut buffer: Vec<u8>) {
        if (POOL_BUFFER_BYTES..=POOL_BUFFER_BYTES_MAX).contains(&buffer.capacity()) {
            buffer.clear();
            // A full pool needs no more.
            let _ = self.give.try_send(buffer);
        }
    }
}

/// Where packed bytes go.
trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

/// Only counts.
struct Measure(usize);

impl Sink for Measure {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

struct Inline {
    bytes: [u8; INLINE_BYTES],
    at: usize,
}

impl Sink for Inline {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        self.bytes[self.at..end].copy_from_slice(bytes);
        self.at = end;
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

const REQUEST: u8 = 1;
const SESSION: u8 = 2;
const SESSION_CLOSED: u8 = 3;
const SCHEMA_VERSION: u8 = 4;

/// The length word of a text that is absent.
const ABSENT: u32 = u32::MAX;

#[inline]
fn put_event(event: &Event<'_>, sink: &mut impl Sink) {
    match event {
        Event::Request(request) => put_request(request, sink),
        Event::Session(session) => {
            sink.put(&[SESSION, u8::from(session.derived)]);
            put_i64(session.started_at, sink);
            put_text(session.session_id, sink);
            put_text(session.proxy, sink);
            put_text_option(session.client_name, sink);
            put_text_option(session.client_version, sink);
            put_text_option(session.client_platform, sink);
            put_text_option(session.protocol_version, sink);
        }
        Event::SessionClosed(closed) => {
            sink.put(&[SESSION_CLOSED]);
            put_i64(closed.ended_at, sink);
            put_text(closed.session_id, sink);
        }
        Event::SchemaVersion(version) => {
            sink.put(&[SCHEMA_VERSION]);
            put_i64(version.ts, sink);
            put_text(version.proxy, sink);
            put_text(version.upstream_url, sink);
            put_text(version.method, sink);
            put_text(version.payload, sink);
            put_text(version.content_hash, sink);
        }
    }
}

/// Bits of a request's flag byte, beside the status in the lowest two.
const HAS_BYTES_IN: u8 = 1 << 2;
const HAS_BYTES_OUT: u8 = 1 << 3;
const HAS_TOOL_ERROR: u8 = 1 << 4;
const TOOL_ERROR: u8 = 1 << 5;

#[inline]
fn put_request(request: &Request<'_>, sink: &mut impl Sink) {
    let status = match request.status {
        Status::Ok => 0,
        Status::Error => 1,
        Status::Timeout => 2,
    };
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    let flags = status
        | flag(request.bytes_in.is_some(), HAS_BYTES_IN)
        | flag(request.bytes_out.is_some(), HAS_BYTES_OUT)
        | flag(request.tool_error.is_some(), HAS_TOOL_ERROR)
        | flag(request.tool_error == Some(true), TOOL_ERROR);
    sink.put(&[REQUEST, flags]);
    put_i64(request.ts, sink);
    put_i64(request.latency_us, sink);
    put_i64(request.bytes_in.unwrap_or_default(), sink);
    put_i64(request.bytes_out.unwrap_or_default(), sink);
    put_text(request.request_id, sink);
    put_text(request.proxy, sink);
    put_text_option(request.session_id, sink);
    put_text(request.method, sink);
    put_text_option(request.tool, sink);
    put_text_option(request.error_code, sink);
    put_text_option(request.error_msg.map(cut_error_msg), sink);
    put_text_option(request.target, sink);
    put_text_option(request.protocol_version, sink);
    put_text_option(request.rpc_id, sink);
}

/// The first [`ERROR_MSG_CHARS_MAX`] characters.
fn cut_error_msg(text: &str) -> &str {
    if text.len() <= ERROR_MSG_CHARS_MAX {
        return text;
    }
    text.char_indices().nth(ERROR_MSG_CHARS_MAX).map_or(text, |(end, _)| &text[..end])
}

#[inline]
fn put_i64(number: i64, sink: &mut impl Sink) {
    sink.put(&number.to_le_bytes());
}

#[inline]
fn put_text(text: &str, sink: &mut impl Sink) {
    // A text of 4 GiB does not get past the limit on the event's size; its length word never matters.
    let length = u32::try_from(text.len()).unwrap_or(ABSENT);
    sink.put(&length.to_le_bytes());
    sink.put(text.as_bytes());
}

#[inline]
fn put_text_option(text: Option<&str>, sink: &mut impl Sink) {
    match text {
        Some(text) => put_text(text, sink),
        None => sink.put(&ABSENT.to_le_bytes()),
    }
}

/// Reads an event back from what [`Message::pack`] made in this process.
///
/// # Panics
/// If the bytes are anything else: our own bug.
pub(crate) fn unpack(packed: &[u8]) -> Event<'_> {
    let mut source = Source(packed);
    match source.byte() {
        REQUEST => Event::Request(take_request(&mut source)),
        SESSION => {
            let derived = source.byte() != 0;
            let started_at = source.i64();
            let mut session = Session::new(source.text(), started_at, source.text());
            session.client_name = source.text_option();
            session.client_version = source.text_option();
            session.client_platform = source.text_option();
            session.protocol_version = source.text_option();
            session.derived = derived;
            Event::Session(session)
        }
        SESSION_CLOSED => {
            let ended_at = source.i64();
            Event::SessionClosed(SessionClosed::new(source.text(), ended_at))
        }
        SCHEMA_VERSION => Event::SchemaVersion(SchemaVersion::new(
            source.i64(),
            source.text(),
            source.text(),
            source.text(),
            source.text(),
            source.text(),
        )),
        tag => unreachable!("packed event with tag {tag}"),
    }
}

fn take_request<'a>(source: &mut Source<'a>) -> Request<'a> {
    let flags = source.byte();
    let (ts, latency_us, bytes_in, bytes_out) = (source.i64(), source.i64(), source.i64(), source.i64());
    let (request_id, proxy, session_id) = (source.text(), source.text(), source.text_option());
    let mut request = Request::new(request_id, ts, proxy, source.text());
    request.session_id = session_id;
    request.latency_us = latency_us;
    request.status = match flags & 3 {
        0 => Status::Ok,
        1 => Status::Error,
        _ => Status::Timeout,
    };
    request.bytes_in = (flags & HAS_BYTES_IN != 0).then_some(bytes_in);
    request.bytes_out = (flags & HAS_BYTES_OUT != 0).then_some(bytes_out);
    request.tool_error = (flags & HAS_TOOL_ERROR != 0).then_some(flags & TOOL_ERROR != 0);
    request.tool = source.text_option();
    request.error_code = source.text_option();
    request.error_msg = source.text_option();
    request.target = source.text_option();
    request.protocol_version = source.text_option();
    request.rpc_id = source.text_option();
    request
}

const OWN_BYTES: &str = "bytes that this process packed";

struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let (bytes, rest) = self.0.split_first_chunk().expect(OWN_BYTES);
        self.0 = rest;
        *bytes
    }

    fn byte(&mut self) -> u8 {
        let [byte] = self.bytes();
        byte
    }

    fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.bytes())
    }

    fn text_option(&mut self) -> Option<&'a str> {
        let length = u32::from_le_bytes(self.bytes());
        if length == ABSENT {
            return None;
        }
        let (text, rest) = self.0.split_at_checked(length as usize).expect(OWN_BYTES);
        self.0 = rest;
        Some(str::from_utf8(text).expect(OWN_BYTES))
    }

    fn text(&mut self) -> &'a str {
        self.text_option().expect(OWN_BYTES)
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

    fn survives(event: Event<'_>) -> Result<(), TestCaseError> {
        let pool = Pool::new();
        let message = Message::pack(&event, &pool, usize::MAX).expect("no limit");
        prop_assert_eq!(unpack(message.packed().expect("an event")), event);
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
    fn an_error_message_is_cut_at_512_characters_and_not_within_one() {
        let long = "é".repeat(600);
        let mut request = Request::new("id", 0, "p", "m");
        request.error_msg = Some(&long);
        let message = Message::pack(&request.into(), &Pool::new(), usize::MAX).unwrap();
        let Event::Request(request) = unpack(message.packed().unwrap()) else { panic!("not a request") };
        assert_eq!(request.error_msg, Some(&long[..1024]));
    }

    #[test]
    fn a_typical_request_needs_no_buffer_and_a_large_event_reuses_one() {
        let pool = Pool::new();
        let mut request = Request::new("0197a1c0-7b1e-7cc3-98c4-dc0c0c07398f", 1, "files", "tools/call");
        request.session_id = Some("0123456789abcdef0123456789abcdef");
        (request.tool, request.protocol_version, request.rpc_id) =
            (Some("search_products"), Some("2025-11-25"), Some("17"));
        (request.bytes_in, request.bytes_out) = (Some(1), Some(2));
        assert!(matches!(Message::pack(&request.into(), &pool, 1000), Ok(Message::Inline { .. })));
        let message = "x".repeat(300);
        request.error_msg = Some(&message);
        let Ok(Message::Large(buffer)) = Message::pack(&request.into(), &pool, 1000) else { panic!("fits inline?") };
        assert_eq!(pool.take.len(), POOL_BUFFERS - 1);
        pool.put(buffer);
        assert_eq!(pool.take.len(), POOL_BUFFERS);
        assert!(matches!(Message::pack(&request.into(), &pool, 300), Err(size) if size > 300));
        assert_eq!(pool.take.len(), POOL_BUFFERS, "a refused event took a buffer");
    }
}
