//! Which of the numbers that no segment has are those of lost records.
//!
//! Pure. Told while the log is folded, and to who only looks; all go by the same rule, which format.md gives in section 4.

use super::number_set::NumberSet;
use crate::ground::position::Sequence;

/// The numbers that may be missing although nothing is lost.
#[derive(Clone, Debug, Default)]
pub(crate) struct LostNumbers {
    /// What became of the records up to this one is known: they are folded, or were retired before anybody folded here.
    accounted: Sequence,
    /// Intact records of segments that were set aside. They are counted as such, and never as lost.
    set_aside: NumberSet,
}

impl LostNumbers {
    pub(crate) fn new(accounted: Sequence, set_aside: NumberSet) -> Self {
        Self { accounted, set_aside }
    }

    /// The lost ones behind `before`, up to `last`, of which no segment has any: each run's first number and last.
    pub(crate) fn between(&self, before: Sequence, last: Sequence) -> Vec<(u64, u64)> {
        self.set_aside.missing_within(before.max(self.accounted).0.saturating_add(1), last.0)
    }

    /// Whether what was set aside begins right behind that number: a crash took what was before, and nobody was promised it.
    pub(crate) fn is_crash_before(&self, last: u64) -> bool {
        self.set_aside.contains(last.saturating_add(1))
    }

    /// How many numbers behind `folded`, up to the last one in `read`, are neither there nor set aside.
    pub(crate) fn count_beyond(&self, folded: Sequence, read: &NumberSet) -> u64 {
        let Some(last) = read.last() else { return 0 };
        let lost = self.between(folded, Sequence(last));
        lost.into_iter().map(|(first, last)| last - first + 1 - read.count_within(first, last)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[(u64, u64)]) -> NumberSet {
        let mut set = NumberSet::default();
        ranges.iter().for_each(|(first, last)| set.insert_all(*first, *last));
        set
    }

    #[test]
    fn what_is_folded_was_retired_or_was_set_aside_is_not_lost() {
        let lost = LostNumbers::new(Sequence(10), set(&[(21, 30), (41, 50)]));
        for (before, last, expected) in [
            (0, 10, &[][..]),
            (0, 15, &[(11, 15)]),
            (12, 15, &[(13, 15)]),
            (12, 12, &[]),
            (15, 60, &[(16, 20), (31, 40), (51, 60)]),
            (20, 30, &[]),
            (25, 45, &[(31, 40)]),
        ] {
            assert_eq!(lost.between(Sequence(before), Sequence(last)), expected, "{before} to {last}");
        }
        assert_eq!([19, 20, 30, 40, 50].map(|last| lost.is_crash_before(last)), [false, true, false, true, false]);
        let count = |folded, ranges: &[_]| lost.count_beyond(Sequence(folded), &set(ranges));
        assert_eq!(count(0, &[(11, 20), (31, 35), (61, 61)]), 5 + 10);
        assert_eq!(count(38, &[(11, 20), (31, 35), (61, 61)]), 2 + 10);
        assert_eq!(count(70, &[(61, 61)]), 0);
        assert_eq!(count(0, &[]), 0, "nobody knows how many records a log had of which nothing is left");
    }
}
