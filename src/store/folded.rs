//! How far each log of a store is folded, as the database says, and what numbers are that no segment has.
//!
//! Runs on the caller's thread, in any process. It opens the database for reading, and leaves every file as it is.

use crate::ground::error::IndexError;
use crate::ground::finding::{Finding, FindingKind};
use crate::ground::position::{SegmentId, Sequence, StoreId, WriterId};
use crate::index::checkpoint::{self, Checkpoint};
use crate::index::{damage, store_id};
use crate::query::database::Query;
use crate::segment::aside_file::count_frames;
use crate::segment::log_examination::{LogExamination, MissingNumbers};
use crate::segment::number_set::NumberSet;
use std::collections::HashMap;
use std::path::Path;

/// So many runs of lost records are named one by one.
const LOST_NAMED_MAX: usize = 10;

/// What a database says of the logs.
#[derive(Clone, Debug)]
pub(super) struct FoldedLogs {
    pub(super) folded: Folded,
    /// Of which store it is, if it says so.
    pub(super) store: Option<StoreId>,
    checkpoints: HashMap<WriterId, Checkpoint>,
    /// The numbers of the records of each writer that it counts as lost, because no segment had them.
    lost: HashMap<WriterId, NumberSet>,
}

/// Whether anybody can say how far logs are folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folded {
    /// The database does.
    Told,
    /// There is none.
    Nobody,
    /// It can't be read, or is another store's.
    Silent,
}

impl FoldedLogs {
    /// What the database of the store in `dir` says. `in_use`: somebody writes to it.
    pub(super) fn beside(dir: &Path, in_use: bool) -> Self {
        match Query::open_untouched(dir, in_use).and_then(|query| Self::read(&query)) {
            Ok(told) => told,
            Err(IndexError::Missing { .. }) => Folded::Nobody.into(),
            Err(_) => Folded::Silent.into(),
        }
    }

    /// Asks a database.
    ///
    /// # Errors
    /// What SQLite said.
    pub(super) fn read(query: &Query) -> Result<Self, IndexError> {
        let checkpoints = query.read_with(checkpoint::read_all)?.into_iter().collect();
        // Rows that can't be read say nothing; the check of the database names them.
        let lost = query.read_with(damage::missing_numbers).unwrap_or_default();
        let store = query.read_with(store_id::read)?;
        Ok(Self { folded: Folded::Told, store, checkpoints, lost })
    }

    /// The same, unless it is another store's.
    pub(super) fn of_store(self, store: Option<StoreId>) -> Self {
        let is_other = self.store.zip(store).is_some_and(|(told, expected)| told != expected);
        if is_other { Self { store: self.store, ..Folded::Silent.into() } } else { self }
    }

    /// The last number of a writer's log that is folded: what folding goes on behind. `None` where nobody can say.
    pub(super) fn of_log(&self, writer: WriterId) -> Option<Sequence> {
        match self.folded {
            Folded::Told => Some(self.checkpoint(writer).sequence),
            Folded::Nobody => Some(Sequence(0)),
            Folded::Silent => None,
        }
    }

    /// The same, where a database says so: `None` also where there is none.
    pub(super) fn known(&self, writer: WriterId) -> Option<Sequence> {
        (self.folded == Folded::Told).then(|| self.checkpoint(writer).sequence)
    }

    /// Where folding a writer's log goes on, as far as somebody says so.
    pub(super) fn checkpoint(&self, writer: WriterId) -> Checkpoint {
        self.checkpoints.get(&writer).copied().unwrap_or(Checkpoint::START)
    }

    /// How many records it counts as lost.
    pub(super) fn lost_records(&self) -> u64 {
        self.lost.values().flat_map(NumberSet::runs).map(|(first, last)| last - first + 1).sum()
    }

    /// Whether that record is one of those.
    pub(super) fn counts_lost(&self, writer: WriterId, sequence: Sequence) -> bool {
        self.lost.get(&writer).is_some_and(|lost| lost.contains(sequence.0))
    }

    /// The writers of whose records it counts any as lost.
    pub(super) fn writers_with_losses(&self) -> impl Iterator<Item = WriterId> {
        self.lost.iter().filter(|(_, lost)| lost.first().is_some()).map(|(writer, _)| *writer)
    }

    /// What there is to say of those of a writer, beside its log, which lies or lay at `path`.
    pub(super) fn lost_findings(&self, path: &Path, writer: WriterId, log: &LogExamination) -> Vec<Finding> {
        let Some(lost) = self.lost.get(&writer) else { return Vec::new() };
        let lost: Vec<_> = lost.runs().map(|(first, last)| (Sequence(first), last - first + 1)).collect();
        let named = lost.iter().take(LOST_NAMED_MAX).map(|(first, records)| {
            let them = them(*records);
            let numbers = numbers(*first, *records);
            let text = format!("{numbers} lost: no segment had {them}, and the database counts {them}");
            let found = Finding::new(FindingKind::MissingRecords, path, text).of_records(*first, *records);
            match segment_with(log, *first, *records) {
                Some((segment, has)) => {
                    let some = if has < *records { format!("{has} of ") } else { String::new() };
                    found.next(format!(
                        "segment {segment} has {some}{them} now: `mcplog rebuild --from-log` folds {them}"
                    ))
                }
                None => found.next(step(*records)),
            }
        });
        let others = lost.get(LOST_NAMED_MAX..).unwrap_or_default();
        let others = others.first().map(|(first, _)| {
            let records = others.iter().map(|(_, records)| records).sum();
            let text =
                format!("{records} records from {first} on lost, in {} places: the database counts them", others.len());
            Finding::new(FindingKind::MissingRecords, path, text).of_records(*first, records)
        });
        let others = others.map(|found| found.next(step(u64::MAX)));
        named.chain(others).collect()
    }

    /// What there is to say of numbers that no segment of a writer's log has; nothing of those that the database
    /// counts, which may lie amid others.
    pub(super) fn judge(&self, path: &Path, hole: &MissingNumbers, writer: WriterId) -> Vec<(MissingNumbers, Finding)> {
        let none = NumberSet::default();
        let counted = self.lost.get(&writer).unwrap_or(&none);
        let folded = self.known(writer);
        let parts = hole.without(counted).into_iter().flat_map(|part| split(part, folded));
        parts.map(|part| (part, self.folded.judge(path, &part, folded))).collect()
    }
}

impl From<Folded> for FoldedLogs {
    fn from(folded: Folded) -> Self {
        Self { folded, store: None, checkpoints: HashMap::new(), lost: HashMap::new() }
    }
}

/// The part of a hole that is folded, and the one that is not.
fn split(hole: MissingNumbers, folded: Option<Sequence>) -> Vec<MissingNumbers> {
    match folded {
        Some(folded) if (hole.first..hole.last).contains(&folded) => {
            vec![MissingNumbers { last: folded, ..hole }, MissingNumbers { first: folded.next(), ..hole }]
        }
        _ => vec![hole],
    }
}

impl Folded {
    /// What numbers are that no segment has, all folded or none.
    fn judge(self, path: &Path, hole: &MissingNumbers, folded: Option<Sequence>) -> Finding {
        let MissingNumbers { first, last, behind, was_durable, may_be_in_file, .. } = *hole;
        let before = format!("before segment {behind}");
        let (them, were) = if hole.count() == 1 { ("it", "it was") } else { ("them", "they were") };
        let (kind, text) = match folded {
            Some(folded) if folded >= last => {
                (FindingKind::FoldedRecordsMissing, format!("not in the log {before}, and folded"))
            }
            Some(_) if !may_be_in_file && was_durable => {
                (FindingKind::MissingRecords, format!("lost {before}: no segment has {them}, and {were} not folded"))
            }
            Some(_) if !may_be_in_file => (
                FindingKind::UndurableRecordsMissing,
                format!(
                    "lost {before}: no segment has {them}, and nothing behind {them} is durable, as after a power cut"
                ),
            ),
            _ => {
                let why = match (may_be_in_file, self) {
                    (true, _) => "a file there can't be read",
                    (_, Self::Nobody) => "no database says whether they were folded",
                    _ => "nobody can say whether they were folded",
                };
                (FindingKind::PerhapsMissingRecords, format!("not in the log {before}: {why}"))
            }
        };
        Finding::new(kind, path, format!("{} {text}", numbers(first, hole.count()))).of_records(first, hole.count())
    }
}

/// The segment that has a record of those intact again, and how many of them.
fn segment_with(log: &LogExamination, first: Sequence, records: u64) -> Option<(SegmentId, u64)> {
    let last = Sequence(first.0 + records - 1);
    let read = log.files.iter().filter(|file| file.count_read(first, last) > 0);
    let mut counted = read.map(|file| {
        let is_lost = |sequence| (first..=last).contains(&sequence);
        (file.file.id, count_frames(&file.file.path, is_lost))
    });
    counted.find(|(_, has)| *has > 0)
}

/// What to do about so many lost records that nothing has.
fn step(records: u64) -> String {
    format!(
        "nothing more can be had of {} unless you have the segment somewhere: put it into kept/, into the folder of its writer, \
         and `mcplog rebuild --from-log` folds it",
        them(records)
    )
}

fn them(records: u64) -> &'static str {
    if records == 1 { "it" } else { "them" }
}

fn numbers(first: Sequence, records: u64) -> String {
    match records {
        1 => format!("record {first}"),
        records => format!("{records} records, {first} to {},", first.0 + records - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_no_segment_has_are_lost_folded_or_nobody_can_say() {
        use FindingKind as K;
        let ours = WriterId([1; 16]);
        let up_to = |number| {
            let checkpoint = Checkpoint { sequence: Sequence(number), ..Checkpoint::START };
            FoldedLogs { checkpoints: HashMap::from([(ours, checkpoint)]), ..Folded::Told.into() }
        };
        let nothing = || FoldedLogs::from(Folded::Told);
        let both = [(K::FoldedRecordsMissing, 11), (K::MissingRecords, 16)];
        for (folded, may_be_in_file, was_durable, expected, text) in [
            (
                up_to(20),
                false,
                true,
                &[(K::FoldedRecordsMissing, 11)][..],
                "10 records, 11 to 20, not in the log before",
            ),
            (up_to(99), false, false, &[(K::FoldedRecordsMissing, 11)], "and folded"),
            (up_to(99), true, true, &[(K::FoldedRecordsMissing, 11)], "and folded"),
            (up_to(5), false, true, &[(K::MissingRecords, 11)], "10 records, 11 to 20, lost before segment"),
            (up_to(10), false, true, &[(K::MissingRecords, 11)], "they were not folded"),
            (up_to(10), false, false, &[(K::UndurableRecordsMissing, 11)], "nothing behind them is durable"),
            (up_to(15), false, true, &both, "5 records, 16 to 20, lost"),
            (up_to(19), false, true, &[(K::FoldedRecordsMissing, 11), (K::MissingRecords, 20)], "record 20 lost"),
            (up_to(10), true, true, &[(K::PerhapsMissingRecords, 11)], "a file there can't be read"),
            (nothing(), false, true, &[(K::MissingRecords, 11)], "lost"),
            (Folded::Nobody.into(), false, true, &[(K::PerhapsMissingRecords, 11)], "no database says"),
            (Folded::Silent.into(), false, true, &[(K::PerhapsMissingRecords, 11)], "nobody can say"),
        ] {
            let hole = MissingNumbers::new(Sequence(11), Sequence(20), SegmentId(3), was_durable);
            let hole = MissingNumbers { may_be_in_file, ..hole };
            let found = folded.judge(Path::new("wal"), &hole, ours);
            let kinds: Vec<_> = found.iter().map(|(_, found)| (found.kind, found.sequence.unwrap())).collect();
            assert_eq!(kinds, expected, "{folded:?}");
            let records: u64 = found.iter().map(|(_, found)| found.records.unwrap()).sum();
            assert_eq!(records, 10);
            let told = &found.last().unwrap().1.text;
            assert!(told.contains(text), "{folded:?}: {told}");
        }
    }

    #[test]
    fn a_database_of_another_store_says_nothing_of_the_logs() {
        let (ours, theirs) = (StoreId([1; 16]), StoreId([2; 16]));
        let told = FoldedLogs { store: Some(theirs), ..Folded::Told.into() };
        let folded = |store| told.clone().of_store(store).of_log(WriterId([3; 16]));
        assert_eq!(folded(Some(theirs)), Some(Sequence(0)));
        assert_eq!(folded(None), Some(Sequence(0)));
        assert_eq!(folded(Some(ours)), None);
    }
}
