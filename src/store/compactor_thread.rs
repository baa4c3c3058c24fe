//! The wiring of the compacting thread.

use super::shared::Shared;
use super::worker::{Spawner, Worker};
use crate::compactor::compactor::Compactor;
use crate::compactor::handles::CompactorHandles;
use crate::ground::config::Config;
use crate::ground::error::PathError;
use crate::ground::fold_failure::FoldingAsked;
use crate::ground::position::StoreId;
use crate::index::build::Build;
use std::sync::Arc;

/// Starts the thread. It ends when the store is finished and everything that this process recorded is folded, by it or by
/// the process that folds, or when it is told to give up. If it dies, whoever waits for folding is told; its lock goes with
/// it, and another process folds.
pub(super) fn start(
    spawner: &Spawner<'_>,
    shared: &Shared,
    config: &Config,
    store: StoreId,
    build: Build,
    keeps_log: bool,
) -> Result<Worker, PathError> {
    let handles = CompactorHandles {
        progress: Arc::clone(&shared.progress),
        health: Arc::clone(&shared.health),
        finish: Arc::clone(&shared.finish),
        give_up: Arc::clone(&shared.give_up),
        build,
        lock: Some(Arc::clone(&spawner.lock)),
        clock: shared.clock.clone(),
    };
    let compactor = Compactor::new(handles, config, store);
    let compactor = if keeps_log { compactor.keeping_log() } else { compactor };
    let progress = Arc::clone(&shared.progress);
    let died = move || progress.stop_folding("the thread that folds died".into(), FoldingAsked::EVERYBODY);
    spawner.start("mcplog-compact", move || compactor.run(), died)
}
