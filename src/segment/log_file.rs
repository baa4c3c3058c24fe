//! A file of a log: what it is to the log, and what becomes of it.
//!
//! For who only looks. It reads nothing itself.

use super::directory::SegmentFile;
use super::number_set::NumberSet;
use crate::ground::finding::{Finding, FindingKind};
use crate::ground::position::Sequence;

/// The file.
#[derive(Debug)]
pub struct LogFile {
    /// Its name and place.
    pub file: SegmentFile,
    /// What it is to the log.
    pub part: LogPart,
    /// How many frames it has, lost ones included, and the number of the first of them.
    records: u64,
    first: Sequence,
    /// The numbers that are taken from it.
    taken: NumberSet,
}

/// What a file is to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogPart {
    /// Records are taken from it: these are the lowest number and the highest. Those between that it does not have, or
    /// that an earlier segment has, are taken from others.
    Read(Sequence, Sequence),
    /// It has no records.
    Empty,
    /// Nothing is taken from it: others have its records, written again after a sync failed.
    Superseded,
    /// It is not looked into, for what its finding says.
    PassedOver(Box<Finding>),
    /// The log waits at this file, or at one before it, for what its finding says.
    Waits(Box<Finding>),
}

impl LogFile {
    /// A segment of which those numbers are taken. `first` is the number of its first record, and it has so many.
    pub(super) fn of(file: SegmentFile, first: Sequence, records: u64, taken: NumberSet) -> Self {
        let part = match (taken.first(), taken.last(), records) {
            (Some(first), Some(last), _) => LogPart::Read(Sequence(first), Sequence(last)),
            (.., 0) => LogPart::Empty,
            _ => LogPart::Superseded,
        };
        Self { file, part, records, first, taken }
    }

    /// A file that is not looked into.
    pub(super) fn passed_over(file: SegmentFile, finding: Finding) -> Self {
        Self::unread(file, LogPart::PassedOver(Box::new(finding)))
    }

    /// A file that is not read as long as the log waits.
    pub(super) fn waiting(file: SegmentFile, finding: Finding) -> Self {
        Self::unread(file, LogPart::Waits(Box::new(finding)))
    }

    fn unread(file: SegmentFile, part: LogPart) -> Self {
        Self { file, part, records: 0, first: Sequence(0), taken: NumberSet::default() }
    }

    /// The number of its first record; `None` if it was not looked into.
    pub(crate) fn first_number(&self) -> Option<Sequence> {
        (self.first.0 > 0).then_some(self.first)
    }

    /// Whether a record of that number is taken from it.
    pub fn is_read(&self, sequence: Sequence) -> bool {
        self.taken.contains(sequence.0)
    }

    /// How many of the numbers from `first` to `last` are taken from it.
    pub fn count_read(&self, first: Sequence, last: Sequence) -> u64 {
        self.taken.count_within(first.0, last.0)
    }

    /// What there is to say of its part in the log.
    pub fn finding(&self) -> Option<Finding> {
        match &self.part {
            LogPart::Read(..) | LogPart::Empty => None,
            LogPart::PassedOver(finding) | LogPart::Waits(finding) => Some(self.foresee((**finding).clone())),
            LogPart::Superseded => {
                let (records, s) = (self.records, if self.records == 1 { "" } else { "s" });
                let text = format!("{records} record{s} that others have: written again after a failed sync");
                let found = Finding::new(FindingKind::SupersededSegment, &self.file.path, text);
                Some(found.of_records(self.first, records))
            }
        }
    }

    /// The finding about this file, with what becomes of the file. Who folds the log moves what is damaged to
    /// quarantine/, with all its bytes, once that is folded.
    #[must_use]
    pub fn foresee(&self, finding: Finding) -> Finding {
        use FindingKind as K;
        let step = finding.next_step.clone();
        match finding.kind {
            _ if matches!(self.part, LogPart::Waits(_)) => finding,
            K::DamagedPlace => finding.next(format!(
                "{step}; folding passes over the place and names it, and the file goes to quarantine/ with all its bytes"
            )),
            K::WrongMark
            | K::DamagedMarks
            | K::UndecodableRecord
            | K::ZeroedFirstPage
            | K::LostFirstPage
            | K::DamagedHeader
            | K::MisnamedSegment => {
                finding.next(format!("{step}; once the log is folded, the file goes to quarantine/ with all its bytes"))
            }
            _ => finding,
        }
    }
}
