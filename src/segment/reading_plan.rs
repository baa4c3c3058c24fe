//! From which segments the log is read, in which order, and what becomes of the others' numbers.
//!
//! Pure; runs while a store opens, and wherever somebody looks at what the next opening would do.

use super::number_range::{NumberRange, reading_order};
use super::verdict::Numbers;
use crate::ground::position::Sequence;

/// The plan. Files are named by their places in the order of segment ids.
#[derive(Debug)]
pub(super) struct ReadingPlan {
    /// The segments that are read, in the order of their numbers.
    pub(super) order: Vec<usize>,
    /// How each file's numbers relate to those of the others.
    pub(super) numbers: Vec<Numbers>,
    /// Whether no crash can have torn the file's tail, or taken its first page.
    pub(super) broken: Vec<bool>,
}

impl ReadingPlan {
    /// The plan for the files that say this of themselves. `folded` is the last number in the database.
    pub(super) fn of(links: &[Link], folded: Sequence) -> Self {
        let behind_gap = behind_gap(links, folded);
        let readable = links.iter().zip(&behind_gap);
        let ranges: Vec<_> =
            readable.map(|(link, behind)| if *behind { NumberRange::NONE } else { link.numbers() }).collect();
        let order = reading_order(&ranges);
        let numbers = (0..links.len()).map(|place| match (behind_gap[place], links[place].numbers().count) {
            (true, 0) => Numbers::NoneBehindGap,
            (true, _) => Numbers::BehindGap,
            (false, 0) => Numbers::None,
            (false, _) if order.contains(&place) => Numbers::Own,
            (false, _) => Numbers::Covered,
        });
        let broken = (0..links.len()).map(|place| !behind_gap[place] && is_broken(links, &ranges, place)).collect();
        Self { numbers: numbers.collect(), order, broken }
    }

    /// The order in which the plan is carried out: what lies behind missing records first, the last file first, and
    /// before anything is sealed; then the others by ascending id. As long as one file is there that is to go, so is
    /// what tells that it is to go.
    pub(super) fn work_order(&self) -> impl Iterator<Item = usize> {
        let goes = |place: &usize| matches!(self.numbers[*place], Numbers::BehindGap | Numbers::NoneBehindGap);
        let all = 0..self.numbers.len();
        all.clone().rev().filter(goes).chain(all.filter(move |place| !goes(place)))
    }
}

/// What a file says of itself as a link in the chain of segments, which is the order of segment ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// A segment that was started, but its first page did not reach the disk, or is lost.
    Pageless,
    /// A file that belongs elsewhere, or whose numbers are not known.
    Unknown,
    /// A segment of this log.
    Segment {
        /// The numbers that it has.
        numbers: NumberRange,
        /// The durable mark vouches for frames in it, and so for all that was recorded before.
        vouched: bool,
        /// It has an end that it was sealed at.
        sealed: bool,
        /// Something else than frames follows them, or it ends before where it was sealed.
        torn: bool,
    },
}

impl Link {
    /// The numbers that it has for certain.
    pub(super) fn numbers(&self) -> NumberRange {
        match self {
            Self::Segment { numbers, .. } => *numbers,
            Self::Pageless | Self::Unknown => NumberRange::NONE,
        }
    }
}

/// Which segments lie behind records that are missing because their pages did not reach the disk in time, as later ones
/// did: what is promised after a power cut is a prefix of what was recorded. `folded` is the last number in the
/// database, which needs no log before that.
///
/// Numbers also jump where a log came back shorter than what is folded and was gone on with. But then recovery has
/// removed what was never started, and has sealed the segments before the jump at where their frames end.
fn behind_gap(links: &[Link], folded: Sequence) -> Vec<bool> {
    let (mut end, mut may_miss, mut gap) = (folded.0.saturating_add(1), false, false);
    // Whoever writes a durable mark has synced all that was there before it.
    let vouching = links.iter().rposition(|link| matches!(link, Link::Segment { vouched: true, .. }));
    links
        .iter()
        .enumerate()
        .map(|(place, link)| match *link {
            Link::Unknown => false,
            Link::Pageless => {
                may_miss = true;
                false
            }
            Link::Segment { numbers, sealed, torn, .. } => {
                let vouched = vouching.is_some_and(|vouching| place <= vouching);
                gap = !vouched && numbers.first > end && (may_miss || gap);
                if !gap {
                    end = end.max(numbers.end());
                    // It may have had more.
                    may_miss = !sealed || torn;
                }
                gap
            }
        })
        .collect()
}

/// Whether what is wrong with a file is no crash's doing: its first page is lost, or its tail is torn and records behind it
/// are missing, and a later segment proves that they were there. Its durable mark was written after everything before it
/// had been synced. `ranges` has the numbers of what is read.
fn is_broken(links: &[Link], ranges: &[NumberRange], place: usize) -> bool {
    let mut vouching = links[place + 1..].iter().filter_map(|link| match link {
        Link::Segment { numbers, vouched: true, .. } => Some(numbers),
        _ => None,
    });
    match links[place] {
        Link::Pageless => vouching.next().is_some(),
        Link::Segment { numbers, torn: true, .. } => {
            let due = numbers.end();
            let has_due = |range: &NumberRange| range.first <= due && due < range.end();
            vouching.any(|numbers| numbers.first > due) && !ranges.iter().any(has_due)
        }
        Link::Segment { .. } | Link::Unknown => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_behind_missing_records_is_told_from_numbers_that_jump_after_a_recovery() {
        const fn segment(first: u64, count: u64, vouched: bool, open_ended: bool) -> Link {
            Link::Segment { numbers: NumberRange { first, count }, vouched, sealed: !open_ended, torn: false }
        }
        const OPEN: Link = segment(1, 5, false, true);
        const SEALED: Link = segment(1, 5, false, false);
        let cases: [(&str, &[Link], u64, &[bool]); 12] = [
            ("a torn segment and the next", &[OPEN, segment(11, 5, false, true)], 0, &[false, true]),
            ("it goes on without a gap", &[OPEN, segment(6, 5, false, true)], 0, &[false, false]),
            (
                "all that follows",
                &[OPEN, segment(11, 5, false, false), segment(16, 5, false, true)],
                0,
                &[false, true, true],
            ),
            ("the database has what is missing", &[OPEN, segment(11, 5, false, true)], 10, &[false, false]),
            ("or part of it", &[OPEN, segment(11, 5, false, true)], 9, &[false, true]),
            ("a mark vouches for all before", &[OPEN, segment(11, 5, true, true)], 0, &[false, false]),
            (
                "also for one that says nothing of itself",
                &[OPEN, segment(11, 5, false, true), segment(20, 5, true, true), segment(30, 1, false, true)],
                0,
                &[false, false, false, true],
            ),
            ("a jump after a recovery", &[SEALED, segment(11, 5, false, true)], 0, &[false, false]),
            (
                "a page that never came",
                &[SEALED, Link::Pageless, segment(11, 5, false, true)],
                0,
                &[false, false, true],
            ),
            ("nor did the first", &[Link::Pageless, segment(6, 5, false, true)], 0, &[false, true]),
            ("a header alone came", &[segment(1, 0, false, true), segment(6, 5, false, true)], 0, &[false, true]),
            ("a segment that took none", &[segment(1, 0, false, true), segment(1, 5, false, true)], 0, &[false, false]),
        ];
        for (case, links, folded, expected) in cases {
            assert_eq!(behind_gap(links, Sequence(folded)), expected, "{case}");
        }
    }

    #[test]
    fn a_tail_is_torn_by_no_crash_where_a_later_segment_vouches_for_what_is_missing_behind_it() {
        let segment = |first, count, vouched, torn| Link::Segment {
            numbers: NumberRange { first, count },
            vouched,
            sealed: true,
            torn,
        };
        let torn = segment(1, 5, false, true);
        for (case, links, expected) in [
            ("nothing behind it", &[torn][..], false),
            ("nobody vouches", &[torn, segment(6, 5, false, false)], false),
            ("the next one has what was due", &[torn, segment(6, 5, true, false)], false),
            ("records are missing", &[torn, segment(8, 5, true, false)], true),
            ("though others lie between", &[torn, segment(7, 1, false, false), segment(8, 5, true, false)], true),
            ("another has what was due", &[torn, segment(4, 6, false, false), segment(20, 5, true, false)], false),
            ("it vouches for what it has", &[torn, segment(2, 2, true, false)], false),
            ("not torn", &[segment(1, 5, false, false), segment(8, 5, true, false)], false),
            ("a file between", &[torn, Link::Unknown, segment(8, 5, true, false)], true),
            ("a lost page", &[Link::Pageless, segment(8, 5, false, false)], false),
            ("a lost page that was synced", &[Link::Pageless, Link::Unknown, segment(8, 5, true, false)], true),
        ] {
            let plan = ReadingPlan::of(links, Sequence(0));
            assert_eq!(plan.broken[0], expected, "{case}");
            assert!(!plan.broken[1..].contains(&true), "{case}");
        }
    }
}
