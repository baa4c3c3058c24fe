//! What the database says the log does not have: damaged bytes in table `quarantine`, and missing records in table `gaps`.
//!
//! Runs on the compactor. Table `quarantine` also has records that can't be decoded; this file passes over them.

use super::database::Index;
use crate::ground::clock::now_ms;
use crate::ground::error::IndexError;
use crate::ground::position::{Offset, SegmentId};
use crate::segment::number_set::NumberSet;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use std::collections::HashSet;

/// A row of the table that names damaged bytes and no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DamageRow {
    pub(crate) segment: SegmentId,
    pub(crate) offset: Offset,
    pub(crate) bytes: u64,
    pub(crate) reason: String,
}

/// The segments in which damage was found.
pub(crate) fn damaged_segments<T: FromIterator<SegmentId>>(connection: &Connection) -> rusqlite::Result<T> {
    connection
        .prepare("SELECT DISTINCT segment FROM quarantine WHERE sequence IS NULL")?
        .query_map([], |row| row.get(0).map(SegmentId))?
        .collect()
}

/// The numbers of the records that were missing when the log was folded past them.
pub(crate) fn missing_numbers(connection: &Connection) -> rusqlite::Result<NumberSet> {
    let mut missing = NumberSet::default();
    let mut select = connection.prepare("SELECT id, events FROM gaps WHERE missing = 1")?;
    let mut runs = select.query([])?;
    while let Some(run) = runs.next()? {
        let (first, records): (u64, u64) = (run.get(0)?, run.get(1)?);
        missing.insert_all(first, first.saturating_add(records).saturating_sub(1));
    }
    Ok(missing)
}

impl Index {
    /// The numbers of the records that were missing when the log was folded past them.
    pub(crate) fn missing_numbers(&self) -> Result<NumberSet, IndexError> {
        self.checked(missing_numbers(&self.connection))
    }

    /// The segments in which damage was found.
    pub(crate) fn damaged_segments(&self) -> Result<HashSet<SegmentId>, IndexError> {
        self.checked(damaged_segments(&self.connection))
    }

    /// The first `count` damaged places of a segment.
    pub(crate) fn damage_in(&self, segment: SegmentId, count: usize) -> Result<Vec<DamageRow>, IndexError> {
        let read = || {
            self.connection
                .prepare(
                    "SELECT offset, bytes, reason FROM quarantine WHERE segment = ?1 AND sequence IS NULL
                     ORDER BY offset LIMIT ?2",
                )?
                .query_map(params![segment.0, count], |row| {
                    Ok(DamageRow { segment, offset: Offset(row.get(0)?), bytes: row.get(1)?, reason: row.get(2)? })
                })?
                .collect()
        };
        self.checked(read())
    }

    /// Adds rows, in a transaction of their own. A row that the table already has stays as it is.
    pub(crate) fn add_damage(&mut self, rows: impl Iterator<Item = DamageRow>) -> Result<(), IndexError> {
        let add = || {
            let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
            for row in rows {
                transaction
                    .prepare_cached(
                        "INSERT INTO quarantine (segment, offset, bytes, reason, noted_at) VALUES (?1, ?2, ?3, ?4, ?5)
                         ON CONFLICT (segment, offset) DO NOTHING",
                    )?
                    .execute(params![row.segment.0, row.offset.0, row.bytes, row.reason, now_ms()])?;
            }
            transaction.commit()
        };
        let added = add();
        self.checked(added)
    }
}
