//! How far a log is folded, as the database beside it says, and what numbers are that no segment has.
//!
//! Runs on the caller's thread, in any process. It opens the database for reading, and leaves every file as it is.

use crate::ground::error::IndexError;
use crate::ground::finding::{Finding, FindingKind};
use crate::ground::position::{SegmentId, Sequence, WriterId};
use crate::index::checkpoint::{self, Checkpoint};
use crate::index::holdings;
use crate::query::database::Query;
use crate::segment::aside_file::count_frames;
use crate::segment::log_examination::{LogExamination, MissingNumbers};
use crate::segment::number_set::NumberSet;
use crate::segment::witness;
use std::path::Path;

/// So many runs of lost records are named one by one.
const LOST_NAMED_MAX: usize = 10;

/// What a database says of the log.
#[derive(Clone, Debug)]
pub(super) struct FoldedLog {
    pub(super) folded: Folded,
    /// The numbers of the records that it counts as lost, because no segment had them.
    lost: NumberSet,
}

/// How far the log is folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folded {
    /// The log of that store, up to that number.
    UpTo(WriterId, Checkpoint),
    /// Nothing yet.
    Nothing,
    /// There is none.
    Nobody,
    /// It can't be read.
    Silent,
}

impl FoldedLog {
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
        let folded = query.read_with(checkpoint::read)?;
        let folded = folded.map_or(Folded::Nothing, |(writer_id, checkpoint)| Folded::UpTo(writer_id, checkpoint));
        let lost = query.read_with(|connection| Ok(holdings::missing(connection)))?;
        Ok(Self { folded, lost })
    }

    /// How many those are.
    pub(super) fn lost_records(&self) -> u64 {
        self.lost.runs().map(|(first, last)| last - first + 1).sum()
    }

    /// What there is to say of them, beside that log.
    pub(super) fn lost_findings(&self, wal_dir: &Path, log: &LogExamination) -> Vec<Finding> {
        let lost: Vec<_> = self.lost.runs().map(|(first, last)| (Sequence(first), last - first + 1)).collect();
        let named = lost.iter().take(LOST_NAMED_MAX).map(|(first, records)| {
            let them = them(*records);
            let numbers = numbers(*first, *records);
            let text = format!("{numbers} lost: no segment had {them}, and the database counts {them}");
            let found = Finding::new(FindingKind::MissingRecords, wal_dir, text).of_records(*first, *records);
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
            Finding::new(FindingKind::MissingRecords, wal_dir, text).of_records(*first, records)
        });
        let others = others.map(|found| found.next(step(u64::MAX)));
        named.chain(others).collect()
    }

    /// Whether that record is one of those.
    pub(super) fn counts_lost(&self, sequence: Sequence) -> bool {
        self.lost.contains(sequence.0)
    }

    /// What there is to say of numbers of the log of `owner` that no segment has; nothing of those that the database counts,
    /// which may lie amid others.
    pub(super) fn judge(
        &self,
        wal_dir: &Path,
        hole: &MissingNumbers,
        owner: Option<WriterId>,
    ) -> Vec<(MissingNumbers, Finding)> {
        let parts = hole.without(&self.lost).into_iter();
        parts.map(|part| (part, self.folded.judge(wal_dir, &part, owner))).collect()
    }
}

impl From<Folded> for FoldedLog {
    fn from(folded: Folded) -> Self {
        Self { folded, lost: NumberSet::default() }
    }
}

impl Folded {
    /// Whose log it has folded.
    pub(super) fn writer_id(self) -> Option<WriterId> {
        if let Self::UpTo(writer_id, _) = self { Some(writer_id) } else { None }
    }

    /// The last number of the log of `owner` that it has: what the next opening begins behind. `None` where nobody can say.
    pub(super) fn of_log(self, owner: Option<WriterId>) -> Option<Sequence> {
        match self {
            Self::UpTo(writer_id, folded) if Some(writer_id) == owner => Some(folded.sequence),
            Self::UpTo(..) | Self::Nothing | Self::Nobody => Some(Sequence(0)),
            Self::Silent => None,
        }
    }

    /// The same, where a database says so: `None` also where there is none.
    pub(super) fn checkpoint(self, owner: Option<WriterId>) -> Option<witness::Folded> {
        match self {
            Self::UpTo(writer_id, checkpoint) if Some(writer_id) == owner => Some(checkpoint.folded()),
            Self::Nothing => Some(Checkpoint::START.folded()),
            Self::UpTo(..) | Self::Nobody | Self::Silent => None,
        }
    }

    /// What numbers of the log of `owner` are that no segment has.
    fn judge(self, wal_dir: &Path, hole: &MissingNumbers, owner: Option<WriterId>) -> Finding {
        let MissingNumbers { first, last, behind, may_be_in_file, .. } = *hole;
        let folded = self.checkpoint(owner).map(|folded| folded.sequence.min(last));
        let before = format!("before segment {behind}");
        let (kind, text, first) = match folded {
            Some(folded) if folded == last => {
                (FindingKind::FoldedRecordsMissing, format!("not in the log {before}, and folded"), first)
            }
            Some(folded) if !may_be_in_file => {
                let first = first.max(Sequence(folded.0 + 1));
                (
                    FindingKind::MissingRecords,
                    match last.0 - first.0 {
                        0 => format!("lost {before}: no segment has it, and it was not folded"),
                        _ => format!("lost {before}: no segment has them, and they were not folded"),
                    },
                    first,
                )
            }
            _ => {
                let why = match (may_be_in_file, self) {
                    (true, _) => "a file there can't be read",
                    (_, Self::Nobody) => "no database says whether they were folded",
                    _ => "nobody can say whether they were folded",
                };
                (FindingKind::PerhapsMissingRecords, format!("not in the log {before}: {why}"), first)
            }
        };
        let records = last.0 - first.0 + 1;
        Finding::new(kind, wal_dir, format!("{} {text}", numbers(first, records))).of_records(first, records)
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
        "nothing more can be had of {} unless you have the segment somewhere: put it into wal/, and `mcplog rebuild --from-log` \
         folds it",
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
        let (ours, theirs) = (WriterId([1; 16]), WriterId([2; 16]));
        let at = |number| Checkpoint { sequence: Sequence(number), ..Checkpoint::START };
        let up_to = |number| Folded::UpTo(ours, at(number));
        for (folded, may_be_in_file, kind, first, text) in [
            (up_to(20), false, K::FoldedRecordsMissing, 11, "10 records, 11 to 20, not in the log before segment"),
            (up_to(99), false, K::FoldedRecordsMissing, 11, "and folded"),
            (up_to(99), true, K::FoldedRecordsMissing, 11, "and folded"),
            (up_to(5), false, K::MissingRecords, 11, "10 records, 11 to 20, lost before segment"),
            (up_to(10), false, K::MissingRecords, 11, "lost"),
            (up_to(15), false, K::MissingRecords, 16, "5 records, 16 to 20, lost"),
            (up_to(19), false, K::MissingRecords, 20, "record 20 lost"),
            (up_to(15), true, K::PerhapsMissingRecords, 11, "a file there can't be read"),
            (Folded::Nothing, false, K::MissingRecords, 11, "lost"),
            (Folded::Nobody, false, K::PerhapsMissingRecords, 11, "no database says"),
            (Folded::Silent, false, K::PerhapsMissingRecords, 11, "nobody can say"),
            (Folded::UpTo(theirs, at(99)), false, K::PerhapsMissingRecords, 11, "nobody can say"),
        ] {
            let (first_missing, last) = (Sequence(11), Sequence(20));
            let hole = MissingNumbers::new(first_missing, last, SegmentId(3), may_be_in_file);
            let found = folded.judge(Path::new("wal"), &hole, Some(ours));
            assert_eq!(
                (found.kind, found.sequence, found.records),
                (kind, Some(first), Some(21 - first)),
                "{folded:?}"
            );
            assert!(found.text.contains(text), "{folded:?}: {}", found.text);
        }
    }
}
