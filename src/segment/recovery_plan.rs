//! What opening a store would make of its log, before anybody opens it: what becomes of each file, and how many records are
//! read.
//!
//! Runs on the caller's thread: while a store opens, which carries the plan out, and for who only looks. It only reads.

use super::found_file::FoundFile;
use super::number_range::NumberRange;
use super::reading_plan::{Link, ReadingPlan};
use super::survey::Survey;
use super::verdict::{Action, decide};
use crate::ground::error::{OpenError, SegmentError};
use crate::ground::position::{Sequence, WriterId};
use std::io::ErrorKind;
use std::path::Path;

/// The plan.
#[derive(Debug)]
pub(crate) struct RecoveryPlan {
    /// By ascending segment id.
    pub(super) files: Vec<FoundFile>,
    /// From which of them the log is read.
    pub(super) reading: ReadingPlan,
}

/// A file, and what becomes of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlannedFile<'a> {
    pub(crate) path: &'a Path,
    pub(crate) action: Action,
    /// Whether frames were found behind what its mark calls its end.
    pub(crate) is_disproved: bool,
}

impl RecoveryPlan {
    /// The plan for the files of a survey. `writer_id` is whose log it is, and `folded` the last number in the database: 0
    /// for none.
    ///
    /// # Errors
    /// A file can't be read.
    pub(crate) fn of(survey: Survey, writer_id: Option<WriterId>, folded: Sequence) -> Result<Self, OpenError> {
        let mut files = Vec::new();
        for (file, header) in survey.files {
            match FoundFile::new(file, header, writer_id) {
                // Who only looks may meet a store that retires segments.
                Err(OpenError::Segment(SegmentError::Io(error))) if error.source.kind() == ErrorKind::NotFound => {}
                found => files.push(found?),
            }
        }
        let links: Vec<_> = files.iter().map(FoundFile::link).collect();
        Ok(Self { reading: ReadingPlan::of(&links, folded), files })
    }

    /// Each file, by ascending segment id.
    pub(crate) fn files(&self) -> impl Iterator<Item = PlannedFile<'_>> {
        self.files.iter().zip(&self.reading.numbers).map(|(found, numbers)| PlannedFile {
            path: &found.file.path,
            action: decide(found.header, found.seal(), found.tail(), *numbers).0,
            is_disproved: found.segment.as_ref().is_some_and(|segment| segment.disproved_end.is_some()),
        })
    }

    /// How many records a store that is opened with this log would read, beyond the last one that is `folded`. By their
    /// numbers: of a damaged place, the lost ones count.
    pub(crate) fn waiting_records(&self, folded: Sequence) -> u64 {
        let read: Vec<_> = self.reading.order.iter().map(|place| numbers(&self.files[*place])).collect();
        waiting(&read, folded)
    }
}

fn numbers(found: &FoundFile) -> NumberRange {
    match found.link() {
        Link::Segment { numbers, .. } => numbers,
        Link::NeverStarted | Link::Unknown => NumberRange::NONE,
    }
}

/// How many numbers beyond `folded` segments have that are read in this order, each up to where the next one begins.
fn waiting(read: &[NumberRange], folded: Sequence) -> u64 {
    let due = folded.0.saturating_add(1);
    read.iter()
        .enumerate()
        .map(|(at, range)| {
            let next = read.get(at + 1).map_or(u64::MAX, |next| next.first);
            range.end().min(next).saturating_sub(range.first.max(due))
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_counted_once_however_often_it_was_written_and_only_beyond_what_is_folded() {
        let range = |first: u64, last: u64| NumberRange { first, count: last + 1 - first };
        let cases: [(&str, &[NumberRange], u64, u64); 7] = [
            ("nothing", &[], 7, 0),
            ("all", &[range(1, 10), range(11, 20)], 0, 20),
            ("a part", &[range(1, 10), range(11, 20)], 5, 15),
            ("none", &[range(1, 10), range(11, 20)], 20, 0),
            ("less than is folded, after a power cut", &[range(1, 10)], 50, 0),
            ("numbers that jump", &[range(1, 10), range(51, 60)], 8, 12),
            ("written again", &[range(1, 60), range(51, 120)], 0, 120),
        ];
        for (case, read, folded, expected) in cases {
            assert_eq!(waiting(read, Sequence(folded)), expected, "{case}");
        }
    }
}
