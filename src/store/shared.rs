//! What the handle of a store and its threads share.
//!
//! Put together while the store opens; each thread gets clones of what it needs.

use super::opening::Opening;
use crate::ground::config::Config;
use crate::ground::health::HealthBoard;
use crate::ground::machine_clock::MachineClock;
use crate::ground::store_progress::StoreProgress;
use crate::recorder::channel::Channel;
use crate::segment::segment_list::SegmentList;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The shared state.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) channel: Arc<Channel>,
    /// The segments of this process's own log.
    pub(super) log: Arc<SegmentList>,
    pub(super) progress: Arc<StoreProgress>,
    pub(super) health: Arc<HealthBoard>,
    pub(super) clock: MachineClock,
    /// Set when nothing more will be appended: the compactor folds the rest and ends.
    pub(super) finish: Arc<AtomicBool>,
    /// Set when shutting down takes too long: the threads end as soon as they can.
    pub(super) give_up: Arc<AtomicBool>,
}

impl Shared {
    /// The state of a store that has just been opened.
    pub(super) fn new(config: &Config, opening: &Opening) -> Self {
        Self {
            channel: Arc::new(Channel::new(config.channel_events, config.event_bytes_max())),
            log: Arc::default(),
            progress: Arc::clone(&opening.progress),
            health: Arc::clone(&opening.health),
            clock: opening.clock.clone(),
            finish: Arc::new(AtomicBool::new(false)),
            give_up: Arc::new(AtomicBool::new(false)),
        }
    }
}
