//! Table `writers`: who records, or did.
//!
//! Runs on the compactor. What a row says is for people: nothing is decided by process ids and times. A row outlives the
//! folder of its log, because the checkpoint beside it is what tells a folder that a power cut brought back from a new one.

use super::checkpoint::{self, Checkpoint};
use super::writer_column;
use crate::fold::fold::WriterBegan;
use crate::ground::position::WriterId;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

/// A writer as the tables have it when a transaction first meets it, and what the transaction makes of it.
#[derive(Debug)]
pub(super) struct WriterRow {
    /// Its number within the database.
    pub(super) number: i64,
    /// Up to where its log is folded; `None` if nothing of it is.
    pub(super) checkpoint: Option<Checkpoint>,
    /// Of what time the last record is that is folded.
    pub(super) last_ts: Option<i64>,
    /// When its newest event happened.
    last_seen_at: Option<i64>,
    /// The checkpoint is another one than the table's.
    has_moved: bool,
    /// The newest event is.
    was_seen: bool,
}

/// A writer as an old database has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OldWriter {
    pub(super) id: WriterId,
    /// What the other columns say, in their order.
    columns: Vec<Value>,
}

impl OldWriter {
    /// Its columns, its id first.
    pub(super) const COLUMNS: &str =
        "writer, process_id, host, program, program_version, started_at, last_seen_at, ended_at, ended";

    /// One of which nothing else is known.
    pub(super) fn new(id: WriterId) -> Self {
        Self { id, columns: vec![Value::Null; Self::COLUMNS.matches(',').count()] }
    }

    /// Reads the columns from `at` on.
    pub(super) fn read(row: &Row<'_>, at: usize) -> rusqlite::Result<Self> {
        let mut old = Self::new(writer_column::read(row, at)?);
        for (index, column) in old.columns.iter_mut().enumerate() {
            *column = row.get(at + 1 + index)?;
        }
        Ok(old)
    }

    /// Brings it into a new database. What is known there has the say: its log was folded anew.
    pub(super) fn restore(&self, connection: &Connection) -> rusqlite::Result<()> {
        let sql = format!(
            "INSERT INTO writers ({}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (writer) DO UPDATE
             SET process_id = coalesce(process_id, excluded.process_id), host = coalesce(host, excluded.host),
                 program = coalesce(program, excluded.program),
                 program_version = coalesce(program_version, excluded.program_version),
                 started_at = coalesce(started_at, excluded.started_at),
                 last_seen_at = coalesce(max(last_seen_at, excluded.last_seen_at), last_seen_at, excluded.last_seen_at),
                 ended_at = CASE WHEN ended IS NULL THEN excluded.ended_at ELSE ended_at END,
                 ended = coalesce(ended, excluded.ended)",
            Self::COLUMNS
        );
        let values = std::iter::once(Value::Text(self.id.to_string())).chain(self.columns.iter().cloned());
        connection.prepare_cached(&sql)?.execute(params_from_iter(values)).map(|_| ())
    }
}

impl WriterRow {
    /// The row of a writer, which is made where there is none.
    pub(super) fn of(connection: &Connection, writer: WriterId) -> rusqlite::Result<Self> {
        let sql = "SELECT w.id, w.last_seen_at, c.last_ts, c.segment, c.offset, c.sequence
                   FROM writers AS w LEFT JOIN checkpoint AS c ON c.writer = w.id WHERE w.writer = ?1";
        let read = |row: &Row<'_>| {
            let has_checkpoint = row.get_ref(3)? != rusqlite::types::ValueRef::Null;
            Ok(Self {
                number: row.get(0)?,
                last_seen_at: row.get(1)?,
                last_ts: row.get(2)?,
                checkpoint: if has_checkpoint { Some(checkpoint::read_from(row, 3)?) } else { None },
                has_moved: false,
                was_seen: false,
            })
        };
        let text = writer.to_string();
        if let Some(row) = connection.prepare_cached(sql)?.query_row([&text], read).optional()? {
            return Ok(row);
        }
        connection.prepare_cached("INSERT INTO writers (writer) VALUES (?1)")?.execute([&text])?;
        let number = connection.last_insert_rowid();
        Ok(Self { number, checkpoint: None, last_ts: None, last_seen_at: None, has_moved: false, was_seen: false })
    }

    /// Its log is folded up to there now.
    pub(super) fn set_checkpoint(&mut self, checkpoint: Checkpoint) {
        (self.checkpoint, self.has_moved) = (Some(checkpoint), true);
    }

    /// One of its events happened then (Unix milliseconds).
    pub(super) fn see(&mut self, ts: i64) {
        if self.last_seen_at.is_none_or(|seen_at| seen_at < ts) {
            (self.last_seen_at, self.was_seen) = (Some(ts), true);
        }
    }

    /// Writes what differs from the tables.
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        if self.was_seen {
            let sql = "UPDATE writers SET last_seen_at = ?2 WHERE id = ?1";
            connection.prepare_cached(sql)?.execute(params![self.number, self.last_seen_at])?;
        }
        match self.checkpoint.filter(|_| self.has_moved) {
            Some(checkpoint) => checkpoint::write(connection, self.number, checkpoint, self.last_ts),
            None => Ok(()),
        }
    }
}

/// Notes what a writer says of itself when it begins.
pub(super) fn note_began(connection: &Connection, number: i64, began: &WriterBegan<'_>) -> rusqlite::Result<()> {
    let WriterBegan { process_id, host, program, program_version, started_at } = began;
    let process_id = i64::try_from(*process_id).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "UPDATE writers SET process_id = ?2, host = ?3, program = ?4, program_version = ?5, started_at = ?6 WHERE id = ?1",
        )?
        .execute(params![number, process_id, host, program, program_version, started_at])
        .map(|_| ())
}

/// Notes that a writer said it ended then (Unix milliseconds). It has the say: a lock that was found free tells less.
pub(super) fn note_ended(connection: &Connection, number: i64, ended_at: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE writers SET ended_at = ?2, ended = 'closed' WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![number, ended_at]).map(|_| ())
}

/// Whether a writer said that it ended, or is noted to be dead.
pub(super) fn has_ended(connection: &Connection, writer: WriterId) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM writers WHERE writer = ?1 AND ended IS NOT NULL";
    connection.prepare_cached(sql)?.exists([writer.to_string()])
}

/// Notes that a writer is dead. Unless it said that it ended, it died, then at the latest (Unix milliseconds).
pub(super) fn note_dead(connection: &Connection, number: i64, died_at: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE writers SET ended_at = ?2, ended = 'died' WHERE id = ?1 AND ended IS NULL";
    connection.prepare_cached(sql)?.execute(params![number, died_at]).map(|_| ())
}

/// Removes writers with numbers behind `after` and up to `last` of which nothing is left: no row is theirs, no file may
/// come back, and all that is said of them happened before `kept_since` (Unix milliseconds).
pub(super) fn expire(
    connection: &Connection,
    kept_since: i64,
    (after, last): (i64, i64),
    is_present: impl Fn(WriterId) -> bool,
) -> rusqlite::Result<()> {
    let sql = "SELECT w.writer, w.id FROM writers AS w
               WHERE w.id > ?1 AND w.id <= ?2
                 AND max(coalesce(last_seen_at, ?3), coalesce(started_at, ?3), coalesce(ended_at, ?3)) < ?4
                 AND NOT EXISTS (SELECT 1 FROM fold_runs WHERE writer = w.id)
                 AND NOT EXISTS (SELECT 1 FROM quarantine WHERE writer = w.id)";
    let gone = connection
        .prepare_cached(sql)?
        .query_map(params![after, last, i64::MIN, kept_since], |row| Ok((writer_column::read(row, 0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(WriterId, i64)>>>()?;
    for (_, number) in gone.into_iter().filter(|(writer, _)| !is_present(*writer)) {
        connection.prepare_cached("DELETE FROM checkpoint WHERE writer = ?1")?.execute([number])?;
        connection.prepare_cached("DELETE FROM writers WHERE id = ?1")?.execute([number])?;
    }
    Ok(())
}
