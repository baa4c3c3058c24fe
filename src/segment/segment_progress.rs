//! How far a segment of this process's log has come: two words that its writer and its syncer share.

use super::format::Extent;
use std::sync::atomic::{AtomicU64, Ordering};

/// Published, sealed; each only ever grows. Every store is a release and every load an acquire, so that
/// whoever sees an extent also sees the bytes before it.
#[derive(Debug)]
pub(crate) struct SegmentProgress {
    published: AtomicU64,
    /// Zero until the segment is sealed.
    sealed: AtomicU64,
}

impl SegmentProgress {
    pub(crate) const fn new() -> Self {
        let empty = Extent::EMPTY.to_word();
        Self { published: AtomicU64::new(empty), sealed: AtomicU64::new(0) }
    }

    /// The progress of a segment that takes no more frames: all of it is published.
    pub(crate) const fn of_sealed(extent: Extent) -> Self {
        let word = extent.to_word();
        Self { published: AtomicU64::new(word), sealed: AtomicU64::new(word) }
    }

    /// Up to here readers may see frames. Stored by the appender.
    pub(crate) fn published(&self) -> Extent {
        Extent::from_word(self.published.load(Ordering::Acquire))
    }

    pub(crate) fn set_published(&self, extent: Extent) {
        self.published.store(extent.to_word(), Ordering::Release);
    }

    /// Where the segment ends, once nothing more comes. Stored by the syncer.
    pub(crate) fn sealed(&self) -> Option<Extent> {
        match self.sealed.load(Ordering::Acquire) {
            0 => None,
            word => Some(Extent::from_word(word)),
        }
    }

    pub(crate) fn set_sealed(&self, extent: Extent) {
        self.sealed.store(extent.to_word(), Ordering::Release);
    }
}
