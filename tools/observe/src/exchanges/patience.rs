//! How much longer an upstream has, where its client owes it an answer.
//!
//! Pure.

use crate::activity::Activity;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// When the upstream's time is over that would be over since `due`: nobody is silent while the client owes an answer, and then
/// all of the time runs anew. `asking` are the streams on which the server may have asked.
pub(super) fn extended<'s>(
    due: Instant,
    asking: impl Iterator<Item = &'s Arc<Activity>> + Clone,
    now: Instant,
    limit: Duration,
) -> Instant {
    if asking.clone().any(|stream| stream.is_owed()) {
        return now + limit;
    }
    asking.map(|stream| stream.settled_at() + limit).fold(due, Instant::max)
}
