//! The threads of a store, and the order in which they start.
//!
//! Runs on the thread that opens the store. How each thread is wired is in a file of its own.

use super::appender_thread::AppenderChannels;
use super::opening::Opening;
use super::shared::Shared;
use super::worker::{Spawner, Worker};
use super::{appender_thread, compactor_thread, preparer_thread, sync_thread};
use crate::appender::sync_loop::SyncHandles;
use crate::ground::config::Config;
use crate::ground::error::PathError;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The running threads.
#[derive(Debug)]
pub(super) struct Threads {
    pub(super) appender: Worker,
    pub(super) syncer: Worker,
    pub(super) preparer: Worker,
    pub(super) compactor: Worker,
}

impl Threads {
    /// Starts the threads of a store that is open otherwise.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(super) fn start(config: &Config, shared: &Shared, opening: Opening) -> Result<Self, PathError> {
        let Opening { lock, store, build, .. } = opening;
        let spawner = Spawner { lock, health: &shared.health, dir: &config.dir };
        let (to_syncer, commands) = crossbeam_channel::unbounded();
        let (to_appender, poisoned) = crossbeam_channel::bounded(1);

        let (preparer, supply) = preparer_thread::start(&spawner, config)?;
        let channels = AppenderChannels { supply, to_syncer, poisoned };
        let compactor = compactor_thread::start(&spawner, shared, config, store, build, false)?;
        let handles = SyncHandles {
            commands,
            poisoned: to_appender,
            progress: Arc::clone(&shared.progress),
            health: Arc::clone(&shared.health),
            compactor: compactor.thread(),
        };
        let log_threads = sync_thread::start(&spawner, shared, config, handles).and_then(|syncer| {
            Ok((syncer, appender_thread::start(&spawner, shared, config, (store, build.level), channels)?))
        });
        match log_threads {
            Ok((syncer, appender)) => Ok(Self { appender, syncer, preparer, compactor }),
            Err(error) => {
                // The compactor must not stay and hold the locks.
                shared.give_up.store(true, Ordering::Relaxed);
                compactor.thread().unpark();
                Err(error)
            }
        }
    }
}
