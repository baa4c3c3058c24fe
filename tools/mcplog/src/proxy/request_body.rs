//! The client's request body on its way to the upstream, read on the side.
//!
//! Polled by the upstream connection's task. Frames pass as they are; the requests in them are registered with the
//! exchange before the last frame is handed on. What the upstream does not take is given back to the exchange, so that a
//! request is known even if nobody ever received it.

use super::decode::Decoder;
use super::exchange::Exchange;
use super::scan::Scanner;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long the rest of a request is read after the upstream could not be reached, so that its row says what it was.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// How much of it is read, in bytes. The memory for it does not grow.
const DRAIN_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Reads the JSON-RPC messages of a request body.
pub(super) struct RequestReader {
    decoder: Decoder,
    scanner: Scanner,
    is_unreadable: bool,
}

impl RequestReader {
    pub(super) fn new(headers: &HeaderMap) -> Self {
        Self { decoder: Decoder::of(headers), scanner: Scanner::new(), is_unreadable: false }
    }

    fn push(&mut self, bytes: &[u8], exchange: &Exchange) {
        let Self { decoder, scanner, is_unreadable } = self;
        let result = decoder.push(bytes, |bytes| {
            scanner.push(bytes, |message| exchange.on_request_message(message));
        });
        *is_unreadable |= result.is_err();
    }

    /// The body is over. A message that it broke off in counts if it is known to be a request.
    fn finish(&mut self, is_complete: bool, exchange: &Exchange) {
        if let Some(message) = self.scanner.unfinished() {
            exchange.on_request_message(message);
        }
        if !is_complete || self.is_unreadable {
            exchange.on_request_unreadable();
        }
        exchange.on_request_over();
    }
}

/// The part of a request that the upstream did not take.
pub(super) struct Unread {
    body: Option<Incoming>,
    reader: RequestReader,
}

impl Unread {
    /// Reads the rest, for the recording only.
    pub(super) async fn read_rest(mut self, exchange: &Exchange) {
        let Some(mut body) = self.body.take() else { return };
        let mut total = 0;
        let rest = async {
            while let Some(frame) = body.frame().await {
                let Ok(frame) = frame else { return false };
                if let Some(bytes) = frame.data_ref() {
                    total += bytes.len() as u64;
                    self.reader.push(bytes, exchange);
                }
                if total > DRAIN_BYTES_MAX {
                    return false;
                }
            }
            true
        };
        let is_complete = tokio::time::timeout(DRAIN_TIME, rest).await.unwrap_or(false);
        self.reader.finish(is_complete, exchange);
    }

    /// Makes do with what was read.
    pub(super) fn read_partial(mut self, exchange: &Exchange) {
        self.reader.finish(false, exchange);
    }
}

/// The body that the upstream gets.
pub(super) struct RequestBody {
    /// `None` once it is over.
    body: Option<Incoming>,
    /// `None` if the request cannot bring JSON-RPC messages, or its body is over.
    reader: Option<RequestReader>,
    exchange: Arc<Exchange>,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, headers: &HeaderMap, exchange: Arc<Exchange>) -> Self {
        let reader = exchange.is_post.then(|| RequestReader::new(headers));
        Self { body: Some(body), reader, exchange }
    }

    fn finish(&mut self, is_complete: bool) {
        if let Some(mut reader) = self.reader.take() {
            reader.finish(is_complete, &self.exchange);
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(&mut *body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                let is_last = body.is_end_stream();
                if let Some(bytes) = frame.data_ref() {
                    this.exchange.touch();
                    this.exchange.journal.metrics.request_body_bytes.add(bytes.len() as u64);
                    if let Some(reader) = &mut this.reader {
                        reader.push(bytes, &this.exchange);
                    }
                }
                if is_last {
                    this.finish(true);
                }
            }
            Some(Err(_)) => {
                this.body = None;
                this.finish(false);
            }
            None => {
                this.body = None;
                this.finish(true);
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let Some(reader) = self.reader.take() else { return };
        let unread = Unread { body: self.body.take(), reader };
        if unread.body.as_ref().is_none_or(Body::is_end_stream) {
            let mut reader = unread.reader;
            reader.finish(true, &self.exchange);
        } else if let Some(unread) = self.exchange.keep_unread(unread) {
            unread.read_partial(&self.exchange);
        }
    }
}
