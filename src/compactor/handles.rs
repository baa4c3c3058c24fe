//! What the compactor shares with the other threads of a store.

use crate::ground::health::HealthBoard;
use crate::ground::machine_clock::MachineClock;
use crate::ground::store_progress::StoreProgress;
use crate::record::record::Decoder;
use crate::segment::segment_list::SegmentList;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What the compactor shares with other threads.
pub(crate) struct CompactorHandles {
    pub(crate) log: Arc<SegmentList>,
    pub(crate) progress: Arc<StoreProgress>,
    pub(crate) health: Arc<HealthBoard>,
    pub(crate) finish: Arc<AtomicBool>,
    pub(crate) give_up: Arc<AtomicBool>,
    pub(crate) decode: Decoder,
    pub(crate) clock: MachineClock,
}
