//! How far a log was read.
//!
//! Pure; used on every thread.

use super::format::{Extent, FRAME_ALIGNMENT, FRAME_HEADER_BYTES, FRAMES_OFFSET};
use crate::ground::position::{Offset, SegmentId, Sequence};

/// A place in a log: all before it was read, and nobody needs it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The segment in which reading goes on; those of lower numbers are done with.
    pub segment: SegmentId,
    /// Where in it. At its first frame, records that were read already may follow.
    pub offset: Offset,
    /// The number of the last record that was read, or that is known to be missing; 0 for none.
    pub sequence: Sequence,
}

impl Place {
    /// Nothing was read.
    pub const START: Self = Self { segment: SegmentId(0), offset: Offset(FRAMES_OFFSET), sequence: Sequence(0) };

    /// The segment before the one in which reading goes on.
    pub(super) fn before(self) -> SegmentId {
        SegmentId(self.segment.0.saturating_sub(1))
    }

    /// How far the segment was read whose first record has the number `base`; `None` if that can't be so, or nothing of
    /// it was.
    pub(super) fn extent(self, base: Sequence) -> Option<Extent> {
        let frames = u32::try_from((self.sequence.0 + 1).checked_sub(base.0)?).ok().filter(|frames| *frames > 0)?;
        let bytes = u64::from(self.offset.0.checked_sub(FRAMES_OFFSET)?);
        let bytes_min = u64::from(frames) * u64::from(FRAME_HEADER_BYTES + FRAME_ALIGNMENT);
        let is_possible = bytes >= bytes_min && self.offset.0.is_multiple_of(FRAME_ALIGNMENT);
        is_possible.then_some(Extent { end: self.offset, frames })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_tells_how_many_frames_of_its_segment_lie_before_it_or_that_this_is_not_known() {
        let place =
            |offset, sequence| Place { segment: SegmentId(3), offset: Offset(offset), sequence: Sequence(sequence) };
        for (place, expected) in [
            (place(FRAMES_OFFSET + 32, 102), Some(2)),
            (place(FRAMES_OFFSET + 16, 101), Some(1)),
            // At the first frame; too many for the bytes; none; before the segment; where no frame begins.
            (place(FRAMES_OFFSET, 102), None),
            (place(FRAMES_OFFSET + 16, 102), None),
            (place(FRAMES_OFFSET + 16, 100), None),
            (place(FRAMES_OFFSET + 16, 7), None),
            (place(FRAMES_OFFSET + 18, 101), None),
            (place(0, 101), None),
        ] {
            let found = place.extent(Sequence(101));
            assert_eq!(found, expected.map(|frames| Extent { end: place.offset, frames }), "{place:?}");
        }
        assert_eq!(Place::START.extent(Sequence(1)), None);
    }
}
