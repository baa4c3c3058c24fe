//! The upstream's response body on its way to the client, read on the side.
//!
//! Polled by the client connection's task. Frames pass as they are, as soon as they are there. Dropping it ends the
//! exchange: the client has gone, and the upstream's connection is dropped with it.

use super::fault::{Cause, Fault};
use super::open_exchange::OpenExchange;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use mcplog_observe::{End, ResponseReader};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::time::Sleep;

/// Ends the exchange when it is dropped: whoever lets go of it before the response is over has lost the client.
pub(super) struct ExchangeGuard {
    pub(super) exchange: Arc<OpenExchange>,
}

impl Drop for ExchangeGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.exchange.fail(&Fault::Panicked.into(), End::ProxyFailed);
        } else {
            self.exchange.end(End::ClientGone);
        }
    }
}

/// Why a response broke off.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the upstream broke off its response")]
    Upstream(#[source] hyper::Error),
    #[error("the upstream was silent for too long")]
    Silence,
}

/// What the client gets as a body.
pub(super) enum ResponseBody {
    /// The upstream's.
    Passing(Box<Passing>),
    /// The proxy's own.
    Own(Option<Bytes>),
}

/// The upstream's body and what reads along.
pub(super) struct Passing {
    body: Incoming,
    /// How much of it has passed.
    bytes: u64,
    reader: Option<ResponseReader>,
    guard: ExchangeGuard,
    /// Wakes the task when the upstream may have been silent for too long. Set when the body is first found empty-handed.
    silence: Option<Pin<Box<Sleep>>>,
    /// Why the response broke off, until the client's connection is told.
    broken: Option<hyper::Error>,
}

impl ResponseBody {
    pub(super) fn passing(body: Incoming, reader: Option<ResponseReader>, guard: ExchangeGuard) -> Self {
        if body.is_end_stream() {
            // Nobody may ever poll it.
            guard.exchange.end(End::Complete);
        }
        Self::Passing(Box::new(Passing { body, bytes: 0, reader, guard, silence: None, broken: None }))
    }

    pub(super) fn own(text: impl Into<Bytes>) -> Self {
        Self::Own(Some(text.into()))
    }
}

impl Passing {
    fn poll_passing(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(BodyError::Upstream(error))));
        }
        let exchange = &self.guard.exchange;
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(bytes) = frame.data_ref() {
                    exchange.observed.touch();
                    exchange.metrics.response_body_bytes.add(bytes.len() as u64);
                    self.bytes += bytes.len() as u64;
                    if let Some(reader) = &mut self.reader {
                        reader.push(bytes, &exchange.observed);
                    }
                }
                if self.body.is_end_stream() {
                    exchange.end(End::Complete);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                exchange.fail(&Cause::within_response(&error, self.bytes), End::Broken);
                // When a body fails, hyper drops what it has not sent. When a body has nothing for now, hyper sends first: the
                // client gets the head, and all that came before the break.
                self.broken = Some(error);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(None) => {
                exchange.end(End::Complete);
                Poll::Ready(None)
            }
            Poll::Pending => self.poll_silence(context),
        }
    }

    /// Nothing is there: has the upstream been silent for too long?
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let exchange = &self.guard.exchange;
        loop {
            let Some(deadline) = exchange.observed.deadline() else {
                self.silence = None;
                return Poll::Pending;
            };
            let sleep = self.silence.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
            if sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if deadline <= Instant::now() {
                exchange.fail(&Cause::silent_within(self.bytes), End::Silent);
                return Poll::Ready(Some(Err(BodyError::Silence)));
            }
            // Bytes came since the timer was set: it starts again from there.
            sleep.as_mut().reset(deadline.into());
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Self::Passing(passing) => passing.poll_passing(context),
            Self::Own(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Passing(passing) => passing.body.is_end_stream(),
            Self::Own(text) => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Passing(passing) => passing.body.size_hint(),
            Self::Own(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
        }
    }
}
