//! A copy of a database, made while others write to it.
//!
//! By SQLite's backup interface, within one read transaction: the copy is one state of the tables. Page by page without
//! a transaction was rejected, because each commit of another connection makes SQLite begin anew, and a store that is
//! recorded into commits more often than a second; so was `VACUUM INTO`, which reads in one transaction as well and
//! takes twice as long (docs/performance.md). While the transaction is open, SQLite can't begin the WAL of the database
//! anew. So the copy is made without pauses, and is given up where the WAL grows by too much meanwhile.
//!
//! Runs on the thread of whoever makes a backup, in any process.

use super::database::create_private_file;
use super::wal_readers::wal_bytes;
use crate::ground::error::{AtPath, IndexError, OpenError};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;

/// How many pages are copied between two looks at who wants to stop: 8 MiB.
const STEP_PAGES: i32 = if cfg!(test) { 4 } else { 1024 };
/// After how many steps what was written is forced to the disk: so much that waits in memory would hold up the log's
/// own syncs when all of it is written at once.
const STEPS_PER_SYNC: u32 = 8;

/// How the copying ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copied {
    /// All of it is there.
    Whole,
    /// Somebody wanted it to stop.
    Stopped,
    /// The database's WAL grew by so many bytes, which is too much.
    TooSlow(u64),
}

/// Copies the database of `from`, which is in a transaction, into a new file, readable by its owner only. `grown_max`
/// is how many bytes the WAL may grow by meanwhile; `progress` is told how much is done, from 0 to 1, and says whether
/// to go on. What was copied before that is left to the caller.
pub(crate) fn copy_database(
    from: &Connection,
    to: &Path,
    grown_max: u64,
    mut progress: impl FnMut(f64) -> ControlFlow<()>,
) -> Result<Copied, OpenError> {
    create_private_file(to)?;
    let in_copy = |source| IndexError::Sqlite { path: to.to_owned(), source };
    let source = from.path().unwrap_or_default().to_owned();
    let wal_at_first = wal_bytes(source.as_ref());
    let mut copy = Connection::open(to).map_err(in_copy)?;
    // A copy that is not finished is removed, so nothing has to be taken back in it; the end syncs it once.
    copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").map_err(in_copy)?;
    let file = File::open(to).at("open", to)?;
    let backup = Backup::new(from, &mut copy).map_err(in_copy)?;
    for step in 0_u32.. {
        let at = backup.progress();
        let done = if step == 0 { 0.0 } else { 1.0 - f64::from(at.remaining) / f64::from(at.pagecount.max(1)) };
        if progress(done).is_break() {
            return Ok(Copied::Stopped);
        }
        let grown = wal_bytes(source.as_ref()).saturating_sub(wal_at_first);
        if grown > grown_max {
            return Ok(Copied::TooSlow(grown));
        }
        if backup.step(STEP_PAGES).map_err(in_copy)? == StepResult::Done {
            break;
        }
        if (step + 1).is_multiple_of(STEPS_PER_SYNC) {
            file.sync_data().at("sync", to)?;
        }
    }
    drop(backup);
    copy.close().map_err(|(_, source)| in_copy(source))?;
    file.sync_all().at("sync", to)?;
    Ok(Copied::Whole)
}
