//! A segment's file in quarantine, judged as whoever makes a database anew judges it.
//!
//! For who only looks. It only reads.

use super::found_file::FoundFile;
use super::quarantine::QuarantinedSegment;
use super::reader::{Item, SegmentReader};
use super::verdict::Header;
use crate::ground::error::SegmentError;
use crate::ground::finding::Finding;
use crate::ground::position::{SegmentId, Sequence, WriterId};
use std::path::Path;

/// What the file is to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AsideFile {
    /// A segment of this log, under its own name: what is intact in it is folded into a new database.
    Segment,
    /// A segment of this log under the name of another one: nothing is read from it. It is that one, by its header.
    Misnamed(SegmentId),
    /// A segment of that other store.
    Foreign(WriterId),
    /// Nothing tells what it holds, for this reason.
    Unreadable(String),
    /// It holds nothing that a store could have written.
    Nothing,
}

impl AsideFile {
    /// What that file is to the log of `owner`, if it is known whose log it is.
    pub(crate) fn of(aside: &QuarantinedSegment, owner: Option<WriterId>) -> Self {
        let unreadable = |error: &SegmentError| Self::Unreadable(Finding::of_segment_error(error).text);
        let found = FoundFile::headed_in_quarantine(aside, owner);
        let reader = aside.open();
        match (found.map(|found| (found.header, found.reason)), reader) {
            (Some((Header::NeverStarted | Header::Unreachable, _)), _) => Self::Nothing,
            (Some((Header::Sound, _)), Ok(_)) => Self::Segment,
            (Some((Header::Misnamed, _)), Ok(reader)) => Self::Misnamed(reader.header().segment_id),
            (Some((Header::Foreign, _)), Ok(reader)) => Self::Foreign(reader.header().writer_id),
            (_, Err(error)) => unreadable(&error),
            (Some((_, reason)), Ok(_)) => Self::Unreadable(reason),
            (None, Ok(_)) => Self::Unreadable("it could not be read a moment ago".to_owned()),
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
