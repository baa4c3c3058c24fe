//! Reads the JSON-RPC messages of a response: from a JSON body or from the events of an SSE stream.
//!
//! Runs inside the task that passes the response on. It must not do I/O or fail, and keeps a message's text only where it is
//! the schema of something, up to a bound.

use super::exchange::Exchange;
use super::head::ResponseHead;
use super::limits::{READY_BYTES_MAX, READY_FREE_BYTES, READY_MAX, TEXT_FREE_BYTES};
use crate::budget::{Budget, Share};
use crate::read::{
    Appended, Buffer, Decoder, Kind, Message, Part, Scanner, SseParser, Unreadable, WORK_BYTES_MAX, is_cancellation,
    kind,
};
use crate::schema::SCHEMA_BYTES_MAX;

/// How much of an event's data is kept on a stream that may announce an endpoint.
const ENDPOINT_BYTES_MAX: usize = 2 * 1024;
/// Room for how many responses an event begins with, and how many are kept for the next.
const FIRST_READY: usize = 4;

enum Form {
    Json,
    Events(SseParser),
}

/// Reads one response body.
pub struct ResponseReader {
    /// `None` once the body turned out to be unreadable: then it is not read any further, and nothing of it is held.
    reading: Option<Reading>,
}

struct Reading {
    decoder: Decoder,
    form: Form,
    scanner: Scanner,
    text: Text,
    ready: Ready,
}

impl ResponseReader {
    /// The reader for the response with that head, or `None` if there is nothing to read.
    pub fn new(head: &ResponseHead<'_>, exchange: &Exchange) -> Option<Self> {
        let is_stream = head.is_stream();
        // Whatever else a POST is answered with may be JSON: servers are careless with the type of error bodies.
        if !is_stream && !exchange.is_post() {
            return None;
        }
        let text_bytes_max = if exchange.wants_payload() { SCHEMA_BYTES_MAX } else { 0 };
        let budget = exchange.budget();
        // Some gateways answer with lines of JSON: notifications first, then the answer.
        let scanner = if is_stream { Scanner::within(budget) } else { Scanner::within(budget).of_many() };
        let reading = Reading {
            decoder: Decoder::new(head.codings, budget, WORK_BYTES_MAX),
            form: if is_stream { Form::Events(SseParser::new()) } else { Form::Json },
            scanner: if exchange.keeps_error_text() { scanner } else { scanner.without_error_text() },
            text: Text {
                buffer: Buffer::new(budget, TEXT_FREE_BYTES),
                bytes_max: text_bytes_max,
                start: 0,
                is_refused: false,
            },
            ready: Ready::new(budget),
        };
        Some(Self { reading: Some(reading) })
    }

    /// Reads the next bytes of the body.
    pub fn push(&mut self, bytes: &[u8], exchange: &Exchange) {
        let Some(reading) = self.reading.as_mut().filter(|_| !bytes.is_empty()) else { return };
        match reading.push(bytes, exchange) {
            Ok(()) => exchange.set_response_within(!reading.decoder.is_whole()),
            Err(Unreadable) => {
                exchange.on_response_unread();
                self.reading = None;
            }
        }
    }
}

impl Reading {
    fn push(&mut self, bytes: &[u8], exchange: &Exchange) -> Result<(), Unreadable> {
        let Self { decoder, form, scanner, text, ready } = self;
        decoder.push(bytes, |bytes| match form {
            Form::Json => {
                text.push(bytes);
                let mut end = None;
                scanner.push(bytes, |message| {
                    end = (!message.in_batch).then_some(message.end);
                    let payload = text.of(message);
                    exchange.on_response_message(message, payload);
                });
                end.into_iter().for_each(|end| text.forget_before(end));
            }
            Form::Events(parser) => parser.push(bytes, |part| match part {
                Part::Data(data) => {
                    if !exchange.is_post() && text.buffer.bytes().is_empty() {
                        text.bytes_max = if exchange.wants_payload() { SCHEMA_BYTES_MAX } else { ENDPOINT_BYTES_MAX };
                    }
                    text.push(data);
                    scanner.push(data, |message| ready.push(message, exchange));
                }
                Part::Dispatch { event } => {
                    on_event(event, scanner, text, ready, exchange);
                    scanner.reset();
                    text.clear();
                    ready.clear();
                }
                Part::Id(id) => exchange.on_event_id(id),
                Part::Retry(retry_ms) => exchange.on_retry(retry_ms),
            }),
        })?;
        if scanner.is_starved() { Err(Unreadable) } else { Ok(()) }
    }
}

fn on_event(event: &str, scanner: &Scanner, text: &Text, ready: &mut Ready, exchange: &Exchange) {
    match event {
        "" | "message" if scanner.is_done() => {
            for message in &mut ready.messages {
                let payload = text.of(message);
                exchange.on_response_message(message, payload);
            }
        }
        "endpoint" if !exchange.is_post() => {
            if let Ok(endpoint) = std::str::from_utf8(text.buffer.bytes()) {
                exchange.on_endpoint(endpoint);
            }
        }
        _ => {}
    }
}

/// The text of the current document, as far as it is wanted.
struct Text {
    buffer: Buffer,
    bytes_max: usize,
    /// Where in the stream it begins.
    start: u64,
    /// There was no room for a part: what comes later must not be taken for what comes next.
    is_refused: bool,
}

impl Text {
    fn push(&mut self, bytes: &[u8]) {
        if !self.is_refused {
            self.is_refused = self.buffer.append(bytes, self.bytes_max) == Appended::Refused;
        }
    }

    /// The text of that message, if all of it was kept.
    fn of(&self, message: &Message) -> Option<&[u8]> {
        let place = |at: u64| usize::try_from(at.checked_sub(self.start)?).ok();
        self.buffer.bytes().get(place(message.start)?..place(message.end)?)
    }

    /// The document is over that ends there: another may follow.
    fn forget_before(&mut self, end: u64) {
        let kept = self.buffer.bytes().len();
        let over = usize::try_from(end - self.start).unwrap_or(usize::MAX);
        if over > kept {
            // The text of what follows has begun to pass already.
            self.is_refused = true;
            return self.buffer.clear(TEXT_FREE_BYTES);
        }
        self.buffer.copy_within(over..kept, 0);
        self.buffer.truncate(kept - over);
        self.start = end;
    }

    fn clear(&mut self) {
        self.is_refused = false;
        self.buffer.clear(TEXT_FREE_BYTES);
    }
}

/// The responses of the current event, which count once the event is complete.
struct Ready {
    messages: Vec<Message>,
    /// What the messages hold beside themselves.
    text_bytes: usize,
    share: Share,
}

impl Ready {
    fn new(budget: &Budget) -> Self {
        Self { messages: Vec::new(), text_bytes: 0, share: budget.share(READY_FREE_BYTES) }
    }

    /// Takes the message away, if it is a response, a request or a cancellation, and there is room.
    fn push(&mut self, message: &mut Message, exchange: &Exchange) {
        match kind(message) {
            Kind::Response(_) | Kind::Request(_) => {}
            Kind::Notification if is_cancellation(message) => {}
            _ => return,
        }
        if !self.reserve(message.text_bytes()) {
            // Whoever waits for one of the others is told that it passed.
            exchange.on_response_unread();
            return;
        }
        self.text_bytes += message.text_bytes();
        self.messages.push(message.take());
    }

    /// Makes room for one more, which holds so much beside itself.
    fn reserve(&mut self, text_bytes: usize) -> bool {
        let before = self.messages.capacity();
        let after = if self.messages.len() < before { before } else { (before * 2).clamp(FIRST_READY, READY_MAX) };
        let text_bytes = self.text_bytes + text_bytes;
        let bytes = after * size_of::<Message>() + text_bytes;
        // Both are there while they are moved.
        let moving = if after > before { before * size_of::<Message>() } else { 0 };
        if self.messages.len() == after || bytes > READY_BYTES_MAX || !self.share.resize(bytes + moving) {
            return false;
        }
        self.messages.reserve_exact(after - self.messages.len());
        self.share.resize(bytes)
    }

    fn clear(&mut self) {
        self.messages.clear();
        self.messages.shrink_to(FIRST_READY);
        self.text_bytes = 0;
        self.share.resize(self.messages.capacity() * size_of::<Message>());
    }
}
