//! Which segment has which sequence numbers, and from which segment each number is read.
//!
//! Pure.

use std::cmp::Reverse;

/// The sequence numbers of a segment: from the first one on, so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NumberRange {
    pub(crate) first: u64,
    pub(crate) count: u64,
}

impl NumberRange {
    /// No numbers.
    pub(crate) const NONE: Self = Self { first: 0, count: 0 };

    /// The first number behind it.
    pub(super) const fn end(self) -> u64 {
        self.first.saturating_add(self.count)
    }
}

/// In which order segments are read so that every number comes once: the places in `ranges` (which is in the order of
/// segment ids). Each segment ends where the next one begins, if it has more. One that is not named is superseded, or
/// empty.
///
/// Where several segments hold a number, frames were rewritten after a failed sync; they hold the same record. Then
/// that run of segments counts that reaches furthest, of equals the later one: a complete second writing from where it
/// begins, in place of all that it replaces, and what was there before in place of a second writing that a crash cut
/// short.
pub(crate) fn reading_order(ranges: &[NumberRange]) -> Vec<usize> {
    let runs = runs(ranges);
    let reach = |run: usize| (runs[run].end, run);
    let mut order: Vec<_> = (0..runs.len()).collect();
    order.sort_by_key(|run| (runs[*run].first, Reverse(reach(*run))));
    let mut furthest = (0, 0);
    order.retain(|run| {
        let counts = reach(*run) > furthest;
        furthest = furthest.max(reach(*run));
        counts
    });
    let mut places = Vec::with_capacity(ranges.len());
    for (at, run) in order.iter().enumerate() {
        let next = order.get(at + 1).map_or(u64::MAX, |next| runs[*next].first);
        places.extend(runs[*run].places.iter().filter(|place| ranges[**place].first < next));
    }
    places
}

/// Segments that follow each other without a gap.
struct Run {
    first: u64,
    /// The number behind the last.
    end: u64,
    places: Vec<usize>,
}

fn runs(ranges: &[NumberRange]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (place, range) in ranges.iter().enumerate().filter(|(_, range)| range.count > 0) {
        match runs.last_mut().filter(|run| run.end == range.first) {
            Some(run) => {
                run.places.push(place);
                run.end = range.end();
            }
            None => runs.push(Run { first: range.first, end: range.end(), places: vec![place] }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What reading in that order gives: every number, and the segment that it is taken from.
    fn numbers_read(ranges: &[NumberRange], order: &[usize]) -> Vec<(u64, usize)> {
        let mut read = Vec::new();
        for (at, place) in order.iter().enumerate() {
            let next = order.get(at + 1).map_or(u64::MAX, |next| ranges[*next].first);
            let before = read.len();
            read.extend((ranges[*place].first..ranges[*place].end().min(next)).map(|number| (number, *place)));
            assert!(read.len() > before, "{ranges:?}: {order:?} names a segment in vain");
        }
        read
    }

    #[test]
    fn of_any_few_segments_every_number_is_read_once_and_from_the_run_that_reaches_furthest() {
        let all: Vec<_> = (1..=5).flat_map(|first| (0..=4).map(move |count| NumberRange { first, count })).collect();
        for a in &all {
            for b in &all {
                for c in &all {
                    let ranges = [*a, *b, *c];
                    let read = numbers_read(&ranges, &reading_order(&ranges));
                    // How far one gets from a segment, going on to the next ids as long as no number is missing.
                    let run = |place: usize| {
                        let later = (place + 1..3).filter(|later| ranges[*later].count > 0);
                        later.fold((ranges[place].end(), true), |(end, on), later| {
                            if on && ranges[later].first == end { (ranges[later].end(), true) } else { (end, false) }
                        })
                    };
                    // Of which run a segment is part: one that goes on from the segment before it has that one's
                    // number.
                    let mut number = [0; 3];
                    let (mut end, mut count) = (0, 0);
                    for place in (0..3).filter(|place| ranges[*place].count > 0) {
                        count += usize::from(ranges[place].first != end);
                        (number[place], end) = (count, ranges[place].end());
                    }
                    let from = |due: u64| {
                        let holding =
                            (0..3).filter(|place| (ranges[*place].first..ranges[*place].end()).contains(&due));
                        holding.max_by_key(|place| (run(*place).0, number[*place])).map(|place| (due, place))
                    };
                    assert_eq!(read, (0..20).filter_map(from).collect::<Vec<_>>(), "{ranges:?}");
                }
            }
        }
    }

    #[test]
    fn a_second_writing_counts_when_it_is_complete_and_not_when_it_was_cut_short() {
        let range = |first: u64, last: u64| NumberRange { first, count: last + 1 - first };
        // Synced to 50; then what follows was written again from 51 on.
        let before = [range(1, 60), range(61, 80), range(81, 100)];
        let order = |again: &[NumberRange]| reading_order(&[&before[..], again].concat());
        assert_eq!(order(&[range(51, 120)]), [0, 3], "complete, with more behind it");
        assert_eq!(order(&[range(51, 100)]), [0, 3], "complete, and nothing more");
        assert_eq!(order(&[range(51, 75), range(76, 100)]), [0, 3, 4], "in two segments");
        assert_eq!(order(&[range(51, 75), range(76, 99)]), [0, 1, 2], "cut short");
        assert_eq!(order(&[]), [0, 1, 2]);
        assert_eq!(order(&[range(51, 70), range(51, 110)]), [0, 4], "twice");
        assert_eq!(order(&[range(51, 60), range(76, 100)]), [0, 1, 4], "the disk lost a part of it");
        // The disk lost what was in the second segment; the second writing has it.
        assert_eq!(reading_order(&[range(1, 60), range(61, 60), range(81, 100), range(51, 90)]), [0, 3, 2]);
    }

    #[test]
    fn forged_numbers_lead_nowhere() {
        let far = NumberRange { first: u64::MAX - 1, count: u64::MAX };
        let near = NumberRange { first: 1, count: 5 };
        assert_eq!(reading_order(&[far, near, far]), [1, 2]);
    }
}
