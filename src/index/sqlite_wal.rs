//! Copying SQLite's own log into the database: when, on which thread, and what it means when that fails.
//!
//! A copy writes pages and waits for two syncs, as long as the disk takes. While folding, the compactor makes it once the
//! log is long, which is seldom. Expiring writes as many pages in a moment, so there a shorter log is copied, on a thread
//! of its own with a connection of its own: SQLite lets others read and write meanwhile. Only expiring itself waits until
//! the copy is made, so that the log begins afresh and does not grow.
//!
//! A copy is asked for by the compactor alone: once it has waited for one, there is none.

use crate::ground::sabotage::{self, Spot};
use parking_lot::{Condvar, Mutex};
use rusqlite::hooks::Wal;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How long a statement waits for another connection before the compactor takes over with its own patience.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// How long SQLite's log grows before the compactor copies it, in pages: 32 MiB. SQLite's default, an eighth of that, is
/// reached by every single batch, and each time two syncs are waited for and most pages copied again.
pub(super) const WAL_PAGES_MAX: u32 = 4096;
/// How many pages expiring writes before it asks for a copy: 8 MiB.
const EXPIRY_WAL_PAGES: u32 = if cfg!(test) { 32 } else { 1024 };
/// How often a copy begins again because something was committed meanwhile. The second has little left to do.
const PASSES: u32 = 4;

/// How far a copy goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CopyMode {
    /// What is in the log is in the database, too.
    Copy,
    /// And the log has no byte any more. The database's file is then as short as its pages are few.
    Empty,
}

/// Makes copies, or has them made.
#[derive(Debug)]
pub(super) struct WalCopier {
    pub(super) shared: Arc<Shared>,
    /// Copies are made on a thread of their own.
    has_own_thread: bool,
    /// How long the log was when the last of those was asked for, in pages.
    pages_at_last_copy: u32,
}

#[derive(Debug)]
pub(super) struct Shared {
    database: PathBuf,
    wal_in_doubt: Arc<AtomicBool>,
    /// How long the log was after the last commit, in pages.
    pages: AtomicU32,
    /// With how many a commit copies it: [`WAL_PAGES_MAX`], but in tests that choose.
    pub(super) pages_max: AtomicU32,
    copy: Mutex<CopyState>,
    finished: Condvar,
}

/// The copy on a thread of its own.
#[derive(Debug)]
enum CopyState {
    None,
    UnderWay,
    /// How it ended, which nobody has looked at yet.
    Finished(rusqlite::Result<()>),
}

impl WalCopier {
    pub(super) fn new(database: &Path, wal_in_doubt: Arc<AtomicBool>) -> Self {
        let shared = Shared {
            database: database.to_owned(),
            wal_in_doubt,
            pages: AtomicU32::new(0),
            pages_max: AtomicU32::new(WAL_PAGES_MAX),
            copy: Mutex::new(CopyState::None),
            finished: Condvar::new(),
        };
        Self { shared: Arc::new(shared), has_own_thread: false, pages_at_last_copy: 0 }
    }

    /// From now on, copies that expiring asks for are made on a thread of their own.
    pub(super) fn use_own_thread(&mut self) {
        self.has_own_thread = true;
    }

    /// Has the log copied by the commit with which it gets long, as SQLite does by itself. But that copying begins with a
    /// sync, and SQLite forgets how it ended.
    pub(super) fn copy_when_long(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        let shared = Arc::clone(&self.shared);
        connection.wal_hook(Some(move |wal: &mut Wal, pages: i32| {
            let pages = u32::try_from(pages).unwrap_or(0);
            shared.pages.store(pages, Ordering::Relaxed);
            if pages >= shared.pages_max.load(Ordering::Relaxed) {
                shared.wait();
                let copied = wal.checkpoint().and_then(|()| Ok(sabotage::at(Spot::CopyWal, &shared.database)?));
                // An error here would be taken for the commit's, which is through.
                note_doubt(&copied, &shared.wal_in_doubt);
            }
            Ok(())
        }))
    }

    /// Whether a copy is under way; how the last one ended, if that was not told yet.
    pub(super) fn is_busy(&self) -> rusqlite::Result<bool> {
        let mut copy = self.shared.copy.lock();
        match std::mem::replace(&mut *copy, CopyState::None) {
            CopyState::None => Ok(false),
            CopyState::Finished(result) => result.map(|()| false),
            CopyState::UnderWay => {
                *copy = CopyState::UnderWay;
                Ok(true)
            }
        }
    }

    /// The same without a word on how it ended.
    pub(super) fn is_copying(&self) -> bool {
        matches!(*self.shared.copy.lock(), CopyState::UnderWay)
    }

    /// Waits until no copy is under way.
    pub(super) fn wait(&self) {
        self.shared.wait();
    }

    /// Has the log copied if so much was expired since the last time that it should be. Whether a copy is now under way.
    pub(super) fn copy_if_due(&mut self) -> bool {
        let pages = self.shared.pages.load(Ordering::Relaxed);
        // It began afresh, if it is shorter.
        let grown = pages.checked_sub(self.pages_at_last_copy).unwrap_or(pages);
        self.has_own_thread && grown >= EXPIRY_WAL_PAGES && self.start(CopyMode::Copy)
    }

    /// Has the log emptied, unless a reader is in the way, who is not waited for: the next copy finds it gone.
    pub(super) fn empty(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.has_own_thread && self.start(CopyMode::Empty) {
            return Ok(());
        }
        connection.busy_timeout(Duration::ZERO)?;
        let copied = copy(connection, CopyMode::Empty);
        connection.busy_timeout(BUSY_TIMEOUT)?;
        copied.map(|_| ())
    }

    /// Starts a copy on a thread of its own, which wakes this one when it ends. `false`: it can't.
    fn start(&mut self, mode: CopyMode) -> bool {
        self.shared.wait();
        *self.shared.copy.lock() = CopyState::UnderWay;
        let run = CopyRun { shared: Arc::clone(&self.shared), asked_by: std::thread::current() };
        let thread = std::thread::Builder::new().name("mcplog-copy".to_owned());
        let started = thread.spawn(move || run.copy(mode)).is_ok();
        self.pages_at_last_copy = self.shared.pages.load(Ordering::Relaxed);
        started
    }
}

impl Drop for WalCopier {
    /// The thread's connection is closed before the compactor's, and before the store's lock is let go.
    fn drop(&mut self) {
        self.wait();
    }
}

impl Shared {
    fn wait(&self) {
        let mut copy = self.copy.lock();
        while matches!(*copy, CopyState::UnderWay) {
            self.finished.wait(&mut copy);
        }
    }
}

/// Ends a copy, however its thread ends, and wakes who asked for it.
struct CopyRun {
    shared: Arc<Shared>,
    asked_by: Thread,
}

impl CopyRun {
    fn copy(self, mode: CopyMode) {
        let Shared { database, wal_in_doubt, pages, copy: state, .. } = &*self.shared;
        let (started, pages) = (Instant::now(), pages.load(Ordering::Relaxed));
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let copied = Connection::open_with_flags(database, flags).and_then(|connection| {
            connection.busy_timeout(Duration::ZERO)?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            let is_copied = copy(&connection, mode)?;
            if is_copied && mode == CopyMode::Copy { restart_wal(&connection) } else { Ok(()) }
        });
        let copied = copied.and_then(|()| Ok(sabotage::at(Spot::CopyWal, database)?));
        // Before anybody who waits for this copy goes on.
        note_doubt(&copied, wal_in_doubt);
        let took_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::trace!(pages, took_us, "copied SQLite's log");
        *state.lock() = CopyState::Finished(copied);
    }
}

impl Drop for CopyRun {
    fn drop(&mut self) {
        let mut copy = self.shared.copy.lock();
        if matches!(*copy, CopyState::UnderWay) {
            // It never began, or it panicked, and then nobody knows how far it came.
            self.shared.wal_in_doubt.fetch_or(std::thread::panicking(), Ordering::Relaxed);
            *copy = CopyState::None;
        }
        drop(copy);
        self.shared.finished.notify_all();
        self.asked_by.unpark();
    }
}

/// Copies the log; whether all of it is in the database now. Others read and write meanwhile, until there is nothing left
/// but to empty it.
fn copy(connection: &Connection, mode: CopyMode) -> rusqlite::Result<bool> {
    for _ in 0..PASSES {
        let (busy, pages, copied): (bool, i64, i64) =
            connection
                .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        if !busy && copied >= pages {
            if mode == CopyMode::Empty {
                // Says by itself whether somebody was in the way.
                connection.pragma(None, "wal_checkpoint", "TRUNCATE", |_| Ok(()))?;
            }
            return Ok(true);
        }
    }
    Ok(false)
}

/// Begins the log afresh with a commit that changes nothing. Whoever does that syncs the log's header: on the compactor,
/// with whatever else the disk had to do, that took up to 30 ms, while a step took 8 ms without. SQLite can't while a
/// statement of a reader is under way: then the compactor does it after all, with its next commit.
fn restart_wal(connection: &Connection) -> rusqlite::Result<()> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let result = connection.pragma_update(None, "user_version", version);
    match result.as_ref().err().and_then(rusqlite::Error::sqlite_error_code) {
        // Then it is done by whoever writes there.
        Some(ErrorCode::DatabaseBusy) => Ok(()),
        _ => result,
    }
}

/// Notes an I/O failure. Which of them was a sync's is not asked: whatever failed may come after one.
pub(super) fn note_doubt<T>(result: &rusqlite::Result<T>, wal_in_doubt: &AtomicBool) {
    let failed = result.as_ref().err().and_then(rusqlite::Error::sqlite_error_code);
    if failed == Some(ErrorCode::SystemIoFailure) {
        wal_in_doubt.store(true, Ordering::Relaxed);
    }
}
