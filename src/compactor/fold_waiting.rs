//! Folds what waits, once, without a thread: for a query that finds records waiting and nobody folding, and for a copy.
//!
//! On the caller's thread, which holds the fold lock or works on a directory that nobody else knows. It ends when everything
//! is folded that can be, when it has taken too long, or when it is told to give up.

use super::fold_error::FoldError;
use super::folder_task::Role;
use super::folding::{Folding, Worked};
use super::handles::CompactorHandles;
use crate::ground::config::Config;
use crate::ground::error::OpenError;
use crate::ground::health::HealthBoard;
use crate::ground::machine_clock::MachineClock;
use crate::ground::position::StoreId;
use crate::ground::store_progress::StoreProgress;
use crate::index::build::Build;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// How it is done. Nobody else folds meanwhile, and who can bring the database up to date did that.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) build: Build,
    /// Whatever the store was told, no row goes: what is made is a copy, and has everything.
    pub(crate) keeps_every_row: bool,
    /// When to end at the latest.
    pub(crate) deadline: Option<Instant>,
    /// Set by whoever wants it to end.
    pub(crate) give_up: Arc<AtomicBool>,
}

/// Folds all but the logs that wait for somebody else. `false`: not all, because there was no time, or something can't be folded for now; what, health says.
///
/// # Errors
/// The database can't be opened or written.
pub(crate) fn fold_waiting(
    config: &Config,
    store: StoreId,
    how: &Waiting,
    health: &Arc<HealthBoard>,
) -> Result<bool, OpenError> {
    let handles = CompactorHandles {
        progress: Arc::new(StoreProgress::new()),
        health: Arc::clone(health),
        finish: Arc::new(AtomicBool::new(true)),
        give_up: Arc::clone(&how.give_up),
        build: how.build,
        lock: None,
        clock: MachineClock::new(),
    };
    let folding = Folding::open(config, store, Role::Holder, &handles).map_err(as_open_error)?;
    let mut folding = if how.keeps_every_row { folding.keeping_every_row() } else { folding };
    loop {
        let is_late = how.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if is_late || how.give_up.load(Ordering::Relaxed) {
            return Ok(false);
        }
        match folding.work(false) {
            Ok(Worked::More) => {}
            Ok(Worked::Idle(_) | Worked::Through) if folding.has_all() => return Ok(true),
            // What was committed last left nothing behind, and the next look waits for more to gather.
            Ok(Worked::Idle(_)) if !folding.is_stuck() => folding.hurry(),
            Ok(Worked::Idle(_) | Worked::Through) => return Ok(false),
            Err(error) if error.is_moved() => folding.start_anew(config.wal_dir()),
            Err(error) => return Err(as_open_error(error)),
        }
    }
}

fn as_open_error(error: FoldError) -> OpenError {
    match error {
        FoldError::Index(error) => error.into(),
        FoldError::Open(error) => error,
        FoldError::Io(error) | FoldError::NotAlone(error) => error.into(),
    }
}
