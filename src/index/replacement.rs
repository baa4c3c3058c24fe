//! A new database that takes the place of an old one: in one transaction of SQLite's, into the file that is there.
//!
//! A file that is renamed over `store.db` would stay unseen by whoever has the old one open, and the `store.db-wal` that
//! they write and read would belong to the wrong file. SQLite's backup interface writes every page of the new database into
//! the living file as one transaction: readers see the old rows until it commits and the new ones after, and whatever ends
//! the process before that leaves pages in `store.db-wal` that no commit vouches for, which the next one who opens the file
//! passes over.
//!
//! A file whose first page is damaged is none that SQLite writes to by itself. SQLITE_DBCONFIG_RESET_DATABASE tells it to take
//! the file for an empty one, whatever stands there. Moving the file aside and renaming the new one was rejected: between
//! the two there is no database at all, and readers keep the old one. Where SQLite can't write even so, nothing is changed,
//! and the error says so.
//!
//! Runs on the thread that rebuilds, under the store's lock.

use super::connection::PAGE_BYTES;
use super::old_rows::failed_at;
use crate::ground::error::AtPath;
use crate::ground::sabotage::{self, Spot};
use crate::ground::work::{Watch, WorkError, tell};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, ffi};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// How long to wait for another process that writes to the file, or closes it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many pages one step copies: some milliseconds' worth.
const STEP_PAGES: i32 = if cfg!(test) { 4 } else { 512 };

/// Puts the database at `new` into the file at `living`, whole or not at all. `is_damaged` tells whether that file may be no
/// database any more.
pub(crate) fn replace(living: &Path, new: &Path, is_damaged: bool, watch: &mut Watch<'_>) -> Result<(), WorkError> {
    let (at_new, at_living) = (failed_at(new), failed_at(living));
    let source = Connection::open_with_flags(new, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(&at_new)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut target = Connection::open_with_flags(living, flags).map_err(&at_living)?;
    target.busy_timeout(PATIENCE).map_err(&at_living)?;
    if is_damaged {
        show_wal(living)?;
        target.pragma_update(None, "page_size", PAGE_BYTES).map_err(&at_living)?;
        // So that SQLite knows whether there is a WAL. What it says of the file is known.
        let _ = target.prepare("SELECT 1 FROM sqlite_schema");
        target.set_db_config(DbConfig::SQLITE_DBCONFIG_RESET_DATABASE, true).map_err(&at_living)?;
    }
    // The commit is to be on the disk when this says that it is done.
    target.pragma_update(None, "synchronous", "FULL").map_err(&at_living)?;
    copy(&source, &mut target, living, watch, &at_living)?;
    if is_damaged {
        target.set_db_config(DbConfig::SQLITE_DBCONFIG_RESET_DATABASE, false).map_err(&at_living)?;
    }
    // Readers may keep the WAL from being emptied; then the next one who records does it.
    let _ = target.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    Ok(())
}

/// Whoever reads the old database has a WAL open, which is empty as long as nobody writes. SQLite takes an empty file for
/// none, and where the first page does not say either that there is one, it would write to the database itself, and wait
/// for the readers to go. A byte that is no header of a WAL is passed over, and overwritten by the first one who writes.
fn show_wal(living: &Path) -> Result<(), WorkError> {
    let mut wal = living.as_os_str().to_owned();
    wal.push("-wal");
    let wal = Path::new(&wal);
    match std::fs::metadata(wal) {
        Ok(metadata) if metadata.is_file() && metadata.len() == 0 => Ok(std::fs::write(wal, [0]).at("write", wal)?),
        _ => Ok(()),
    }
}

/// Copies a database as it is, page by page, into a file that is not there yet. Fails where its first page is damaged.
pub(crate) fn copy_aside(database: &Path, to: &Path, watch: &mut Watch<'_>) -> Result<(), WorkError> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).at("create", to)?;
    let source =
        Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed_at(database))?;
    source.busy_timeout(PATIENCE).map_err(failed_at(database))?;
    let mut target = Connection::open(to).map_err(failed_at(to))?;
    target.pragma_update(None, "synchronous", "FULL").map_err(failed_at(to))?;
    copy(&source, &mut target, database, watch, &failed_at(to))
}

/// Copies all pages in one transaction of `target`, which is rolled back where it does not come to its end.
fn copy(
    source: &Connection,
    target: &mut Connection,
    place: &Path,
    watch: &mut Watch<'_>,
    failed: &dyn Fn(rusqlite::Error) -> WorkError,
) -> Result<(), WorkError> {
    let backup = Backup::new(source, target).map_err(failed)?;
    loop {
        sabotage::at(Spot::CopyDatabase, place).map_err(|fault| failed(fault.into()))?;
        let refusal = match backup.step(STEP_PAGES).map_err(failed)? {
            StepResult::Done => return Ok(()),
            StepResult::More => None,
            StepResult::Locked => Some(ffi::SQLITE_LOCKED),
            _ => Some(ffi::SQLITE_BUSY),
        };
        if let Some(code) = refusal {
            return Err(failed(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)));
        }
        let progress = backup.progress();
        let (all, left) = (f64::from(progress.pagecount.max(1)), f64::from(progress.remaining));
        tell(watch, 1.0 - left / all)?;
    }
}
