//! Faults on order, for tests: a sync that fails, a thread that panics. There is nothing of it in any other build.
//!
//! Whoever orders one names the store's directory; so tests that run side by side don't meet.

use parking_lot::Mutex;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Where a fault can be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    /// The appender, before it appends a record.
    Append,
    /// There: the system refuses to write a record, and has kept it all the same.
    Refuse,
    /// The preparing thread, before it prepares a segment.
    Prepare,
    /// There too: it takes longer than the appender waits.
    PrepareSlowly,
    /// The syncing thread, before it syncs a segment: it panics.
    Sync,
    /// There too: the sync fails.
    SyncError,
    /// The syncing thread, before it syncs a segment that was sealed without a sync: it fails.
    SealedSyncError,
    /// There too: the segment can't be opened, so its sync is not tried.
    SealedNotTried,
    /// The compactor, before it folds a batch: it panics.
    Fold,
    /// There too: the database is busy.
    FoldBusy,
    /// The compactor, before it moves a damaged segment aside: it can't.
    Quarantine,
    /// The appender, while it writes again what a failed sync left in doubt.
    WriteAgain,
    /// There too: it takes its time.
    WriteAgainSlowly,
    /// The appender, before it reads a segment back for that: it can't be read.
    ReadBack,
    /// There too: not before it is folded.
    ReadBackLate,
    /// The compactor, when SQLite's log has just been copied into the database: it says that it failed.
    CopyLog,
}

struct Order {
    dir: PathBuf,
    spot: Spot,
    /// How often the spot is passed before the fault strikes.
    passes: u32,
    /// How often it is yet to strike.
    times: u32,
}

static ORDERS: Mutex<Vec<Order>> = Mutex::new(Vec::new());

/// In the store at `dir`, the fault strikes so many times, once the spot was passed unharmed so often.
pub(crate) fn order(dir: &Path, spot: Spot, passes: u32, times: u32) {
    let mut orders = ORDERS.lock();
    orders.retain(|order| order.dir != dir || order.spot != spot);
    orders.push(Order { dir: dir.to_owned(), spot, passes, times });
}

/// Whether a fault is due at `path`, which lies in the store's directory.
pub(crate) fn is_due(path: &Path, spot: Spot) -> bool {
    let mut orders = ORDERS.lock();
    let ordered = orders.iter_mut().find(|order| order.spot == spot && path.starts_with(&order.dir));
    let Some(order) = ordered else { return false };
    let is_due = order.passes == 0 && order.times > 0;
    let left = if order.passes > 0 { &mut order.passes } else { &mut order.times };
    *left = left.saturating_sub(1);
    is_due
}

/// Panics if that was ordered.
pub(crate) fn strike(path: &Path, spot: Spot) {
    assert!(!is_due(path, spot), "a panic on order: {spot:?}");
}

/// Fails if that was ordered.
pub(crate) fn fail(path: &Path, spot: Spot) -> io::Result<()> {
    if is_due(path, spot) { Err(io::Error::from(rustix::io::Errno::IO)) } else { Ok(()) }
}

/// Places of files that the disk can't read any more.
static SPOILT: Mutex<Vec<(PathBuf, Range<u64>)>> = Mutex::new(Vec::new());

/// From now on these bytes of the file can't be read.
pub(crate) fn spoil(path: &Path, bytes: Range<u64>) {
    SPOILT.lock().push((path.to_owned(), bytes));
}

/// Fails if any of these bytes can't be read.
pub(crate) fn read(path: &Path, bytes: &Range<u64>) -> io::Result<()> {
    let spoilt = SPOILT.lock();
    let meets =
        |(spoilt, place): &(PathBuf, Range<u64>)| spoilt == path && place.start < bytes.end && bytes.start < place.end;
    if spoilt.iter().any(meets) { Err(io::Error::from(rustix::io::Errno::IO)) } else { Ok(()) }
}
