//! The segments of this process's own log that may have to be written once more, or wait to be folded.
//!
//! Who folds knows nothing of this list: it reads the files. The lock is taken when a segment begins and when somebody
//! asks how much waits; never for a record.

use super::format::Extent;
use super::segment_progress::SegmentProgress;
use crate::ground::position::{SegmentId, Sequence};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

/// From so many segments on, the list is looked through for files that are gone: under the policy `never` nothing tells
/// that they are durable.
const LOOK_SEGMENTS: usize = 64;

/// One segment, active or sealed.
#[derive(Clone, Debug)]
pub(crate) struct LogSegment {
    pub(crate) id: SegmentId,
    pub(crate) path: PathBuf,
    pub(crate) base_sequence: Sequence,
    /// The size of the file while it is active; a sealed one ends where its frames do.
    pub(crate) allocated_bytes: u64,
    pub(crate) progress: Arc<SegmentProgress>,
}

impl LogSegment {
    /// The last sequence number that readers may see; one less than the first if there is none.
    pub(crate) fn last_published(&self) -> Sequence {
        self.progress.published().last_sequence(self.base_sequence)
    }

    fn bytes(&self) -> u64 {
        self.progress.sealed().map_or(self.allocated_bytes, |extent| u64::from(extent.end.0))
    }
}

#[derive(Debug, Default)]
struct Segments {
    /// By sequence number; each segment has numbers beyond those before it, and is read up to where the next one
    /// begins. The last one is active, or was the last to be.
    ordered: VecDeque<LogSegment>,
    /// Nothing is read from these: others have their records, or they have none.
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

    /// Those that hold something beyond that number; the last one always counts.
    fn waiting(&self, folded: Sequence) -> impl Iterator<Item = &LogSegment> {
        let last = self.ordered.back().map(|segment| segment.id);
        let waits = move |segment: &&LogSegment| segment.last_published() > folded || Some(segment.id) == last;
        self.ordered.iter().chain(&self.superseded).filter(waits)
    }

    /// Forgets what needs never be read any more, since everything up to that number is durable and folded; and files
    /// that are gone, which are folded, and durable in the database.
    fn forget(&mut self, done: Sequence) {
        let looks = self.ordered.len() + self.superseded.len() >= LOOK_SEGMENTS;
        let stays = |segment: &LogSegment| {
            segment.last_published() > done && (!looks || segment.path.symlink_metadata().is_ok())
        };
        // From the front: a segment is read up to where the next one begins.
        while self.ordered.len() > 1 && self.ordered.front().is_some_and(|segment| !stays(segment)) {
            self.ordered.pop_front();
        }
        self.superseded.retain(stays);
    }
}

/// The segments.
#[derive(Debug, Default)]
pub(crate) struct SegmentList {
    segments: Mutex<Segments>,
}

impl SegmentList {
    /// By the appender: a new segment begins. Everything up to `done` is durable and folded.
    pub(crate) fn push(&self, segment: LogSegment, done: Sequence) {
        let mut segments = self.segments.lock();
        segments.forget(done);
        segments.ordered.push_back(segment);
    }

    /// By the appender: another log begins.
    pub(crate) fn clear(&self) {
        *self.segments.lock() = Segments::default();
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

    /// How many segments hold something beyond that number, and how many bytes they take. The active one counts always.
    pub(crate) fn waiting(&self, folded: Sequence) -> (u64, u64) {
        let segments = self.segments.lock();
        (segments.waiting(folded).count() as u64, segments.waiting(folded).map(LogSegment::bytes).sum())
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
            allocated_bytes: u64::from(extent.end.0),
            progress: Arc::new(SegmentProgress::of_sealed(extent)),
        }
    }

    fn list(segments: impl IntoIterator<Item = LogSegment>) -> SegmentList {
        let list = SegmentList::default();
        segments.into_iter().for_each(|segment| list.push(segment, Sequence(0)));
        list
    }

    /// What is to be read beyond that number: from which segment, and up to where.
    fn beyond(log: &SegmentList, sequence: u64) -> Vec<(u64, u64)> {
        let readable = log.all_beyond(Sequence(sequence));
        readable.iter().map(|readable| (readable.segment.id.0, readable.last.0)).collect()
    }

    #[test]
    fn where_to_go_on_is_told_by_numbers_alone() {
        // Numbers 21 to 30 are missing; the last segment has no frame yet.
        let log = list([segment(1, 1, 10), segment(5, 11, 10), segment(6, 31, 10), segment(7, 41, 0)]);
        let first = |sequence| beyond(&log, sequence).first().map(|(id, _)| *id);
        let expected =
            [(0, Some(1)), (9, Some(1)), (10, Some(5)), (20, Some(6)), (30, Some(6)), (40, None), (99, None)];
        for (sequence, id) in expected {
            assert_eq!(first(sequence), id, "beyond {sequence}");
        }
        let log = list([segment(1, 1, 10), segment(2, 31, 0)]);
        assert_eq!(beyond(&log, 10), [], "numbers before a segment are not its own");
    }

    #[test]
    fn what_is_folded_does_not_wait_and_is_forgotten_once_it_is_durable_too() {
        let log = list([segment(1, 1, 10), segment(2, 11, 10), segment(3, 21, 10)]);
        let bytes = 4096 + 1000;
        assert_eq!([0, 10, 15, 20, 30].map(|n| log.waiting(Sequence(n)).0), [3, 2, 2, 1, 1], "the active one counts");
        assert_eq!(log.waiting(Sequence(10)).1, 2 * bytes);
        log.push(segment(4, 31, 10), Sequence(20));
        assert_eq!(beyond(&log, 0), [(3, 30), (4, 40)]);
        // Of the others of so many, no file is there: they were folded, and durable in the database.
        for id in 5..LOOK_SEGMENTS as u64 + 10 {
            log.push(segment(id, id * 10, 10), Sequence(0));
        }
        assert!(log.waiting(Sequence(0)).0 <= LOOK_SEGMENTS as u64);
    }

    #[test]
    fn what_was_written_again_takes_the_place_of_what_was_not_durable() {
        let log = list([segment(1, 1, 10), segment(2, 11, 10), segment(3, 21, 10)]);
        let extent = Extent { end: Offset(4096 + 400), frames: 4 };
        log.supersede(Sequence(14), SegmentId(2), extent, [segment(4, 15, 16)]);
        assert_eq!(beyond(&log, 0), [(1, 10), (2, 14), (4, 30)]);
        assert_eq!(log.waiting(Sequence(29)).0, 2, "its last record is not folded");
        assert_eq!(log.waiting(Sequence(30)).0, 1);
        // Once more, before anything of the second writing is durable.
        log.supersede(Sequence(14), SegmentId(4), Extent::EMPTY, [segment(5, 15, 20)]);
        assert_eq!(beyond(&log, 0), [(1, 10), (2, 14), (5, 34)]);
    }

    #[test]
    fn what_lies_before_a_poisoned_segment_is_read_on_though_its_file_holds_numbers_beyond() {
        // Segment 1 was poisoned and is whole in its file; its second writing is poisoned now.
        let log = list([segment(1, 1, 10), segment(4, 6, 20)]);
        log.supersede(Sequence(5), SegmentId(4), Extent::EMPTY, [segment(5, 6, 20)]);
        assert_eq!(beyond(&log, 0), [(1, 5), (5, 25)]);
        // Numbers that the files end with go up and down here.
        let log = list([segment(1, 1, 100), segment(4, 51, 30), segment(5, 81, 40)]);
        let extent = Extent { end: Offset(4096 + 500), frames: 5 };
        log.supersede(Sequence(85), SegmentId(5), extent, [segment(6, 86, 35)]);
        assert_eq!(beyond(&log, 0), [(1, 50), (4, 80), (5, 85), (6, 120)]);
        let order = [50, 79, 80, 84, 85, 119].map(|n| beyond(&log, n).first().map(|(id, _)| *id));
        assert_eq!(order, [Some(4), Some(4), Some(5), Some(5), Some(6), Some(6)]);
    }
}
