//! How large the next segment is: small at first, and larger while events come fast.
//!
//! Pure. Most processes record little: a segment takes its room on the disk, and its mapping takes memory, from the start.
//! A larger one costs a busy writer fewer beginnings.

use std::time::Duration;

/// The first segment of a log, and the first after a rest.
pub(super) const FIRST_BYTES: u32 = 256 * 1024;
/// A segment that filled up in less than this is followed by one that is [`GROWTH`] times as large.
const FAST: Duration = Duration::from_secs(2);
const GROWTH: u32 = 4;
/// Segments are made of whole pages.
const PAGE_BYTES: u32 = 4096;

/// The size of the segments to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentGrowth {
    bytes_max: u32,
    next_bytes: u32,
    /// The last one filled up fast, so that this one will too.
    is_fast: bool,
}

impl SegmentGrowth {
    /// None is larger than `bytes_max`.
    pub(super) fn new(bytes_max: u32) -> Self {
        Self { bytes_max, next_bytes: FIRST_BYTES.min(bytes_max), is_fast: false }
    }

    /// How many bytes the next segment has, in which `needed_bytes` must find room: never less than that, as far as a
    /// segment may have so many.
    pub(super) fn next_bytes(&self, needed_bytes: u32) -> u32 {
        let needed = needed_bytes.checked_next_multiple_of(PAGE_BYTES).unwrap_or(u32::MAX);
        self.next_bytes.max(needed).min(self.bytes_max)
    }

    /// Where an active segment of that size has taken so much, the next one is to be made: at once where segments fill up
    /// fast, else when it is half full. None is made for a writer that may never need one.
    pub(super) fn prepares_next_at(&self, bytes: u32) -> u32 {
        if self.is_fast { 0 } else { bytes / 2 }
    }

    /// A segment filled up in that time.
    pub(super) fn filled(&mut self, took: Duration) {
        self.is_fast = took < FAST;
        if self.is_fast {
            self.next_bytes = self.next_bytes.saturating_mul(GROWTH).min(self.bytes_max);
        }
    }

    /// Nothing comes any more, or so little that a segment grew old.
    pub(super) fn rested(&mut self) {
        *self = Self::new(self.bytes_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u32 = 1024 * 1024;

    #[test]
    fn segments_grow_while_they_fill_up_fast_and_begin_small_again_after_a_rest() {
        let mut growth = SegmentGrowth::new(8 * MIB);
        let mut sizes = vec![growth.next_bytes(0)];
        for millis in [10, 1_999, 2_000, 60_000, 5, 5, 5] {
            growth.filled(Duration::from_millis(millis));
            sizes.push(growth.next_bytes(0));
        }
        assert_eq!(sizes, [MIB / 4, MIB, 4 * MIB, 4 * MIB, 4 * MIB, 8 * MIB, 8 * MIB, 8 * MIB]);
        growth.rested();
        assert_eq!(growth, SegmentGrowth::new(8 * MIB));
        assert_eq!(SegmentGrowth::new(64 * 1024).next_bytes(0), 64 * 1024, "never more than was told");
    }

    #[test]
    fn the_next_one_is_made_at_once_only_where_the_last_one_filled_up_fast() {
        let mut growth = SegmentGrowth::new(8 * MIB);
        assert_eq!(growth.prepares_next_at(MIB), MIB / 2);
        growth.filled(Duration::from_millis(20));
        assert_eq!(growth.prepares_next_at(MIB), 0);
        growth.filled(Duration::from_secs(2));
        assert_eq!(growth.prepares_next_at(MIB), MIB / 2);
    }

    proptest! {
        #[test]
        fn every_record_finds_room_and_no_segment_is_larger_than_was_told(
            pages in 16..=262_144_u32,
            ended in proptest::collection::vec((any::<bool>(), 0..4_000_u64, any::<u32>()), 0..40),
        ) {
            let bytes_max = pages * PAGE_BYTES;
            let mut growth = SegmentGrowth::new(bytes_max);
            for (rested, millis, needed) in ended {
                let before = growth.next_bytes(0);
                if rested { growth.rested() } else { growth.filled(Duration::from_millis(millis)) }
                let bytes = growth.next_bytes(needed);
                prop_assert!(bytes >= needed.min(bytes_max) && bytes <= bytes_max && bytes.is_multiple_of(PAGE_BYTES));
                prop_assert!(rested || growth.next_bytes(0) >= before);
            }
        }
    }
}
