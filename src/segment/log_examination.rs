//! What each file of a log is to the log, as the next opening takes it, and which numbers are missing in between.
//!
//! For who only looks: runs on the caller's thread, in any process, also while the store is open elsewhere. It only reads.
//! What the database has is told to it.

use super::directory::SegmentFile;
use super::found_file::FoundFile;
use super::log_file::{LogFile, LogPart};
use super::number_range::{NumberRange, reading_order};
use super::number_set::NumberSet;
use super::recovery_plan::RecoveryPlan;
use super::survey::ReadableFiles;
use super::verdict::Numbers;
use super::witness::Folded;
use crate::ground::error::OpenError;
use crate::ground::finding::{Finding, FindingKind};
use crate::ground::position::{SegmentId, Sequence, WriterId};
use std::path::Path;

/// A log, looked at as a whole.
#[derive(Debug, Default)]
pub struct LogExamination {
    /// Its files, by ascending id.
    pub files: Vec<LogFile>,
    /// The numbers that are in no segment that is read, in their order.
    pub missing: Vec<MissingNumbers>,
}

/// Numbers that no segment has from which the log is read: between two that are read, or behind those that are folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingNumbers {
    /// The first one.
    pub first: Sequence,
    /// The last one.
    pub last: Sequence,
    /// The segment that has the number behind them.
    pub behind: SegmentId,
    /// A file lies there that this build, or this user, can't read, and that may have them.
    pub may_be_in_file: bool,
}

impl MissingNumbers {
    pub(crate) const fn new(first: Sequence, last: Sequence, behind: SegmentId, may_be_in_file: bool) -> Self {
        Self { first, last, behind, may_be_in_file }
    }

    /// Those of them that are not in that set, by runs.
    pub(crate) fn without(&self, others: &NumberSet) -> Vec<Self> {
        let runs = others.missing_within(self.first.0, self.last.0).into_iter();
        runs.map(|(first, last)| Self { first: Sequence(first), last: Sequence(last), ..*self }).collect()
    }

    /// How many they are.
    pub const fn count(&self) -> u64 {
        self.last.0 - self.first.0 + 1
    }
}

impl LogExamination {
    /// Looks at the log of the store `owner`. `folded` is how far its database has it, if something says that. Without,
    /// the next opening takes it for 0; but nobody knows whether what is missing before the first segment was ever there.
    /// `in_use`: somebody has the store open, and has made of the log what an opening makes of it.
    ///
    /// # Errors
    /// A file can't be read any more.
    pub(crate) fn of(
        readable: ReadableFiles,
        owner: Option<WriterId>,
        folded: Option<Folded>,
        in_use: bool,
    ) -> Result<Self, OpenError> {
        let ReadableFiles { survey, refused } = readable;
        let first = folded.unwrap_or(Sequence(0).into());
        let plan = if in_use {
            RecoveryPlan::of_opened(survey, owner, first)?
        } else {
            RecoveryPlan::of(survey, owner, first)?
        };
        let ranges: Vec<_> = plan.files.iter().map(|found| found.link().numbers()).collect();
        let own_order = if in_use { reading_order(&ranges) } else { Vec::new() };
        let read = read_ranges(&plan.files, &ranges, if in_use { &own_order } else { &plan.reading.order });
        // With a file that nobody may touch, or that somebody has open, nothing is done.
        let is_foreseen = !in_use && refused.is_empty();
        let looked_at = plan.files.iter().enumerate().map(|(place, found)| {
            let numbers = match plan.reading.numbers[place] {
                Numbers::BehindGap | Numbers::NoneBehindGap if in_use => Numbers::Own,
                numbers => numbers,
            };
            let read_of = read.iter().find(|(id, _)| *id == found.file.id).map(|(_, numbers)| *numbers);
            LogFile::of(found, numbers, read_of, is_foreseen.then(|| plan.decided(place).0), plan.is_broken(place))
        });
        let mut files: Vec<_> = looked_at.collect();
        files.extend(refused.iter().map(|(file, error)| LogFile::passed_over(file, Finding::of_segment_error(error))));
        files.sort_by_key(|file| file.file.id);
        let refused: Vec<_> = refused.iter().map(|(file, _)| file.id).collect();
        Ok(Self { missing: missing(&read, &refused, folded.map(|folded| folded.sequence)), files })
    }

    /// A log of which nobody knows whose it is: nothing is read from it. `finding` says so of a file.
    pub(crate) fn of_nobody(files: &[SegmentFile], finding: impl Fn(&SegmentFile) -> Finding) -> Self {
        let files = files.iter().map(|file| LogFile::passed_over(file, finding(file)));
        Self { files: files.collect(), missing: Vec::new() }
    }

    /// Tells that next step of each file that is passed over for what that kind says.
    pub(crate) fn advise(&mut self, kind: FindingKind, step: &str) {
        for file in &mut self.files {
            if let LogPart::PassedOver(finding) = &mut file.part
                && finding.kind == kind
            {
                step.clone_into(&mut finding.next_step);
            }
        }
    }

    /// Whether a segment has a record of that number, as far as the numbers tell.
    pub(crate) fn has(&self, sequence: Sequence) -> bool {
        let is_within =
            |file: &LogFile| matches!(file.part, LogPart::Read(first, last) if (first..=last).contains(&sequence));
        self.files.iter().any(is_within)
    }

    /// The file of that path.
    pub fn file(&self, path: &Path) -> Option<&LogFile> {
        self.files.iter().find(|file| file.file.path == path)
    }
}

/// The numbers that are read from each segment: up to where the next one begins.
fn read_ranges(files: &[FoundFile], ranges: &[NumberRange], order: &[usize]) -> Vec<(SegmentId, (Sequence, Sequence))> {
    let nexts = order.iter().skip(1).map(|place| ranges[*place].first).chain([u64::MAX]);
    let read = order.iter().zip(nexts).filter_map(|(place, next)| {
        let (first, end) = (ranges[*place].first, ranges[*place].end().min(next));
        (first < end).then_some((files[*place].file.id, (Sequence(first), Sequence(end - 1))))
    });
    read.collect()
}

/// The holes between what is read, and the one between what is folded and the first number that is read. What lies before
/// that, segments had that were retired.
fn missing(
    read: &[(SegmentId, (Sequence, Sequence))],
    refused: &[SegmentId],
    folded: Option<Sequence>,
) -> Vec<MissingNumbers> {
    let (mut due, mut before) = (folded.map(|folded| folded.0.saturating_add(1)), SegmentId(0));
    let mut missing = Vec::new();
    for (id, (first, last)) in read {
        if let Some(due) = due.filter(|due| *due < first.0) {
            let may_be_in_file = refused.iter().any(|refused| before < *refused && refused < id);
            let last = Sequence(first.0 - 1);
            missing.push(MissingNumbers::new(Sequence(due), last, *id, may_be_in_file));
        }
        // What is folded is no reason not to name a hole in it.
        (due, before) = (Some(last.0.saturating_add(1)), *id);
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A segment's id, and its first number and last.
    type Read = (u64, u64, u64);
    /// Its first number and last, the segment behind it, and whether a file that can't be read lies there.
    type Hole = (u64, u64, u64, bool);
    /// What is read, the files that can't be, what is folded, and the holes.
    type Case = (&'static str, &'static [Read], &'static [u64], Option<u64>, &'static [Hole]);

    #[test]
    fn every_hole_is_named_with_its_first_number_and_its_last() {
        let cases: [Case; 8] = [
            ("nothing", &[], &[], Some(7), &[]),
            ("no hole", &[(1, 1, 5), (2, 6, 9)], &[], Some(0), &[]),
            ("retired ones", &[(4, 31, 40)], &[], Some(30), &[]),
            ("retired ones, and nobody says what is folded", &[(4, 31, 40)], &[], None, &[]),
            ("never folded, and not there", &[(4, 31, 40)], &[], Some(20), &[(21, 30, 4, false)]),
            ("a hole above what is folded", &[(1, 1, 5), (3, 9, 12)], &[], Some(2), &[(6, 8, 3, false)]),
            ("a hole in what is folded", &[(1, 1, 5), (3, 9, 12)], &[], Some(12), &[(6, 8, 3, false)]),
            ("a file that can't be read lies there", &[(1, 1, 5), (3, 9, 12)], &[2], None, &[(6, 8, 3, true)]),
        ];
        for (case, read, refused, folded, expected) in cases {
            let read: Vec<_> =
                read.iter().map(|(id, first, last)| (SegmentId(*id), (Sequence(*first), Sequence(*last)))).collect();
            let refused: Vec<_> = refused.iter().copied().map(SegmentId).collect();
            let found = missing(&read, &refused, folded.map(Sequence));
            let found: Vec<_> =
                found.iter().map(|hole| (hole.first.0, hole.last.0, hole.behind.0, hole.may_be_in_file)).collect();
            assert_eq!(found, expected, "{case}");
        }
    }
}
