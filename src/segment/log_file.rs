//! A file of a log: what it is to the log, and what the next opening does with it.
//!
//! For who only looks. It reads nothing itself.

use super::directory::SegmentFile;
use super::found_file::FoundFile;
use super::verdict::{Action, Header, Numbers, decide};
use crate::ground::finding::{Finding, FindingKind};
use crate::ground::position::Sequence;

/// The file.
#[derive(Debug)]
pub struct LogFile {
    /// Its name and place.
    pub file: SegmentFile,
    /// What it is to the log.
    pub part: LogPart,
    /// How many records it has, as its marks say.
    records: u64,
    /// The number of the first of them.
    first: Sequence,
    /// What the next opening does with it, if anybody can say.
    action: Option<Action>,
}

/// What a file is to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogPart {
    /// The store reads the records from one number to another from it, both included.
    Read(Sequence, Sequence),
    /// It has no records.
    Empty,
    /// Nothing is read from it: others have its records, written again after a sync failed.
    Superseded,
    /// Records before its own are missing, so that the next opening sets it aside.
    BehindHole,
    /// It is not looked into, for what its finding says.
    PassedOver(Box<Finding>),
}

impl LogFile {
    /// The file, with those numbers read from it. `is_foreseen`: an opening will do with it what recovery decides.
    pub(super) fn of(
        found: &FoundFile,
        numbers: Numbers,
        read: Option<(Sequence, Sequence)>,
        is_foreseen: bool,
    ) -> Self {
        let range = found.link().numbers();
        let action = is_foreseen.then(|| decide(found.header, found.seal(), found.tail(), numbers).0);
        let part = match (passed_over(found), read, numbers) {
            (Some(finding), ..) => LogPart::PassedOver(Box::new(finding)),
            (None, Some((first, last)), _) => LogPart::Read(first, last),
            (None, None, Numbers::BehindGap | Numbers::NoneBehindGap) => LogPart::BehindHole,
            (None, None, _) if range.count == 0 => LogPart::Empty,
            (None, None, _) => LogPart::Superseded,
        };
        Self { file: found.file.clone(), part, records: range.count, first: Sequence(range.first), action }
    }

    /// A file that is not looked into.
    pub(super) fn passed_over(file: &SegmentFile, finding: Finding) -> Self {
        let part = LogPart::PassedOver(Box::new(finding));
        Self { file: file.clone(), part, records: 0, first: Sequence(0), action: None }
    }

    /// Whether the store reads a record of that number from it.
    pub fn is_read(&self, sequence: Sequence) -> bool {
        matches!(self.part, LogPart::Read(first, last) if (first..=last).contains(&sequence))
    }

    /// What there is to say of its part in the log.
    pub fn finding(&self) -> Option<Finding> {
        let path = &self.file.path;
        let (records, s) = (self.records, if self.records == 1 { "" } else { "s" });
        let finding = match &self.part {
            LogPart::Read(..) | LogPart::Empty => return None,
            LogPart::PassedOver(finding) => (**finding).clone(),
            LogPart::Superseded => {
                let text = format!("{records} record{s} that others have: written again after a failed sync");
                Finding::new(FindingKind::SupersededSegment, path, text).of_records(self.first, records)
            }
            LogPart::BehindHole if records == 0 => {
                Finding::new(FindingKind::RecordsBehindGap, path, "no records, and records before it are missing")
            }
            LogPart::BehindHole => {
                let text = format!("{records} intact record{s}, not folded, and records before them are missing");
                Finding::new(FindingKind::RecordsBehindGap, path, text).of_records(self.first, records)
            }
        };
        Some(self.foresee(finding))
    }

    /// The finding about this file, with what the next opening does about it, where that is known.
    #[must_use]
    pub fn foresee(&self, finding: Finding) -> Finding {
        use FindingKind as K;
        let Some(action) = self.action else { return finding };
        let step = finding.next_step.clone();
        match (action, finding.kind) {
            (Action::CutAndSync, K::TornTail) => finding.next("nothing: the next opening cuts it off"),
            (_, K::TornTail | K::WrongMark) if self.is_kept_aside() => {
                finding.next(format!("{step}; once it is folded, the file goes to quarantine/ with all its bytes"))
            }
            (Action::Remove, K::UnstartedSegment | K::RecordsBehindGap) => {
                finding.next("nothing: the next opening removes it")
            }
            (
                Action::Quarantine | Action::QuarantineReservingNumbers,
                K::LostFirstPage | K::DamagedHeader | K::MisnamedSegment | K::ForeignSegment | K::RecordsBehindGap,
            ) => finding.next(format!("{step}; the next opening moves it to quarantine/")),
            _ => finding,
        }
    }

    /// Whether it stays as it is, whatever was found in it.
    fn is_kept_aside(&self) -> bool {
        matches!(self.action, Some(Action::Keep | Action::KeepAndSync))
    }
}

/// Why a file is not looked into, if it is not.
fn passed_over(found: &FoundFile) -> Option<Finding> {
    let path = &found.file.path;
    let (kind, text) = match found.header {
        Header::Sound => return None,
        Header::NeverStarted => (FindingKind::UnstartedSegment, "no segment yet: nothing but zeros".to_owned()),
        Header::Damaged => (FindingKind::DamagedHeader, format!("no segment: {}", found.reason)),
        Header::Misnamed => (FindingKind::MisnamedSegment, found.reason.clone()),
        Header::Foreign => (FindingKind::ForeignSegment, found.reason.clone()),
        Header::Unreachable => (FindingKind::DamagedHeader, found.reason.clone()),
    };
    Some(Finding::new(kind, path, text))
}
