//! Counting lost events: how many were dropped, from when to when.
//!
//! Recording threads add without a lock. The appender takes the count and writes it to the log as a gap record.

use crate::ground::clock::now_ms;
use crate::record::record::GapRecord;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// How many events were dropped since the count was last taken, and since the store was opened.
#[derive(Debug)]
pub(crate) struct GapCounter {
    dropped_total: AtomicU64,
    untaken: AtomicU64,
    first_ts: AtomicI64,
    last_ts: AtomicI64,
}

impl GapCounter {
    pub(crate) const fn new() -> Self {
        Self {
            dropped_total: AtomicU64::new(0),
            untaken: AtomicU64::new(0),
            first_ts: AtomicI64::new(i64::MAX),
            last_ts: AtomicI64::new(i64::MIN),
        }
    }

    /// Counts dropped events, as of now.
    pub(crate) fn add(&self, events: u64) {
        let now = now_ms();
        // The times come before the count: whoever takes the count finds times that reach at least as far.
        self.first_ts.fetch_min(now, Ordering::Relaxed);
        self.last_ts.fetch_max(now, Ordering::Relaxed);
        self.untaken.fetch_add(events, Ordering::Release);
        self.dropped_total.fetch_add(events, Ordering::Relaxed);
    }

    /// How many were dropped since the store was opened.
    pub(crate) fn total(&self) -> u64 {
        self.dropped_total.load(Ordering::Relaxed)
    }

    /// Whether any event was dropped since the count was last taken.
    pub(crate) fn any_untaken(&self) -> bool {
        self.untaken.load(Ordering::Relaxed) > 0
    }

    /// The gap since the last call; `None` if no event was dropped.
    ///
    /// The count is exact. An event that is dropped during this call may leave its time to the gap that is taken now,
    /// so the bounds of a gap are too narrow for its events by no more than that instant.
    pub(crate) fn take(&self) -> Option<GapRecord> {
        let events = self.untaken.swap(0, Ordering::Acquire);
        if events == 0 {
            return None;
        }
        let now = now_ms();
        let first = self.first_ts.swap(i64::MAX, Ordering::Relaxed);
        let last = self.last_ts.swap(i64::MIN, Ordering::Relaxed);
        let from_ts = if first == i64::MAX { now } else { first };
        Some(GapRecord { from_ts, to_ts: if last == i64::MIN { now } else { last }.max(from_ts), events })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_taken_once_and_the_total_stays() {
        let gap = GapCounter::new();
        assert_eq!(gap.take(), None);
        gap.add(2);
        gap.add(3);
        let taken = gap.take().unwrap();
        assert_eq!(taken.events, 5);
        assert!(taken.from_ts <= taken.to_ts && taken.from_ts > 1_600_000_000_000);
        assert_eq!(gap.take(), None);
        assert_eq!(gap.total(), 5);
    }

    #[test]
    fn no_drop_is_counted_twice_or_lost_between_threads() {
        let gap = GapCounter::new();
        let mut taken = 0;
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..1000).for_each(|_| gap.add(1)));
            }
            for _ in 0..1000 {
                taken += gap.take().map_or(0, |gap| gap.events);
            }
        });
        taken += gap.take().map_or(0, |gap| gap.events);
        assert_eq!((taken, gap.total()), (3000, 3000));
    }
}
