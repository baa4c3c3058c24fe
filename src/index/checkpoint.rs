//! Up to where the log is folded. It commits with the rows that it speaks of; `batch.rs` writes it.

use crate::ground::position::{Offset, SegmentId, Sequence, WriterId};
use crate::segment::format::{Extent, FRAMES_OFFSET};
use crate::segment::witness::Folded;
use rusqlite::{Connection, OptionalExtension, params};

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

    /// The same, for who opens the log.
    pub(crate) fn folded(self) -> Folded {
        Folded { sequence: self.sequence, place: Some((self.segment, self.offset)) }
    }

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

/// Whose log is folded in that database, and how far; `None` before the first commit.
pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Option<(WriterId, Checkpoint)>> {
    let sql = "SELECT writer_id, segment, offset, sequence FROM checkpoint WHERE id = 1";
    let read = connection.query_row(sql, [], |row| {
        let (segment, offset) = (SegmentId(row.get(1)?), Offset(row.get(2)?));
        Ok((WriterId(row.get(0)?), Checkpoint { segment, offset, sequence: Sequence(row.get(3)?) }))
    });
    read.optional()
}

/// Notes whose log is folded in that database, of which nothing is folded yet.
pub(super) fn begin(connection: &Connection, writer_id: WriterId) -> rusqlite::Result<()> {
    let Checkpoint { segment, offset, sequence } = Checkpoint::START;
    let sql = "INSERT OR IGNORE INTO checkpoint (id, writer_id, segment, offset, sequence) VALUES (1, ?1, ?2, ?3, ?4)";
    connection.execute(sql, params![writer_id.0, segment.0, offset.0, sequence.0]).map(|_| ())
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
