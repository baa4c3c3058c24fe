//! Which of two requests is the better one, where a limit asks for the best. Pure.

use super::cells::CellHead;
use super::resolved_filter::{ResolvedFilter, SearchRow};
use crate::event::Outcome;

/// Which of two requests is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rank {
    /// The later one, and of one millisecond the one that is later in the log.
    Newest,
    /// The slower one, and of equals the newer one.
    Slowest,
}

/// Compares as the rank says: latency, then time, then id. For the newest, the latency is 0.
pub(super) type Key = (i64, i64, i64);

impl Rank {
    pub(super) fn key(self, row: &SearchRow) -> Key {
        match self {
            Self::Newest => (0, row.ts, row.id),
            Self::Slowest => (row.latency_us, row.ts, row.id),
        }
    }

    /// The key that no wanted request of the cell can beat; `None` if the cell has no wanted request.
    pub(super) fn bound(self, cell: &CellHead, wanted: &ResolvedFilter) -> Option<Key> {
        let ts = cell.last_ts.min(wanted.interval.last_ts);
        let slowest = |outcome: Outcome| cell.slowest.of(outcome).first();
        let latency_max_us = wanted.outcomes.iter().filter_map(slowest).map(|slow| slow.latency_us).max()?;
        match self {
            Self::Newest => Some((0, ts, i64::MAX)),
            Self::Slowest => Some((latency_max_us, ts, i64::MAX)),
        }
    }
}
