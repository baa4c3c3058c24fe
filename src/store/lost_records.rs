//! Which records of a log no file has any more, and what became of them: folded before, or lost.
//!
//! Pure.

use super::rebuild_plan::{Action, Hole};
use crate::compactor::log_fold::LostRun;
use crate::ground::position::{Sequence, WriterId};
use crate::segment::number_set::NumberSet;

/// The records that the files of one log do not have.
#[derive(Debug, Default)]
pub(super) struct LostRecords {
    /// How many were recorded before the first one that is there, and folded.
    pub(super) before_log: u64,
    /// The others, in their order.
    pub(super) holes: Vec<Hole>,
    /// Those that the new database notes as lost.
    pub(super) noted: Vec<LostRun>,
}

/// What is known of one log.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownLog<'a> {
    pub(super) writer: WriterId,
    /// The numbers of the records that its files have.
    pub(super) there: &'a NumberSet,
    /// The number with which the log begins, as the headers of its files say.
    pub(super) begins: Option<Sequence>,
    /// The last number that its files speak of.
    pub(super) last: Sequence,
    /// The last number that the old database has folded; `None` where it says nothing of this log.
    pub(super) folded: Option<Sequence>,
    /// What it says is lost.
    pub(super) missing: &'a [LostRun],
    /// Records whose rows are brought over, whether or not the files have them.
    pub(super) kept: &'a NumberSet,
    /// Somebody else folds it on from behind `last`: what lies there is not for this one to judge.
    pub(super) goes_on: bool,
}

impl LostRecords {
    /// A database that is made of the log alone does not have what only the old one had folded between two records; otherwise
    /// those rows are brought over.
    pub(super) fn of(log: KnownLog<'_>, action: Action) -> Self {
        let KnownLog { writer, there, begins, last, folded, missing, kept, goes_on } = log;
        let mut told = NumberSet::default();
        missing.iter().for_each(|run| told.insert_all(run.first, run.last));
        let folded = folded.map_or(0, |folded| folded.0);
        // Where nothing says how far it was folded, what came before the log is taken to be.
        let first = there.first().unwrap_or(last.0 + 1);
        let front = begins.map_or(first, |begins| begins.0.min(first)) - 1;
        let mut lost = Self::default();
        let mut noted = NumberSet::default();
        let until = if goes_on { last.0 } else { last.0.max(folded) };
        for (begin, end) in there.missing_within(1, until) {
            // What the old one counts as lost and no file has, the new one counts again.
            for (begin, end) in split(begin, end, &told, true) {
                lost.hole(writer, begin, end, false);
                noted.insert_all(begin, end);
            }
            for (begin, end) in split(begin, end, &told, false) {
                let log_folded = if begin <= front && log.folded.is_none() { folded.max(front) } else { folded };
                let folded_end = end.min(log_folded);
                let before = folded_end.min(first - 1);
                if begin <= before {
                    lost.before_log += before - begin + 1;
                }
                let between = begin.max(before + 1);
                if between <= folded_end && between <= last.0 {
                    lost.hole(writer, between, folded_end.min(last.0), true);
                    if action == Action::Log {
                        noted.insert_all(between, folded_end.min(last.0));
                    }
                }
                let beyond = begin.max(log_folded + 1);
                if beyond <= end {
                    lost.hole(writer, beyond, end, false);
                    noted.insert_all(beyond, end);
                }
            }
        }
        lost.holes.sort_by_key(|hole| hole.first_record);
        let noted = noted.runs().flat_map(|(first, last)| split(first, last, kept, false));
        lost.noted = noted.map(|(first, last)| LostRun { first, last, times: times(missing, first, last) }).collect();
        lost
    }

    fn hole(&mut self, writer: WriterId, first_record: u64, last_record: u64, folded: bool) {
        self.holes.push(Hole { writer, first_record, last_record, folded });
    }
}

/// Of the numbers from `first` to `last` the runs that are in the set, or those that are not.
fn split(first: u64, last: u64, set: &NumberSet, are_in: bool) -> Vec<(u64, u64)> {
    let absent = set.missing_within(first, last);
    if !are_in {
        return absent;
    }
    let (mut present, mut due) = (Vec::new(), first);
    for (begin, end) in absent {
        if begin > due {
            present.push((due, begin - 1));
        }
        due = end + 1;
    }
    if due <= last {
        present.push((due, last));
    }
    present
}

/// Between which times those records happened, as the old database says of any of them.
fn times(missing: &[LostRun], first: u64, last: u64) -> Option<(i64, i64)> {
    let met = missing.iter().filter(|run| run.first <= last && run.last >= first).filter_map(|run| run.times);
    met.reduce(|(from, to), (other_from, other_to)| (from.min(other_from), to.max(other_to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(runs: &[(u64, u64)]) -> NumberSet {
        let mut set = NumberSet::default();
        runs.iter().for_each(|(first, last)| set.insert_all(*first, *last));
        set
    }

    #[test]
    fn what_no_file_has_was_folded_or_is_lost_and_what_is_counted_as_lost_stays_so() {
        let (writer, none) = (WriterId([7; 16]), NumberSet::default());
        type Runs<'a> = &'a [(u64, u64)];
        type Case<'a> = (Runs<'a>, u64, Option<u64>, Runs<'a>, u64, Runs<'a>, Runs<'a>, Runs<'a>, Runs<'a>);
        // What is there, the last number of the files, what is folded, what was counted as lost; and how many came before the
        // log, the holes that were folded, those that are lost, what a database of the log alone notes, and one beside rows.
        let cases: &[Case<'_>] = &[
            (&[(1, 9)], 9, Some(9), &[], 0, &[], &[], &[], &[]),
            (&[(5, 9)], 9, Some(7), &[], 4, &[], &[], &[], &[]),
            (&[(5, 9)], 9, None, &[], 4, &[], &[], &[], &[]),
            (&[(5, 9)], 9, Some(2), &[], 2, &[], &[(3, 4)], &[(3, 4)], &[(3, 4)]),
            (&[(1, 3), (6, 9)], 9, Some(9), &[], 0, &[(4, 5)], &[], &[(4, 5)], &[]),
            (&[(1, 3), (6, 9)], 9, Some(4), &[], 0, &[(4, 4)], &[(5, 5)], &[(4, 5)], &[(5, 5)]),
            (&[(1, 3), (6, 9)], 9, None, &[], 0, &[], &[(4, 5)], &[(4, 5)], &[(4, 5)]),
            // Counted as lost in front of the log, amid it, and behind it: again, however often.
            (&[(5, 9)], 9, Some(9), &[(1, 4)], 0, &[], &[(1, 4)], &[(1, 4)], &[(1, 4)]),
            (&[(5, 9)], 9, Some(9), &[(2, 3)], 2, &[], &[(2, 3)], &[(2, 3)], &[(2, 3)]),
            (&[(1, 9)], 9, Some(20), &[(10, 12)], 0, &[], &[(10, 12)], &[(10, 12)], &[(10, 12)]),
            // What was counted as lost, and is there.
            (&[(1, 9)], 9, Some(9), &[(4, 5)], 0, &[], &[], &[], &[]),
            // The log begins with 4, and 4 and 5 are damaged.
            (&[(6, 9)], 9, None, &[], 3, &[], &[(4, 5)], &[(4, 5)], &[(4, 5)]),
            (&[(6, 9)], 9, Some(4), &[], 4, &[], &[(5, 5)], &[(5, 5)], &[(5, 5)]),
            // The files speak of records that they do not have.
            (&[(1, 5)], 9, Some(5), &[], 0, &[], &[(6, 9)], &[(6, 9)], &[(6, 9)]),
            (&[], 9, Some(4), &[], 4, &[], &[(5, 9)], &[(5, 9)], &[(5, 9)]),
        ];
        for (there, last, folded, told, before_log, folded_holes, lost_holes, of_log, beside_rows) in cases {
            let there = set(there);
            let missing: Vec<_> =
                told.iter().map(|(first, last)| LostRun { first: *first, last: *last, times: None }).collect();
            let (last, folded) = (Sequence(*last), folded.map(Sequence));
            // Where the first of its records are damaged, the log begins before the first one that is there.
            let begins = (there.first() == Some(6)).then_some(Sequence(4));
            let log = KnownLog {
                writer,
                there: &there,
                begins,
                last,
                folded,
                missing: &missing,
                kept: &none,
                goes_on: false,
            };
            let label = format!("{log:?}");
            // A record whose row comes over is not lost.
            for (kept, _) in of_log.iter() {
                let kept = set(&[(*kept, *kept)]);
                let noted = LostRecords::of(KnownLog { kept: &kept, ..log }, Action::Log).noted;
                let noted: u64 = noted.iter().map(|run| run.last - run.first + 1).sum();
                let all: u64 = of_log.iter().map(|(first, last)| last - first + 1).sum();
                assert_eq!(noted, all - 1, "{label}");
            }
            let found = LostRecords::of(log, Action::Log);
            let holes = |folded| {
                let holes = found.holes.iter().filter(move |hole| hole.folded == folded);
                holes.map(|hole| (hole.first_record, hole.last_record)).collect::<Vec<_>>()
            };
            assert_eq!(found.before_log, *before_log, "{label}");
            assert_eq!((holes(true), holes(false)), (folded_holes.to_vec(), lost_holes.to_vec()), "{label}");
            let runs = |lost: &LostRecords| lost.noted.iter().map(|run| (run.first, run.last)).collect::<Vec<_>>();
            assert_eq!(runs(&found), of_log.to_vec(), "{label}");
            assert_eq!(runs(&LostRecords::of(log, Action::Salvage)), beside_rows.to_vec(), "{label}");
            // Who folds it on finds again what lies behind.
            let found = LostRecords::of(KnownLog { goes_on: true, ..log }, Action::Log);
            let up_to_last = |runs: &[(u64, u64)]| {
                let before = runs.iter().filter(|(first, _)| *first <= last.0);
                before.map(|(first, end)| (*first, (*end).min(last.0))).collect::<Vec<_>>()
            };
            assert_eq!(runs(&found), up_to_last(of_log), "{label}");
        }
    }
}
