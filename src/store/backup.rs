//! A copy of a store, sound and whole, also while the store is recorded into.
//!
//! Runs on the caller's thread, in any process. The store is only read, and no lock of it is taken.
//!
//! The log is copied first, then the database, in one transaction. A segment that goes meanwhile is folded, and its
//! rows are in the database that is copied later; what is recorded meanwhile is in segments that come later, and not in
//! the copy. So database and log together have everything up to one moment, which lies between beginning and end. Then
//! the copy is made one file: what its log has beyond its database is folded there, as a crash's log would be, and the
//! log goes. What expires is not looked at: a backup of an old store has its old rows.
//!
//! A copy that kept its log was rejected. The original goes on, and gives the next numbers to other events than whoever
//! records into the copy: two segments of one writer with the same numbers would look alike to every check there is. So
//! a copy has a writer id of its own, and no segment of another's.

pub use super::backup_target::TargetError;

use super::backup_log::copy_log;
use super::backup_target::Target;
use super::file_limit;
use super::lock::LOCK_NAME;
use super::opening::{Database, Opening};
use crate::compactor::compactor::Compactor;
use crate::compactor::handles::CompactorHandles;
use crate::ground::clock::now_ms;
use crate::ground::config::{Config, SyncPolicy};
use crate::ground::error::{AtPath, IndexError, OpenError, PathError, SegmentError};
use crate::ground::machine_clock::MachineClock;
use crate::ground::position::WriterId;
use crate::ground::random_uuid::random_uuid;
use crate::index::checkpoint;
use crate::index::database::{DATABASE_NAME, Index};
use crate::index::database_copy::{Copied, copy_database};
use crate::query::database::Query;
use crate::record::record::DECODER;
use crate::segment::directory::{list, sync_directory};
use crate::segment::log_owners::LogOwners;
use crate::segment::writer_id_file;
use serde::Serialize;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// How much SQLite's WAL of the original may grow while its database is copied, in bytes: that, or a quarter of the
/// database. A target that is slower than that would fill the original's disk.
const GROWN_MIN: u64 = 1 << 30;
/// How often somebody who wants to stop is asked while other threads work.
const LOOK: Duration = Duration::from_millis(50);

/// How far a backup has come, told now and then.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BackupProgress {
    /// What is being done.
    pub part: BackupPart,
    /// How much of that is done, from 0 to 1; 0 where nobody knows.
    pub done: f64,
}

/// A part of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackupPart {
    /// Copying what the log has and the database does not.
    Log,
    /// Copying the database.
    Database,
    /// Folding the copied log into the copied database.
    Folding,
    /// Checking the copy.
    Checking,
}

/// A copy that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BackupReport {
    /// The directory that holds the copy.
    pub dir: PathBuf,
    /// When the copying began: Unix time in milliseconds, UTC. What the log had then is in the copy.
    pub began_at: i64,
    /// Rows of view `requests` in the copy.
    pub requests: i64,
    /// Rows of view `sessions`.
    pub sessions: i64,
    /// Records that were not in the original's database yet, and are in the copy's.
    pub folded_records: u64,
    /// Size of the copy's database in bytes.
    pub database_bytes: u64,
    /// Files of the log that can't be read, which the copy has in its `quarantine/`.
    pub quarantine_files: u64,
}

/// Why there is no copy. Nothing of it is left then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// Nothing can be made at that place.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The store can't be read, or the copy can't be written.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store's database is damaged; a copy of that would take the place of one that is sound.
    #[error("{}: the database is damaged, and nothing was copied: {}", path.display(), damage.join("; "))]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        damage: Vec<String>,
    },
    /// Copying took so long that SQLite's WAL of the original grew too large.
    #[error(
        "the copy takes too long: store.db-wal of the store has grown by {} MiB meanwhile; copy to a faster disk, or when \
         less is recorded",
        grown_bytes >> 20
    )]
    TooSlow {
        /// How much it has grown.
        grown_bytes: u64,
    },
    /// What the log has could not be folded into the copy.
    #[error("the log could not be folded into the copy: {0}")]
    Unfolded(String),
    /// Whoever is told of the progress wanted it to stop.
    #[error("stopped")]
    Stopped,
}

impl From<PathError> for BackupError {
    fn from(error: PathError) -> Self {
        Self::Open(error.into())
    }
}

impl From<IndexError> for BackupError {
    fn from(error: IndexError) -> Self {
        Self::Open(error.into())
    }
}

impl From<SegmentError> for BackupError {
    fn from(error: SegmentError) -> Self {
        Self::Open(error.into())
    }
}

/// Whoever is told how far it is, and says whether to go on.
struct Listener<'a>(&'a mut dyn FnMut(BackupProgress) -> ControlFlow<()>);

impl Listener<'_> {
    fn flow(&mut self, part: BackupPart, done: f64) -> ControlFlow<()> {
        (self.0)(BackupProgress { part, done })
    }

    fn tell(&mut self, part: BackupPart, done: f64) -> Result<(), BackupError> {
        if self.flow(part, done).is_break() { Err(BackupError::Stopped) } else { Ok(()) }
    }

    /// Waits until `work`, on a thread of its own, is done; runs `stop` where somebody wants it to stop.
    fn wait<T: Send>(
        &mut self,
        part: BackupPart,
        work: impl FnOnce() -> T + Send,
        mut done: impl FnMut() -> f64,
        stop: impl Fn(),
    ) -> Result<T, BackupError> {
        std::thread::scope(|scope| {
            let worker = scope.spawn(work);
            let mut told = Ok(());
            while !worker.is_finished() {
                if told.is_ok() {
                    told = self.tell(part, done());
                }
                if told.is_err() {
                    stop();
                }
                std::thread::sleep(LOOK);
            }
            let worked = worker.join().map_err(|_| BackupError::Unfolded("a thread died".into()));
            told.and(worked)
        })
    }
}

/// Copies the store in `dir` to `target`, which is a directory that does not exist yet, or is empty. The copy is a
/// store of its own: one database that has everything up to a moment since the call, and no log.
///
/// It is made beside `target`, checked, synced, and renamed at the end; whatever keeps that from happening, nothing of
/// it is left. Directories are 0700, files 0600. The store may be open elsewhere, may be recorded into, and may be one
/// that can only be read. Nobody who records waits for it. While the database is copied, SQLite's WAL of the store
/// grows by what is recorded meanwhile; so a copy that is too slow is given up ([`BackupError::TooSlow`]).
///
/// The copy has not: segments that are kept although they are folded, and what lies in `quarantine/`.
///
/// Whoever records into the copy gives numbers of its own: the copy has a writer id that the original does not have.
/// Table `meta` says under `copy_of` whose its rows are: for each original, its writer id and the last number that is
/// its own, in their order, as in `0197a1c07b1e4cc398c4dc0c0c07398f:1200`.
///
/// `progress` is told how far it is, and says whether to go on.
///
/// # Errors
/// [`BackupError`]: why there is no copy.
pub fn backup(
    dir: &Path,
    target: &Path,
    mut progress: impl FnMut(BackupProgress) -> ControlFlow<()>,
) -> Result<BackupReport, BackupError> {
    file_limit::as_an_error(|| make(dir, target, &mut Listener(&mut progress)))
}

fn make(dir: &Path, target: &Path, listener: &mut Listener<'_>) -> Result<BackupReport, BackupError> {
    let query = Query::open(dir)?;
    let target = Target::choose(dir, target)?;
    target.create()?;
    let began_at = now_ms();
    let config = config_of(target.dir());
    let folded = query.read_with(checkpoint::read)?;
    listener.tell(BackupPart::Log, 0.0)?;
    if copy_log(dir, &config.wal_dir(), folded, |done| listener.flow(BackupPart::Log, done))?.is_break() {
        return Err(BackupError::Stopped);
    }
    copy_rows(&query, &target.dir().join(DATABASE_NAME), listener)?;
    drop(query);
    let folded_records = fold_rest(&config, listener)?;
    leave_only_the_database(&config)?;
    let report = check(dir, &config, listener)?;
    let database = target.dir().join(DATABASE_NAME);
    File::open(&database).and_then(|file| file.sync_all()).at("sync", &database)?;
    sync_directory(target.dir())?;
    let dir = target.put_in_place()?;
    Ok(BackupReport { dir, began_at, folded_records, ..report })
}

/// How the copy is opened: nothing is kept back for others, nothing awaits a disk.
fn config_of(dir: &Path) -> Config {
    let mut config = Config::new(dir);
    (config.sync, config.min_free_bytes) = (SyncPolicy::Never, Some(0));
    config
}

fn copy_rows(query: &Query, to: &Path, listener: &mut Listener<'_>) -> Result<(), BackupError> {
    let bytes = std::fs::metadata(query.path()).map_or(0, |metadata| metadata.len());
    let copied = query.read_with(|connection| {
        // The transaction begins with the first read.
        checkpoint::read(connection)?;
        let grown_max = GROWN_MIN.max(bytes / 4);
        Ok(copy_database(connection, to, grown_max, |done| listener.flow(BackupPart::Database, done)))
    })?;
    match copied? {
        Copied::Whole => Ok(()),
        Copied::Stopped => Err(BackupError::Stopped),
        Copied::TooSlow(grown_bytes) => Err(BackupError::TooSlow { grown_bytes }),
    }
}

/// Folds what the copied log has beyond the copied database; returns how many records that was. Then gives the copy a
/// writer id of its own.
fn fold_rest(config: &Config, listener: &mut Listener<'_>) -> Result<u64, BackupError> {
    let opening = Opening::of(config, DECODER, MachineClock::new())?;
    let Opening { lock, log, progress, health, clock, database, writer_id, last_sequence, fold_start, .. } = opening;
    let checkpoint = database.checkpoint();
    let Database::Ready { index, .. } = database else {
        return Err(BackupError::Unfolded("the database is damaged".into()));
    };
    // Who finishes folds what there is.
    let (finish, give_up) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let handles = CompactorHandles {
        log,
        progress: Arc::clone(&progress),
        health: Arc::clone(&health),
        finish,
        give_up: Arc::clone(&give_up),
        decode: DECODER,
        clock,
    };
    let compactor = Compactor::new(handles, config, writer_id, *index, fold_start).keeping_every_row();
    let records = last_sequence.0.saturating_sub(checkpoint.sequence.0);
    let done = || {
        let folded = progress.folded().0.saturating_sub(checkpoint.sequence.0);
        if records == 0 { 1.0 } else { folded as f64 / records as f64 }
    };
    let stop = || give_up.store(true, std::sync::atomic::Ordering::Relaxed);
    listener.wait(BackupPart::Folding, || compactor.run(), done, stop)?;
    let index = Index::open(config, &LogOwners::default())?;
    if progress.folded() < last_sequence {
        return Err(BackupError::Unfolded(health.get().to_string()));
    }
    let own = WriterId(random_uuid(&config.dir)?);
    index.become_copy(own)?;
    writer_id_file::write(&config.wal_dir(), own)?;
    drop(index);
    drop(lock);
    Ok(records)
}

/// Removes the log, of which everything is folded, and what opening the copy left.
fn leave_only_the_database(config: &Config) -> Result<(), PathError> {
    for segment in list(&config.wal_dir())? {
        std::fs::remove_file(&segment.path).at("remove", &segment.path)?;
    }
    let lock = config.dir.join(LOCK_NAME);
    std::fs::remove_file(&lock).at("remove", &lock)?;
    sync_directory(&config.wal_dir())
}

/// Checks the copy, and says what it has.
fn check(dir: &Path, config: &Config, listener: &mut Listener<'_>) -> Result<BackupReport, BackupError> {
    let query = Query::open(&config.dir)?;
    let interrupt = query.interrupter();
    let checked =
        listener.wait(BackupPart::Checking, move || (query.integrity(true), query.totals()), || 0.0, interrupt)?;
    let (integrity, totals) = (checked.0?, checked.1?);
    if !integrity.damage.is_empty() {
        return Err(BackupError::Damaged { path: dir.join(DATABASE_NAME), damage: integrity.damage });
    }
    let quarantine_files = std::fs::read_dir(config.quarantine_dir()).map_or(0, |files| files.count() as u64);
    Ok(BackupReport {
        dir: PathBuf::new(),
        began_at: 0,
        requests: totals.requests,
        sessions: totals.sessions,
        folded_records: 0,
        database_bytes: totals.database_bytes,
        quarantine_files,
    })
}
