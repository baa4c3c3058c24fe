//! The client's request body on its way to the upstream, read on the side.
//!
//! Polled by the upstream connection's task. Frames pass as they are; the requests in them are shown to the observer before
//! the last frame is handed on. What the upstream does not take is given back to the exchange, so that a request is known
//! even if nobody ever received it. Until somebody asks for the body, the client connection's task reads its first frame:
//! else nothing would be known of a request whose client leaves while the proxy still waits for a connection.

use super::open_exchange::OpenExchange;
use super::unread::Unread;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use mcplog_observe::RequestReader;
use mcplog_observe::read::Codings;
use parking_lot::Mutex;
use std::convert::Infallible;
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
pub(super) struct RequestBody(Arc<Mutex<Upload>>);

/// Reads the first frame of a body that nobody has asked for yet. It never ends: whoever polls it waits for something else.
pub(super) struct EarlyReader(Arc<Mutex<Upload>>);

/// A body, and what reads along.
struct Upload {
    /// `None` once it is over.
    body: Option<Incoming>,
    /// The first frame, if it was read before anybody asked for it.
    early: Option<Result<Frame<Bytes>, UploadError>>,
    /// The upstream has asked for the body. From then on only its task may poll: who polls takes the other one's wake-up.
    is_asked: bool,
    /// `None` if the request cannot bring JSON-RPC messages, or its body is over.
    reader: Option<RequestReader>,
    exchange: Arc<OpenExchange>,
    /// Runs while the upstream is ready for more than the client has sent.
    stall: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, codings: Codings, exchange: Arc<OpenExchange>) -> Self {
        let reader = exchange.observed.is_post().then(|| RequestReader::new(codings, &exchange.observed));
        let upload = Upload { body: Some(body), early: None, is_asked: false, reader, exchange, stall: None };
        Self(Arc::new(Mutex::new(upload)))
    }

    /// What reads the first frame as long as nobody has asked for the body.
    pub(super) fn early_reader(&self) -> EarlyReader {
        EarlyReader(self.0.clone())
    }
}

impl Future for EarlyReader {
    type Output = Infallible;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Infallible> {
        let mut upload = self.0.lock();
        if !upload.is_asked
            && upload.early.is_none()
            && upload.reader.is_some()
            && let Poll::Ready(frame) = upload.poll_body(context)
        {
            upload.early = frame;
        }
        Poll::Pending
    }
}

impl Upload {
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

    /// The next frame, shown to the observer.
    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(&mut *body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                let is_last = body.is_end_stream();
                if let Some(bytes) = frame.data_ref() {
                    self.exchange.observed.touch();
                    self.exchange.metrics.request_body_bytes.add(bytes.len() as u64);
                    if let Some(reader) = &mut self.reader {
                        reader.push(bytes, &self.exchange.observed);
                    }
                }
                if is_last {
                    self.finish(true);
                }
            }
            Some(Err(_)) => {
                self.body = None;
                self.finish(false);
            }
            None => {
                self.body = None;
                self.finish(true);
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(UploadError::Client)))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let mut upload = self.0.lock();
        upload.is_asked = true;
        let frame = match upload.early.take() {
            Some(early) => Poll::Ready(Some(early)),
            None => upload.poll_body(context),
        };
        if frame.is_ready() {
            upload.stall = None;
            upload.exchange.on_asked(false);
            return frame;
        }
        upload.exchange.on_asked(true);
        std::task::ready!(upload.poll_stall(context));
        upload.exchange.on_asked(false);
        upload.body = None;
        upload.finish(false);
        Poll::Ready(Some(Err(UploadError::Stalled)))
    }

    fn is_end_stream(&self) -> bool {
        let upload = self.0.lock();
        upload.early.is_none() && upload.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let upload = self.0.lock();
        let early = match &upload.early {
            Some(Ok(frame)) => frame.data_ref().map_or(0, |bytes| bytes.len() as u64),
            // Not an empty body, which would be complete without being asked for.
            Some(Err(_)) => return SizeHint::default(),
            None => 0,
        };
        let rest = upload.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(early));
        }
        hint.set_lower(rest.lower().saturating_add(early));
        hint
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let mut upload = self.0.lock();
        let upload = &mut *upload;
        // Nobody takes this any more, and what reads early must not go on.
        upload.is_asked = true;
        match upload.body.take().filter(|body| !body.is_end_stream()) {
            None => upload.finish(true),
            Some(body) => {
                let Some(reader) = upload.reader.take() else { return };
                if let Some(unread) = upload.exchange.keep_unread(Unread::new(body, reader)) {
                    unread.read_partial(&upload.exchange.observed);
                }
            }
        }
    }
}
