//! An exchange on its way: what is observed of it, and what the upstream did not take of its request.
//!
//! Shared by the tasks that forward the two bodies. The request's body belongs to whoever sends it to the upstream; what that
//! one drops unread is kept here, so that the rest can be read where there is time for it.

use super::connection_clock::Busy;
use super::fault::{Cause, Fault};
use super::fault_log::FaultLog;
use super::metrics::Metrics;
use super::unread::Unread;
use mcplog_observe::{End, Exchange, Unanswered};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Where the request's body is.
enum Body {
    /// On its way.
    Passing,
    /// Dropped before its end; nobody has asked for the rest yet.
    GivenBack(Box<Unread>),
    /// Read as far as it will be.
    Read,
}

/// One HTTP request and its response, on their way.
pub(super) struct OpenExchange {
    pub(super) observed: Exchange,
    pub(super) metrics: Arc<Metrics>,
    body: Mutex<Body>,
    /// The body is not [`Body::Passing`] any more: whoever sends it has let go of it.
    body_released: Notify,
    faults: Arc<FaultLog>,
    /// The upstream was asked: there is a connection.
    is_asked: AtomicBool,
    /// The upstream is ready for more of the body, and the client has not sent it.
    awaits_client: AtomicBool,
    /// How long the client may take to send more of its body.
    pub(super) body_timeout: Duration,
    /// While it is open, the client's connection is not idle.
    _busy: Busy,
}

impl OpenExchange {
    pub(super) fn new(
        observed: Exchange,
        metrics: Arc<Metrics>,
        faults: Arc<FaultLog>,
        body_timeout: Duration,
        busy: Busy,
    ) -> Self {
        // What brings no messages is not read at all.
        let body = if observed.is_post() { Body::Passing } else { Body::Read };
        Self {
            observed,
            metrics,
            body: Mutex::new(body),
            body_released: Notify::new(),
            faults,
            is_asked: AtomicBool::new(false),
            awaits_client: AtomicBool::new(false),
            body_timeout,
            _busy: busy,
        }
    }

    /// The upstream asks for the body, or for more of it. `awaits_client` says that the client has not sent it yet.
    pub(super) fn on_asked(&self, awaits_client: bool) {
        self.is_asked.store(true, Ordering::Relaxed);
        self.awaits_client.store(awaits_client, Ordering::Relaxed);
    }

    /// Whether everybody waits for the client to send more of its body.
    pub(super) fn awaits_client(&self) -> bool {
        self.awaits_client.load(Ordering::Relaxed)
    }

    /// What is waited for, before the head of a response.
    pub(super) fn awaited(&self) -> Fault {
        if !self.is_asked.load(Ordering::Relaxed) {
            Fault::SilentConnecting
        } else if matches!(*self.body.lock(), Body::Passing) {
            Fault::SilentTaking
        } else {
            Fault::SilentAnswering
        }
    }

    /// The request was read as far as it will be.
    pub(super) fn on_body_read(&self) {
        *self.body.lock() = Body::Read;
        self.body_released.notify_one();
    }

    /// Keeps what the upstream did not take of the request. Hands it back if the exchange is over, and nobody will ask.
    pub(super) fn keep_unread(&self, unread: Unread) -> Option<Unread> {
        let mut body = self.body.lock();
        if matches!(*body, Body::Read) {
            return Some(unread);
        }
        *body = Body::GivenBack(Box::new(unread));
        drop(body);
        self.body_released.notify_one();
        None
    }

    /// Waits until the request was read, or its rest was given back.
    pub(super) async fn body_released(&self) {
        while matches!(*self.body.lock(), Body::Passing) {
            self.body_released.notified().await;
        }
    }

    /// Reads what the upstream did not take of the request, if it was given back.
    pub(super) async fn read_unread(&self) {
        if let Some(unread) = self.take_unread() {
            unread.read_rest(&self.observed).await;
        }
    }

    /// The exchange is over, and the upstream, or the proxy, is to blame. The diagnostics are told too.
    ///
    /// A proxy that stops cuts the upstream's connections together with the clients'. Nobody is to blame for that.
    pub(super) fn fail<'c>(&self, cause: &'c Cause, end: fn(&'c str) -> End<'c>) -> Unanswered {
        if cause.fault.may_be_a_stop() && self.observed.is_stopping() {
            return self.end(End::ClientGone);
        }
        self.faults.tell(cause);
        self.end(end(&cause.words))
    }

    /// Tells the diagnostics what a response's head says of the upstream.
    pub(super) fn tell(&self, cause: &Cause) {
        self.faults.tell(cause);
    }

    /// The exchange is over.
    pub(super) fn end(&self, end: End<'_>) -> Unanswered {
        let body = std::mem::replace(&mut *self.body.lock(), Body::Read);
        if let Body::GivenBack(unread) = body {
            unread.read_partial(&self.observed);
        }
        self.observed.end(end)
    }

    fn take_unread(&self) -> Option<Box<Unread>> {
        let mut body = self.body.lock();
        if !matches!(*body, Body::GivenBack(_)) {
            return None;
        }
        match std::mem::replace(&mut *body, Body::Read) {
            Body::GivenBack(unread) => Some(unread),
            Body::Passing | Body::Read => None,
        }
    }
}
