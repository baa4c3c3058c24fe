//! What a segment of the log amounts to when a store is opened: where its frames end, what lies behind, and what its
//! mark is worth.
//!
//! Runs while a store opens, and wherever somebody looks at what the next opening would find. It only reads.

use super::format::{Extent, FRAME_ALIGNMENT, Mark, SegmentHeader};
use super::reader::{Item, SegmentReader, Stop};
use super::verdict::{Seal, Tail};
use crate::ground::error::{PathError, SegmentError};
use crate::ground::position::{Offset, Sequence};
use std::path::Path;

/// Recovery looks so far behind the last good frame for what a crash may have left there: a torn tail is to be
/// reported, but a segment of 1 GiB is not to be read to its end for that.
const LOOK_BEHIND_BYTES: u32 = 1024 * 1024;

/// The state of one segment.
#[derive(Debug)]
pub(super) struct SegmentState {
    pub(super) header: SegmentHeader,
    pub(super) mark: Mark,
    pub(super) seal: Seal,
    pub(super) extent: Extent,
    pub(super) torn: Option<TornTail>,
    /// Where the mark says that the segment ends, if intact frames go on there.
    pub(super) disproved_end: Option<Offset>,
}

/// What lies behind the last good frame and is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TornTail {
    /// Its length, as far as recovery looks.
    pub(crate) bytes: u32,
    /// Intact frames follow, whose pages reached the disk before the missing one. Nobody was promised them.
    pub(crate) frames_follow: bool,
}

impl SegmentState {
    /// Reads as much of a segment as it takes to tell.
    pub(super) fn of(path: &Path) -> Result<Self, SegmentError> {
        let mut reader = SegmentReader::open(path)?;
        let (header, mark) = (*reader.header(), reader.mark());
        let (seal, (extent, torn)) = match mark.sealed {
            None => (Seal::Open, last_good_frame(&mut reader, mark.durable, None)?),
            Some(sealed) if frames_go_on(&reader, sealed)? => {
                reader.distrust_mark();
                (Seal::Disproved, last_good_frame(&mut reader, sealed, None)?)
            }
            Some(sealed) if sealed == mark.durable => (Seal::Synced, (sealed, None)),
            Some(sealed) => (Seal::Unsynced, last_good_frame(&mut reader, mark.durable, Some(sealed))?),
        };
        let disproved_end = mark.sealed.filter(|_| seal == Seal::Disproved).map(|sealed| sealed.end);
        Ok(Self { header, mark, seal, extent, torn, disproved_end })
    }

    pub(super) fn tail(&self) -> Tail {
        if self.torn.is_some() { Tail::Torn } else { Tail::Clean }
    }

    /// The number of the last frame; one less than the first if there is none.
    pub(super) fn last_sequence(&self) -> Sequence {
        self.extent.last_sequence(self.header.base_sequence)
    }
}

/// Whether the next frame stands where the mark says that the segment has ended. An honest file ends there too, as a
/// rule, and then nothing is read.
fn frames_go_on(reader: &SegmentReader, sealed: Extent) -> Result<bool, SegmentError> {
    if reader.file_bytes()? <= u64::from(sealed.end.0) {
        return Ok(false);
    }
    let mut reader = SegmentReader::open(reader.path())?;
    reader.distrust_mark();
    reader.seek(sealed);
    Ok(matches!(reader.next()?, Item::Frame(_)))
}

/// Where the last good frame ends, and what follows that is none.
///
/// Looks only behind `vouched`. The frames before it were synced once: if they are damaged now, that is not a crash's
/// doing, and whoever folds them reports it.
fn last_good_frame(
    reader: &mut SegmentReader,
    vouched: Extent,
    sealed: Option<Extent>,
) -> Result<(Extent, Option<TornTail>), PathError> {
    reader.seek(vouched);
    loop {
        match reader.next()? {
            Item::Frame(_) | Item::Damage(_) => {}
            Item::Stop(Stop::Sealed) => return Ok((reader.position(), None)),
            Item::Stop(_) => {
                let extent = reader.position();
                return Ok((extent, torn_behind(reader, extent, sealed)?));
            }
        }
    }
}

/// What a crash left behind the last good frame, as far as it is looked for.
fn torn_behind(
    reader: &mut SegmentReader,
    extent: Extent,
    sealed: Option<Extent>,
) -> Result<Option<TornTail>, PathError> {
    let sealed_bytes = sealed.map_or(0, |sealed| sealed.end.0.saturating_sub(extent.end.0));
    let look_bytes = if sealed.is_some() { sealed_bytes.min(LOOK_BEHIND_BYTES) } else { LOOK_BEHIND_BYTES };
    let mut behind = vec![0; look_bytes as usize];
    let count = reader.read_at(extent.end, &mut behind)?;
    let written = behind[..count].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    // A seal says that there were frames, whatever is there now.
    let bytes = u32::try_from(written).unwrap_or(u32::MAX).max(sealed_bytes);
    if bytes == 0 {
        return Ok(None);
    }
    let end = extent.end.0.saturating_add(u32::try_from(count).unwrap_or(u32::MAX)) / FRAME_ALIGNMENT * FRAME_ALIGNMENT;
    // To a reader that is told to vouch for all this, a torn tail is damage, behind which it finds the next frame.
    reader.set_limit(Extent { end: Offset(end), frames: u32::MAX });
    let frames_follow = match reader.next()? {
        Item::Damage(damage) => damage.offset.0.saturating_add(damage.bytes) < end,
        Item::Frame(_) | Item::Stop(_) => false,
    };
    Ok(Some(TornTail { bytes, frames_follow }))
}
