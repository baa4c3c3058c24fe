//! When something last passed on a stream that calls wait for.
//!
//! Touched by the task that passes the stream on, read by whoever gives up on answers; nothing else is ordered by it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When something last passed on one stream. It also stands for the stream, where calls say which one they wait for.
#[derive(Debug)]
pub(crate) struct Activity {
    start: Instant,
    /// Since then.
    last_ms: AtomicU64,
    is_awaited: AtomicBool,
}

impl Activity {
    /// Of a stream that begins now.
    pub(crate) fn new(now: Instant) -> Self {
        Self { start: now, last_ms: AtomicU64::new(0), is_awaited: AtomicBool::new(false) }
    }

    /// Something passes now.
    pub(crate) fn touch(&self, now: Instant) {
        let passed_ms = now.saturating_duration_since(self.start).as_millis();
        self.last_ms.store(u64::try_from(passed_ms).unwrap_or(u64::MAX), Ordering::Relaxed);
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
}
