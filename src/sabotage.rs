//! Faults on order, for tests: a sync that fails, a thread that panics. There is nothing of it in any other build.
//!
//! Whoever orders one names the store's directory; so tests that run side by side don't meet.

use parking_lot::Mutex;
use std::io;
use std::path::{Path, PathBuf};

/// Where a fault can be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    /// The appender, before it appends a record.
    Append,
    /// The preparing thread, before it prepares a segment.
    Prepare,
    /// The syncing thread, before it syncs a segment: it panics.
    Sync,
    /// There too: the sync fails.
    SyncError,
    /// The compactor, before it folds.
    Fold,
    /// The appender, while it writes again what a failed sync left in doubt.
    WriteAgain,
}

struct Order {
    dir: PathBuf,
    spot: Spot,
    /// How often it is yet to strike.
    times: u32,
}

static ORDERS: Mutex<Vec<Order>> = Mutex::new(Vec::new());

/// From now on the fault strikes so many times in the store at `dir`.
pub(crate) fn order(dir: &Path, spot: Spot, times: u32) {
    let mut orders = ORDERS.lock();
    orders.retain(|order| order.dir != dir || order.spot != spot);
    orders.push(Order { dir: dir.to_owned(), spot, times });
}

/// Whether a fault is due at `path`, which lies in the store's directory.
pub(crate) fn is_due(path: &Path, spot: Spot) -> bool {
    let mut orders = ORDERS.lock();
    let due = orders.iter_mut().find(|order| order.spot == spot && order.times > 0 && path.starts_with(&order.dir));
    due.map(|order| order.times -= 1).is_some()
}

/// Panics if that was ordered.
pub(crate) fn strike(path: &Path, spot: Spot) {
    assert!(!is_due(path, spot), "a panic on order: {spot:?}");
}

/// Fails if that was ordered.
pub(crate) fn fail(path: &Path, spot: Spot) -> io::Result<()> {
    if is_due(path, spot) { Err(io::Error::from(rustix::io::Errno::IO)) } else { Ok(()) }
}
