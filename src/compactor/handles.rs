//! What the compactor shares with the other threads of a store.

use crate::ground::health::HealthBoard;
use crate::ground::machine_clock::MachineClock;
use crate::ground::store_progress::StoreProgress;
use crate::record::record::Decoder;
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
    pub(crate) decode: Decoder,
    pub(crate) clock: MachineClock,
}
