//! What segments say of the numbers that were given, whether their records are there or not.
//!
//! Pure; used by whoever reads a log.

use super::format::SegmentHeader;
use crate::ground::position::{SegmentId, Sequence};

/// The highest number that any segment says was given.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct GivenNumbers {
    last: Option<(Sequence, SegmentId)>,
}

impl GivenNumbers {
    /// A segment says that it had so many frames.
    pub(super) fn note(&mut self, header: &SegmentHeader, frames: u32) {
        let last = Sequence((header.base_sequence.0 - 1).saturating_add(u64::from(frames)));
        if self.last.is_none_or(|(noted, _)| last > noted) {
            self.last = Some((last, header.segment_id));
        }
    }

    /// The highest one, if the number `due` and all behind it are not there, and which segment says so.
    pub(super) fn from(&self, due: Sequence) -> Option<(Sequence, SegmentId)> {
        self.last.filter(|(last, _)| *last >= due)
    }
}
