//! What observation counts of itself.
//!
//! Touched inside the tasks that pass bytes on, read by whoever shows the numbers. Nothing else is ordered by a count.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// What it has reached.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many of something there are now.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// One more.
    pub fn rise(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn fall(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many there are.
    pub fn get(&self) -> u64 {
        u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

/// What one observer counted since it started.
#[derive(Debug, Default)]
pub struct Counts {
    /// Calls that were recorded with status ok.
    pub requests_ok: Counter,
    /// Calls that were recorded with status error.
    pub requests_error: Counter,
    /// Calls that were recorded with status timeout.
    pub requests_timeout: Counter,
    /// Tool calls whose result said `isError`. They count as ok above.
    pub tool_errors: Counter,
    /// Requests beyond what one exchange may hold: they pass, but have no row of their own.
    pub requests_unrecorded: Counter,
    /// Calls that wait for their response.
    pub in_flight: Gauge,
    /// Sessions that began.
    pub sessions: Counter,
    /// Schema versions that were recorded.
    pub schema_versions: Counter,
}
