//! Reads the JSON-RPC messages of a response: from a JSON body or from the events of an SSE stream.
//!
//! Runs inside the task that forwards the response, on bytes that are on their way. It must not do I/O or fail, and keeps a
//! message's text only where it is the schema of something, up to a bound.

use super::decode::Decoder;
use super::exchange::Exchange;
use super::message::Message;
use super::pages::SCHEMA_BYTES_MAX;
use super::rpc::{Kind, kind};
use super::scan::Scanner;
use super::sse::{Part, SseParser};
use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// How much of a buffer is kept for the next event after a large one.
const IDLE_BUFFER_BYTES: usize = 64 * 1024;
/// How much of an event's data is kept on a stream that may announce an endpoint.
const ENDPOINT_BYTES_MAX: usize = 2 * 1024;

enum Form {
    Json,
    Events(SseParser),
}

/// Reads one response body.
pub(super) struct ResponseReader {
    decoder: Decoder,
    form: Form,
    scanner: Scanner,
    text: Text,
    /// The responses of the current event, which count once the event is complete.
    ready: Vec<Message>,
}

/// The text of the current document, as far as it is wanted.
struct Text {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Text {
    fn push(&mut self, bytes: &[u8]) {
        let room = self.bytes_max.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
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

impl ResponseReader {
    /// The reader for a response with these headers, or `None` if there is nothing to read.
    pub(super) fn new(headers: &HeaderMap, exchange: &Exchange) -> Option<Self> {
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_stream = content_type
            .split(';')
            .next()
            .is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("text/event-stream"));
        // Whatever else a POST is answered with may be JSON: servers are careless with the type of error bodies.
        if !is_stream && !exchange.is_post {
            return None;
        }
        let bytes_max = if exchange.wants_payload() || (is_stream && !exchange.is_post) {
            SCHEMA_BYTES_MAX
        } else if is_stream {
            ENDPOINT_BYTES_MAX
        } else {
            0
        };
        Some(Self {
            decoder: Decoder::of(headers),
            form: if is_stream { Form::Events(SseParser::new()) } else { Form::Json },
            scanner: Scanner::new(),
            text: Text { bytes: Vec::new(), bytes_max },
            ready: Vec::new(),
        })
    }

    /// Reads the next bytes of the body.
    pub(super) fn push(&mut self, bytes: &[u8], exchange: &Exchange) {
        let Self { decoder, form, scanner, text, ready } = self;
        let result = decoder.push(bytes, |bytes| match form {
            Form::Json => {
                text.push(bytes);
                scanner.push(bytes, |message| exchange.on_response_message(message, text.of(message)));
            }
            Form::Events(parser) => parser.push(bytes, |part| match part {
                Part::Data(data) => {
                    text.push(data);
                    scanner.push(data, |message| {
                        if matches!(kind(message), Kind::Response(_)) {
                            ready.push(std::mem::take(message));
                        }
                    });
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

fn on_event(event: &str, scanner: &Scanner, text: &Text, ready: &[Message], exchange: &Exchange) {
    match event {
        "" | "message" if scanner.is_done() => {
            for message in ready {
                exchange.on_response_message(message, text.of(message));
            }
        }
        "endpoint" if !exchange.is_post => {
            if let Ok(endpoint) = std::str::from_utf8(&text.bytes) {
                exchange.on_endpoint(endpoint);
            }
        }
        _ => {}
    }
}
