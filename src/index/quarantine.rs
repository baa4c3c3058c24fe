//! Table `quarantine`: what a log holds but nobody can fold. One row for each place.
//!
//! Runs on the compactor, within a transaction of the caller's, and by connections that only read.

use super::writer_column;
use crate::ground::position::WriterId;
use rusqlite::{Connection, ToSql, params};

/// A place that can't be folded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quarantined<'a> {
    /// Whose log, by its number in table `writers`.
    pub(super) writer: i64,
    pub(super) segment: u64,
    pub(super) offset: u32,
    pub(super) bytes: u64,
    /// The record that is intact but can't be decoded, and its number; `None` for damaged bytes.
    pub(super) record: Option<(u64, &'a [u8])>,
    pub(super) reason: &'a str,
    /// By when it was recorded: Unix time in milliseconds, UTC.
    pub(super) noted_at: i64,
}

/// Adds a row, unless the table has one of that place.
pub(super) fn add(connection: &Connection, place: &Quarantined<'_>) -> rusqlite::Result<()> {
    let Quarantined { writer, segment, offset, bytes, record, reason, noted_at } = *place;
    let (sequence, payload) = record.unzip();
    connection
        .prepare_cached(
            "INSERT INTO quarantine (writer, segment, offset, bytes, sequence, reason, payload, noted_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (writer, segment, offset) DO NOTHING",
        )?
        .execute(params![writer, segment, offset, bytes, sequence, reason, payload, noted_at])
        .map(|_| ())
}

/// Marks the note of a file that is damaged as a whole: how many records it held, nobody knows.
pub(super) fn mark_unknown(connection: &Connection, writer: i64, segment: u64) -> rusqlite::Result<()> {
    let sql = "UPDATE quarantine SET unknown_records = 1
               WHERE writer = ?1 AND segment = ?2 AND offset = 0 AND sequence IS NULL";
    connection.prepare_cached(sql)?.execute(params![writer, segment]).map(|_| ())
}

/// A number of that segment of a writer is known, which tells what the files before it held.
pub(super) fn unmark_unknown(connection: &Connection, writer: i64, segment: u64) -> rusqlite::Result<()> {
    let sql = "UPDATE quarantine SET unknown_records = 0 WHERE unknown_records = 1 AND writer = ?1 AND segment <= ?2";
    connection.prepare_cached(sql)?.execute(params![writer, segment]).map(|_| ())
}

/// The notes (`q`) within a range that were made before ?3 and that nobody needs any more. Notes of damaged bytes are
/// needed as long as their writer is `present`, because a file of it may be there: retiring asks which are damaged.
pub(super) fn expired(
    connection: &Connection,
    range: &str,
    values: &[&dyn ToSql],
    is_present: impl Fn(WriterId) -> bool,
) -> rusqlite::Result<Vec<i64>> {
    let sql = format!(
        "SELECT q.id, w.writer, q.sequence IS NOT NULL
         FROM quarantine AS q JOIN writers AS w ON w.id = q.writer WHERE {range} AND q.noted_at < ?3"
    );
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(values)?;
    let mut expired = Vec::new();
    while let Some(row) = rows.next()? {
        let is_record: bool = row.get(2)?;
        if is_record || !is_present(writer_column::read(row, 1)?) {
            expired.push(row.get(0)?);
        }
    }
    Ok(expired)
}
