//! The log of the running store: its segments in order, shared by the appender and the compactor.
//!
//! The locks are taken when a segment begins or is retired, and once for each batch that is folded; never for a record.

use super::format::{Extent, SegmentHeader};
use super::segment_progress::SegmentProgress;
use crate::ground::position::{SegmentId, Sequence};
use parking_lot::{Mutex, MutexGuard};
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
    /// One that takes no more frames, and ends there.
    pub(crate) fn sealed(path: PathBuf, header: &SegmentHeader, extent: Extent) -> Self {
        Self {
            id: header.segment_id,
            path,
            base_sequence: header.base_sequence,
            created_at: header.created_at,
            allocated_bytes: u64::from(extent.end.0),
            progress: Arc::new(SegmentProgress::of_sealed(extent)),
        }
    }

    /// The last sequence number within `extent`; one less than the first if there is none.
    pub(crate) fn last_sequence(&self, extent: Extent) -> Sequence {
        extent.last_sequence(self.base_sequence)
    }

    /// The last sequence number that readers may see.
    pub(crate) fn last_published(&self) -> Sequence {
        self.last_sequence(self.progress.published())
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.progress.sealed().map_or(self.allocated_bytes, |extent| u64::from(extent.end.0))
    }
}

#[derive(Debug, Default)]
struct Segments {
    /// By sequence number; each segment has numbers beyond those before it, and is read up to where the next one
    /// begins. The last one is active, or was the last to be.
    ordered: VecDeque<LogSegment>,
    /// Nothing is read from these: others have their records, or they have none. They stay until their records are
    /// folded.
    superseded: Vec<LogSegment>,
}

/// A segment that has something to be read.
#[derive(Clone, Debug)]
pub(crate) struct SegmentToRead {
    pub(crate) segment: LogSegment,
    /// The last number that is to be read from it: its last one so far, or the one before the next segment's first.
    pub(crate) last: Sequence,
}

impl Segments {
    /// What is to be read beyond that number, in order.
    fn beyond(&self, sequence: Sequence) -> impl Iterator<Item = (&LogSegment, Sequence)> {
        // Not by their last numbers: a poisoned file, of which the end was rewritten, may reach beyond those after it.
        let start = self.ordered.partition_point(|segment| segment.base_sequence <= sequence).saturating_sub(1);
        let nexts = self.ordered.range(start..).skip(1).map(|next| Sequence(next.base_sequence.0 - 1));
        let ends = nexts.chain(std::iter::once(Sequence(u64::MAX)));
        let each = self.ordered.range(start..).zip(ends);
        // Numbers may jump before a segment without frames; they are not its own.
        let any = each.filter(|(segment, _)| segment.progress.published().frames > 0);
        let readable = any.map(|(segment, end)| (segment, segment.last_published().min(end)));
        readable.filter(move |(_, last)| *last > sequence)
    }

    /// How many of the ordered ones have nothing beyond that number; never the newest of all, which carries the store's
    /// identity.
    fn folded(&self, sequence: Sequence) -> usize {
        let folded = self.ordered.iter().take_while(|segment| segment.last_published() <= sequence).count();
        folded.min(self.ordered.len().saturating_sub(1))
    }
}

/// The segments.
#[derive(Debug, Default)]
pub(crate) struct SegmentList {
    segments: Mutex<Segments>,
    /// Held while a batch is folded.
    folding: Mutex<()>,
}

/// Segments all of whose records are folded.
#[derive(Debug, Default)]
pub(crate) struct FoldedSegments {
    /// Oldest first; never the newest of all.
    pub(crate) ordered: Vec<LogSegment>,
    pub(crate) superseded: Vec<LogSegment>,
}

impl SegmentList {
    /// `ordered` is in the order of sequence numbers.
    pub(crate) fn new(
        ordered: impl IntoIterator<Item = LogSegment>,
        superseded: impl IntoIterator<Item = LogSegment>,
    ) -> Self {
        let segments =
            Segments { ordered: ordered.into_iter().collect(), superseded: superseded.into_iter().collect() };
        Self { segments: Mutex::new(segments), folding: Mutex::default() }
    }

    /// Nothing is folded while this is held: by the compactor for a batch; by the appender when it must know for
    /// certain what is folded, which is only when something is lost.
    pub(crate) fn hold_folding(&self) -> MutexGuard<'_, ()> {
        self.folding.lock()
    }

    /// By the appender: a new segment begins.
    pub(crate) fn push(&self, segment: LogSegment) {
        self.segments.lock().ordered.push_back(segment);
    }

    /// By the appender: another log begins.
    pub(crate) fn clear(&self) {
        *self.segments.lock() = Segments::default();
    }

    /// The first segment from which a record beyond that number is to be read.
    pub(crate) fn first_beyond(&self, sequence: Sequence) -> Option<SegmentToRead> {
        let segments = self.segments.lock();
        let (segment, last) = segments.beyond(sequence).next()?;
        Some(SegmentToRead { segment: segment.clone(), last })
    }

    /// Every segment from which a record beyond that number is to be read, in order.
    pub(crate) fn all_beyond(&self, sequence: Sequence) -> Vec<SegmentToRead> {
        let segments = self.segments.lock();
        segments.beyond(sequence).map(|(segment, last)| SegmentToRead { segment: segment.clone(), last }).collect()
    }

    /// By the appender: all records beyond `durable` were written once more, into `rewritten`. Segment `poisoned` ends
    /// at `extent` from now on; nothing is read any more from the segments after it.
    pub(crate) fn supersede(
        &self,
        durable: Sequence,
        poisoned: SegmentId,
        extent: Extent,
        rewritten: impl IntoIterator<Item = LogSegment>,
    ) {
        let mut segments = self.segments.lock();
        let Segments { ordered, superseded } = &mut *segments;
        // Segments before the poisoned one stay, even if a file holds numbers beyond: each is read up to the next one.
        let stays = |segment: &LogSegment| {
            segment.last_published() <= durable || segment.id != poisoned && segment.base_sequence <= durable
        };
        let (staying, beyond): (VecDeque<_>, VecDeque<_>) = ordered.drain(..).partition(stays);
        *ordered = staying;
        for segment in beyond {
            if segment.id == poisoned && extent.frames > 0 {
                let durable = Arc::new(SegmentProgress::of_sealed(extent));
                ordered.push_back(LogSegment { progress: durable, ..segment });
            } else {
                superseded.push(segment);
            }
        }
        ordered.extend(rewritten);
    }

    /// The segments of which everything up to that number is folded, and which hold nothing beyond it.
    ///
    /// A segment that is not the last takes no more frames, sealed or not.
    pub(crate) fn folded(&self, sequence: Sequence) -> FoldedSegments {
        let segments = self.segments.lock();
        let is_folded = |segment: &&LogSegment| segment.last_published() <= sequence;
        FoldedSegments {
            ordered: segments.ordered.range(..segments.folded(sequence)).cloned().collect(),
            superseded: segments.superseded.iter().filter(is_folded).cloned().collect(),
        }
    }

    /// How many segments [`Self::folded`] gives.
    pub(crate) fn folded_count(&self, sequence: Sequence) -> usize {
        let segments = self.segments.lock();
        let superseded = segments.superseded.iter().filter(|segment| segment.last_published() <= sequence);
        segments.folded(sequence) + superseded.count()
    }

    /// By the compactor: the segment's file is gone.
    pub(crate) fn remove(&self, id: SegmentId) {
        let mut segments = self.segments.lock();
        segments.ordered.retain(|segment| segment.id != id);
        segments.superseded.retain(|segment| segment.id != id);
    }

    /// The lowest id of a segment. Of segments before it, only the database knows anything.
    pub(crate) fn oldest(&self) -> Option<SegmentId> {
        let segments = self.segments.lock();
        segments.ordered.iter().chain(&segments.superseded).map(|segment| segment.id).min()
    }

    /// How many segments there are and how many bytes they take.
    pub(crate) fn size(&self) -> (u64, u64) {
        let segments = self.segments.lock();
        let all = || segments.ordered.iter().chain(&segments.superseded);
        (all().count() as u64, all().map(LogSegment::bytes).sum())
    }

    /// How many bytes the segments take that hold something beyond that number.
    pub(crate) fn bytes_beyond(&self, sequence: Sequence) -> u64 {
        let segments = self.segments.lock();
        let all = segments.ordered.iter().rev().take_while(|segment| segment.last_published() > sequence);
        all.chain(&segments.superseded).map(LogSegment::bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::position::Offset;

    fn segment(id: u64, first: u64, frames: u32) -> LogSegment {
        let extent = Extent { end: Offset(4096 + 100 * frames), frames };
        LogSegment {
            id: SegmentId(id),
            path: PathBuf::new(),
            base_sequence: Sequence(first),
            created_at: 0,
            allocated_bytes: u64::from(extent.end.0),
            progress: Arc::new(SegmentProgress::of_sealed(extent)),
        }
    }

    fn ids(segments: &[LogSegment]) -> Vec<u64> {
        segments.iter().map(|segment| segment.id.0).collect()
    }

    #[test]
    fn where_to_go_on_is_told_by_numbers_alone() {
        // Numbers 21 to 30 are missing; the last segment has no frame yet.
        let log = SegmentList::new([segment(1, 1, 10), segment(5, 11, 10), segment(6, 31, 10), segment(7, 41, 0)], []);
        let first = |sequence| log.first_beyond(Sequence(sequence)).map(|readable| readable.segment.id.0);
        let expected =
            [(0, Some(1)), (9, Some(1)), (10, Some(5)), (20, Some(6)), (30, Some(6)), (40, None), (99, None)];
        for (sequence, id) in expected {
            assert_eq!(first(sequence), id, "beyond {sequence}");
        }
        assert_eq!(ids(&log.folded(Sequence(30)).ordered), [1, 5]);
        assert_eq!(ids(&log.folded(Sequence(99)).ordered), [1, 5, 6], "never the newest");
        assert_eq!(log.bytes_beyond(Sequence(20)), 4096 + 1000 + 4096, "the one that takes frames counts");
        assert_eq!(log.bytes_beyond(Sequence(40)), 0);
        let log = SegmentList::new([segment(1, 1, 10), segment(2, 31, 0)], []);
        assert!(log.first_beyond(Sequence(10)).is_none(), "numbers before a segment are not its own");
    }

    #[test]
    fn what_was_written_again_takes_the_place_of_what_was_not_durable() {
        let log = SegmentList::new([segment(1, 1, 10), segment(2, 11, 10), segment(3, 21, 10)], []);
        let extent = Extent { end: Offset(4096 + 400), frames: 4 };
        log.supersede(Sequence(14), SegmentId(2), extent, [segment(4, 15, 16)]);
        let order = [0, 10, 13, 14, 29].map(|n| log.first_beyond(Sequence(n)).map(|readable| readable.segment.id.0));
        assert_eq!(order, [Some(1), Some(2), Some(2), Some(4), Some(4)]);
        assert!(log.folded(Sequence(29)).superseded.is_empty(), "its last record is not folded");
        assert_eq!(ids(&log.folded(Sequence(30)).superseded), [3]);
        log.remove(SegmentId(3));
        // Once more, before anything of the second writing is durable.
        log.supersede(Sequence(14), SegmentId(4), Extent::EMPTY, [segment(5, 15, 20)]);
        let all: Vec<_> = log.all_beyond(Sequence(0)).into_iter().map(|readable| readable.segment).collect();
        assert_eq!(ids(&all), [1, 2, 5]);
        assert_eq!(ids(&log.folded(Sequence(30)).superseded), [4]);
    }

    #[test]
    fn what_lies_before_a_poisoned_segment_is_read_on_though_its_file_holds_numbers_beyond() {
        // Segment 1 was poisoned in an earlier run and is whole in its file; its second writing is poisoned now.
        let log = SegmentList::new([segment(1, 1, 10), segment(4, 6, 20)], []);
        log.supersede(Sequence(5), SegmentId(4), Extent::EMPTY, [segment(5, 6, 20)]);
        let order = [0, 4, 5, 25].map(|n| log.first_beyond(Sequence(n)).map(|r| (r.segment.id.0, r.last.0)));
        assert_eq!(order, [Some((1, 5)), Some((1, 5)), Some((5, 25)), None]);
        // Numbers that the files end with go up and down here.
        let log = SegmentList::new([segment(1, 1, 100), segment(4, 51, 30), segment(5, 81, 40)], []);
        let extent = Extent { end: Offset(4096 + 500), frames: 5 };
        log.supersede(Sequence(85), SegmentId(5), extent, [segment(6, 86, 35)]);
        let readable = log.all_beyond(Sequence(0));
        let all: Vec<_> = readable.iter().map(|r| (r.segment.id.0, r.last.0)).collect();
        assert_eq!(all, [(1, 50), (4, 80), (5, 85), (6, 120)]);
        let order = [50, 79, 80, 84, 85, 119].map(|n| log.first_beyond(Sequence(n)).map(|r| r.segment.id.0));
        assert_eq!(order, [Some(4), Some(4), Some(5), Some(5), Some(6), Some(6)]);
        assert!(log.folded(Sequence(90)).ordered.is_empty(), "the first one's file holds more than is folded");
        assert_eq!(ids(&log.folded(Sequence(100)).ordered), [1, 4, 5]);
    }

    #[test]
    fn a_segment_is_read_up_to_where_the_next_one_begins() {
        let log = SegmentList::new([segment(1, 1, 10), segment(4, 6, 20)], []);
        let last = |sequence| log.first_beyond(Sequence(sequence)).map(|r| (r.segment.id.0, r.last.0));
        assert_eq!([0, 4, 5, 24].map(last), [Some((1, 5)), Some((1, 5)), Some((4, 25)), Some((4, 25))]);
        assert!(log.folded(Sequence(5)).ordered.is_empty(), "it holds more than is folded");
        assert_eq!(log.folded(Sequence(10)).ordered.len(), 1);
    }
}
