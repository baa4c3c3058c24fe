//! The wiring of the appending thread.

use super::shared::Shared;
use super::worker::{Spawner, Worker};
use crate::appender::appender::Appender;
use crate::appender::handles::AppenderHandles;
use crate::appender::preparer::Supply;
use crate::appender::sync_loop::SyncCommand;
use crate::ground::config::Config;
use crate::ground::error::PathError;
use crate::ground::position::StoreId;
use crate::segment::syncer::UnsyncedSegment;
use crossbeam_channel::{Receiver, Sender};
use std::sync::Arc;

/// The appender's ends of its channels to the threads beside it.
pub(super) struct AppenderChannels {
    pub(super) supply: Supply,
    pub(super) to_syncer: Sender<SyncCommand>,
    pub(super) poisoned: Receiver<UnsyncedSegment>,
}

/// Starts the thread. It ends when the channel is closed and empty. If it dies, recorders are refused, and nobody waits
/// for an answer.
pub(super) fn start(
    spawner: &Spawner<'_>,
    shared: &Shared,
    config: &Config,
    (store, level): (StoreId, u16),
    channels: AppenderChannels,
) -> Result<Worker, PathError> {
    let AppenderChannels { supply, to_syncer, poisoned } = channels;
    let handles = AppenderHandles {
        channel: Arc::clone(&shared.channel),
        supply,
        sync: to_syncer,
        poisoned,
        log: Arc::clone(&shared.log),
        progress: Arc::clone(&shared.progress),
        health: Arc::clone(&shared.health),
        clock: shared.clock.clone(),
        level,
        give_up: Arc::clone(&shared.give_up),
    };
    let appender = Appender::new(handles, config, store);
    let (channel, progress) = (Arc::clone(&shared.channel), Arc::clone(&shared.progress));
    let died = move || {
        channel.abandon();
        progress.close();
    };
    spawner.start("mcplog-append", move || appender.run(), died)
}
