//! Table `fold_runs`: which record of which writer is which row.
//!
//! Runs on the compactor, within a batch. Each record that is folded takes the next id. So ids are the order of folding,
//! new rows come at the end of their tables, whoever's they are, and nothing is added to a row. Ids made of writer and
//! number were rejected: each writer would have a place of growth of its own in every table, with half-empty pages.
//!
//! Nothing is remembered from one transaction to the next. The table itself says which id comes next.

use crate::ground::position::{Sequence, WriterId};
use rusqlite::{Connection, OptionalExtension, params};

/// The number of a row: the order of folding in one database. (writer, sequence) names the record, in any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FoldId(pub(crate) i64);

/// A record that has its place in the order of folding.
#[derive(Clone, Copy, Debug)]
pub(super) struct FoldedRecord {
    pub(super) id: FoldId,
    pub(super) writer: WriterId,
    /// Its writer's number in table `writers`.
    pub(super) writer_number: i64,
    pub(super) sequence: Sequence,
}

/// The ids that a transaction gives out. Nothing is written before it ends: whether the records are folded already, the
/// checkpoints say by then, and the table never has to refuse one.
#[derive(Debug)]
pub(super) struct FoldRuns {
    next: i64,
    /// The table's last run, which the first records may lengthen, if the table has any; then the transaction's.
    runs: Vec<Run>,
    /// How many records of the first run the table has; 0 if the table does not have it.
    written: i64,
}

/// So many records of a writer, from one on, and as many ids.
#[derive(Clone, Copy, Debug)]
struct Run {
    first_id: i64,
    writer: i64,
    first_sequence: i64,
    count: i64,
}

impl FoldRuns {
    /// Goes on where the table ends.
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT first_id, writer, first_sequence, count FROM fold_runs ORDER BY first_id DESC LIMIT 1";
        let last = connection.prepare_cached(sql)?.query_row([], |row| {
            Ok(Run { first_id: row.get(0)?, writer: row.get(1)?, first_sequence: row.get(2)?, count: row.get(3)? })
        });
        let last = last.optional()?;
        let (next, written) = last.map_or((1, 0), |run| (run.first_id + run.count, run.count));
        Ok(Self { next, runs: last.into_iter().collect(), written })
    }

    /// The id of a record of that writer, by its number in table `writers`.
    pub(super) fn take(&mut self, writer: i64, sequence: Sequence) -> FoldId {
        let sequence = i64::try_from(sequence.0).unwrap_or(i64::MAX);
        let id = self.next;
        match self.runs.last_mut() {
            Some(run) if run.writer == writer && run.first_sequence.checked_add(run.count) == Some(sequence) => {
                run.count += 1;
            }
            _ => self.runs.push(Run { first_id: id, writer, first_sequence: sequence, count: 1 }),
        }
        self.next += 1;
        FoldId(id)
    }

    /// Writes what the table does not have.
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        for (at, Run { first_id, writer, first_sequence, count }) in self.runs.iter().enumerate() {
            let written = if at == 0 { self.written } else { 0 };
            if written == 0 {
                let sql = "INSERT INTO fold_runs (first_id, writer, first_sequence, count) VALUES (?1, ?2, ?3, ?4)";
                connection.prepare_cached(sql)?.execute(params![first_id, writer, first_sequence, count])?;
            } else if written < *count {
                let sql = "UPDATE fold_runs SET count = ?2 WHERE first_id = ?1";
                connection.prepare_cached(sql)?.execute(params![first_id, count])?;
            }
        }
        Ok(())
    }
}

/// Removes runs behind id `after` that no row is left of; looks at `max` runs at most. Returns the last one that it looked
/// at, if there may be more.
///
/// Rows go by their age, and most in the order of their ids: so only the runs before the first request are looked at. The
/// last run stays, because the next id follows from it.
pub(super) fn expire(connection: &Connection, after: i64, max: usize) -> rusqlite::Result<Option<i64>> {
    let limit = "SELECT min((SELECT max(first_id) FROM fold_runs), coalesce((SELECT min(id) FROM request_rows), ?1))";
    let limit: Option<i64> = connection.prepare_cached(limit)?.query_row([i64::MAX], |row| row.get(0))?;
    let Some(limit) = limit else { return Ok(None) };
    let last: Option<i64> = connection
        .prepare_cached(
            "SELECT max(first_id) FROM (SELECT first_id FROM fold_runs WHERE first_id > ?1 AND first_id < ?2
                                        ORDER BY first_id LIMIT ?3)",
        )?
        .query_row(params![after, limit, max], |row| row.get(0))?;
    let Some(last) = last else { return Ok(None) };
    let has_rows: Vec<_> = ["request_rows", "schema_sightings", "gaps", "clock_steps", "newer_records"]
        .iter()
        .map(|table| format!("EXISTS (SELECT 1 FROM {table} WHERE id >= first_id AND id < first_id + count)"))
        .collect();
    let sql =
        format!("DELETE FROM fold_runs WHERE first_id > ?1 AND first_id <= ?2 AND NOT ({})", has_rows.join(" OR "));
    connection.prepare_cached(&sql)?.execute([after, last])?;
    Ok(Some(last))
}
