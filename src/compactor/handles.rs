//! What the compactor shares with the other threads of a store.

use crate::ground::health::HealthBoard;
use crate::ground::machine_clock::MachineClock;
use crate::ground::store_lock::StoreLock;
use crate::ground::store_progress::StoreProgress;
use crate::index::build::Build;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What the compactor shares with other threads.
#[derive(Clone, Debug)]
pub(crate) struct CompactorHandles {
    pub(crate) progress: Arc<StoreProgress>,
    pub(crate) health: Arc<HealthBoard>,
    /// Set when nothing more will be appended: fold the rest and end.
    pub(crate) finish: Arc<AtomicBool>,
    /// Set when that took too long.
    pub(crate) give_up: Arc<AtomicBool>,
    /// What this build knows.
    pub(crate) build: Build,
    /// Shared with every other process that has the store open; `None` where who folds saw to that.
    pub(crate) lock: Option<Arc<StoreLock>>,
    pub(crate) clock: MachineClock,
}
