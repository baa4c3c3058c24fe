//! How many requests ended in which way. Pure.

use super::code::{Code, Status};
use super::outcome::Outcome;

/// How many requests ended in which way: a number for each [`Outcome`]. Sums stay at the largest number there is, where
/// they would exceed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutcomeCounts([i64; <Outcome as Code>::ALL.len()]);

impl OutcomeCounts {
    /// Counts so many more requests with that outcome.
    pub fn add(&mut self, outcome: Outcome, requests: i64) {
        let count = &mut self.0[place(outcome)];
        *count = count.saturating_add(requests);
    }

    /// Counts other requests, too.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count = count.saturating_add(more));
    }

    /// How many requests have that outcome.
    pub const fn with(&self, outcome: Outcome) -> i64 {
        self.0[place(outcome)]
    }

    /// How many requests have an outcome of which that is true.
    pub fn where_so(&self, is_counted: impl Fn(Outcome) -> bool) -> i64 {
        let counted = Outcome::ALL.iter().filter(|outcome| is_counted(**outcome));
        counted.fold(0, |sum: i64, outcome| sum.saturating_add(self.with(*outcome)))
    }

    /// How many requests there are, however they ended.
    pub fn calls(&self) -> i64 {
        self.where_so(|_| true)
    }

    /// How many of them failed.
    pub fn failures(&self) -> i64 {
        self.where_so(Outcome::is_failure)
    }

    /// How many of them have that status.
    pub fn with_status(&self, status: Status) -> i64 {
        self.where_so(|outcome| outcome.status() == status)
    }
}

/// Numbers begin with 1.
const fn place(outcome: Outcome) -> usize {
    outcome as usize - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_counted_once_and_the_parts_make_up_the_whole() {
        let mut counts = OutcomeCounts::default();
        for (outcome, number) in Outcome::ALL.iter().zip(1..) {
            counts.add(*outcome, number);
            assert_eq!(counts.with(*outcome), number, "{outcome:?}");
        }
        assert_eq!(counts.calls(), 55);
        assert_eq!(Status::ALL.iter().map(|status| counts.with_status(*status)).sum::<i64>(), 55);
        assert_eq!(counts.failures(), counts.with(Outcome::Error) + counts.with(Outcome::Timeout));
        let mut twice = counts;
        twice.merge(&counts);
        assert_eq!(twice.calls(), 110);
    }

    #[test]
    fn sums_stay_at_the_largest_number() {
        let mut counts = OutcomeCounts::default();
        counts.add(Outcome::Ok, i64::MAX);
        counts.add(Outcome::Lost, i64::MAX);
        counts.merge(&counts.clone());
        assert_eq!((counts.with(Outcome::Ok), counts.calls()), (i64::MAX, i64::MAX));
    }
}
