//! Table `checkpoint`: up to where each writer's log is folded. It commits with the rows that it speaks of; `batch.rs`
//! writes it.

use super::writer_column;
use crate::ground::position::{Offset, SegmentId, Sequence, WriterId};
use crate::segment::format::FRAMES_OFFSET;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// Up to here, folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) segment: SegmentId,
    pub(crate) offset: Offset,
    pub(crate) sequence: Sequence,
}

impl Checkpoint {
    /// Nothing is folded.
    pub(crate) const START: Self = Self { segment: SegmentId(0), offset: Offset(FRAMES_OFFSET), sequence: Sequence(0) };
}

/// Up to where each writer's log is folded.
pub(crate) fn read_all(connection: &Connection) -> rusqlite::Result<Vec<(WriterId, Checkpoint)>> {
    let sql = "SELECT w.writer, c.segment, c.offset, c.sequence
               FROM checkpoint AS c JOIN writers AS w ON w.id = c.writer ORDER BY c.writer";
    let mut select = connection.prepare_cached(sql)?;
    let rows = select.query_map([], |row| Ok((writer_column::read(row, 0)?, read_from(row, 1)?)))?;
    rows.collect()
}

/// Up to where one writer's log is folded; `None` if nothing of it is.
pub(crate) fn read_of(connection: &Connection, writer: WriterId) -> rusqlite::Result<Option<Checkpoint>> {
    let sql = "SELECT c.segment, c.offset, c.sequence
               FROM checkpoint AS c JOIN writers AS w ON w.id = c.writer WHERE w.writer = ?1";
    connection.prepare_cached(sql)?.query_row([writer.to_string()], |row| read_from(row, 0)).optional()
}

/// A checkpoint in the columns from `at` on.
pub(super) fn read_from(row: &Row<'_>, at: usize) -> rusqlite::Result<Checkpoint> {
    Ok(Checkpoint {
        segment: SegmentId(row.get(at)?),
        offset: Offset(row.get(at + 1)?),
        sequence: Sequence(row.get(at + 2)?),
    })
}

/// Writes the checkpoint of a writer, by its number. `last_ts` stays what it was where nobody knows.
pub(super) fn write(
    connection: &Connection,
    writer: i64,
    checkpoint: Checkpoint,
    last_ts: Option<i64>,
) -> rusqlite::Result<()> {
    let Checkpoint { segment, offset, sequence } = checkpoint;
    connection
        .prepare_cached(
            "INSERT INTO checkpoint (writer, segment, offset, sequence, last_ts) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (writer) DO UPDATE
             SET segment = ?2, offset = ?3, sequence = ?4, last_ts = coalesce(?5, last_ts)",
        )?
        .execute(params![writer, segment.0, offset.0, sequence.0, last_ts])
        .map(|_| ())
}
