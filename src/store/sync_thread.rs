//! The wiring of the syncing thread.

use super::shared::Shared;
use super::worker::{Spawner, Worker};
use crate::appender::sync_loop::{SyncHandles, SyncLoop};
use crate::ground::config::Config;
use crate::ground::error::PathError;
use std::sync::Arc;

/// Starts the thread. It ends when the appender has let go of it. If it dies, nothing more is called durable.
pub(super) fn start(
    spawner: &Spawner<'_>,
    shared: &Shared,
    config: &Config,
    handles: SyncHandles,
) -> Result<Worker, PathError> {
    let sync_loop = SyncLoop::new(handles, config.sync, config.sync_interval());
    let progress = Arc::clone(&shared.progress);
    let died = move || progress.give_up_sync("the thread that syncs died".into());
    spawner.start("mcplog-sync", move || sync_loop.run(), died)
}
