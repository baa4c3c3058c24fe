//! What bears out that a segment ends where its mark says: the checkpoint, or the segment behind it.
//!
//! Pure. A mark is believed as far as the frames do not contradict it, and to read them all takes long. So opening a store
//! asks here first: of an honest log, hardly a segment has to be read.

use super::format::{Extent, FRAME_ALIGNMENT, FRAME_HEADER_BYTES, FRAMES_OFFSET, SegmentHeader};
use crate::ground::position::{Offset, SegmentId, Sequence};

/// How far the log is folded: the last number, and where its record ends, if anybody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Folded {
    pub(crate) sequence: Sequence,
    pub(crate) place: Option<(SegmentId, Offset)>,
}

impl From<Sequence> for Folded {
    fn from(sequence: Sequence) -> Self {
        Self { sequence, place: None }
    }
}

/// What is known beside a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Witness {
    pub(super) folded: Folded,
    /// The first number of the segment behind it.
    pub(super) next_base: Option<Sequence>,
    /// Whoever opened the store looked at the marks: they are taken as they are.
    pub(super) trusts_marks: bool,
}

impl Witness {
    /// Nothing is known.
    pub(super) const NONE: Self =
        Self { folded: Folded { sequence: Sequence(0), place: None }, next_base: None, trusts_marks: false };
    /// The marks are taken as they are.
    pub(super) const TRUSTING: Self = Self { trusts_marks: true, ..Self::NONE };

    /// Whether that is how many frames a segment has which ends there, as its file does. Of one that is folded whole,
    /// nobody needs to know.
    pub(super) fn bears_out(&self, header: &SegmentHeader, extent: Extent) -> bool {
        let base = header.base_sequence;
        let goes_on = self.next_base == Some(extent.next_sequence(base));
        let frames_max = extent.end.0.saturating_sub(FRAMES_OFFSET) / (FRAME_HEADER_BYTES + FRAME_ALIGNMENT);
        let last_possible = self.next_base.filter(|next| *next > base).map(|next| next.0 - 1);
        let last_possible = last_possible.unwrap_or(u64::MAX).min(base.0 - 1 + u64::from(frames_max));
        // Also by what the mark says: a count that reaches further would take the place of segments behind it.
        let is_folded = last_possible.max(extent.last_sequence(base).0) <= self.folded.sequence.0;
        goes_on || is_folded || self.places(header, extent)
    }

    /// Whether so many frames end at that place of the segment.
    pub(super) fn places(&self, header: &SegmentHeader, extent: Extent) -> bool {
        self.trusts_marks
            || self.folded.place == Some((header.segment_id, extent.end))
                && self.folded.sequence == extent.last_sequence(header.base_sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::position::{StoreId, WriterId};

    #[test]
    fn an_end_is_believed_where_the_next_segment_or_the_checkpoint_says_so_and_nowhere_else() {
        let (id, base) = (SegmentId(3), Sequence(101));
        let header = SegmentHeader {
            needs: 1,
            salt: 0,
            store_id: StoreId([5; 16]),
            writer_id: WriterId([1; 16]),
            segment_id: id,
            base_sequence: base,
            created_at: 0,
        };
        let extent = Extent { end: Offset(FRAMES_OFFSET + 1600), frames: 10 };
        let place = |segment, offset| Some((SegmentId(segment), Offset(FRAMES_OFFSET + offset)));
        for (folded, at, next_base, expected) in [
            (0, None, None, [false, false]),
            (0, None, Some(111), [true, false]),
            (0, None, Some(110), [false, false]),
            (0, None, Some(112), [false, false]),
            // The checkpoint stands there.
            (110, place(3, 1600), None, [true, true]),
            (110, place(3, 1584), None, [false, false]),
            (110, place(2, 1600), None, [false, false]),
            (109, place(3, 1600), None, [false, false]),
            (110, None, None, [false, false]),
            // Whatever it has is folded: all before the next segment, or as many as find room in it.
            (130, None, Some(131), [true, false]),
            (129, None, Some(131), [false, false]),
            (109, None, Some(105), [false, false]),
            (110, None, Some(105), [true, false]),
            (200, None, None, [true, false]),
            (199, None, None, [false, false]),
            (130, None, Some(101), [false, false]),
        ] {
            let folded = Folded { sequence: Sequence(folded), place: at };
            let witness = Witness { folded, next_base: next_base.map(Sequence), trusts_marks: false };
            let found = [witness.bears_out(&header, extent), witness.places(&header, extent)];
            assert_eq!(found, expected, "{witness:?}");
        }
        let trusting = Witness::TRUSTING;
        assert!(trusting.bears_out(&header, extent) && trusting.places(&header, extent));
    }
}
