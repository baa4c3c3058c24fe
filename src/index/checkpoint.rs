//! Table `checkpoint`: up to where each writer's log is folded. It commits with the rows that it speaks of; `batch.rs`
//! writes it.

use super::writers;
use crate::ground::position::{Offset, SegmentId, Sequence, WriterId};
use crate::segment::format::{Extent, FRAMES_OFFSET};
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

    /// Where to go on in a segment, which may be read up to `limit`: at the checkpoint if that names this segment, else at
    /// the start. The checkpoint's number decides what is folded; its place only saves the way there.
    pub(crate) fn place_in(self, segment: SegmentId, base: Sequence, limit: Extent) -> Extent {
        let frames = (self.sequence.0 + 1).checked_sub(base.0).and_then(|frames| u32::try_from(frames).ok());
        match frames {
            Some(frames) if self.segment == segment && self.offset <= limit.end && frames <= limit.frames => {
                Extent { end: self.offset, frames }
            }
            _ => Extent::EMPTY,
        }
    }
}

/// Up to where each writer's log is folded.
pub(crate) fn read_all(connection: &Connection) -> rusqlite::Result<Vec<(WriterId, Checkpoint)>> {
    let sql = "SELECT w.writer, c.segment, c.offset, c.sequence
               FROM checkpoint AS c JOIN writers AS w ON w.id = c.writer ORDER BY c.writer";
    let mut select = connection.prepare_cached(sql)?;
    let rows = select.query_map([], |row| Ok((writers::read_id(row, 0)?, read_from(row, 1)?)))?;
    rows.collect()
}

/// Up to where one writer's log is folded; `None` if nothing of it is.
pub(crate) fn read_of(connection: &Connection, writer: WriterId) -> rusqlite::Result<Option<Checkpoint>> {
    let sql = "SELECT c.segment, c.offset, c.sequence
               FROM checkpoint AS c JOIN writers AS w ON w.id = c.writer WHERE w.writer = ?1";
    connection.prepare_cached(sql)?.query_row([writer.to_string()], |row| read_from(row, 0)).optional()
}

/// The only writer that has a checkpoint, or the first one, and that.
pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Option<(WriterId, Checkpoint)>> {
    Ok(read_all(connection)?.first().copied())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_saves_the_way_to_its_place_in_its_own_segment_and_in_no_other() {
        let (base, offset) = (Sequence(11), Offset(5000));
        let at = |segment, sequence| Checkpoint { segment: SegmentId(segment), offset, sequence: Sequence(sequence) };
        let limit = |bytes, frames| Extent { end: Offset(bytes), frames };
        let found = |frames| Extent { end: offset, frames };
        for (checkpoint, limit, place) in [
            (at(3, 20), limit(9000, 20), found(10)),
            // As far as the segment may be read, and not beyond.
            (at(3, 20), limit(5000, 10), found(10)),
            (at(3, 20), limit(4999, 10), Extent::EMPTY),
            (at(3, 20), limit(5000, 9), Extent::EMPTY),
            (at(3, 10), limit(9000, 20), found(0)),
            // A number that the segment can't have.
            (at(3, 9), limit(9000, 20), Extent::EMPTY),
            (at(3, 11 + u64::from(u32::MAX)), limit(9000, u32::MAX), Extent::EMPTY),
            // Of another segment, only the number counts.
            (at(2, 20), limit(9000, 20), Extent::EMPTY),
            (at(4, 20), limit(9000, 20), Extent::EMPTY),
        ] {
            assert_eq!(checkpoint.place_in(SegmentId(3), base, limit), place, "{checkpoint:?} up to {limit:?}");
        }
    }
}
