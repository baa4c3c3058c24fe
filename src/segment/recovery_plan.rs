//! What opening a store would make of its log, before anybody opens it: what becomes of each file.
//!
//! Runs on the caller's thread: while a store opens, which carries the plan out, and for who only looks. It only reads.

use super::found_file::FoundFile;
use super::reading_plan::ReadingPlan;
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
}
