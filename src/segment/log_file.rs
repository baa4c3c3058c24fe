//! A file of a log: what it is to the log, and what the next opening does with it.
//!
//! For who only looks. It reads nothing itself.

use super::directory::SegmentFile;
use super::found_file::FoundFile;
use super::reader::SegmentReader;
use super::verdict::{Action, Header, Numbers};
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
    /// The file, with those numbers read from it. `action` is what an opening will do with it, if one is foreseen; no crash
    /// has broken it if it `is_broken`.
    pub(super) fn of(
        found: &FoundFile,
        numbers: Numbers,
        read: Option<(Sequence, Sequence)>,
        action: Option<Action>,
        is_broken: bool,
    ) -> Self {
        let range = found.link().numbers();
        let part = match (passed_over(found, is_broken), read, numbers) {
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
        self.read_until().is_some_and(|(first, until)| (first..=until).contains(&sequence.0))
    }

    /// How many of the numbers from `first` to `last` the store reads from it.
    pub fn count_read(&self, first: Sequence, last: Sequence) -> u64 {
        let read = self.read_until();
        read.map_or(0, |(from, until)| (last.0.min(until) + 1).saturating_sub(first.0.max(from)))
    }

    /// The first number that is read from it, and the last that would be: what is appended later to a segment that nothing
    /// follows is read, too.
    fn read_until(&self) -> Option<(u64, u64)> {
        let LogPart::Read(first, last) = self.part else { return None };
        let is_cut = last.0 + 1 < self.first.0.saturating_add(self.records);
        Some((first.0, if is_cut { last.0 } else { u64::MAX - 1 }))
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
            (Action::KeepDamaged, K::TornTail) => finding.next(
                "copy the file before anything else, and check the disk: a later segment proves that no crash did this. Once it \
                 is folded, it goes to quarantine/ with all its bytes",
            ),
            (Action::KeepDamaged, K::WrongMark | K::DamagedMarks) => {
                finding.next(format!("{step}; once it is folded, the file goes to quarantine/ with all its bytes"))
            }
            (_, K::DamagedPlace) if matches!(self.part, LogPart::Read(..)) => finding.next(format!(
                "{step}; folding passes over the place and names it, and the file goes to quarantine/ with all its bytes"
            )),
            (Action::Remove, _) if !matches!(self.part, LogPart::Read(..)) => {
                finding.next("nothing: the next opening removes it")
            }
            (
                Action::Quarantine | Action::QuarantineReservingNumbers,
                K::ZeroedFirstPage
                | K::LostFirstPage
                | K::DamagedHeader
                | K::MisnamedSegment
                | K::ForeignSegment
                | K::UnreadableSegment
                | K::RecordsBehindGap,
            ) => finding.next(format!("{step}; the next opening moves it to quarantine/")),
            _ => finding,
        }
    }
}

/// Why a file is not looked into, if it is not.
fn passed_over(found: &FoundFile, is_broken: bool) -> Option<Finding> {
    let path = &found.file.path;
    let (kind, text) = match found.header {
        Header::Sound => return None,
        Header::NeverStarted | Header::FirstPageLost | Header::Damaged => {
            let Err(error) = SegmentReader::open(path) else {
                return Some(Finding::new(FindingKind::DamagedHeader, path, found.reason.clone()).at(0));
            };
            let finding = Finding::of_segment_error(&error);
            if !is_broken || finding.kind != FindingKind::ZeroedFirstPage {
                return Some(finding);
            }
            (FindingKind::LostFirstPage, format!("{}; a later segment proves that it had been synced", finding.text))
        }
        Header::Unreachable => (FindingKind::DamagedHeader, found.reason.clone()),
        Header::Misnamed => (FindingKind::MisnamedSegment, found.reason.clone()),
        Header::Foreign => (FindingKind::ForeignSegment, found.reason.clone()),
    };
    Some(Finding::new(kind, path, text).at(0))
}
