//! A segment's file in quarantine, judged as whoever makes a database anew judges it.
//!
//! For who only looks. It only reads.

use super::quarantine::QuarantinedSegment;
use super::reader::{Item, SegmentReader};
use crate::ground::error::{HeaderFault, SegmentError};
use crate::ground::finding::Finding;
use crate::ground::position::{SegmentId, Sequence, StoreId, WriterId};
use std::path::Path;

/// What the file is to the log of the writer in whose folder it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AsideFile {
    /// A segment of it, under its own name: what is intact in it is folded into a new database.
    Segment,
    /// A segment of it under the name of another one, or of another writer: nothing is read from it. It is that
    /// segment, by its header.
    Misnamed(SegmentId),
    /// A segment of that other store.
    Foreign(StoreId),
    /// Nothing tells what it holds, for this reason.
    Unreadable(String),
    /// It holds nothing that a store could have written.
    Nothing,
}

impl AsideFile {
    /// What that file is, in that writer's folder in the quarantine of that store, if it is known which that is.
    pub(crate) fn of(writer: WriterId, aside: &QuarantinedSegment, store: Option<StoreId>) -> Self {
        let header = match SegmentReader::open(&aside.path) {
            Ok(reader) => *reader.header(),
            Err(SegmentError::Header { fault: HeaderFault::NeverStarted, .. }) => return Self::Nothing,
            Err(error) => return Self::Unreadable(Finding::of_segment_error(&error).text),
        };
        if store.is_some_and(|store| store != header.store_id) {
            Self::Foreign(header.store_id)
        } else if header.segment_id != aside.id || header.writer_id != writer {
            Self::Misnamed(header.segment_id)
        } else {
            Self::Segment
        }
    }
}

/// How many intact frames the file has whose numbers are wanted.
pub(crate) fn count_frames(path: &Path, is_wanted: impl Fn(Sequence) -> bool) -> u64 {
    let Ok(mut reader) = SegmentReader::open(path) else { return 0 };
    // What the disk can't give back is as good as damaged.
    reader.pass_unreadable();
    let mut frames = 0;
    loop {
        match reader.next() {
            Ok(Item::Frame(frame)) => frames += u64::from(is_wanted(frame.sequence)),
            Ok(Item::Damage(_) | Item::WrongMark(_)) => {}
            Ok(Item::Stop(_)) | Err(_) => return frames,
        }
    }
}
