//! A segment file as a store finds it when it opens, and all that the decision about it depends on.
//!
//! Runs while a store opens, and wherever somebody looks at what the next opening would find. It only reads.

use super::directory::SegmentFile;
use super::format::{Extent, FRAME_ALIGNMENT, FRAME_HEADER_BYTES, FRAMES_OFFSET, SegmentHeader};
use super::number_range::NumberRange;
use super::reading_plan::Link;
use super::segment_state::SegmentState;
use super::survey::{HeaderFound, is_reachable};
use super::verdict::{Header, NUMBER_MAX, Seal, Tail};
use crate::ground::error::{AtPath, OpenError, PathError, SegmentError};
use crate::ground::position::{Sequence, WriterId};
use std::path::PathBuf;

/// The file.
#[derive(Debug)]
pub(super) struct FoundFile {
    pub(super) file: SegmentFile,
    pub(super) header: Header,
    /// What is wrong with the header; empty if nothing is.
    pub(super) reason: String,
    /// The number before the first one, if a header says so.
    before: Sequence,
    /// What is in the file, if it is a segment of this log.
    pub(super) segment: Option<SegmentState>,
}

/// A segment that nobody will append to.
#[derive(Clone, Debug)]
pub(crate) struct SealedSegment {
    pub(crate) path: PathBuf,
    pub(crate) header: SegmentHeader,
    pub(crate) extent: Extent,
}

impl FoundFile {
    /// Looks into a file that has that in the place of its header. `writer_id` is that of the log, if anything tells
    /// it.
    pub(super) fn new(file: SegmentFile, found: HeaderFound, writer_id: Option<WriterId>) -> Result<Self, OpenError> {
        let before = match &found {
            HeaderFound::Intact(header) if header.base_sequence.0 <= NUMBER_MAX => {
                Extent::EMPTY.last_sequence(header.base_sequence)
            }
            _ => Sequence(0),
        };
        let (mut header, mut reason) = judge(&file, found, writer_id);
        let mut segment = None;
        if header == Header::Sound {
            match SegmentState::of(&file.path) {
                // As good as damaged: moving the file aside needs no reading, and keeps what may be read some day.
                Err(SegmentError::Io(error)) if error.is_unreadable() => {
                    (header, reason) = (Header::Damaged, error.to_string());
                }
                state => segment = Some(state?),
            }
        }
        Ok(Self { file, header, reason, before, segment })
    }

    /// The segment, as it is once it is sealed.
    pub(super) fn sealed(&self) -> Option<SealedSegment> {
        let SegmentState { header, extent, .. } = *self.segment.as_ref()?;
        Some(SealedSegment { path: self.file.path.clone(), header, extent })
    }

    pub(super) fn seal(&self) -> Seal {
        self.segment.as_ref().map_or(Seal::Open, |segment| segment.seal)
    }

    pub(super) fn tail(&self) -> Tail {
        self.segment.as_ref().map_or(Tail::Clean, SegmentState::tail)
    }

    pub(super) fn link(&self) -> Link {
        match &self.segment {
            Some(SegmentState { header, mark, seal, extent, torn, .. }) => Link::Segment {
                numbers: NumberRange { first: header.base_sequence.0, count: u64::from(extent.frames) },
                vouched: mark.durable.frames > 0,
                open_ended: *seal == Seal::Open || torn.is_some(),
            },
            None if self.header == Header::NeverStarted => Link::NeverStarted,
            None => Link::Unknown,
        }
    }

    /// The last number that the file may hold, though its header can't be read or does not belong here. If no header
    /// says where its numbers begin, they follow `last_before`, the last number of the segments before it.
    pub(super) fn last_sequence_possible(&self, last_before: Sequence) -> Result<Sequence, PathError> {
        let metadata = std::fs::symlink_metadata(&self.file.path).at("inspect", &self.file.path)?;
        // Somebody may have put a segment elsewhere, of whatever length, and a link in its place.
        let bytes = if metadata.is_symlink() { u64::MAX } else { metadata.len() };
        // No offset in a segment is larger than 32 bits, however long the file.
        let bytes = bytes.min(u64::from(u32::MAX)).saturating_sub(u64::from(FRAMES_OFFSET));
        let records_max = bytes / u64::from(FRAME_HEADER_BYTES + FRAME_ALIGNMENT);
        Ok(Sequence(last_before.max(self.before).0 + records_max))
    }
}

/// What a header says of its file, and what is wrong with it.
fn judge(file: &SegmentFile, found: HeaderFound, writer_id: Option<WriterId>) -> (Header, String) {
    let header = match found {
        HeaderFound::NeverStarted => return (Header::NeverStarted, String::new()),
        HeaderFound::Damaged(reason) => return (Header::Damaged, reason),
        HeaderFound::Intact(header) => header,
    };
    let (id, base) = (header.segment_id, header.base_sequence);
    if let Some(expected) = writer_id.filter(|expected| *expected != header.writer_id) {
        (Header::Foreign, format!("expected a segment of store {expected}, found one of {}", header.writer_id))
    } else if id != file.id {
        (Header::Misnamed, format!("expected segment {} as the name says, found segment {id}", file.id))
    } else if !is_reachable(&header) {
        let reason = format!("expected numbers that a store can reach, found segment {id}, sequence {base}");
        (Header::Unreachable, reason)
    } else {
        (Header::Sound, String::new())
    }
}
