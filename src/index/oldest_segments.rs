//! Which segments the logs still have, as far as notes of damage are concerned.
//!
//! Runs on the compactor, and by a connection that only reads.

use super::writers;
use crate::ground::position::{SegmentId, WriterId};
use rusqlite::{Connection, ToSql};
use std::collections::HashMap;

/// The oldest segment of each log in `wal/`. A writer that is not there has no log there any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum OldestSegments {
    /// Nobody looked so far: each log may have each of its segments.
    #[default]
    Unknown,
    /// These.
    Of(HashMap<WriterId, SegmentId>),
}

impl OldestSegments {
    /// Whether the log of that writer can't have that segment any more.
    pub(crate) fn is_gone(&self, writer: WriterId, segment: SegmentId) -> bool {
        match self {
            Self::Unknown => false,
            Self::Of(oldest) => oldest.get(&writer).is_none_or(|oldest| segment < *oldest),
        }
    }
}

/// The notes in table `quarantine` (`q`) within a range that were made before ?3 and that nobody needs any more. Notes of
/// damaged bytes are needed as long as the log has the segment: retiring asks which segments are damaged.
pub(super) fn expired_notes(
    connection: &Connection,
    range: &str,
    values: &[&dyn ToSql],
    oldest: &OldestSegments,
) -> rusqlite::Result<Vec<i64>> {
    let sql = format!(
        "SELECT q.id, w.writer, q.segment, q.sequence IS NOT NULL
         FROM quarantine AS q JOIN writers AS w ON w.id = q.writer WHERE {range} AND q.noted_at < ?3"
    );
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(values)?;
    let mut expired = Vec::new();
    while let Some(row) = rows.next()? {
        let is_record: bool = row.get(3)?;
        if is_record || oldest.is_gone(writers::read_id(row, 1)?, SegmentId(row.get(2)?)) {
            expired.push(row.get(0)?);
        }
    }
    Ok(expired)
}
