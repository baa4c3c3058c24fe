//! The row of table `meta` by which a database that was just made says that nobody has looked where the logs beside it begin;
//! `log_fronts.rs` does that. Runs on whoever makes the tables.

use rusqlite::Connection;

/// The row of `meta` that is there as long as nobody has looked.
pub(super) const KEY: &str = "log_fronts";

/// The tables are being made: somebody has to look.
pub(super) fn leave_open(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("INSERT INTO meta (key, value) VALUES (?1, 'unknown')", [KEY]).map(|_| ())
}
