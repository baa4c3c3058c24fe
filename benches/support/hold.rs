//! Keeps a store from folding: a transaction of another connection that is not committed.

use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// How often to look whether the database is there: the thread that folds makes it.
const LOOK: Duration = Duration::from_millis(1);

/// Holds folding off until what is returned is dropped.
pub(crate) fn folding(database: &Path) -> Connection {
    let has_tables = |database: &Connection| database.query_row("SELECT 1 FROM meta", [], |_| Ok(())).is_ok();
    let holder = loop {
        match Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE).ok().filter(has_tables) {
            Some(holder) => break holder,
            None => std::thread::sleep(LOOK),
        }
    };
    holder.busy_timeout(Duration::from_secs(60)).expect("a timeout");
    holder.execute_batch("BEGIN IMMEDIATE").expect("hold folding off");
    holder
}
