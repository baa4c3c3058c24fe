//! What becomes of each segment file when a store is opened: the decision table.
//!
//! Pure. [`super::recovery`] looks at the files, asks here, and carries out what is decided.

use crate::ground::position::Sequence;

/// No store gets here by itself: a million numbers a second for a hundred thousand years. Beyond it, a forged or
/// mangled file would lead to numbers that neither a file name nor SQLite can hold.
pub(crate) const NUMBER_MAX: u64 = 1 << 62;

/// What the header says of its file. One of a newer version is no case here: then the store is not opened at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// There is none, and nothing else in the file: what a power cut leaves of a segment that was never synced.
    NeverStarted,
    /// There are zeros in its place, and something behind them. A power cut leaves that where later pages reached the disk
    /// first; a disk that loses a page does, too.
    FirstPageLost,
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

impl Header {
    /// Whether the file may be a segment of this log, and nothing is read from it: its first page or its header is damaged,
    /// or it has another segment's name.
    pub(super) const fn is_unreadable(self) -> bool {
        matches!(self, Self::FirstPageLost | Self::Damaged | Self::Misnamed)
    }
}

/// What the newest mark says of the segment's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seal {
    /// Nothing: the segment's writer died, or a failed sync poisoned it.
    Open,
    /// It has an end, which is not vouched for: the durable mark lies before it.
    Unsynced,
    /// It has an end, and everything before is vouched for.
    Synced,
    /// The frames contradict it, or both marks are damaged: no crash leaves such a segment.
    Wrong,
}

/// What lies behind the durable mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Frames, and then the end: the sealed one, or zeros.
    Clean,
    /// Frames, and then something that is none. Pages reach the disk in any order, so intact frames may follow.
    Torn,
    /// The same, where a later segment vouches for the records that are missing behind it: no crash did that.
    Broken,
}

/// How the segment's sequence numbers relate to those of the other segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Some of them only this one has, or this is the one to take them from.
    Own,
    /// It has no frame.
    None,
    /// Others have them all: its frames were rewritten after a failed sync, or are such a rewrite.
    Covered,
    /// Records before them are missing, and nothing vouches for them: see [`super::reading_plan`].
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
    /// It stays as it is, is named as damaged, and goes to `quarantine/` once it is folded. It is to be synced before
    /// anything after it is called durable.
    KeepDamaged,
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

const ANY_SEAL: &[Seal] = &[Seal::Open, Seal::Unsynced, Seal::Synced, Seal::Wrong];
const NOT_WRONG: &[Seal] = &[Seal::Open, Seal::Unsynced, Seal::Synced];
const ANY_TAIL: &[Tail] = &[Tail::Clean, Tail::Torn, Tail::Broken];
const NOT_CLEAN: &[Tail] = &[Tail::Torn, Tail::Broken];
const NOT_BROKEN: &[Tail] = &[Tail::Clean, Tail::Torn];
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
    by_header("unreadable, so it may hold any numbers that come next", &[Header::FirstPageLost, Header::Damaged], Action::QuarantineReservingNumbers),
    by_header("renamed by hand", &[Header::Misnamed], Action::QuarantineReservingNumbers),
    by_header("not of this log", &[Header::Foreign, Header::Unreachable], Action::Quarantine),
    Row {
        label: "rewritten elsewhere",
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
        header: &[Header::Sound], seal: NOT_WRONG, tail: &[Tail::Clean], numbers: &[Numbers::NoneBehindGap],
        action: Action::Remove,
    },
    Row {
        label: "likewise, and what can't be read is kept",
        header: &[Header::Sound], seal: NOT_WRONG, tail: NOT_CLEAN, numbers: &[Numbers::NoneBehindGap],
        action: Action::QuarantineReservingNumbers,
    },
    Row {
        label: "likewise, and its marks are kept",
        header: &[Header::Sound], seal: &[Seal::Wrong], tail: ANY_TAIL, numbers: &[Numbers::NoneBehindGap],
        action: Action::QuarantineReservingNumbers,
    },
    sound("ended in order",                      &[Seal::Synced],               NOT_BROKEN,       Action::Keep),
    sound("sealed, and all there",               &[Seal::Unsynced],             &[Tail::Clean],   Action::KeepAndSync),
    sound("its writer died",                     &[Seal::Open],                 &[Tail::Clean],   Action::SealAndSync),
    sound("a mark that its own frames disprove", &[Seal::Wrong],                ANY_TAIL,         Action::KeepDamaged),
    sound("a torn tail",                         &[Seal::Open, Seal::Unsynced], &[Tail::Torn],    Action::CutAndSync),
    sound("torn, but by no crash",               NOT_WRONG,                     &[Tail::Broken],  Action::KeepDamaged),
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

/// The last number in use: what the log holds or may have held, and what is folded, whichever is more. After a power
/// cut the log may be shorter than what is folded; no number is used twice all the same.
pub(crate) fn resume(last_in_log: Sequence, folded: Sequence) -> Sequence {
    last_in_log.max(folded)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADERS: [Header; 7] = [
        Header::NeverStarted,
        Header::FirstPageLost,
        Header::Damaged,
        Header::Misnamed,
        Header::Foreign,
        Header::Unreachable,
        Header::Sound,
    ];

    /// The same decisions, said in another way.
    fn expected(header: Header, seal: Seal, tail: Tail, numbers: Numbers) -> Action {
        let is_damaged = seal == Seal::Wrong || tail == Tail::Broken;
        match (header, numbers, seal, tail) {
            (Header::NeverStarted, ..) => Action::Remove,
            (Header::FirstPageLost | Header::Damaged | Header::Misnamed, ..) => Action::QuarantineReservingNumbers,
            (Header::Foreign | Header::Unreachable, ..) => Action::Quarantine,
            (Header::Sound, Numbers::Covered, ..) => Action::LeaveUnread,
            (Header::Sound, Numbers::BehindGap, ..) => Action::QuarantineReservingNumbers,
            (Header::Sound, Numbers::NoneBehindGap, _, Tail::Clean) if !is_damaged => Action::Remove,
            (Header::Sound, Numbers::NoneBehindGap, ..) => Action::QuarantineReservingNumbers,
            (Header::Sound, Numbers::Own | Numbers::None, ..) if is_damaged => Action::KeepDamaged,
            (Header::Sound, Numbers::Own | Numbers::None, Seal::Synced | Seal::Wrong, _) => Action::Keep,
            (Header::Sound, Numbers::Own | Numbers::None, Seal::Unsynced, Tail::Clean) => Action::KeepAndSync,
            (Header::Sound, Numbers::Own | Numbers::None, Seal::Open, Tail::Clean) => Action::SealAndSync,
            (Header::Sound, Numbers::Own | Numbers::None, Seal::Open | Seal::Unsynced, _) => Action::CutAndSync,
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
        assert_eq!(cases_of.iter().sum::<i32>(), 7 * 4 * 3 * 5);
        assert!(cases_of.iter().all(|cases| *cases > 0), "{cases_of:?}");
    }

    #[test]
    fn numbers_go_on_behind_whichever_reaches_further() {
        for (log, folded, last) in [(0, 0, 0), (7, 3, 7), (3, 7, 7)] {
            assert_eq!(resume(Sequence(log), Sequence(folded)), Sequence(last));
        }
    }
}
