//! The appender's handles to what it shares with the other threads. Plain data, put together when a store is opened.

use super::preparer::Supply;
use super::sync_loop::SyncCommand;
use crate::ground::health::HealthBoard;
use crate::ground::machine_clock::MachineClock;
use crate::ground::store_progress::StoreProgress;
use crate::recorder::channel::Channel;
use crate::segment::segment_list::SegmentList;
use crate::segment::syncer::UnsyncedSegment;
use crossbeam_channel::{Receiver, Sender};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What the appender shares with other threads.
pub(crate) struct AppenderHandles {
    pub(crate) channel: Arc<Channel>,
    pub(crate) supply: Supply,
    pub(crate) sync: Sender<SyncCommand>,
    /// Where the syncing thread tells which segment is poisoned.
    pub(crate) poisoned: Receiver<UnsyncedSegment>,
    pub(crate) log: Arc<SegmentList>,
    pub(crate) progress: Arc<StoreProgress>,
    pub(crate) health: Arc<HealthBoard>,
    pub(crate) clock: MachineClock,
    /// The level of the records that this build writes.
    pub(crate) level: u16,
    /// Set when shutting down took too long: what can't be appended now is dropped and counted.
    pub(crate) give_up: Arc<AtomicBool>,
}
