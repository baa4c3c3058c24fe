//! Counting what is not recorded: how many events met no store, from when to when.
//!
//! Touched by the tasks that pass bytes on, and only while there is no store; without a lock.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Events that met no store, between these times in Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missed {
    pub(super) events: u64,
    pub(super) from_ts: i64,
    pub(super) to_ts: i64,
}

/// Counts events that met no store.
pub(super) struct MissedEvents {
    /// Since the process started.
    total: AtomicU64,
    /// Not told to a store yet.
    untold: AtomicU64,
    first_ts: AtomicI64,
    last_ts: AtomicI64,
}

impl MissedEvents {
    pub(super) const fn new() -> Self {
        Self {
            total: AtomicU64::new(0),
            untold: AtomicU64::new(0),
            first_ts: AtomicI64::new(i64::MAX),
            last_ts: AtomicI64::new(i64::MIN),
        }
    }

    /// One more, now.
    pub(super) fn add_one(&self) {
        let now = now_ms();
        self.add(Missed { events: 1, from_ts: now, to_ts: now });
    }

    pub(super) fn add(&self, missed: Missed) {
        if missed.events == 0 {
            return;
        }
        // The times come before the count: whoever takes the count finds times that reach at least as far.
        self.first_ts.fetch_min(missed.from_ts, Ordering::Relaxed);
        self.last_ts.fetch_max(missed.to_ts, Ordering::Relaxed);
        self.untold.fetch_add(missed.events, Ordering::Release);
        self.total.fetch_add(missed.events, Ordering::Relaxed);
    }

    /// How many there were since the process started.
    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// How many of these were not taken yet.
    pub(super) fn untold(&self) -> u64 {
        self.untold.load(Ordering::Relaxed)
    }

    /// Those since the last call, to be told to a store; `None` if there were none.
    pub(super) fn take(&self) -> Option<Missed> {
        let events = self.untold.swap(0, Ordering::Acquire);
        if events == 0 {
            return None;
        }
        let now = now_ms();
        let first = self.first_ts.swap(i64::MAX, Ordering::Relaxed);
        let last = self.last_ts.swap(i64::MIN, Ordering::Relaxed);
        let from_ts = if first == i64::MAX { now } else { first };
        Some(Missed { events, from_ts, to_ts: if last == i64::MIN { now } else { last }.max(from_ts) })
    }
}

/// Now, in Unix milliseconds.
pub(super) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_told_once_and_the_total_stays() {
        let missed = MissedEvents::new();
        assert_eq!(missed.take(), None);
        missed.add(Missed { events: 2, from_ts: 10, to_ts: 20 });
        missed.add(Missed { events: 1, from_ts: 5, to_ts: 6 });
        assert_eq!(missed.untold(), 3);
        assert_eq!(missed.take(), Some(Missed { events: 3, from_ts: 5, to_ts: 20 }));
        assert_eq!(missed.take(), None);
        missed.add_one();
        assert_eq!((missed.untold(), missed.total()), (1, 4));
        let now = missed.take().unwrap();
        assert!(now.from_ts == now.to_ts && now.from_ts > 1_600_000_000_000);
    }

    #[test]
    fn no_event_is_told_twice_or_lost_between_threads() {
        let missed = MissedEvents::new();
        let mut told = 0;
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..1000).for_each(|_| missed.add_one()));
            }
            for _ in 0..1000 {
                told += missed.take().map_or(0, |missed| missed.events);
            }
        });
        told += missed.take().map_or(0, |missed| missed.events);
        assert_eq!((told, missed.total()), (3000, 3000));
    }
}
