//! A store: opens everything in order, owns the threads, and shuts them down in order.
//!
//! Runs on the caller's thread. Opening: what must be known first (`opening.rs`), threads (`threads.rs`). Shutting down: the
//! appender drains the channel, the syncing thread seals the log, the compactor folds the rest, if it may.

use super::file_limit;
use super::opening::Opening;
use super::plan;
use super::shared::Shared;
use super::threads::Threads;
use crate::ground::config::Config;
use crate::ground::error::{OpenError, WaitError};
use crate::ground::limits::Limits;
use crate::ground::machine_clock::MachineClock;
use crate::ground::position::WriterId;
use crate::ground::stats::{ShutdownReport, Stats};
use crate::ground::store_progress::Ticket;
use crate::index::build::Build;
use crate::index::database::DATABASE_NAME;
use crate::recorder::recorder::Recorder;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long threads that were told to give up get to notice.
const GIVE_UP_GRACE: Duration = Duration::from_millis(500);

/// An open store. Any number of processes may have one open, and record into it: each has a log of its own, and one of them
/// folds what all record.
///
/// Dropping it shuts it down within [`Config::shutdown_ms`]; call [`Store::shutdown`] to choose the time and to learn
/// what became of everything.
#[derive(Debug)]
pub struct Store {
    config: Config,
    pub(super) shared: Shared,
    threads: Threads,
    is_stopped: bool,
}

impl Store {
    /// Opens the store in `config.dir`, creating it if need be. Neither the database nor any log is looked into, and until
    /// something is recorded, nothing but the directory, `LOCK` and `store-id` comes to be there. What keeps the database
    /// from being used is told by [`Stats::health`](crate::Stats), and keeps nobody from recording.
    ///
    /// # Errors
    /// [`OpenError`]: a value in `config` is out of range, the directory is not ours, or the store is one of another version
    /// of mcplog, or in use by an earlier one.
    pub fn open(config: Config) -> Result<Self, OpenError> {
        Self::open_with(config, &Build::THIS)
    }

    /// The same as a build that knows this.
    pub(crate) fn open_with(config: Config, build: &Build) -> Result<Self, OpenError> {
        Self::open_by(config, build, MachineClock::new())
    }

    /// The same by that clock.
    pub(crate) fn open_by(config: Config, build: &Build, clock: MachineClock) -> Result<Self, OpenError> {
        config.validate()?;
        file_limit::as_an_error(|| {
            let opening = Opening::of(&config, build, clock)?;
            let shared = Shared::new(&config, &opening);
            let threads = Threads::start(&config, &shared, opening)?;
            Ok(Self { config, shared, threads, is_stopped: false })
        })
    }

    /// A handle that records into this store. Take as many as you like.
    pub fn recorder(&self) -> Recorder {
        Recorder::new(Arc::clone(&self.shared.channel), Duration::from_millis(self.config.record_wait_ms))
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.config.dir
    }

    /// As which writer this process records; `None` before its first record. Its log lies in `wal/` under that name.
    pub fn writer(&self) -> Option<WriterId> {
        self.shared.progress.writer()
    }

    /// What the store keeps, and for how long: what it was told now, or its database remembers from when it was last told. The
    /// database is asked.
    pub fn limits(&self) -> Limits {
        plan::limits(&self.config)
    }

    /// The path of the database, for [`Query`](crate::Query) or the `sqlite3` shell.
    pub fn database(&self) -> PathBuf {
        self.config.dir.join(DATABASE_NAME)
    }

    /// Waits until every event recorded before this call is durable, whatever the sync policy.
    ///
    /// # Errors
    /// [`WaitError`]: not within `timeout`, the store is shut down, or the disk refused.
    pub fn flush(&self, timeout: Duration) -> Result<(), WaitError> {
        let deadline = deadline_after(timeout);
        self.shared.progress.wait_durable(self.draw_ticket(), deadline, timeout)
    }

    /// Waits until every event recorded before this call is in the database.
    ///
    /// By itself it gets there within a second, if the machine has time for it: a sync interval, and 400 ms at most for
    /// more to gather. Folding does not wait for more while somebody waits here.
    ///
    /// # Errors
    /// [`WaitError`]: not within `timeout`, the store is shut down, or nobody can fold, as a try after this call found.
    pub fn wait_folded(&self, timeout: Duration) -> Result<(), WaitError> {
        let deadline = deadline_after(timeout);
        let target = self.shared.progress.wait_answered(self.draw_ticket(), deadline, timeout)?;
        let asked = self.shared.progress.await_folding(target);
        self.threads.compactor.thread().unpark();
        self.shared.progress.wait_folded(target, asked, deadline, timeout)
    }

    /// Waits until every event recorded before this call is in the database, and everything is gone that the store's limits
    /// let go: what is too old by the clock (for a store that [imports](Config::is_import) too), and what was too much.
    ///
    /// By itself a store does that now and then, and a database may be larger than its limit meanwhile: by a sixteenth
    /// and one transaction, which takes no more than a quarter of the limit.
    ///
    /// # Errors
    /// [`WaitError`]: not within `timeout`, or the store is shut down.
    pub fn wait_expired(&self, timeout: Duration) -> Result<(), WaitError> {
        let deadline = deadline_after(timeout);
        self.wait_folded(timeout)?;
        let asked = self.shared.progress.ask_for_expiry();
        self.threads.compactor.thread().unpark();
        self.shared.progress.wait_expired(asked, deadline, timeout)
    }

    /// Counters, and whether all is well.
    pub fn stats(&self) -> Stats {
        let (segments, log_bytes) = self.shared.log.waiting(self.shared.progress.folded());
        let queued = self.shared.channel.len();
        let (appended, folded) = (self.shared.progress.appended_events(), self.shared.progress.folded_events());
        let lag_records = self.shared.progress.appended().0.saturating_sub(self.shared.progress.folded().0);
        Stats {
            recorded: appended + queued,
            dropped: self.shared.channel.dropped(),
            appended,
            folded,
            queued,
            segments,
            log_bytes,
            lag_records,
            poisoned_segments: self.shared.progress.poisoned_segments(),
            newer_records: self.shared.progress.newer_records(),
            clock_steps: self.shared.progress.clock_steps(),
            expired: self.shared.progress.expired(),
            lag_ms: if lag_records == 0 { 0 } else { self.shared.progress.caught_up_ms_ago() },
            health: self.shared.health.get(),
        }
    }

    /// Shuts down: refuses new events, appends, syncs and folds what was accepted, within `timeout`.
    ///
    /// What is not folded by then stays in the log for the next one who opens the store.
    pub fn shutdown(mut self, timeout: Duration) -> ShutdownReport {
        self.stop(timeout)
    }

    pub(super) fn stop(&mut self, timeout: Duration) -> ShutdownReport {
        let deadline = deadline_after(timeout);
        self.shared.channel.begin_closing();
        if !self.threads.appender.wait(deadline) {
            self.shared.give_up.store(true, Ordering::Relaxed);
            if !self.threads.appender.wait(Instant::now() + GIVE_UP_GRACE) {
                self.shared.channel.abandon();
            }
        }
        self.is_stopped = true;
        // The log is sealed before the compactor is told that nothing more comes.
        self.threads.syncer.wait(deadline);
        self.threads.preparer.wait(deadline);
        self.shared.finish.store(true, Ordering::Release);
        if !self.threads.compactor.wait(deadline) {
            self.shared.give_up.store(true, Ordering::Relaxed);
            self.threads.compactor.wait(Instant::now() + GIVE_UP_GRACE);
        }
        self.shared.health.end();
        let (appended, folded) = (self.shared.progress.appended_events(), self.shared.progress.folded_events());
        ShutdownReport {
            appended,
            folded,
            dropped: self.shared.channel.dropped(),
            dropped_untold: self.shared.channel.dropped_untold(),
            expired: self.shared.progress.expired(),
            left_in_log: appended.saturating_sub(folded),
            health: self.shared.health.get(),
        }
    }

    /// Draws a ticket for what was recorded so far, and has the appender see to it.
    fn draw_ticket(&self) -> Ticket {
        let ticket = self.shared.progress.draw();
        self.threads.appender.thread().unpark();
        ticket
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if !self.is_stopped {
            self.stop(Duration::from_millis(self.config.shutdown_ms));
        }
    }
}

/// When `timeout` will have passed; a year from now for one that no clock can hold.
fn deadline_after(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or(now + Duration::from_secs(365 * 24 * 3600))
}
