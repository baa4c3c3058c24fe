//! A set of sequence numbers, kept as ranges: numbers follow each other, so a log of any length has few of them.
//!
//! Pure.

use std::collections::BTreeMap;

/// The numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NumberSet {
    /// Each range's first number, and its last.
    ranges: BTreeMap<u64, u64>,
    /// The range that was added to last: the next number mostly follows.
    latest: Option<(u64, u64)>,
}

impl NumberSet {
    /// Adds a number; tells whether it is new.
    pub(crate) fn insert(&mut self, number: u64) -> bool {
        if let Some((first, last)) = self.latest.filter(|(_, last)| last.checked_add(1) == Some(number))
            && self.ranges.range(number..).next().is_none_or(|(next, _)| *next > number.saturating_add(1))
        {
            self.ranges.insert(first, number);
            self.latest = Some((first, last + 1));
            return true;
        }
        if self.contains(number) {
            return false;
        }
        let before = self.ranges.range(..number).next_back().map(|(first, last)| (*first, *last));
        let first = before.filter(|(_, last)| last + 1 == number).map_or(number, |(first, _)| first);
        let after = number.checked_add(1).and_then(|next| self.ranges.remove(&next));
        let last = after.unwrap_or(number);
        self.ranges.insert(first, last);
        self.latest = Some((first, last));
        true
    }

    /// Whether the number is there.
    pub(crate) fn contains(&self, number: u64) -> bool {
        self.ranges.range(..=number).next_back().is_some_and(|(_, last)| *last >= number)
    }

    /// The first number.
    pub(crate) fn first(&self) -> Option<u64> {
        self.ranges.keys().next().copied()
    }

    /// The last number.
    pub(crate) fn last(&self) -> Option<u64> {
        self.ranges.values().next_back().copied()
    }

    /// How many there are from `first` to `last`, both included.
    pub(crate) fn count_within(&self, first: u64, last: u64) -> u64 {
        let from = self.ranges.range(..=first).next_back().map_or(first, |(start, _)| *start);
        let within = self.ranges.range(from..).take_while(|(start, _)| **start <= last);
        within.map(|(start, end)| ((*end).min(last) + 1).saturating_sub((*start).max(first))).sum()
    }

    /// The numbers that are missing between the first one and the last one: each hole's first number and last.
    pub(crate) fn holes(&self) -> Vec<(u64, u64)> {
        let starts = self.ranges.keys().skip(1);
        self.ranges.values().zip(starts).map(|(last, next)| (last + 1, next - 1)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_a_set_of_numbers(numbers in proptest::collection::vec(1..40_u64, 0..60), first in 0..40_u64, last in 0..45_u64) {
            let (mut set, mut plain) = (NumberSet::default(), BTreeSet::new());
            for number in numbers {
                prop_assert_eq!(set.insert(number), plain.insert(number));
            }
            prop_assert_eq!(set.count_within(0, u64::MAX - 1), plain.len() as u64);
            prop_assert_eq!((set.first(), set.last()), (plain.first().copied(), plain.last().copied()));
            for number in 0..45 {
                prop_assert_eq!(set.contains(number), plain.contains(&number));
            }
            let within = plain.iter().filter(|number| (first..=last).contains(*number)).count();
            prop_assert_eq!(set.count_within(first, last), within as u64);
            let missing: Vec<u64> = set.holes().into_iter().flat_map(|(first, last)| first..=last).collect();
            let all = plain.first().copied().unwrap_or(1)..plain.last().copied().unwrap_or(0);
            let expected: Vec<u64> = all.filter(|number| !plain.contains(number)).collect();
            prop_assert_eq!(missing, expected);
        }
    }
}
