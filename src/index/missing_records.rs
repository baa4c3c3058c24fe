//! Table `gaps`: the rows of records that are missing in a log.
//!
//! Runs on the compactor, within a transaction of the caller's. Missing records that follow each other are one row.

use super::fold_runs::{FoldId, FoldedRecord};
use super::writer_column;
use crate::ground::position::WriterId;
use crate::record::record::GapRecord;
use rusqlite::{Connection, OptionalExtension, params};

/// Records with the numbers from `first` to `last` of one writer are missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct MissingRun {
    /// Whose, by its number in table `writers`.
    pub(super) writer: i64,
    pub(super) first: u64,
    pub(super) last: u64,
    /// Between which times they happened: Unix time in milliseconds, UTC.
    pub(super) from_ts: i64,
    pub(super) to_ts: i64,
}

/// Records of one writer that are missing: the first number and the last, and between which times they happened.
pub(crate) type ToldRun = (WriterId, (u64, u64), (i64, i64));

/// All rows.
pub(crate) fn read_all(connection: &Connection) -> rusqlite::Result<Vec<ToldRun>> {
    let sql = "SELECT w.writer, g.sequence, g.events, g.from_ts, g.to_ts
               FROM gaps AS g JOIN writers AS w ON w.id = g.writer WHERE g.missing = 1 AND g.events > 0";
    let mut select = connection.prepare(sql)?;
    let rows = select.query_map([], |row| {
        let (first, events): (u64, u64) = (row.get(1)?, row.get(2)?);
        let last = first.saturating_add(events - 1);
        Ok((writer_column::read(row, 0)?, (first, last), (row.get(3)?, row.get(4)?)))
    })?;
    // Of a damaged database what can be read.
    Ok(rows.map_while(Result::ok).filter(|(_, (_, last), _)| *last <= 1 << 62).collect())
}

/// The records that tell of events that were dropped: each has a row.
pub(crate) fn read_dropped(connection: &Connection) -> rusqlite::Result<Vec<(WriterId, u64)>> {
    let sql = "SELECT w.writer, g.sequence FROM gaps AS g JOIN writers AS w ON w.id = g.writer WHERE g.missing = 0";
    let mut select = connection.prepare(sql)?;
    let rows = select.query_map([], |row| Ok((writer_column::read(row, 0)?, row.get::<_, u64>(1)?)))?;
    // Of a damaged database what can be read.
    Ok(rows.map_while(Result::ok).filter(|(_, number)| (1..=1 << 62).contains(number)).collect())
}

/// The first number of the missing records of a writer that end with number `last`, if the table has any that do.
pub(super) fn first_up_to(connection: &Connection, writer: i64, last: u64) -> rusqlite::Result<Option<u64>> {
    let told = connection
        .prepare_cached(
            "SELECT sequence, events FROM gaps WHERE missing = 1 AND writer = ?1 AND sequence <= ?2
             ORDER BY sequence DESC LIMIT 1",
        )?
        .query_row(params![writer, last], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?)))
        .optional()?;
    Ok(told.filter(|(first, records)| first + records == last + 1).map(|(first, _)| first))
}

/// Says of the row that begins with the same number what is known by now; `false`: there is none.
pub(super) fn update(connection: &Connection, run: MissingRun) -> rusqlite::Result<bool> {
    let MissingRun { writer, first, last, from_ts, to_ts } = run;
    let sql =
        "UPDATE gaps SET from_ts = ?3, to_ts = ?4, events = ?5 WHERE missing = 1 AND writer = ?1 AND sequence = ?2";
    Ok(connection.prepare_cached(sql)?.execute(params![writer, first, from_ts, to_ts, last - first + 1])? > 0)
}

/// Adds a row.
pub(super) fn add(connection: &Connection, id: FoldId, run: MissingRun) -> rusqlite::Result<()> {
    let MissingRun { writer, first, last, from_ts, to_ts } = run;
    connection
        .prepare_cached(
            "INSERT INTO gaps (id, from_ts, to_ts, events, missing, writer, sequence) VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6)",
        )?
        .execute(params![id.0, from_ts, to_ts, last - first + 1, writer, first])
        .map(|_| ())
}

/// Adds the row of events that were dropped before they were recorded, of which a record tells.
pub(super) fn add_dropped(connection: &Connection, record: FoldedRecord, gap: GapRecord) -> rusqlite::Result<()> {
    let events = i64::try_from(gap.events).unwrap_or(i64::MAX);
    let FoldedRecord { id, writer_number, sequence, .. } = record;
    connection
        .prepare_cached(
            "INSERT INTO gaps (id, from_ts, to_ts, events, writer, sequence) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![id.0, gap.from_ts, gap.to_ts, events, writer_number, sequence.0])
        .map(|_| ())
}
