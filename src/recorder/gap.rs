//! Counting lost events: how many were dropped, from when to when; those of a store, and those that a proxy has no store for.
//!
//! Recording threads add without a lock. The appender takes the count and writes it to the log as a gap record.

use crate::ground::clock::now_ms;
use crate::record::record::GapRecord;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// How many events were dropped since the count was last taken, and since the store was opened.
#[derive(Debug)]
pub struct GapCounter {
    dropped_total: AtomicU64,
    untaken: AtomicU64,
    first_ts: AtomicI64,
    last_ts: AtomicI64,
}

impl Default for GapCounter {
    fn default() -> Self {
        Self::new()
    }
}

impl GapCounter {
    /// Nothing is lost yet.
    pub const fn new() -> Self {
        Self {
            dropped_total: AtomicU64::new(0),
            untaken: AtomicU64::new(0),
            first_ts: AtomicI64::new(i64::MAX),
            last_ts: AtomicI64::new(i64::MIN),
        }
    }

    /// Counts dropped events, as of now.
    pub fn add(&self, events: u64) {
        let now = now_ms();
        self.add_between(events, now, now);
    }

    /// Counts events that were dropped at some time between these two, in Unix milliseconds.
    pub fn add_between(&self, events: u64, from_ts: i64, to_ts: i64) {
        if events == 0 {
            return;
        }
        self.leave(GapRecord { from_ts, to_ts, events });
        self.dropped_total.fetch_add(events, Ordering::Relaxed);
    }

    /// Counts events of which the log tells that they are lost: no gap record has to.
    pub fn add_told(&self, events: u64) {
        self.dropped_total.fetch_add(events, Ordering::Relaxed);
    }

    /// Puts a gap back that was taken and could not be recorded.
    pub fn put_back(&self, gap: GapRecord) {
        self.leave(gap);
    }

    fn leave(&self, gap: GapRecord) {
        // The times come before the count: whoever takes the count finds times that reach at least as far.
        self.first_ts.fetch_min(gap.from_ts, Ordering::Relaxed);
        self.last_ts.fetch_max(gap.to_ts, Ordering::Relaxed);
        self.untaken.fetch_add(gap.events, Ordering::Release);
    }

    /// How many were dropped since the store was opened.
    pub fn total(&self) -> u64 {
        self.dropped_total.load(Ordering::Relaxed)
    }

    /// How many events were dropped since the count was last taken.
    pub fn untaken(&self) -> u64 {
        self.untaken.load(Ordering::Relaxed)
    }

    /// The gap since the last call; `None` if no event was dropped.
    ///
    /// The count is exact. An event that is dropped during this call may leave its time to the gap that is taken now,
    /// so the bounds of a gap are too narrow for its events by no more than that instant.
    pub fn take(&self) -> Option<GapRecord> {
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
        gap.add_told(2);
        assert_eq!((gap.take(), gap.total()), (None, 7));
    }

    #[test]
    fn what_was_missed_before_keeps_its_times_and_what_is_put_back_counts_once() {
        let gap = GapCounter::new();
        gap.add_between(4, 1_000, 2_000);
        gap.add_between(0, 1, 9_000);
        let taken = gap.take().unwrap();
        assert_eq!((taken.events, taken.from_ts, taken.to_ts), (4, 1_000, 2_000));
        gap.put_back(taken);
        gap.add_between(1, 3_000, 3_000);
        let again = gap.take().unwrap();
        assert_eq!((again.events, again.from_ts, again.to_ts), (5, 1_000, 3_000));
        assert_eq!((gap.total(), gap.untaken()), (5, 0));
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
