//! The wiring of the appending thread.

use super::opening::{Database, Opening};
use super::shared::Shared;
use super::worker::{Spawner, Worker};
use crate::appender::appender::Appender;
use crate::appender::handles::AppenderHandles;
use crate::appender::preparer::Supply;
use crate::appender::sync_loop::SyncCommand;
use crate::ground::config::Config;
use crate::ground::error::PathError;
use crate::ground::position::Sequence;
use crate::segment::syncer::UnsyncedSegment;
use crossbeam_channel::{Receiver, Sender};
use std::sync::Arc;

/// Makes the appender ready to run, with the first segment of this run.
///
/// # Errors
/// There is no room for a segment.
pub(super) fn prepare(
    shared: &Shared,
    config: &Config,
    opening: &Opening,
    supply: Supply,
    to_syncer: Sender<SyncCommand>,
    poisoned: Receiver<UnsyncedSegment>,
) -> Result<Appender, PathError> {
    let handles = AppenderHandles {
        channel: Arc::clone(&shared.channel),
        supply,
        sync: to_syncer,
        poisoned,
        log: Arc::clone(&shared.log),
        progress: Arc::clone(&shared.progress),
        health: Arc::clone(&shared.health),
        clock: shared.clock.clone(),
        give_up: Arc::clone(&shared.give_up),
    };
    let counted_as_folded = match opening.database {
        Database::Ready { .. } => Sequence(0),
        // Nobody knows what is folded, and the segments that were kept may be more than the log may hold.
        Database::Corrupt(_) => opening.last_sequence,
    };
    Appender::new(handles, config, opening.writer_id, opening.last_sequence, counted_as_folded, opening.clock_step)
}

/// Starts the thread. It ends when the channel is closed and empty. If it dies, recorders are refused, and nobody waits
/// for an answer.
pub(super) fn start(spawner: &Spawner<'_>, shared: &Shared, appender: Appender) -> Result<Worker, PathError> {
    let (channel, progress) = (Arc::clone(&shared.channel), Arc::clone(&shared.progress));
    let died = move || {
        channel.abandon();
        progress.close();
    };
    spawner.start("mcplog-append", move || appender.run(), died)
}
