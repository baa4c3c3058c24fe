//! The preparing thread: has the next segment ready before it is needed.
//!
//! Allocating and populating a segment takes milliseconds; the appender must not wait for that. The thread sleeps in a
//! channel of capacity zero until the appender takes a segment, and then prepares another.

use crate::ground::error::{AtPath, PathError};
use crate::ground::position::SegmentId;
use crate::ground::room::Reserve;
use crate::ground::sabotage::{self, Spot};
use crate::segment::writer::PreparedSegment;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// How long the appender waits for a segment before it says so, and looks whether it is to give up. A btrfs without
/// room takes half a minute to say that there is none.
const PATIENCE: Duration = Duration::from_secs(1);

/// A segment, or why there is none: the appender decides when to ask again, by taking the next.
pub(crate) type PrepareResult = Result<PreparedSegment, PathError>;

/// What segments are made of.
#[derive(Clone, Debug)]
pub(crate) struct Preparer {
    pub(crate) wal_dir: PathBuf,
    pub(crate) segment_bytes: u32,
    /// The id of the next one.
    pub(crate) next: SegmentId,
    /// What is left free of the disk.
    pub(crate) reserve: Reserve,
    /// The next one is the first of this run, which gets its room in any case.
    pub(crate) is_first: bool,
}

impl Preparer {
    fn prepare(&mut self) -> PrepareResult {
        sabotage::at(Spot::Prepare, &self.wal_dir).at("prepare a segment in", &self.wal_dir)?;
        if !std::mem::take(&mut self.is_first) {
            let admitted = self.reserve.admits_segment(self.segment_bytes.into());
            admitted
                .map_err(|too_little| io::Error::new(io::ErrorKind::StorageFull, too_little))
                .at("prepare a segment in", &self.wal_dir)?;
        }
        let id = self.next;
        // A failed attempt used its id up only if a file was left behind; skipping an id costs nothing.
        self.next = id.next();
        PreparedSegment::create(&self.wal_dir, id, self.segment_bytes)
    }

    /// Prepares segments until nobody takes them.
    pub(crate) fn run(mut self, prepared: Sender<PrepareResult>) {
        loop {
            if let Err(unwanted) = prepared.send(self.prepare()) {
                if let Ok(segment) = unwanted.into_inner() {
                    segment.discard();
                }
                return;
            }
        }
    }
}

/// Where the appender takes segments. Dropping it ends the preparing thread.
#[derive(Debug)]
pub(crate) struct Supply {
    prepared: Receiver<PrepareResult>,
    /// For when the preparing thread has died.
    preparer: Preparer,
}

impl Supply {
    /// A supply, and where the preparing thread puts what `preparer` makes.
    pub(crate) fn new(preparer: Preparer) -> (Sender<PrepareResult>, Self) {
        let (sender, prepared) = crossbeam_channel::bounded(0);
        (sender, Self { prepared, preparer })
    }

    /// The next segment. It is ready, or soon will be; only if the preparing thread died is it made here.
    ///
    /// # Errors
    /// There is no room, or not within [`PATIENCE`].
    pub(crate) fn take(&mut self) -> PrepareResult {
        let taken = match self.prepared.recv_timeout(PATIENCE) {
            Ok(taken) => taken,
            Err(RecvTimeoutError::Timeout) => {
                let source = io::Error::new(io::ErrorKind::TimedOut, "the file system is still at it");
                Err(PathError { operation: "prepare a segment in", path: self.preparer.wal_dir.clone(), source })
            }
            // The thread may have left a file with the id that it was at.
            Err(RecvTimeoutError::Disconnected) => self.preparer.prepare(),
        };
        if let Ok(segment) = &taken {
            self.preparer.next = self.preparer.next.max(segment.id().next());
        }
        taken
    }
}
