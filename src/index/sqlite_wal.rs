//! Copying SQLite's WAL into the database: when, on which thread, and what a failed copy means.
//!
//! A copy writes pages and waits for two syncs, as long as the disk takes. There are four occasions:
//!
//! - While the compactor folds, the compactor itself copies once the WAL is long, which is seldom.
//! - Expiring writes as many pages in a moment. So expiring has a shorter WAL copied, by a thread with a connection of
//!   its own: SQLite lets others read and write meanwhile. Only expiring waits until that copy is made, so that SQLite
//!   begins the WAL anew and the WAL does not grow.
//! - What little a quiet store commits would lie in the WAL for hours, and a copy of `store.db` alone would lack it. So
//!   the same thread copies some seconds after a commit (`copy_schedule.rs`). Nobody waits for that.
//! - When the database is closed, whether others read or not: SQLite by itself copies only if nobody else has it open.
//!
//! None of that changes what is durable when: a segment goes only after `Index::make_durable`, which syncs the WAL, and
//! a copy syncs the WAL before it writes the first page into the database.
//!
//! Only the compactor asks for copies: once the compactor has waited for a copy, none is under way.

use super::connection::{WAL_PAGES_MAX, told_bytes};
use super::copy_schedule::{CopyMode, CopySchedule};
use super::fence::CopyCount;
use super::wal_readers::{Readers, wal_bytes};
use crate::ground::sabotage::{self, Spot};
use parking_lot::{Condvar, Mutex};
use rusqlite::hooks::Wal;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How long a statement waits for another connection. Then the statement fails, and the compactor tries it again later.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// How many pages expiring writes into the WAL before it asks for a copy: 8 MiB.
const EXPIRY_WAL_PAGES: u32 = if cfg!(test) { 32 } else { 1024 };
/// How many passes a copy makes at most, because others commit meanwhile. The second pass has little left to do.
const PASSES: u32 = 4;

/// Copies the WAL on the compactor's thread, or has a thread of its own copy it.
#[derive(Debug)]
pub(super) struct WalCopier {
    pub(super) shared: Arc<Shared>,
    /// Whether a thread of its own makes the copies that expiring asks for.
    has_own_thread: bool,
    /// How long the WAL was when expiring last asked for a copy, in pages.
    pages_at_last_copy: u32,
}

/// What the compactor and the copying thread share.
#[derive(Debug)]
pub(super) struct Shared {
    database: PathBuf,
    wal_in_doubt: Arc<AtomicBool>,
    /// How long the WAL was after the last commit, in pages.
    pages: AtomicU32,
    /// How many pages the WAL has when a commit copies it: [`WAL_PAGES_MAX`], unless a test says otherwise.
    pub(super) pages_max: AtomicU32,
    /// What is to be copied, and when.
    pub(super) schedule: Mutex<CopySchedule>,
    /// Whether the last copy left something in the WAL, because a reader was in the way.
    is_held: AtomicBool,
    /// Why the last copy failed, if it did.
    failure: Mutex<Option<String>>,
    copy: Mutex<CopyState>,
    finished: Condvar,
    /// How often the copying thread began or ended.
    copies: AtomicU64,
}

/// The copy that the copying thread makes.
#[derive(Debug)]
enum CopyState {
    None,
    UnderWay,
    /// The copy's result, which nobody has taken yet.
    Finished(rusqlite::Result<()>),
}

impl WalCopier {
    pub(super) fn new(database: &Path, wal_in_doubt: Arc<AtomicBool>) -> Self {
        let shared = Shared {
            database: database.to_owned(),
            wal_in_doubt,
            pages: AtomicU32::new(0),
            pages_max: AtomicU32::new(WAL_PAGES_MAX),
            schedule: Mutex::default(),
            is_held: AtomicBool::new(false),
            failure: Mutex::new(None),
            copy: Mutex::new(CopyState::None),
            finished: Condvar::new(),
            copies: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared), has_own_thread: false, pages_at_last_copy: 0 }
    }

    /// From now on, a thread of its own makes the copies that expiring asks for.
    pub(super) fn use_own_thread(&mut self) {
        self.has_own_thread = true;
    }

    /// Has each commit that makes the WAL too long copy it. SQLite would do so by itself; but such a copy begins with a
    /// sync, and SQLite drops that sync's result.
    pub(super) fn copy_when_long(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        let shared = Arc::clone(&self.shared);
        connection.wal_hook(Some(move |wal: &mut Wal, pages: i32| {
            let pages = u32::try_from(pages).unwrap_or(0);
            shared.pages.store(pages, Ordering::Relaxed);
            shared.schedule.lock().note_commit(Instant::now());
            if pages >= shared.pages_max.load(Ordering::Relaxed) {
                shared.wait();
                let began = Instant::now();
                let copied = wal.checkpoint_v2(CheckpointMode::PASSIVE).map(|(pages, copied)| copied >= pages);
                let copied =
                    copied.and_then(|is_whole| Ok(sabotage::at(Spot::CopyWal, &shared.database).map(|()| is_whole)?));
                // SQLite would report an error from here as the commit's, and the commit has succeeded.
                shared.note(CopyMode::Copy, began, &copied);
            }
            Ok(())
        }))
    }

    /// Whether a copy is under way.
    ///
    /// # Errors
    /// The error of the last copy, once.
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

    /// Whether a copy is under way. The last copy's result stays for [`Self::is_busy`].
    pub(super) fn is_copying(&self) -> bool {
        matches!(*self.shared.copy.lock(), CopyState::UnderWay)
    }

    /// How often a copy by the thread began or ended. Such a copy may commit, and changes nothing by that.
    pub(super) fn count(&self) -> CopyCount {
        CopyCount(self.shared.copies.load(Ordering::Acquire))
    }

    /// Waits until no copy is under way.
    pub(super) fn wait(&self) {
        self.shared.wait();
    }

    /// Asks for a copy if expiring has written enough pages since the last one; returns whether a copy is now under
    /// way.
    pub(super) fn copy_if_due(&mut self) -> bool {
        let pages = self.shared.pages.load(Ordering::Relaxed);
        // A WAL that is shorter than at the last copy began anew.
        let grown = pages.checked_sub(self.pages_at_last_copy).unwrap_or(pages);
        self.has_own_thread && grown >= EXPIRY_WAL_PAGES && self.start(CopyMode::Copy)
    }

    /// What was committed before anybody looked: a process that died left it.
    pub(super) fn note_left_behind(&self) {
        self.shared.schedule.lock().note_commit(Instant::now());
    }

    /// Has copied what was committed some time ago, if there is something and no copy is under way.
    pub(super) fn copy_on_schedule(&mut self) {
        let due = self.shared.schedule.lock().due(Instant::now());
        if let Some(mode) = due.filter(|_| self.has_own_thread && !self.is_copying()) {
            self.start(mode);
        }
    }

    /// Why what is committed stays in the WAL, if copying it failed.
    pub(super) fn failure(&self) -> Option<String> {
        self.shared.failure.lock().clone()
    }

    /// What people are told of a WAL that is too long because somebody is in the way; `None` where that is not so.
    pub(super) fn held_note(&self) -> Option<String> {
        let Shared { database, pages_max, is_held, .. } = &*self.shared;
        let most = told_bytes(pages_max.load(Ordering::Relaxed));
        // A copy under way is a reader too.
        let is_told = is_held.load(Ordering::Relaxed) && !self.is_copying() && wal_bytes(database) > most;
        is_told.then(|| Readers::of(database).why_long(most))
    }

    /// Has the WAL emptied, unless a reader is in the way. Nobody waits for such a reader: the next copy tries again.
    pub(super) fn empty(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.has_own_thread && self.start(CopyMode::Empty) {
            return Ok(());
        }
        self.empty_now(connection)
    }

    /// The same, on the calling thread, which waits for the disk.
    pub(super) fn empty_now(&self, connection: &Connection) -> rusqlite::Result<()> {
        let began = Instant::now();
        connection.busy_timeout(Duration::ZERO)?;
        let copied = copy(connection, CopyMode::Empty);
        connection.busy_timeout(BUSY_TIMEOUT)?;
        self.shared.note(CopyMode::Empty, began, &copied);
        copied.map(|_| ())
    }

    /// Starts the copying thread, which wakes the calling thread when it ends; returns `false` if no thread starts.
    pub(super) fn start(&mut self, mode: CopyMode) -> bool {
        self.shared.wait();
        *self.shared.copy.lock() = CopyState::UnderWay;
        self.shared.copies.fetch_add(1, Ordering::AcqRel);
        let run = CopyRun { shared: Arc::clone(&self.shared), asked_by: std::thread::current() };
        let thread = std::thread::Builder::new().name("mcplog-copy".to_owned());
        let started = thread.spawn(move || run.copy(mode)).is_ok();
        self.pages_at_last_copy = self.shared.pages.load(Ordering::Relaxed);
        started
    }
}

impl Drop for WalCopier {
    /// The copying thread closes its connection before the compactor closes its own and before the store unlocks.
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

    /// Notes how a copy ended that began then: whether all of it was made.
    fn note(&self, mode: CopyMode, began: Instant, copied: &rusqlite::Result<bool>) {
        // The doubt comes before the result: whoever waits for this copy must see it.
        note_doubt(copied, &self.wal_in_doubt);
        let is_whole = matches!(copied, Ok(true));
        let mut schedule = self.schedule.lock();
        if is_whole {
            schedule.note_copied(mode, began)
        } else {
            schedule.note_tried(Instant::now())
        }
        drop(schedule);
        self.is_held.store(matches!(copied, Ok(false)), Ordering::Relaxed);
        *self.failure.lock() = copied.as_ref().err().map(ToString::to_string);
    }
}

/// One run of the copying thread. When dropped, it ends the copy, however the thread ends, and wakes the thread that
/// asked.
struct CopyRun {
    shared: Arc<Shared>,
    asked_by: Thread,
}

impl CopyRun {
    fn copy(self, mode: CopyMode) {
        let Shared { database, pages, copy: state, .. } = &*self.shared;
        let (began, pages) = (Instant::now(), pages.load(Ordering::Relaxed));
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let copied = Connection::open_with_flags(database, flags).and_then(|connection| {
            connection.busy_timeout(Duration::ZERO)?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            let is_whole = copy(&connection, mode)?;
            if is_whole && mode == CopyMode::Copy {
                restart_wal(&connection)?;
            }
            Ok(is_whole)
        });
        let copied = copied.and_then(|is_whole| Ok(sabotage::at(Spot::CopyWal, database).map(|()| is_whole)?));
        self.shared.note(mode, began, &copied);
        let took_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::trace!(pages, took_us, "copied SQLite's WAL");
        *state.lock() = CopyState::Finished(copied.map(|_| ()));
    }
}

impl Drop for CopyRun {
    fn drop(&mut self) {
        self.shared.copies.fetch_add(1, Ordering::AcqRel);
        let mut copy = self.shared.copy.lock();
        if matches!(*copy, CopyState::UnderWay) {
            // The thread never started, or it panicked, and then nobody knows how far the copy came.
            self.shared.wal_in_doubt.fetch_or(std::thread::panicking(), Ordering::Relaxed);
            *copy = CopyState::None;
        }
        drop(copy);
        self.shared.finished.notify_all();
        self.asked_by.unpark();
    }
}

/// Copies the WAL; returns whether all of that was done. Others read and write meanwhile, until nothing is left to do
/// but to empty the WAL.
fn copy(connection: &Connection, mode: CopyMode) -> rusqlite::Result<bool> {
    for _ in 0..PASSES {
        let (busy, pages, copied): (bool, i64, i64) =
            connection
                .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        if !busy && copied >= pages {
            return match mode {
                CopyMode::Copy => Ok(true),
                // A reader that is in the way is no error: the WAL keeps its length then.
                CopyMode::Empty => connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
                    let busy: bool = row.get(0)?;
                    Ok(!busy)
                }),
            };
        }
    }
    Ok(false)
}

/// Begins the WAL anew with a commit that changes nothing. The commit that begins it syncs the WAL's header: on the
/// compactor that took up to 30 ms, depending on what else the disk did, where a step without it took 8 ms. While a
/// reader's statement is under way, SQLite can't begin the WAL anew: then the compactor's next commit does.
fn restart_wal(connection: &Connection) -> rusqlite::Result<()> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let result = connection.pragma_update(None, "user_version", version);
    match result.as_ref().err().and_then(rusqlite::Error::sqlite_error_code) {
        // Another connection writes: its commit begins the WAL anew.
        Some(ErrorCode::DatabaseBusy) => Ok(()),
        _ => result,
    }
}

/// Notes an I/O failure. SQLite does not say which call failed, and any failure may follow a failed sync.
pub(super) fn note_doubt<T>(result: &rusqlite::Result<T>, wal_in_doubt: &AtomicBool) {
    let failed = result.as_ref().err().and_then(rusqlite::Error::sqlite_error_code);
    if failed == Some(ErrorCode::SystemIoFailure) {
        wal_in_doubt.store(true, Ordering::Relaxed);
    }
}
