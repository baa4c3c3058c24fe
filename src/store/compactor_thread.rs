//! The wiring of the compacting thread.

use super::opening::Database;
use super::shared::Shared;
use super::worker::{Spawner, Worker};
use crate::compactor::compactor::{Compactor, report_corrupt};
use crate::compactor::fold_start::FoldStart;
use crate::compactor::handles::CompactorHandles;
use crate::ground::config::Config;
use crate::ground::error::PathError;
use crate::ground::position::WriterId;
use crate::record::record::Decoder;
use std::sync::Arc;

/// Starts the thread. It ends when the store is finished and everything is folded, when it is told to give up, or when
/// folding is of no use any more. If it dies, whoever waits for folding is told.
pub(super) fn start(
    spawner: &Spawner<'_>,
    shared: &Shared,
    config: &Config,
    writer_id: WriterId,
    database: Database,
    start: FoldStart,
    decode: Decoder,
) -> Result<Worker, PathError> {
    let handles = CompactorHandles {
        log: Arc::clone(&shared.log),
        progress: Arc::clone(&shared.progress),
        health: Arc::clone(&shared.health),
        finish: Arc::clone(&shared.finish),
        give_up: Arc::clone(&shared.give_up),
        decode,
        clock: shared.clock.clone(),
    };
    let work: Box<dyn FnOnce() + Send> = match database {
        Database::Ready { index, .. } => {
            let compactor = Compactor::new(handles, config, writer_id, *index, start);
            Box::new(move || compactor.run())
        }
        Database::Corrupt(error) => Box::new(move || report_corrupt(&error, &handles.progress, &handles.health)),
    };
    let progress = Arc::clone(&shared.progress);
    let died = move || progress.stop_folding("the thread that folds died".into());
    spawner.start("mcplog-compact", work, died)
}
