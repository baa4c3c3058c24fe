//! The records of a log that are no events and may not be folded yet: who writes, gaps, steps of the clock.
//!
//! Counted by the appender, asked by whoever tells how many events are folded. Pure; the lock is its owner's.

use std::collections::VecDeque;

/// Their numbers, in runs, in ascending order.
#[derive(Debug, Default)]
pub(crate) struct OtherRecords(VecDeque<Run>);

/// Records in a row.
#[derive(Debug)]
struct Run {
    first: u64,
    last: u64,
}

impl OtherRecords {
    /// Adds those from one number to another. What lies up to `folded` is not asked for any more.
    pub(crate) fn add(&mut self, first: u64, last: u64, folded: u64) {
        self.forget(folded);
        match self.0.back_mut() {
            Some(run) if run.last + 1 == first => run.last = last,
            _ => self.0.push_back(Run { first, last }),
        }
    }

    /// How many there are beyond that number, up to which all is folded.
    pub(crate) fn beyond(&mut self, folded: u64) -> u64 {
        self.forget(folded);
        self.0.iter().map(|run| run.last - run.first.max(folded + 1) + 1).sum()
    }

    /// Another log begins.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    fn forget(&mut self, folded: u64) {
        while self.0.front().is_some_and(|run| run.last <= folded) {
            self.0.pop_front();
        }
    }
}
