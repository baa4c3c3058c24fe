//! The log of the running store: its segments in order, shared by the appender and the compactor.
//!
//! The lock is taken when a segment begins or is retired, never for a record.

use crate::format::{Extent, SegmentId, Sequence};
use crate::segment::progress::SegmentProgress;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

/// One segment, active or sealed.
#[derive(Clone, Debug)]
pub(crate) struct LogSegment {
    pub(crate) id: SegmentId,
    pub(crate) path: PathBuf,
    pub(crate) base_sequence: Sequence,
    /// When it was started: Unix time in milliseconds, UTC.
    pub(crate) created_at: i64,
    /// The size of the file while it is active; a sealed one ends where its frames do.
    pub(crate) allocated_bytes: u64,
    pub(crate) progress: Arc<SegmentProgress>,
}

impl LogSegment {
    /// The last sequence number within `extent`; one less than the first if there is none.
    pub(crate) fn last_sequence(&self, extent: Extent) -> Sequence {
        Sequence(self.base_sequence.0 + u64::from(extent.frames) - 1)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.progress.sealed().map_or(self.allocated_bytes, |extent| u64::from(extent.end.0))
    }
}

/// The segments, oldest first. The last one is active, or was the last to be.
#[derive(Debug, Default)]
pub(crate) struct Log {
    segments: Mutex<VecDeque<LogSegment>>,
}

impl Log {
    pub(crate) fn new(segments: impl IntoIterator<Item = LogSegment>) -> Self {
        Self { segments: Mutex::new(segments.into_iter().collect()) }
    }

    /// By the appender: a new segment begins.
    pub(crate) fn push(&self, segment: LogSegment) {
        self.segments.lock().push_back(segment);
    }

    /// The first segment with at least that id.
    pub(crate) fn at_least(&self, id: SegmentId) -> Option<LogSegment> {
        self.segments.lock().iter().find(|segment| segment.id >= id).cloned()
    }

    /// The segments before that id, oldest first; never the newest of all.
    pub(crate) fn before(&self, id: SegmentId) -> Vec<LogSegment> {
        let segments = self.segments.lock();
        let count = segments.len().saturating_sub(1);
        segments.iter().take(count).take_while(|segment| segment.id < id).cloned().collect()
    }

    /// By the compactor: the segment's file is gone.
    pub(crate) fn remove(&self, id: SegmentId) {
        self.segments.lock().retain(|segment| segment.id != id);
    }

    /// How many segments there are and how many bytes they take.
    pub(crate) fn size(&self) -> (u64, u64) {
        let segments = self.segments.lock();
        (segments.len() as u64, segments.iter().map(LogSegment::bytes).sum())
    }
}
