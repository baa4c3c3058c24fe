//! Up to where the log is folded. Plain data; it commits with the rows that it speaks of.

use crate::ground::position::{Offset, SegmentId, Sequence};
use crate::segment::format::FRAMES_OFFSET;

/// Up to here, folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) segment: SegmentId,
    pub(crate) offset: Offset,
    pub(crate) sequence: Sequence,
}

impl Checkpoint {
    /// Nothing is folded.
    pub(crate) const START: Self = Self { segment: SegmentId(0), offset: Offset(FRAMES_OFFSET), sequence: Sequence(0) };
}
