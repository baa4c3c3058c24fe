//! What becomes of each segment file when a store is opened: the decision table; and in which order the segments are
//! read that are kept.
//!
//! Pure. [`super::recovery`] looks at the files, asks here, and carries out what is decided.

use crate::ground::position::Sequence;
use std::cmp::Reverse;

/// No store gets here by itself: a million numbers a second for a hundred thousand years. Beyond it, a forged or mangled
/// file would lead to numbers that neither a file name nor SQLite can hold.
pub(crate) const NUMBER_MAX: u64 = 1 << 62;

/// What the header says of its file. One of a newer version is no case here: then the store is not opened at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// There is none, and no mark either: what a power cut leaves of a segment that was never synced.
    NeverStarted,
    /// No header can be read. Which numbers its records have is unknown.
    Damaged,
    /// Intact, and of another segment than the name says.
    Misnamed,
    /// Intact, and of another store.
    Foreign,
    /// Intact, and with a number beyond [`NUMBER_MAX`].
    Unreachable,
    /// This store's, and the segment's that the name says.
    Sound,
}

/// What the newest mark says of the segment's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seal {
    /// Nothing: its writer died, or a failed sync poisoned it.
    Open,
    /// It has an end, which is not vouched for: the durable mark lies before it.
    Unsynced,
    /// It has an end, and everything before is vouched for.
    Synced,
    /// It has an end, where the next frame stands all the same, intact: no writer of ours says that of such a segment.
    Contradicted,
}

/// What lies behind the durable mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Frames, and then the end: the sealed one, or zeros.
    Clean,
    /// Frames, and then something that is none. Pages reach the disk in any order, so intact frames may follow.
    Torn,
}

/// How the segment's sequence numbers relate to those of the other segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Some of them only this one has, or this is the one to take them from.
    Own,
    /// It has no frame.
    None,
    /// Others have them all: its frames were written again after a failed sync, or are such a copy.
    Covered,
    /// Records before them are missing, and nothing vouches for them: see [`behind_gap`].
    BehindGap,
    /// Likewise, and it has no frame.
    NoneBehindGap,
}

/// What is done with the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// It holds nothing.
    Remove,
    /// It goes to `quarantine/`; the numbers that it holds or may hold are not used again.
    QuarantineReservingNumbers,
    /// It goes to `quarantine/`. Its numbers are another store's, or nobody's.
    Quarantine,
    /// It stays as it is. What is damaged in it, folding finds and names.
    Keep,
    /// It stays as it is, and is to be synced before anything after it is called durable.
    KeepAndSync,
    /// It is sealed behind its last frame, and is to be synced likewise.
    SealAndSync,
    /// What lies behind its last good frame is cut off; then as before.
    CutAndSync,
    /// It stays as it is until its records are folded, and is retired then: nothing is read from it.
    LeaveUnread,
}

/// One row of the table: which cases it covers, and what is done.
struct Row {
    label: &'static str,
    header: &'static [Header],
    seal: &'static [Seal],
    tail: &'static [Tail],
    numbers: &'static [Numbers],
    action: Action,
}

const ANY_SEAL: &[Seal] = &[Seal::Open, Seal::Unsynced, Seal::Synced, Seal::Contradicted];
const ANY_TAIL: &[Tail] = &[Tail::Clean, Tail::Torn];
const ANY_NUMBERS: &[Numbers] =
    &[Numbers::Own, Numbers::None, Numbers::Covered, Numbers::BehindGap, Numbers::NoneBehindGap];

const fn by_header(label: &'static str, header: &'static [Header], action: Action) -> Row {
    Row { label, header, seal: ANY_SEAL, tail: ANY_TAIL, numbers: ANY_NUMBERS, action }
}

const fn sound(label: &'static str, seal: &'static [Seal], tail: &'static [Tail], action: Action) -> Row {
    Row { label, header: &[Header::Sound], seal, tail, numbers: &[Numbers::Own, Numbers::None], action }
}

/// Every case is covered by exactly one row; a test enumerates them.
///
/// The checkpoint is in none of them: whether a record is folded is told by its number, and never by where a segment
/// ends. It has its say in [`resume`].
#[rustfmt::skip]
const TABLE: &[Row] = &[
    by_header("never started", &[Header::NeverStarted], Action::Remove),
    by_header("unreadable, so it may hold any numbers that come next", &[Header::Damaged], Action::QuarantineReservingNumbers),
    by_header("renamed by hand", &[Header::Misnamed], Action::QuarantineReservingNumbers),
    by_header("not of this log", &[Header::Foreign, Header::Unreachable], Action::Quarantine),
    Row {
        label: "written again elsewhere",
        header: &[Header::Sound], seal: ANY_SEAL, tail: ANY_TAIL, numbers: &[Numbers::Covered],
        action: Action::LeaveUnread,
    },
    Row {
        label: "its pages reached the disk before those of a segment before it",
        header: &[Header::Sound], seal: ANY_SEAL, tail: ANY_TAIL, numbers: &[Numbers::BehindGap],
        action: Action::QuarantineReservingNumbers,
    },
    Row {
        label: "its header reached the disk before the pages of a segment before it",
        header: &[Header::Sound], seal: ANY_SEAL, tail: ANY_TAIL, numbers: &[Numbers::NoneBehindGap],
        action: Action::Remove,
    },
    sound("ended in order",                      &[Seal::Synced],               ANY_TAIL,       Action::Keep),
    sound("sealed, and all there",               &[Seal::Unsynced],             &[Tail::Clean], Action::KeepAndSync),
    sound("its writer died",                     &[Seal::Open],                 &[Tail::Clean], Action::SealAndSync),
    sound("a mark that its own frames disprove", &[Seal::Contradicted],         ANY_TAIL,       Action::KeepAndSync),
    sound("a torn tail",                         &[Seal::Open, Seal::Unsynced], &[Tail::Torn],  Action::CutAndSync),
];

/// What is done with a file, and which row of the table says so.
pub(crate) fn decide(header: Header, seal: Seal, tail: Tail, numbers: Numbers) -> (Action, &'static str) {
    let covers = |row: &&Row| {
        row.header.contains(&header)
            && row.seal.contains(&seal)
            && row.tail.contains(&tail)
            && row.numbers.contains(&numbers)
    };
    // The test below shows that a row is found; keeping a file as it is would do no harm.
    TABLE.iter().find(covers).map_or((Action::Keep, "unheard of"), |row| (row.action, row.label))
}

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
    const fn end(self) -> u64 {
        self.first.saturating_add(self.count)
    }
}

/// In which order segments are read so that every number comes once: the places in `ranges` (which is in the order of
/// segment ids). Each segment ends where the next one begins, if it has more. One that is not named is superseded, or
/// empty.
///
/// Where several segments hold a number, frames were written again after a failed sync; they hold the same record. Then
/// that run of segments counts that reaches furthest, of equals the later one: a complete second writing from where it
/// begins, in place of all that it replaces, and what was there before in place of a second writing that a crash cut short.
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

/// What a file says about the row of segments that it stands in, which is the order of segment ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// A segment that was started, but its first page did not reach the disk.
    NeverStarted,
    /// A file that belongs elsewhere, or whose numbers are not known.
    Unknown,
    Segment {
        numbers: NumberRange,
        /// The durable mark vouches for frames in it, and so for all that was recorded before.
        vouched: bool,
        /// It has no end that it was sealed at, or not all its frames up to there: it may have had more.
        open_ended: bool,
    },
}

/// Which segments lie behind records that are missing because their pages did not reach the disk in time, as later ones
/// did: what is promised after a power cut is a prefix of what was recorded. `folded` is the last number in the database,
/// which needs no log before it.
///
/// Numbers also jump where a log came back shorter than what is folded and was gone on with. But then recovery has removed
/// what was never started, and has sealed the segments before the jump at where their frames end.
pub(crate) fn behind_gap(links: &[Link], folded: Sequence) -> Vec<bool> {
    let (mut end, mut may_miss, mut gap) = (folded.0.saturating_add(1), false, false);
    links
        .iter()
        .map(|link| match *link {
            Link::Unknown => false,
            Link::NeverStarted => {
                may_miss = true;
                false
            }
            Link::Segment { numbers, vouched, open_ended } => {
                gap = !vouched && numbers.first > end && (may_miss || gap);
                if !gap {
                    end = end.max(numbers.end());
                    may_miss = open_ended;
                }
                gap
            }
        })
        .collect()
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

/// The last number in use: what the log holds or may have held, and what is folded, whichever is more. After a power cut
/// the log may be shorter than what is folded; no number is used twice all the same.
pub(crate) fn resume(last_in_log: Sequence, folded: Sequence) -> Sequence {
    last_in_log.max(folded)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADERS: [Header; 6] =
        [Header::NeverStarted, Header::Damaged, Header::Misnamed, Header::Foreign, Header::Unreachable, Header::Sound];

    /// The same decisions, said in another way.
    fn expected(header: Header, seal: Seal, tail: Tail, numbers: Numbers) -> Action {
        match (header, numbers, seal, tail) {
            (Header::NeverStarted, ..) => Action::Remove,
            (Header::Damaged | Header::Misnamed, ..) => Action::QuarantineReservingNumbers,
            (Header::Foreign | Header::Unreachable, ..) => Action::Quarantine,
            (Header::Sound, Numbers::Covered, ..) => Action::LeaveUnread,
            (Header::Sound, Numbers::BehindGap, ..) => Action::QuarantineReservingNumbers,
            (Header::Sound, Numbers::NoneBehindGap, ..) => Action::Remove,
            (Header::Sound, Numbers::Own | Numbers::None, Seal::Synced, _) => Action::Keep,
            (Header::Sound, Numbers::Own | Numbers::None, Seal::Contradicted, _)
            | (Header::Sound, Numbers::Own | Numbers::None, Seal::Unsynced, Tail::Clean) => Action::KeepAndSync,
            (Header::Sound, Numbers::Own | Numbers::None, Seal::Open, Tail::Clean) => Action::SealAndSync,
            (Header::Sound, Numbers::Own | Numbers::None, Seal::Open | Seal::Unsynced, Tail::Torn) => {
                Action::CutAndSync
            }
        }
    }

    #[test]
    fn every_case_has_exactly_one_row_and_every_row_has_a_case() {
        let mut cases_of = vec![0; TABLE.len()];
        for header in HEADERS {
            for seal in ANY_SEAL {
                for tail in ANY_TAIL {
                    for numbers in ANY_NUMBERS {
                        let covering: Vec<_> = (0..TABLE.len())
                            .filter(|row| {
                                TABLE[*row].header.contains(&header)
                                    && TABLE[*row].seal.contains(seal)
                                    && TABLE[*row].tail.contains(tail)
                                    && TABLE[*row].numbers.contains(numbers)
                            })
                            .collect();
                        let case = format!("{header:?}, {seal:?}, {tail:?}, {numbers:?}");
                        assert_eq!(covering.len(), 1, "{case}");
                        cases_of[covering[0]] += 1;
                        let (action, label) = decide(header, *seal, *tail, *numbers);
                        assert_eq!(action, expected(header, *seal, *tail, *numbers), "{case}");
                        assert_eq!(label, TABLE[covering[0]].label, "{case}");
                    }
                }
            }
        }
        assert_eq!(cases_of.iter().sum::<i32>(), 6 * 4 * 2 * 5);
        assert!(cases_of.iter().all(|cases| *cases > 0), "{cases_of:?}");
    }

    #[test]
    fn what_lies_behind_missing_records_is_told_from_numbers_that_jump_after_a_recovery() {
        const fn segment(first: u64, count: u64, vouched: bool, open_ended: bool) -> Link {
            Link::Segment { numbers: NumberRange { first, count }, vouched, open_ended }
        }
        const OPEN: Link = segment(1, 5, false, true);
        const SEALED: Link = segment(1, 5, false, false);
        let cases: [(&str, &[Link], u64, &[bool]); 11] = [
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
            ("a jump after a recovery", &[SEALED, segment(11, 5, false, true)], 0, &[false, false]),
            (
                "a page that never came",
                &[SEALED, Link::NeverStarted, segment(11, 5, false, true)],
                0,
                &[false, false, true],
            ),
            ("nor did the first", &[Link::NeverStarted, segment(6, 5, false, true)], 0, &[false, true]),
            ("a header alone came", &[segment(1, 0, false, true), segment(6, 5, false, true)], 0, &[false, true]),
            ("a segment that took none", &[segment(1, 0, false, true), segment(1, 5, false, true)], 0, &[false, false]),
        ];
        for (case, links, folded, expected) in cases {
            assert_eq!(behind_gap(links, Sequence(folded)), expected, "{case}");
        }
    }

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
                    // Of which run a segment is part: one that goes on from the segment before it has that one's number.
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

    #[test]
    fn numbers_go_on_behind_whichever_reaches_further() {
        for (log, folded, last) in [(0, 0, 0), (7, 3, 7), (3, 7, 7)] {
            assert_eq!(resume(Sequence(log), Sequence(folded)), Sequence(last));
        }
    }
}
