//! Up to where the log is folded. It commits with the rows that it speaks of; `batch.rs` writes it.

use crate::ground::position::{Offset, SegmentId, Sequence, WriterId};
use crate::segment::format::FRAMES_OFFSET;
use rusqlite::{Connection, OptionalExtension};

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

/// Whose log is folded in that database, and how far; `None` before the first commit.
pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Option<(WriterId, Checkpoint)>> {
    let sql = "SELECT writer_id, segment, offset, sequence FROM checkpoint WHERE id = 1";
    let read = connection.query_row(sql, [], |row| {
        let (segment, offset) = (SegmentId(row.get(1)?), Offset(row.get(2)?));
        Ok((WriterId(row.get(0)?), Checkpoint { segment, offset, sequence: Sequence(row.get(3)?) }))
    });
    read.optional()
}
