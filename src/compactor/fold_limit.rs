//! Which segment may be folded next, and how far: told in an order in which no record is passed over and none read too
//! soon.
//!
//! Runs on the compactor. Nothing here reads a file or changes anything. `tests/model` tries it under every
//! interleaving with the threads that append and sync.

use crate::ground::position::Sequence;
use crate::ground::store_progress::StoreProgress;
use crate::segment::format::Extent;
use crate::segment::segment_list::{LogSegment, SegmentList, SegmentToRead};

/// The records to fold beyond some number.
#[derive(Debug)]
pub(crate) struct Unfolded {
    /// Every record up to that number was in the log when the log was looked at.
    pub(crate) appended: Sequence,
    /// The segment that comes next; `None` if none holds anything beyond.
    pub(crate) next: Option<FoldLimit>,
}

/// A segment that is to be folded.
#[derive(Debug)]
pub(crate) struct FoldLimit {
    pub(crate) segment: LogSegment,
    /// Up to where it may be read now.
    pub(crate) limit: Extent,
    /// The last number that is to be folded from the segment now; one that is folded already if the rest has to wait.
    pub(crate) last: Sequence,
}

impl Unfolded {
    /// Looks for what is beyond `folded`. With `takes_published`, it need not be durable.
    pub(crate) fn beyond(folded: Sequence, log: &SegmentList, progress: &StoreProgress, takes_published: bool) -> Self {
        // In this order: every record up to that number is in the log that is looked at next.
        let appended = progress.appended();
        // Before the log is looked at, too: rewritten records became durable only after the log knew of them.
        let durable = progress.durable();
        let next = log.first_beyond(folded).map(|SegmentToRead { segment, last }| {
            let limit = limit(&segment, durable, takes_published);
            let last = segment.last_sequence(limit).min(last);
            FoldLimit { segment, limit, last }
        });
        Self { appended, next }
    }
}

/// Up to where a segment may be folded now; up to the number `durable` all is durable.
fn limit(segment: &LogSegment, durable: Sequence, takes_published: bool) -> Extent {
    let published = segment.progress.published();
    // A segment that was sealed while an older one could not be synced learns nothing more of itself.
    if takes_published || segment.last_sequence(published) <= durable { published } else { segment.progress.durable() }
}
