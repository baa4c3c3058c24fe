//! The preparing thread: has the next segment ready before it is needed.
//!
//! Allocating and populating a segment takes milliseconds; the appender must not wait for that. The thread sleeps in a
//! channel of capacity zero until the appender takes a segment, and then prepares another.

use crate::error::PathError;
use crate::format::SegmentId;
use crate::segment::writer::PreparedSegment;
use crossbeam_channel::{Receiver, Sender};
use std::path::PathBuf;

/// A segment, or why there is none: the appender decides when to ask again, by taking the next.
pub(crate) type Prepared = Result<PreparedSegment, PathError>;

/// Where the appender takes segments. Dropping it ends the thread.
pub(crate) fn channel() -> (Sender<Prepared>, Receiver<Prepared>) {
    crossbeam_channel::bounded(0)
}

/// Prepares segments from `id` on, until nobody takes them.
pub(crate) fn run(wal_dir: PathBuf, mut id: SegmentId, segment_bytes: u32, prepared: Sender<Prepared>) {
    loop {
        let segment = PreparedSegment::create(&wal_dir, id, segment_bytes);
        // A failed attempt used its id up only if a file was left behind; skipping an id costs nothing.
        id = id.next();
        if let Err(unwanted) = prepared.send(segment) {
            if let Ok(segment) = unwanted.into_inner() {
                segment.discard();
            }
            return;
        }
    }
}
