//! What a segment of the log amounts to when a store is opened: where its frames end, what lies behind, and what its
//! mark is worth.
//!
//! Runs while a store opens, and wherever somebody looks at what the next opening would find. It only reads, and judges
//! nothing by itself: [`super::examination`] does.

use super::examination::{Ending, Examination};
use super::format::{Extent, FRAME_ALIGNMENT, Mark, SegmentHeader};
use super::reader::{Item, SegmentReader};
use super::verdict::Seal;
use super::witness::Witness;
use crate::ground::error::{PathError, SegmentError};
use crate::ground::position::{Offset, Sequence};
use std::path::Path;

/// The state of one segment.
#[derive(Debug)]
pub(super) struct SegmentState {
    pub(super) header: SegmentHeader,
    pub(super) mark: Mark,
    pub(super) seal: Seal,
    pub(super) extent: Extent,
    pub(super) torn: Option<TornTail>,
    /// Where the frames contradict the marks, and how; empty unless the seal is [`Seal::Wrong`].
    pub(super) wrong_marks: Vec<(Offset, String)>,
}

/// What lies behind the last good frame and is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TornTail {
    /// Its length: to the last byte that is not zero, or to where the segment was sealed.
    pub(crate) bytes: u32,
    /// Intact frames follow, whose pages reached the disk before the missing one. Nobody was promised them.
    pub(crate) frames_follow: bool,
}

impl SegmentState {
    /// Reads as much of a segment as it takes to tell. What the mark says is believed where the witness, or a frame,
    /// bears it out; else the segment is read from its first frame.
    pub(super) fn of(path: &Path, witness: &Witness) -> Result<Self, SegmentError> {
        let mut reader = SegmentReader::open(path)?;
        let (header, mark) = (*reader.header(), reader.mark());
        if let Some(sealed) = mark.sealed
            && sealed == mark.durable
            && reader.file_bytes()? == u64::from(sealed.end.0)
            && witness.bears_out(&header, sealed)
        {
            let (torn, wrong_marks) = (None, Vec::new());
            return Ok(Self { header, mark, seal: Seal::Synced, extent: sealed, torn, wrong_marks });
        }
        if witness.places(&header, mark.durable) || stands_at(&mut reader, mark.durable)? {
            reader.seek(mark.durable);
        } else {
            reader.seek(Extent::EMPTY);
        }
        let (found, error) = Examination::with_error(&mut reader, |_| Ok::<_, SegmentError>(()))?;
        if let Some(error) = error {
            return Err(error.into());
        }
        let torn = match found.ending {
            Ending::Torn { bytes, .. } => Some(torn_tail(&mut reader, found.extent, bytes)?),
            Ending::Sealed { .. } | Ending::Open | Ending::Unreadable { .. } => None,
        };
        let mut wrong_marks: Vec<_> =
            found.wrong_marks.iter().map(|wrong| (wrong.offset(), wrong.to_string())).collect();
        let damaged: Vec<_> = found.marks.damaged().collect();
        if let [place, _] = damaged[..] {
            wrong_marks.push((Offset(place), "both marks are damaged, which no crash leaves".to_owned()));
        }
        let seal = match mark.sealed {
            _ if !wrong_marks.is_empty() => Seal::Wrong,
            None => Seal::Open,
            Some(sealed) if sealed == mark.durable => Seal::Synced,
            Some(_) => Seal::Unsynced,
        };
        Ok(Self { header, mark, seal, extent: found.extent, torn, wrong_marks })
    }

    /// The number of the last frame; one less than the first if there is none.
    pub(super) fn last_sequence(&self) -> Sequence {
        self.extent.last_sequence(self.header.base_sequence)
    }

    /// The number behind the last frame.
    pub(super) fn next_sequence(&self) -> Sequence {
        self.extent.next_sequence(self.header.base_sequence)
    }
}

/// Whether the frame that comes behind an extent stands there, intact: then so many frames lie before it.
fn stands_at(reader: &mut SegmentReader, extent: Extent) -> Result<bool, PathError> {
    if extent == Extent::EMPTY {
        return Ok(true);
    }
    reader.seek(extent);
    loop {
        match reader.next()? {
            Item::Frame(frame) => return Ok(frame.offset == extent.end),
            Item::WrongMark(_) => {}
            Item::Damage(_) | Item::Stop(_) => return Ok(false),
        }
    }
}

/// What a crash left behind the last good frame.
fn torn_tail(reader: &mut SegmentReader, extent: Extent, bytes: u32) -> Result<TornTail, PathError> {
    let end = extent.end.0.saturating_add(bytes) / FRAME_ALIGNMENT * FRAME_ALIGNMENT;
    // To a reader that is told to vouch for all this, a torn tail is damage, behind which it finds the next frame.
    reader.set_limit(Extent { end: Offset(end), frames: u32::MAX });
    let frames_follow = loop {
        match reader.next()? {
            Item::WrongMark(_) => {}
            Item::Damage(damage) => break damage.offset.0.saturating_add(damage.bytes) < end,
            Item::Frame(_) | Item::Stop(_) => break false,
        }
    };
    Ok(TornTail { bytes, frames_follow })
}
