//! Which record of which writer a row of an old database is: its tables `fold_runs` and `writers`, as far as they can be
//! read.
//!
//! A new database gives its own ids, in its own order of folding. What both know is the writer and the number of its record.
//! Runs on the thread that rebuilds, by a connection that only reads.

use super::old_rows::OldRows;
use super::writer_column;
use super::writers::OldWriter;
use crate::ground::position::{Sequence, WriterId};
use crate::ground::work::WorkError;
use crate::segment::number_set::NumberSet;
use rusqlite::Connection;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

/// The writer that a row is taken to be of where nobody can say any more whose it is.
const UNKNOWN: WriterId = WriterId([0; 16]);

/// What the tables say.
#[derive(Debug, Default)]
pub(crate) struct OldRuns {
    /// By their numbers in table `writers`.
    writers: HashMap<i64, OldWriter>,
    /// By their first ids.
    runs: Vec<Run>,
}

/// So many ids, for as many records of a writer.
#[derive(Clone, Copy, Debug)]
struct Run {
    first_id: u64,
    writer: WriterId,
    first_sequence: u64,
    count: u64,
}

impl OldRuns {
    /// Reads them from the database at `path`.
    pub(crate) fn read(connection: &Connection, path: &Path) -> Result<Self, WorkError> {
        let rows = OldRows::plain(connection, path);
        let watch = &mut |_| ControlFlow::Continue(());
        let mut writers = HashMap::new();
        let select = format!("SELECT id, {} FROM writers", OldWriter::COLUMNS);
        let outcome = rows.each_row("writers", "id", &select, 0, watch, &mut |row| {
            let read = || Ok(Some((row.get::<_, i64>(0)?, OldWriter::read(row, 1)?)));
            rows.hand_over(read(), |(number, writer)| {
                writers.insert(number, writer);
                Ok(())
            })
        })?;
        if !outcome.is_sound {
            // The index has every id, too.
            let sql = "SELECT id, writer FROM writers INDEXED BY sqlite_autoindex_writers_1";
            let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, writer_column::read(row, 1)?));
            for (number, writer) in rows.index_rows(sql, read)?.unwrap_or_default() {
                writers.entry(number).or_insert_with(|| OldWriter::new(writer));
            }
        }
        let mut runs = Vec::new();
        let select = "SELECT first_id, writer, first_sequence, count FROM fold_runs";
        rows.each_row("fold_runs", "first_id", select, 0, watch, &mut |row| {
            let read = || {
                let writer = writers.get(&row.get::<_, i64>(1)?).map(|writer| writer.id);
                let (first_id, first_sequence, count) = (row.get(0)?, row.get(2)?, row.get::<_, u64>(3)?);
                // A number that no log reaches is a damaged one.
                let is_sound = |number: u64| number.checked_add(count).is_some_and(|end| end <= 1 << 62);
                let is_sound = count > 0 && is_sound(first_id) && is_sound(first_sequence);
                Ok(writer.filter(|_| is_sound).map(|writer| Run { first_id, writer, first_sequence, count }))
            };
            rows.hand_over(read(), |run| {
                runs.push(run);
                Ok(())
            })
        })?;
        runs.sort_unstable_by_key(|run| run.first_id);
        Ok(Self { writers, runs })
    }

    /// The record of a row with that id.
    pub(crate) fn record(&self, id: i64) -> (WriterId, Sequence) {
        let id = u64::try_from(id).unwrap_or(0);
        let behind = self.runs.partition_point(|run| run.first_id <= id);
        let run = behind.checked_sub(1).and_then(|at| self.runs.get(at)).filter(|run| id < run.first_id + run.count);
        run.map_or((UNKNOWN, Sequence(id)), |run| (run.writer, Sequence(run.first_sequence + (id - run.first_id))))
    }

    /// Adds the ids of records: `numbers` tells which of a writer's are meant.
    pub(crate) fn add_ids<'n>(&self, numbers: impl Fn(WriterId) -> Option<&'n NumberSet>, ids: &mut NumberSet) {
        for run in &self.runs {
            let Some(numbers) = numbers(run.writer) else { continue };
            let (mut due, last) = (run.first_sequence, run.first_sequence + run.count - 1);
            let mut add = |first: u64, last: u64| {
                let id = |number: u64| run.first_id + (number - run.first_sequence);
                if first <= last {
                    ids.insert_all(id(first), id(last));
                }
            };
            for (missing, end) in numbers.missing_within(due, last) {
                if missing > due {
                    add(due, missing - 1);
                }
                due = end + 1;
            }
            if due <= last {
                add(due, last);
            }
        }
    }

    /// The writer with that number in the table.
    pub(crate) fn writer(&self, number: i64) -> WriterId {
        self.writers.get(&number).map_or(UNKNOWN, |writer| writer.id)
    }

    /// All writers.
    pub(super) fn writers(&self) -> impl Iterator<Item = &OldWriter> {
        self.writers.values()
    }

    /// The last number of each writer that has an id.
    pub(crate) fn last_numbers(&self) -> HashMap<WriterId, Sequence> {
        let mut last = HashMap::new();
        for run in &self.runs {
            let of_writer: &mut Sequence = last.entry(run.writer).or_default();
            *of_writer = (*of_writer).max(Sequence(run.first_sequence + run.count - 1));
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_record_and_the_records_that_a_log_has_are_ids() {
        let [one, other] = [1, 2].map(|byte| WriterId([byte; 16]));
        let run = |first_id, writer, first_sequence, count| Run { first_id, writer, first_sequence, count };
        let runs = OldRuns {
            runs: vec![run(1, one, 1, 10), run(11, other, 1, 5), run(16, one, 11, 5), run(30, other, 100, 1)],
            ..OldRuns::default()
        };
        for (id, expected) in
            [(1, (one, 1)), (10, (one, 10)), (11, (other, 1)), (15, (other, 5)), (16, (one, 11)), (30, (other, 100))]
        {
            assert_eq!(runs.record(id), (expected.0, Sequence(expected.1)), "{id}");
        }
        for unknown in [0, 21, 29, 31] {
            assert_eq!(runs.record(unknown), (UNKNOWN, Sequence(unknown.cast_unsigned())));
        }
        let mut numbers = NumberSet::default();
        [(2, 3), (9, 12), (20, 30)].into_iter().for_each(|(first, last)| numbers.insert_all(first, last));
        let mut ids = NumberSet::default();
        runs.add_ids(|writer| (writer == one).then_some(&numbers), &mut ids);
        assert_eq!(ids.runs().collect::<Vec<_>>(), [(2, 3), (9, 10), (16, 17)]);
        assert_eq!(runs.last_numbers(), [(one, Sequence(15)), (other, Sequence(100))].into());
    }
}
