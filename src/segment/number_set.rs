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

    /// Adds the numbers from `first` to `last`; none if there is none between.
    pub(crate) fn insert_all(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        let (mut start, mut end) = (first, last);
        let before = first.saturating_sub(1);
        let meets = |(begins, ends): (&u64, &u64)| (*ends >= before).then_some((*begins, *ends));
        // Whatever overlaps it, or lies beside it, becomes one with it.
        while let Some((begins, ends)) = self.ranges.range(..=last.saturating_add(1)).next_back().and_then(meets) {
            (start, end) = (start.min(begins), end.max(ends));
            self.ranges.remove(&begins);
        }
        self.ranges.insert(start, end);
        self.latest = None;
    }

    /// The numbers from `first` to `last` that are not there: each run's first number and last.
    pub(crate) fn missing_within(&self, first: u64, last: u64) -> Vec<(u64, u64)> {
        let from = self.ranges.range(..=first).next_back().map_or(first, |(start, _)| *start);
        let (mut missing, mut due) = (Vec::new(), first);
        for (start, end) in self.ranges.range(from..).take_while(|(start, _)| **start <= last) {
            if *start > due {
                missing.push((due, start - 1));
            }
            due = due.max(end.saturating_add(1));
        }
        if due <= last {
            missing.push((due, last));
        }
        missing
    }

    /// Whether the number is there.
    pub(crate) fn contains(&self, number: u64) -> bool {
        self.ranges.range(..=number).next_back().is_some_and(|(_, last)| *last >= number)
    }

    /// The runs of numbers: each one's first and last.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.ranges.iter().map(|(first, last)| (*first, *last))
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
            let absent = |(first, last): (u64, u64)| (first..=last).collect::<Vec<_>>();
            let missing: Vec<u64> = set.missing_within(first, last).into_iter().flat_map(absent).collect();
            let expected: Vec<u64> = (first..=last).filter(|number| !plain.contains(number)).collect();
            prop_assert_eq!(missing, expected);
            let within = plain.iter().filter(|number| (first..=last).contains(*number)).count();
            prop_assert_eq!(set.count_within(first, last), within as u64);
            prop_assert_eq!(set.runs().flat_map(|(first, last)| first..=last).collect::<Vec<_>>(), Vec::from_iter(plain));
        }

        #[test]
        fn runs_are_added_like_their_numbers(runs in proptest::collection::vec((1..40_u64, 0..12_u64), 0..12), one in 1..45_u64) {
            let (mut set, mut plain) = (NumberSet::default(), NumberSet::default());
            for (first, count) in runs {
                set.insert_all(first, (first + count).saturating_sub(1));
                (first..first + count).for_each(|number| {
                    plain.insert(number);
                });
            }
            prop_assert_eq!(&set.ranges, &plain.ranges);
            prop_assert_eq!(set.insert(one), plain.insert(one));
            prop_assert_eq!(&set.ranges, &plain.ranges);
        }
    }
}
