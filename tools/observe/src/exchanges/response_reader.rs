//! Reads the JSON-RPC messages of a response: from a JSON body or from the events of an SSE stream.
//!
//! Runs inside the task that passes the response on. It must not do I/O or fail, and keeps a message's text only where it is
//! the schema of something, up to a bound.

use super::exchange::Exchange;
use super::head::ResponseHead;
use super::limits::{READY_BYTES_MAX, READY_MAX};
use crate::read::{Decoder, Kind, Message, Part, Scanner, SseParser, append, kind};
use crate::schema::SCHEMA_BYTES_MAX;

/// How much of a buffer is kept for the next event after a large one.
const IDLE_BUFFER_BYTES: usize = 64 * 1024;
/// How much of an event's data is kept on a stream that may announce an endpoint.
const ENDPOINT_BYTES_MAX: usize = 2 * 1024;
/// Room for how many responses is kept for the next event.
const IDLE_READY: usize = 16;

enum Form {
    Json,
    Events(SseParser),
}

/// Reads one response body.
pub struct ResponseReader {
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
        let bytes_max = if exchange.wants_payload() || (is_stream && !exchange.is_post()) {
            SCHEMA_BYTES_MAX
        } else if is_stream {
            ENDPOINT_BYTES_MAX
        } else {
            0
        };
        Some(Self {
            decoder: Decoder::new(head.coding),
            form: if is_stream { Form::Events(SseParser::new()) } else { Form::Json },
            scanner: Scanner::new(),
            text: Text { bytes: Vec::new(), bytes_max },
            ready: Ready::default(),
        })
    }

    /// Reads the next bytes of the body.
    pub fn push(&mut self, bytes: &[u8], exchange: &Exchange) {
        let Self { decoder, form, scanner, text, ready } = self;
        let result = decoder.push(bytes, |bytes| match form {
            Form::Json => {
                text.push(bytes);
                scanner.push(bytes, |message| exchange.on_response_message(message, text.of(message)));
            }
            Form::Events(parser) => parser.push(bytes, |part| match part {
                Part::Data(data) => {
                    text.push(data);
                    scanner.push(data, |message| ready.push(message));
                }
                Part::Dispatch { event } => {
                    on_event(event, scanner, text, ready, exchange);
                    scanner.reset();
                    text.clear();
                    ready.clear();
                }
                Part::Id => exchange.on_resumable(),
                Part::Retry(retry_ms) => exchange.on_retry(retry_ms),
            }),
        });
        if result.is_err() {
            exchange.on_response_unreadable();
        }
    }
}

fn on_event(event: &str, scanner: &Scanner, text: &Text, ready: &Ready, exchange: &Exchange) {
    match event {
        "" | "message" if scanner.is_done() => {
            for message in &ready.messages {
                exchange.on_response_message(message, text.of(message));
            }
        }
        "endpoint" if !exchange.is_post() => {
            if let Ok(endpoint) = std::str::from_utf8(&text.bytes) {
                exchange.on_endpoint(endpoint);
            }
        }
        _ => {}
    }
}

/// The text of the current document, as far as it is wanted.
struct Text {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Text {
    fn push(&mut self, bytes: &[u8]) {
        append(&mut self.bytes, bytes, self.bytes_max);
    }

    /// The text of that message, if all of it was kept.
    fn of(&self, message: &Message) -> Option<&[u8]> {
        let range = usize::try_from(message.start).ok()?..usize::try_from(message.end).ok()?;
        self.bytes.get(range)
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(IDLE_BUFFER_BYTES);
    }
}

/// The responses of the current event, which count once the event is complete.
#[derive(Default)]
struct Ready {
    messages: Vec<Message>,
    bytes: usize,
}

impl Ready {
    /// Takes the message away, if it is a response and there is room.
    fn push(&mut self, message: &mut Message) {
        if !matches!(kind(message), Kind::Response(_)) {
            return;
        }
        let bytes = size_of::<Message>() + message.text_bytes();
        if self.messages.len() == READY_MAX || self.bytes + bytes > READY_BYTES_MAX {
            tracing::debug!(responses = self.messages.len(), "an event with too many responses: the rest is not read");
            return;
        }
        self.bytes += bytes;
        self.messages.push(std::mem::take(message));
    }

    fn clear(&mut self) {
        self.messages.clear();
        self.messages.shrink_to(IDLE_READY);
        self.bytes = 0;
    }
}
