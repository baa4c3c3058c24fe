//! What time it is: the one thing that observation asks the outside for.
//!
//! Called from the tasks that pass bytes on. A clock must not wait.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Tells the time. A test has one that stands still until it is told to move.
pub trait Clock: Send + Sync + 'static {
    /// Now, to measure how long something took.
    fn now(&self) -> Instant;

    /// Now, in Unix milliseconds.
    fn unix_ms(&self) -> i64;
}

/// The machine's own clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn unix_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}
