//! The next file of a log, judged by its header: a segment that is read, one that is passed over, or one at which the
//! log waits.
//!
//! Runs on whoever reads a log; it only reads.

use super::directory::SegmentFile;
use super::folder_listing::gone;
use super::format::SegmentHeader;
use super::log_item::Waits;
use super::reader::SegmentReader;
use crate::ground::error::SegmentError;
use crate::ground::finding::{Finding, FindingKind};
use crate::ground::position::{StoreId, WriterId};

/// What a file has to be, to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Whose log it is a part of.
    pub(super) writer: WriterId,
    /// And of which store, if that is asked.
    pub(super) store: Option<StoreId>,
    /// The highest level of records that who reads knows, if that matters to him.
    pub(super) level: Option<u16>,
    /// A file that the system does not let one open is passed over.
    pub(super) passes_refused: bool,
}

/// What the file is.
pub(super) enum NextFile {
    /// A segment of the log.
    Segment(SegmentReader),
    /// Something else. Where its header is of this log, that comes with the number of its frames, as far as its mark
    /// says.
    Bad(Finding, Option<(SegmentHeader, u32)>),
    /// The log waits for who knows it, or is of another store.
    Waits(Waits),
}

impl Wanted {
    /// Looks at the header of a file.
    ///
    /// # Errors
    /// The system refuses, or the file is gone.
    pub(super) fn look(&self, file: &SegmentFile) -> Result<NextFile, SegmentError> {
        let reader = match SegmentReader::open(&file.path) {
            Ok(reader) => reader,
            Err(SegmentError::UnsupportedVersion { path, supported, found }) => {
                return Ok(NextFile::Waits(Waits::Version { path, supported, found }));
            }
            Err(SegmentError::Io(error)) if !error.is_unreadable() => {
                let error = gone(error);
                if self.passes_refused && matches!(error, SegmentError::Io(_)) {
                    return Ok(NextFile::Bad(Finding::of_segment_error(&error), None));
                }
                return Err(error);
            }
            Err(error) => return Ok(NextFile::Bad(Finding::of_segment_error(&error), None)),
        };
        let header = *reader.header();
        if self.is_of_other_store(&header) {
            return Ok(NextFile::Waits(Waits::OtherStore { path: file.path.clone(), store: header.store_id }));
        }
        if let Some(finding) = self.misplaced(file, &header) {
            let mark = reader.mark();
            let frames = mark.sealed.unwrap_or(mark.durable).frames;
            let told = Some((header, frames)).filter(|_| header.writer_id == self.writer);
            return Ok(NextFile::Bad(finding, told));
        }
        if let Some(level) = self.level
            && let Err(SegmentError::NeedsNewer { path, supported, found }) = header.check_level(&file.path, level)
        {
            return Ok(NextFile::Waits(Waits::Level { path, supported, found }));
        }
        Ok(NextFile::Segment(reader))
    }

    /// Whether a file with that header is a segment of the log.
    pub(super) fn is_ours(&self, file: &SegmentFile, header: &SegmentHeader) -> bool {
        !self.is_of_other_store(header) && self.misplaced(file, header).is_none()
    }

    fn is_of_other_store(&self, header: &SegmentHeader) -> bool {
        self.store.is_some_and(|store| store != header.store_id)
    }

    /// Why a segment does not belong where it lies.
    fn misplaced(&self, file: &SegmentFile, header: &SegmentHeader) -> Option<Finding> {
        let text = if header.writer_id != self.writer {
            format!("a segment of the log of writer {}", header.writer_id)
        } else if header.segment_id != file.id {
            format!("segment {} under the name of another one", header.segment_id)
        } else {
            return None;
        };
        Some(Finding::new(FindingKind::MisnamedSegment, &file.path, text).at(0))
    }
}
