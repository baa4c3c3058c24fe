//! Where the logs begin beside which a database is made: who makes the tables says so in the same transaction, or leaves a row
//! of table `meta` that says that nobody has looked; `log_fronts.rs` does that then. Runs on whoever makes the tables.
//!
//! Looking afterwards in any case was rejected: a process that is killed in between, and whose first segment is lost then,
//! has lost records that would count as folded.

use super::checkpoint::{self, Checkpoint};
use crate::ground::error::PathError;
use crate::ground::position::{Sequence, WriterId};
use rusqlite::Connection;

/// The row of `meta` that is there as long as nobody has looked.
pub(super) const KEY: &str = "log_fronts";

/// Looks: each log, and the number with which it begins.
pub(crate) type LookForFronts<'a> = &'a dyn Fn() -> Result<Vec<(WriterId, Sequence)>, PathError>;

/// The tables are being made, beside logs that begin there; `None`: somebody has to look.
pub(super) fn begin(connection: &Connection, begins: Option<&[(WriterId, Sequence)]>) -> rusqlite::Result<()> {
    let Some(begins) = begins else {
        return connection.execute("INSERT INTO meta (key, value) VALUES (?1, 'unknown')", [KEY]).map(|_| ());
    };
    for (writer, first) in begins.iter().filter(|(_, first)| first.0 > 1) {
        connection.execute("INSERT INTO writers (writer) VALUES (?1)", [writer.to_string()])?;
        let front = Checkpoint { sequence: Sequence(first.0 - 1), ..Checkpoint::START };
        checkpoint::write(connection, connection.last_insert_rowid(), front, None)?;
    }
    Ok(())
}
