//! The time of day, as everything that is recorded tells it. Callable on every thread; it makes no system call (vDSO).

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix time in milliseconds, UTC. 0 where the clock is set to a time before 1970.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
