//! Table `newer_records`: records that a newer build wrote, which wait until a build opens the store that knows them.
//!
//! Runs on the compactor, within a batch. One transaction puts a record into the table together with the checkpoint
//! that passes the record; another takes the record out together with the rows that it becomes. So each record is
//! folded once, whatever crashes when, and however often the store goes from an older build to a newer one and back.
//!
//! Keeping the segment in place of the record was rejected. One record would hold back a whole segment, and a few
//! records the whole log; a segment that is damaged or superseded could not go either; and the checkpoint, one number,
//! would have to say for each record whether it is folded.

use super::fold_runs::FoldId;
use super::writer_column;
use crate::ground::position::{Offset, SegmentId, Sequence, WriterId};
use crate::segment::reader::FrameAt;
use rusqlite::{Connection, params};

/// How many records of one kind and version wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NewerKind {
    pub(crate) kind: u8,
    pub(crate) version: u8,
    pub(crate) records: u64,
}

/// A record that waited, and where it was in whose log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewerRecord {
    pub(crate) id: FoldId,
    pub(crate) writer: WriterId,
    pub(crate) sequence: Sequence,
    pub(crate) segment: SegmentId,
    pub(crate) offset: Offset,
    /// By when it was recorded: Unix time in milliseconds, UTC.
    pub(crate) noted_at: i64,
    pub(crate) payload: Vec<u8>,
}

impl NewerRecord {
    /// The record's frame, as it lay in the log.
    pub(crate) fn frame(&self) -> FrameAt<'_> {
        FrameAt { offset: self.offset, sequence: self.sequence, payload: &self.payload }
    }
}

/// How many records wait, by kind and version.
pub(super) fn kinds(connection: &Connection) -> rusqlite::Result<Vec<NewerKind>> {
    let sql = "SELECT kind, version, count(*) FROM newer_records GROUP BY kind, version ORDER BY kind, version";
    connection
        .prepare_cached(sql)?
        .query_map([], |row| Ok(NewerKind { kind: row.get(0)?, version: row.get(1)?, records: row.get(2)? }))?
        .collect()
}

/// Adds a record of that kind and version, which was recorded by `noted_at` (Unix milliseconds), under its id and its
/// writer's number in table `writers`.
pub(super) fn add(
    connection: &Connection,
    (id, writer): (FoldId, i64),
    segment: SegmentId,
    frame: &FrameAt<'_>,
    (kind, version): (u8, u8),
    noted_at: i64,
) -> rusqlite::Result<()> {
    let FrameAt { offset, sequence, payload } = frame;
    connection
        .prepare_cached(
            "INSERT INTO newer_records (id, writer, sequence, segment, offset, kind, version, noted_at, payload)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![id.0, writer, sequence.0, segment.0, offset.0, kind, version, noted_at, payload])
        .map(|_| ())
}

/// Removes the first records of that kind and version and returns them: at most `records_max`, and only as many as have
/// `bytes_max` bytes together, but at least one if there is one.
pub(super) fn take(
    connection: &Connection,
    (kind, version): (u8, u8),
    records_max: usize,
    bytes_max: usize,
) -> rusqlite::Result<Vec<NewerRecord>> {
    let lengths = "SELECT id, length(payload) FROM newer_records WHERE kind = ?1 AND version = ?2 ORDER BY id LIMIT ?3";
    let mut statement = connection.prepare_cached(lengths)?;
    let mut rows = statement.query(params![kind, version, records_max])?;
    let (mut last, mut bytes) = (None, 0_usize);
    while let Some(row) = rows.next()? {
        bytes = bytes.saturating_add(row.get(1)?);
        if last.is_some() && bytes > bytes_max {
            break;
        }
        last = Some(row.get::<_, i64>(0)?);
    }
    drop(rows);
    let Some(last) = last else { return Ok(Vec::new()) };
    let delete = "DELETE FROM newer_records WHERE kind = ?1 AND version = ?2 AND id <= ?3
                  RETURNING (SELECT w.writer FROM writers AS w WHERE w.id = newer_records.writer), \
                            id, sequence, segment, offset, noted_at, payload";
    let mut statement = connection.prepare_cached(delete)?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(NewerRecord {
            writer: writer_column::read(row, 0)?,
            id: FoldId(row.get(1)?),
            sequence: Sequence(row.get(2)?),
            segment: SegmentId(row.get(3)?),
            offset: Offset(row.get(4)?),
            noted_at: row.get(5)?,
            payload: row.get(6)?,
        })
    };
    statement.query_map(params![kind, version, last], read)?.collect()
}

/// Removes records that were noted before `kept_since` (Unix milliseconds), at most `max`; returns how many.
pub(super) fn expire(connection: &Connection, kept_since: i64, max: usize) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM newer_records WHERE id IN (
                   SELECT id FROM newer_records WHERE noted_at < ?1 ORDER BY noted_at LIMIT ?2)";
    connection.prepare_cached(sql)?.execute(params![kept_since, max])
}
