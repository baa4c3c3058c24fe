//! What the forwarding tasks share to record: where events go, which sessions and calls there are, what is counted.
//!
//! Called from the forwarding tasks. It must not block: the sink only hands events over.

use super::call_index::CallIndex;
use super::metrics::Metrics;
use super::schema::SchemaThread;
use super::sessions::Sessions;
use mcplog::{Event, SessionClosed};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where events go. The store's recorder outside of tests.
pub(crate) trait Sink: Send + Sync + 'static {
    /// Hands an event over. Must not wait.
    fn record(&self, event: Event<'_>);
}

impl Sink for mcplog::Recorder {
    fn record(&self, event: Event<'_>) {
        Self::record(self, event);
    }
}

/// Keeps nothing: for a proxy that was told not to record.
pub(super) struct Nowhere;

impl Sink for Nowhere {
    fn record(&self, _event: Event<'_>) {}
}

/// The state behind every exchange of one proxy.
pub(super) struct Journal {
    pub(super) sink: Arc<dyn Sink>,
    /// The proxy's name in every row.
    pub(super) proxy: Arc<str>,
    pub(super) sessions: Sessions,
    pub(super) calls: CallIndex,
    pub(super) schema: SchemaThread,
    pub(super) metrics: Arc<Metrics>,
    /// The proxy accepts no connections any more: nobody can come back for an answer.
    pub(super) is_draining: AtomicBool,
    /// The proxy is cutting its connections: who goes away now was sent away.
    pub(super) is_stopping: AtomicBool,
}

impl Journal {
    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Records the end of a session, if it was known.
    pub(super) fn close_session(&self, session_id: &str) {
        if self.sessions.close(session_id) {
            self.sink.record(SessionClosed::new(session_id, now_ms()).into());
        }
    }
}

/// When and where a request came in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) at: Instant,
    /// The same in Unix milliseconds.
    pub(super) ts: i64,
    pub(super) client: IpAddr,
    /// The number of the client's connection, unique within the process.
    pub(super) connection: u64,
}

impl Arrival {
    pub(super) fn now(client: IpAddr, connection: u64) -> Self {
        Self { at: Instant::now(), ts: now_ms(), client, connection }
    }
}

/// Unix time in milliseconds.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
