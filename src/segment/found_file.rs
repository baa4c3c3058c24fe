//! A segment file as a store finds it when it opens, and all that the decision about it depends on.
//!
//! Runs while a store opens, and wherever somebody looks at what the next opening would find. It only reads.

use super::directory::SegmentFile;
use super::format::{Extent, SegmentHeader};
use super::lost_header::LostHeader;
use super::number_range::NumberRange;
use super::quarantine::QuarantinedSegment;
use super::reading_plan::Link;
use super::segment_state::SegmentState;
use super::survey::{HeaderFound, is_reachable};
use super::verdict::{Header, Seal};
use super::witness::{Folded, Witness};
use crate::ground::error::{OpenError, PathError, SegmentError};
use crate::ground::position::{SegmentId, Sequence, WriterId};
use std::path::PathBuf;

/// The file.
#[derive(Debug)]
pub(super) struct FoundFile {
    pub(super) file: SegmentFile,
    pub(super) header: Header,
    /// What is wrong with the header; empty if nothing is.
    pub(super) reason: String,
    /// Its own, if a header is there and says that it is a segment of this log's.
    sound: Option<SegmentHeader>,
    /// Its own, if it is a segment of this log's under another segment's name.
    misnamed: Option<SegmentHeader>,
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
    /// A file that has that in the place of its header. `writer_id` is that of the log, if anything tells it.
    pub(super) fn new(file: SegmentFile, found: HeaderFound, writer_id: Option<WriterId>) -> Self {
        let header_found = if let HeaderFound::Intact(header) = &found { Some(*header) } else { None };
        let (header, reason) = judge(&file, found, writer_id);
        let sound = header_found.filter(|_| header == Header::Sound);
        let misnamed = header_found.filter(|found| header == Header::Misnamed && is_reachable(found));
        Self { file, header, reason, sound, misnamed, segment: None }
    }

    /// A file in quarantine by its header, as if it lay in the log of `writer_id`. `None`: the system does not let one read
    /// it, or a newer mcplog wrote it.
    pub(super) fn headed_in_quarantine(aside: &QuarantinedSegment, writer_id: Option<WriterId>) -> Option<Self> {
        let file = SegmentFile { id: aside.id, path: aside.path.clone() };
        Some(Self::new(file, HeaderFound::in_file(&aside.path).ok()?, writer_id))
    }

    /// The same, looked into.
    pub(super) fn in_quarantine(aside: &QuarantinedSegment, writer_id: Option<WriterId>) -> Option<Self> {
        let mut found = Self::headed_in_quarantine(aside, writer_id)?;
        // What it holds is read by whoever wants it.
        found.look(&Witness::TRUSTING).ok()?;
        Some(found)
    }

    /// The first number, if it is a segment of this log.
    pub(super) fn base_sequence(&self) -> Option<Sequence> {
        self.sound.map(|header| header.base_sequence)
    }

    /// The id that its header gives, if it is a segment of this log under its own name.
    pub(super) fn own_id(&self) -> Option<SegmentId> {
        self.sound.map(|header| header.segment_id)
    }

    /// The id that its header gives, if it is a segment of this log under another one's name.
    pub(super) fn misnamed_id(&self) -> Option<SegmentId> {
        self.misnamed.map(|header| header.segment_id)
    }

    /// Looks into it, if it is a segment of this log.
    pub(super) fn look(&mut self, witness: &Witness) -> Result<(), OpenError> {
        if self.header != Header::Sound {
            return Ok(());
        }
        match SegmentState::of(&self.file.path, witness) {
            // As good as damaged: moving the file aside needs no reading, and keeps what may be read some day.
            Err(SegmentError::Io(error)) if error.is_unreadable() => {
                (self.header, self.reason) = (Header::Damaged, error.to_string());
            }
            state => self.segment = Some(state?),
        }
        Ok(())
    }

    /// The segment, as it is once it is sealed.
    pub(super) fn sealed(&self) -> Option<SealedSegment> {
        let SegmentState { header, extent, .. } = *self.segment.as_ref()?;
        Some(SealedSegment { path: self.file.path.clone(), header, extent })
    }

    pub(super) fn seal(&self) -> Seal {
        self.segment.as_ref().map_or(Seal::Open, |segment| segment.seal)
    }

    pub(super) fn is_torn(&self) -> bool {
        self.segment.as_ref().is_some_and(|segment| segment.torn.is_some())
    }

    pub(super) fn link(&self) -> Link {
        match &self.segment {
            Some(SegmentState { header, mark, extent, torn, .. }) => Link::Segment {
                numbers: NumberRange { first: header.base_sequence.0, count: u64::from(extent.frames) },
                vouched: mark.durable.frames > 0,
                sealed: mark.sealed.is_some(),
                torn: torn.is_some(),
            },
            None if matches!(self.header, Header::NeverStarted | Header::FirstPageLost) => Link::Pageless,
            None => Link::Unknown,
        }
    }

    /// The last number that the file may hold, though its header can't be read or does not belong here, or its tail is no
    /// frame. If no header of this log says where its numbers begin, they lie between `last_before`, the last number of the
    /// segments before it, and `next_base`, the first one that those behind it begin with; and where it has been `folded` up
    /// to a place in this very file, only what comes behind that place can be more.
    pub(super) fn last_sequence_possible(
        &self,
        last_before: Sequence,
        next_base: Option<Sequence>,
        folded: Folded,
        writer_id: Option<WriterId>,
    ) -> Result<Sequence, PathError> {
        // One that is whole but for its name tells its numbers itself. Behind a torn tail, intact frames may follow.
        if self.misnamed.is_some()
            && let Ok(state) = SegmentState::of(&self.file.path, &Witness::NONE)
            && state.torn.is_none()
        {
            return Ok(state.last_sequence());
        }
        let LostHeader { header, records_max } = LostHeader::of(&self.file.path)?;
        // One that can't be read a second time was read once.
        let header = header
            .or(self.sound)
            .filter(|header| is_reachable(header) && writer_id.is_none_or(|writer_id| writer_id == header.writer_id));
        Ok(match header {
            Some(header) => Sequence(Extent::EMPTY.last_sequence(header.base_sequence).0 + records_max),
            None => {
                let last = match self.records_beyond(folded)? {
                    Some(records) => folded.sequence.0.saturating_add(records),
                    None => last_before.0 + records_max,
                };
                let last = last.min(next_base.map_or(u64::MAX, |next| next.0 - 1));
                Sequence(last).max(last_before)
            }
        })
    }

    /// How many records the file may hold beyond what is `folded`, if that ends in this file.
    pub(super) fn records_beyond(&self, folded: Folded) -> Result<Option<u64>, PathError> {
        match folded.place {
            Some((segment, offset)) if segment == self.file.id => LostHeader::records_from(&self.file.path, offset),
            _ => Ok(None),
        }
    }
}

/// What a header says of its file, and what is wrong with it.
fn judge(file: &SegmentFile, found: HeaderFound, writer_id: Option<WriterId>) -> (Header, String) {
    let header = match found {
        HeaderFound::NeverStarted => return (Header::NeverStarted, String::new()),
        HeaderFound::FirstPageLost(reason) => return (Header::FirstPageLost, reason),
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
