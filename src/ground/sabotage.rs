//! Faults on order, for tests: a sync that fails, a thread that panics, a disk that takes its time.
//!
//! A place where a test may want a fault says so in one line, as in `sabotage::at(Spot::Sync, &self.path).at("sync",
//! &self.path)?;`. The line says where; what happens there is up to the test that orders it. Outside of this crate's
//! tests no [`Fault`] can exist, and the line compiles to nothing.
//!
//! Whoever orders a fault names the store's directory, or a file in it; so tests that run side by side don't meet.

#[cfg(test)]
pub(crate) use orders::{at, cancel, fail, order, panic, spoil};
use std::io;
#[cfg(test)]
mod orders;

/// Where a fault can be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    /// The appender, before it appends a record.
    Append,
    /// The appender, when a frame is in its segment: the system says that it is not.
    Write,
    /// Whoever looks how much of the disk is free: nothing is.
    DiskSpace,
    /// The preparing thread, before it prepares a segment.
    Prepare,
    /// The preparing thread, when it has made the folder of a new log, before that has a segment.
    PrepareFirst,
    /// The appender, before it gives the folder of a new log its place.
    GiveBirth,
    /// The syncing thread, before it syncs a segment.
    Sync,
    /// The syncing thread, before it syncs the folder that names a segment.
    SyncFolder,
    /// The syncing thread, before it syncs the directory that names such a folder.
    SyncLogs,
    /// The syncing thread, when it has opened a segment that was sealed without a sync: it can't be opened.
    SealedOpen,
    /// The syncing thread, before it syncs such a segment.
    SealedSync,
    /// The compactor, before it begins a transaction.
    Fold,
    /// The compactor, before it moves a damaged segment aside.
    Quarantine,
    /// The appender, before it reads back a segment that a failed sync left in doubt.
    ReadBack,
    /// The appender, before it appends such a record once more.
    Rewrite,
    /// Whoever copies SQLite's write-ahead log, when that is done.
    CopyWal,
    /// Whoever copies a database, before each step.
    CopyDatabase,
    /// Whoever reads a log that may still grow, when a segment was read to its end, before it looks for the next one.
    SegmentEnd,
    /// Whoever reads a segment, before it reads any of these bytes.
    Read { from: u64, to: u64 },
}

/// What a test ordered: the disk fails. `index` makes an error of SQLite's of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    #[cfg(test)]
    Disk,
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        match fault {
            #[cfg(test)]
            Fault::Disk => rustix::io::Errno::IO.into(),
        }
    }
}

/// Nothing ever happens here.
#[cfg(not(test))]
#[inline(always)]
pub(crate) fn at(_: Spot, _: &std::path::Path) -> Result<(), Fault> {
    Ok(())
}

/// Nothing can be returned there but success, which takes no room.
#[cfg(not(test))]
const _: () = assert!(size_of::<Result<(), Fault>>() == 0);
