//! The client's request body on its way to the upstream, read on the side.
//!
//! Polled by the upstream connection's task. Frames pass as they are; the requests in them are shown to the observer before
//! the last frame is handed on. What the upstream does not take is given back to the exchange, so that a request is known
//! even if nobody ever received it.

use super::open_exchange::OpenExchange;
use super::unread::Unread;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use mcplog_observe::RequestReader;
use mcplog_observe::read::Codings;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::time::Sleep;

/// Why a request broke off.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadError {
    #[error("the client broke off its request")]
    Client(#[source] hyper::Error),
    #[error("the client did not send the rest of its request in time")]
    Stalled,
}

/// The body that the upstream gets.
pub(super) struct RequestBody {
    /// `None` once it is over.
    body: Option<Incoming>,
    /// `None` if the request cannot bring JSON-RPC messages, or its body is over.
    reader: Option<RequestReader>,
    exchange: Arc<OpenExchange>,
    /// Runs while the upstream is ready for more than the client has sent.
    stall: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, codings: Codings, exchange: Arc<OpenExchange>) -> Self {
        let reader = exchange.observed.is_post().then(|| RequestReader::new(codings, &exchange.observed));
        Self { body: Some(body), reader, exchange, stall: None }
    }

    fn finish(&mut self, is_complete: bool) {
        if let Some(reader) = self.reader.take() {
            reader.finish(is_complete, &self.exchange.observed);
            self.exchange.on_body_read();
        }
    }

    /// Nothing is there: has the client taken too long?
    fn poll_stall(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let body_timeout = self.exchange.body_timeout;
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(body_timeout)));
        stall.as_mut().poll(context)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        let frame = match Pin::new(&mut *body).poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                this.exchange.on_asked(true);
                std::task::ready!(this.poll_stall(context));
                this.exchange.on_asked(false);
                this.body = None;
                this.finish(false);
                return Poll::Ready(Some(Err(UploadError::Stalled)));
            }
        };
        this.stall = None;
        this.exchange.on_asked(false);
        match &frame {
            Some(Ok(frame)) => {
                let is_last = body.is_end_stream();
                if let Some(bytes) = frame.data_ref() {
                    this.exchange.observed.touch();
                    this.exchange.metrics.request_body_bytes.add(bytes.len() as u64);
                    if let Some(reader) = &mut this.reader {
                        reader.push(bytes, &this.exchange.observed);
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
        Poll::Ready(frame.map(|frame| frame.map_err(UploadError::Client)))
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
        match self.body.take().filter(|body| !body.is_end_stream()) {
            None => self.finish(true),
            Some(body) => {
                let Some(reader) = self.reader.take() else { return };
                if let Some(unread) = self.exchange.keep_unread(Unread::new(body, reader)) {
                    unread.read_partial(&self.exchange.observed);
                }
            }
        }
    }
}
