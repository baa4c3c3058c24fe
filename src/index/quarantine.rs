//! Table `quarantine`: what a log holds but nobody can fold. One row for each place.
//!
//! Runs on the compactor, within a transaction of the caller's.

use rusqlite::{Connection, params};

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
