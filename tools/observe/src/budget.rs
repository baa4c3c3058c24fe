//! What all exchanges of an observer may hold together beside what each may hold for nothing.
//!
//! An atomic counter, and shares of it that are given back when they are dropped. Memory is taken here before it is
//! allocated. Used by the tasks that pass bytes on: nothing waits, and who gets nothing does without. A share whose owner
//! stays within what is free never touches the counter.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What all exchanges of an observer may hold together, in bytes, beside what each may hold for nothing. A hundred hostile
/// ones stay under 64 MiB with it.
pub const BUDGET_BYTES: usize = 32 * 1024 * 1024;
/// A share up to this is modest: the reading of a gzip body is one.
const MODEST_BYTES: usize = 128 * 1024;
/// Who asks for more leaves this part of the whole to the modest ones: a few large windows must not keep everybody from
/// reading gzip.
const RESERVED: usize = 4;

/// What all exchanges of an observer may hold together. Clones are the same budget.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    taken: AtomicUsize,
    bytes_max: usize,
    /// The most that was taken at once.
    #[cfg(test)]
    most: AtomicUsize,
}

impl Default for Budget {
    /// One of [`BUDGET_BYTES`].
    fn default() -> Self {
        Self::new(BUDGET_BYTES)
    }
}

impl Budget {
    /// A budget of that many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Pool {
            taken: AtomicUsize::new(0),
            bytes_max,
            #[cfg(test)]
            most: AtomicUsize::new(0),
        }))
    }

    /// How much of it is taken now, in bytes.
    pub fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// A share of it that holds nothing yet. Its first `free_bytes` are not taken from the budget.
    pub(crate) fn share(&self, free_bytes: usize) -> Share {
        Share { budget: self.clone(), free_bytes, bytes: 0 }
    }

    fn take(&self, bytes: usize, is_modest: bool) -> bool {
        let pool = &self.0;
        let limit = if is_modest { pool.bytes_max } else { pool.bytes_max - pool.bytes_max / RESERVED };
        let sum = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= limit);
        let taken = pool.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum);
        #[cfg(test)]
        pool.most.fetch_max(taken.map_or(0, |before| before + bytes), Ordering::Relaxed);
        taken.is_ok()
    }

    /// The most that was taken at once, in bytes.
    #[cfg(test)]
    pub(crate) fn taken_most(&self) -> usize {
        self.0.most.load(Ordering::Relaxed)
    }

    fn give_back(&self, bytes: usize) {
        self.0.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What one owner holds of a [`Budget`]. Given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    free_bytes: usize,
    /// With what is free.
    bytes: usize,
}

impl Share {
    /// Another one of the same budget and for the same purpose.
    pub(crate) fn another(&self) -> Self {
        self.budget.share(self.free_bytes)
    }

    /// How large it is, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes it as large as that; `false` if the budget does not give so much, and then it stays as it is. Never refused where
    /// it becomes smaller.
    pub(crate) fn resize(&mut self, bytes: usize) -> bool {
        let (before, after) = (self.charged(self.bytes), self.charged(bytes));
        if after > before && !self.budget.take(after - before, after <= MODEST_BYTES) {
            return false;
        }
        if after < before {
            self.budget.give_back(before - after);
        }
        self.bytes = bytes;
        true
    }

    fn charged(&self, bytes: usize) -> usize {
        bytes.saturating_sub(self.free_bytes)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.resize(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_free_is_never_taken() {
        let budget = Budget::new(0);
        let mut share = budget.share(100);
        assert!(share.resize(100) && budget.taken() == 0);
        assert!(!share.resize(101), "nothing is left");
        assert!(share.resize(0) && share.resize(100), "a refusal changes nothing");
    }

    #[test]
    fn who_asks_for_much_leaves_something_to_who_asks_for_little() {
        let budget = Budget::default();
        let mut greedy: Vec<Share> = (0..BUDGET_BYTES / MODEST_BYTES).map(|_| budget.share(0)).collect();
        assert!(greedy.iter_mut().any(|share| !share.resize(MODEST_BYTES + 1)));
        let left = BUDGET_BYTES - budget.taken();
        assert!((BUDGET_BYTES / RESERVED..BUDGET_BYTES / RESERVED + 2 * MODEST_BYTES).contains(&left), "{left}");
        let mut modest: Vec<Share> = (0..left / MODEST_BYTES).map(|_| budget.share(0)).collect();
        assert!(modest.iter_mut().all(|share| share.resize(MODEST_BYTES)));
        drop((greedy, modest));
        assert_eq!(budget.taken(), 0);
    }

    #[test]
    fn threads_together_take_no_more_than_there_is() {
        const BYTES: usize = 1000;
        let budget = Budget::new(BYTES);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut share = budget.share(3);
                    for size in (0..2000).map(|step| step * 37 % 700) {
                        share.resize(size);
                        assert!(budget.taken() <= BYTES);
                    }
                });
            }
        });
        assert_eq!(budget.taken(), 0);
    }

    proptest! {
        #[test]
        fn what_is_taken_is_what_the_shares_hold_beyond_what_is_free(
            bytes_max in 0..2000_usize,
            free_bytes in 0..100_usize,
            sizes in prop::collection::vec((0..4_usize, 0..1000_usize), 0..50),
        ) {
            let budget = Budget::new(bytes_max);
            let mut shares: Vec<Share> = (0..4).map(|_| budget.share(free_bytes)).collect();
            let mut held = [0; 4];
            for (which, bytes) in sizes {
                let beyond = bytes.saturating_sub(free_bytes);
                let others: usize = (0..4).filter(|other| *other != which).map(|other| held[other]).sum();
                let fits = beyond <= held[which] || others + beyond <= bytes_max;
                prop_assert_eq!(shares[which].resize(bytes), fits);
                if fits {
                    held[which] = beyond;
                }
                prop_assert_eq!(budget.taken(), held.iter().sum::<usize>());
            }
            drop(shares);
            prop_assert_eq!(budget.taken(), 0);
        }
    }
}
