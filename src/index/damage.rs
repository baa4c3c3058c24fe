//! What the database says the logs do not have: damaged bytes and records that can't be decoded in table `quarantine`, and
//! missing records in table `gaps`.
//!
//! Runs on the compactor.

use super::database::Index;
use super::writer_column;
use crate::ground::error::IndexError;
use crate::ground::position::{Offset, SegmentId, WriterId};
use crate::segment::number_set::NumberSet;
use rusqlite::{Connection, params};
use std::collections::{HashMap, HashSet};

/// A row of the table: damaged bytes, or a record that can't be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DamageRow {
    pub(crate) writer: WriterId,
    pub(crate) segment: SegmentId,
    pub(crate) offset: Offset,
    pub(crate) bytes: u64,
    pub(crate) reason: String,
}

/// The segments in which damage was found, and of whose log they are.
pub(crate) fn damaged_segments<T: FromIterator<(WriterId, SegmentId)>>(connection: &Connection) -> rusqlite::Result<T> {
    connection
        .prepare("SELECT DISTINCT w.writer, q.segment FROM quarantine AS q JOIN writers AS w ON w.id = q.writer")?
        .query_map([], |row| Ok((writer_column::read(row, 0)?, SegmentId(row.get(1)?))))?
        .collect()
}

/// The numbers of the records that were missing when a writer's log was folded past them.
pub(crate) fn missing_numbers(connection: &Connection) -> rusqlite::Result<HashMap<WriterId, NumberSet>> {
    let mut missing = HashMap::<WriterId, NumberSet>::new();
    let mut select = connection.prepare(
        "SELECT w.writer, g.sequence, g.events FROM gaps AS g JOIN writers AS w ON w.id = g.writer WHERE g.missing = 1",
    )?;
    let mut runs = select.query([])?;
    while let Some(run) = runs.next()? {
        let (first, records): (u64, u64) = (run.get(1)?, run.get(2)?);
        let of_writer = missing.entry(writer_column::read(run, 0)?).or_default();
        of_writer.insert_all(first, first.saturating_add(records).saturating_sub(1));
    }
    Ok(missing)
}

impl Index {
    /// The numbers of the records that were missing when a writer's log was folded past them.
    pub(crate) fn missing_numbers(&self) -> Result<HashMap<WriterId, NumberSet>, IndexError> {
        self.checked(missing_numbers(&self.connection))
    }

    /// The segments in which damage was found, and of whose log they are.
    pub(crate) fn damaged_segments(&self) -> Result<HashSet<(WriterId, SegmentId)>, IndexError> {
        self.checked(damaged_segments(&self.connection))
    }

    /// The first `count` damaged places of a segment.
    pub(crate) fn damage_in(
        &self,
        writer: WriterId,
        segment: SegmentId,
        count: usize,
    ) -> Result<Vec<DamageRow>, IndexError> {
        let read = || {
            self.connection
                .prepare(
                    "SELECT offset, bytes, reason FROM quarantine
                     WHERE writer = (SELECT id FROM writers WHERE writer = ?1) AND segment = ?2
                     ORDER BY offset LIMIT ?3",
                )?
                .query_map(params![writer.to_string(), segment.0, count], |row| {
                    let (offset, bytes, reason) = (Offset(row.get(0)?), row.get(1)?, row.get(2)?);
                    Ok(DamageRow { writer, segment, offset, bytes, reason })
                })?
                .collect()
        };
        self.checked(read())
    }
}
