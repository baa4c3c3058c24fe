//! A copy of a store, sound and whole, also while the store is recorded into.
//!
//! Runs on the caller's thread, in any process. The store is only read, and no lock of it is taken.
//!
//! The logs are copied first, then the database, in one transaction. A segment that goes meanwhile is folded, and its rows
//! are in the database that is copied later; what is recorded meanwhile is behind what was copied, and not in the copy, or
//! in its database already. So logs and database together have everything up to one moment, which lies between beginning and
//! end, and no record twice: the database says how far each log is folded. Taking the fold lock meanwhile was rejected:
//! nothing would be folded for as long as copying takes.
//!
//! The copy is a store, and the same one: its logs are of writers that are dead there, and whoever opens it folds what waits,
//! once. No log is continued by anybody, so no number in the copy ever means another event than in the original.

pub use super::backup_target::TargetError;

use super::backup_log::{CopiedFiles, copy_folders};
use super::backup_target::Target;
use super::file_limit;
use super::opening::expect_known_layout;
use super::store_identity;
use crate::ground::clock::now_ms;
use crate::ground::config::Config;
use crate::ground::error::{AtPath, IndexError, OpenError, PathError, SegmentError};
use crate::index::checkpoint;
use crate::index::database::DATABASE_NAME;
use crate::index::database_copy::{Copied, copy_database};
use crate::query::database::Query;
use crate::segment::directory::sync_directory;
use crate::segment::store_id_file;
use serde::Serialize;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
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
    /// Copying the logs: what waits to be folded, what is kept, and what was set aside.
    Log,
    /// Copying the database.
    Database,
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
    /// Size of the copy's database in bytes.
    pub database_bytes: u64,
    /// Segments of the logs that the copy has: what waits there to be folded, what is kept, and what was set aside.
    pub segments: u64,
    /// Their size in bytes.
    pub log_bytes: u64,
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
    /// A thread that checked the copy died.
    #[error("the copy could not be checked: {0}")]
    Unchecked(String),
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
            let worked = worker.join().map_err(|_| BackupError::Unchecked("a thread died".into()));
            told.and(worked)
        })
    }
}

/// Copies the store in `dir` to `target`, which is a directory that does not exist yet, or is empty. The copy is the same
/// store as it was at a moment since the call: its database, its logs, what is kept of them and what was set aside. What
/// waits in the logs is folded by whoever opens the copy.
///
/// It is made beside `target`, checked, synced, and renamed at the end; whatever keeps that from happening, nothing of
/// it is left. Directories are 0700, files 0600. The store may be open elsewhere, may be recorded into, and may be one
/// that can only be read. Nobody who records waits for it. While the database is copied, SQLite's WAL of the store
/// grows by what is recorded meanwhile; so a copy that is too slow is given up ([`BackupError::TooSlow`]).
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
    expect_known_layout(dir)?;
    let query = Query::open(dir)?;
    let store = store_identity::read(dir)?;
    let target = Target::choose(dir, target)?;
    target.create()?;
    let began_at = now_ms();
    listener.tell(BackupPart::Log, 0.0)?;
    let (from, to) = (Config::new(dir), Config::new(target.dir()));
    let mut copied = CopiedFiles::default();
    // What goes from the first to one of the others meanwhile is in one of them at least.
    let parts = [
        (from.wal_dir(), to.wal_dir()),
        (from.kept_dir(), to.kept_dir()),
        (from.quarantine_dir(), to.quarantine_dir()),
    ];
    for (from, to) in parts {
        if copy_folders(&from, &to, &mut copied, |done| listener.flow(BackupPart::Log, done))?.is_break() {
            return Err(BackupError::Stopped);
        }
    }
    if let Some(store) = store {
        store_id_file::write(target.dir(), store)?;
    }
    copy_rows(&query, &target.dir().join(DATABASE_NAME), listener)?;
    drop(query);
    let report = check(dir, target.dir(), listener)?;
    let database = target.dir().join(DATABASE_NAME);
    File::open(&database).and_then(|file| file.sync_all()).at("sync", &database)?;
    sync_directory(target.dir())?;
    let dir = target.put_in_place()?;
    Ok(BackupReport { dir, began_at, segments: copied.files, log_bytes: copied.bytes, ..report })
}

fn copy_rows(query: &Query, to: &Path, listener: &mut Listener<'_>) -> Result<(), BackupError> {
    let bytes = std::fs::metadata(query.path()).map_or(0, |metadata| metadata.len());
    let copied = query.read_with(|connection| {
        // The transaction begins with the first read.
        checkpoint::read_all(connection)?;
        let grown_max = GROWN_MIN.max(bytes / 4);
        Ok(copy_database(connection, to, grown_max, |done| listener.flow(BackupPart::Database, done)))
    })?;
    match copied? {
        Copied::Whole => Ok(()),
        Copied::Stopped => Err(BackupError::Stopped),
        Copied::TooSlow(grown_bytes) => Err(BackupError::TooSlow { grown_bytes }),
    }
}

/// Checks the copy, and says what it has.
fn check(dir: &Path, copy: &Path, listener: &mut Listener<'_>) -> Result<BackupReport, BackupError> {
    let query = Query::open(copy)?;
    let interrupt = query.interrupter();
    let checked =
        listener.wait(BackupPart::Checking, move || (query.integrity(true), query.totals()), || 0.0, interrupt)?;
    let (integrity, totals) = (checked.0?, checked.1?);
    if !integrity.damage.is_empty() {
        return Err(BackupError::Damaged { path: dir.join(DATABASE_NAME), damage: integrity.damage });
    }
    Ok(BackupReport {
        dir: PathBuf::new(),
        began_at: 0,
        requests: totals.requests,
        sessions: totals.sessions,
        database_bytes: totals.database_bytes,
        segments: 0,
        log_bytes: 0,
    })
}
