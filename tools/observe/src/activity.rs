//! When something last passed on a stream that calls wait for, and whether its client owes an answer.
//!
//! Touched by the task that passes the stream on, read by whoever gives up on answers; nothing else is ordered by it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// When something last passed on one stream. It also stands for the stream, where calls say which one they wait for.
#[derive(Debug)]
pub(crate) struct Activity {
    start: Instant,
    /// Since then.
    last_ms: AtomicU64,
    is_awaited: AtomicBool,
    /// How many requests of the server it brought that are open.
    owed: AtomicUsize,
    /// When the last of them was over, since then; 0 if none was yet.
    settled_ms: AtomicU64,
}

impl Activity {
    /// Of a stream that begins now.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            start: now,
            last_ms: AtomicU64::new(0),
            is_awaited: AtomicBool::new(false),
            owed: AtomicUsize::new(0),
            settled_ms: AtomicU64::new(0),
        }
    }

    /// Something passes now.
    pub(crate) fn touch(&self, now: Instant) {
        self.last_ms.store(self.passed_ms(now), Ordering::Relaxed);
    }

    /// The server asks its client for something here.
    pub(crate) fn owe(&self) {
        self.owed.fetch_add(1, Ordering::Relaxed);
    }

    /// One of these requests is over now.
    pub(crate) fn settle(&self, now: Instant) {
        self.settled_ms.fetch_max(self.passed_ms(now), Ordering::Relaxed);
        self.owed.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether the client owes an answer.
    pub(crate) fn is_owed(&self) -> bool {
        self.owed.load(Ordering::Relaxed) > 0
    }

    /// When the client last owed none any more; the stream's beginning, if it never owed any.
    pub(crate) fn settled_at(&self) -> Instant {
        self.start + Duration::from_millis(self.settled_ms.load(Ordering::Relaxed))
    }

    pub(crate) fn last(&self) -> Instant {
        self.start + Duration::from_millis(self.last_ms.load(Ordering::Relaxed))
    }

    /// A call waits for its answer on this stream.
    pub(crate) fn await_answer(&self) {
        self.is_awaited.store(true, Ordering::Relaxed);
    }

    /// Whether any call does, or did.
    pub(crate) fn is_awaited(&self) -> bool {
        self.is_awaited.load(Ordering::Relaxed)
    }

    fn passed_ms(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }
}
