//! What a call needs to become an event: where events go, which sessions there are, what is counted, what time
//! it is, how much memory there is.
//!
//! Called from the tasks that pass bytes on; it must not wait. It knows no calls: a call holds it, and whatever it held of
//! calls would keep them alive for ever.

use crate::budget::Budget;
use crate::clock::Clock;
use crate::counts::Counts;
use crate::schema::SchemaQueue;
use crate::session::{Announcement, Postponed, Sessions};
use crate::sink::Sink;
use crate::tasks::Tasks;
use mcplog::{Session, SessionClosed};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// How far the end of observing has come. Later ones include earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Open,
    /// No connections are taken any more: nobody can come back for an answer.
    Draining,
    /// Connections are being cut: who goes away now was sent away.
    Stopping,
}

/// What every call of one observer shares.
pub(crate) struct Recording {
    pub(crate) sink: Arc<dyn Sink>,
    /// The proxy's name in every row.
    pub(crate) proxy: Arc<str>,
    pub(crate) sessions: Sessions,
    /// Announcements of sessions that nobody took.
    pub(crate) postponed: Postponed,
    /// Which calls became tasks.
    pub(crate) tasks: Tasks,
    pub(crate) schema: Arc<dyn SchemaQueue>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) clock: Arc<dyn Clock>,
    /// What all exchanges may hold together.
    pub(crate) budget: Budget,
    pub(crate) phase: AtomicPhase,
    /// Rows say with which words a server or a tool failed.
    pub(crate) keeps_error_text: AtomicBool,
}

impl Recording {
    pub(crate) fn keeps_error_text(&self) -> bool {
        self.keeps_error_text.load(Ordering::Relaxed)
    }

    /// Records that a session began, or says it again. Where nobody takes that, it is said again with the session's
    /// next call, or its end.
    pub(crate) fn announce(&self, session_id: &Arc<str>, announcement: Announcement) {
        let Announcement { started_at, client, protocol_version, is_derived, noise_lines } = &announcement;
        let mut session = Session::new(session_id, *started_at, &self.proxy);
        session.client_name = client.name.as_deref();
        session.client_version = client.version.as_deref();
        session.protocol_version = protocol_version.as_deref();
        session.derived = *is_derived;
        session.noise_lines = *noise_lines;
        if !self.sink.record(session.into()) {
            self.postponed.keep(session_id, announcement);
        }
    }

    /// Says again that a session began, if nobody took that.
    pub(crate) fn announce_postponed(&self, session_id: &str) {
        if let Some(announcement) = self.postponed.take(session_id) {
            self.announce(&Arc::from(session_id), announcement);
        }
    }

    /// Records the end of a session, if it was known or `is_on_record`: a row names it.
    ///
    /// The end is not before `asked_ts`, when whatever ended it was asked for: else a clock that was set back would let the
    /// request that found the session gone reopen it.
    pub(crate) fn close_session(&self, session_id: &str, asked_ts: i64, is_on_record: bool) {
        let was_known = self.sessions.close(session_id);
        if was_known || is_on_record {
            self.announce_postponed(session_id);
            self.sink.record(SessionClosed::new(session_id, self.clock.unix_ms().max(asked_ts)).into());
        }
    }
}

/// A [`Phase`] that only goes forward.
pub(crate) struct AtomicPhase(AtomicU8);

impl AtomicPhase {
    pub(crate) const fn new() -> Self {
        Self(AtomicU8::new(Phase::Open as u8))
    }

    pub(crate) fn advance(&self, phase: Phase) {
        self.0.fetch_max(phase as u8, Ordering::Relaxed);
    }

    pub(crate) fn has_reached(&self, phase: Phase) -> bool {
        self.0.load(Ordering::Relaxed) >= phase as u8
    }
}
