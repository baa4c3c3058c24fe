//! Cells of the roll-ups, read from the database.
//!
//! Runs on the caller's thread.

use super::Query;
use super::stretch::{CellRange, Stretch};
use super::wanted::Outcomes;
use crate::error::IndexError;
use crate::histogram::Histogram;
use crate::rollup::{Cell, Level, Slowest};
use rusqlite::Row;
use rusqlite::types::{Type, Value};
use std::ops::ControlFlow;

/// A cell without its histogram, which only percentiles need: what a search goes by.
#[derive(Debug)]
pub(super) struct CellHead {
    pub(super) call: i64,
    pub(super) level: Level,
    /// The time it takes up.
    pub(super) stretch: Stretch,
    pub(super) outcomes: Outcomes,
    pub(super) last_ts: i64,
    pub(super) slowest: Slowest,
}

impl CellHead {
    /// The level of the cells that make this one up; seconds are made up of rows.
    pub(super) fn finer_level(&self) -> Option<Level> {
        Level::ALL.iter().rev().find(|level| **level < self.level).copied()
    }
}

/// Where the cells of a range stand: `?1` to `?4` are [`place`]'s.
const PLACE: &str = "FROM rollups WHERE level = ?1 AND call = ?2 AND start >= ?3 AND start < ?4";

fn place(call: i64, range: CellRange) -> [Value; 4] {
    [range.level.number().into(), call.into(), range.from_ts.into(), range.before_ts.into()]
}

impl Query {
    /// From the first request on record to the last; `None` if there is none.
    pub(super) fn recorded(&self) -> Result<Option<Stretch>, IndexError> {
        // Two statements in one: SQLite looks up an end of an index only for a minimum or maximum that stands alone.
        let sql = "SELECT (SELECT min(ts) FROM request_rows), (SELECT max(ts) FROM request_rows)";
        self.row(sql, &[], |row| {
            let (first, last): (Option<i64>, Option<i64>) = (row.get(0)?, row.get(1)?);
            Ok(first.zip(last).map(|(first_ts, last_ts)| Stretch { first_ts, last_ts }))
        })
    }

    /// The call's cells in a range, without their histograms.
    pub(super) fn cell_heads(&self, call: i64, range: CellRange) -> Result<Vec<CellHead>, IndexError> {
        let sql = format!("SELECT start, calls, errors, timeouts, tool_errors, last_ts, slowest {PLACE}");
        self.rows(&sql, &place(call, range), |row| {
            Ok(CellHead {
                call,
                level: range.level,
                stretch: Stretch::of_cell(range.level, row.get(0)?),
                outcomes: outcomes(row)?,
                last_ts: row.get(5)?,
                slowest: slowest(row, 6)?,
            })
        })
    }

    /// Hands over the call's cells in a range, whole.
    pub(super) fn each_cell<'a>(
        &self,
        call: i64,
        range: CellRange,
        mut each: impl FnMut(Stretch, Cell) + 'a,
    ) -> Result<(), IndexError> {
        let sql = format!(
            "SELECT start, calls, errors, timeouts, tool_errors, bytes_in, bytes_out, first_ts, last_ts, latencies, slowest \
             {PLACE}"
        );
        self.each_row(&sql, &place(call, range), move |row| {
            let Outcomes { calls, errors, timeouts, tool_errors } = outcomes(row)?;
            let cell = Cell {
                calls,
                errors,
                timeouts,
                tool_errors,
                bytes_in: row.get(5)?,
                bytes_out: row.get(6)?,
                first_ts: row.get(7)?,
                last_ts: row.get(8)?,
                latencies: latencies(row, 9)?,
                slowest: slowest(row, 10)?,
            };
            each(Stretch::of_cell(range.level, row.get(0)?), cell);
            Ok(ControlFlow::Continue(()))
        })
    }

    /// How the call's requests in a range ended, together.
    pub(super) fn outcomes(&self, call: i64, range: CellRange) -> Result<Outcomes, IndexError> {
        // total() would be a float; a sum of no rows is NULL.
        let sql = format!(
            "SELECT NULL, ifnull(sum(calls), 0), ifnull(sum(errors), 0), ifnull(sum(timeouts), 0), \
                    ifnull(sum(tool_errors), 0) {PLACE}"
        );
        self.row(&sql, &place(call, range), outcomes)
    }
}

/// Columns 1 to 4.
fn outcomes(row: &Row<'_>) -> rusqlite::Result<Outcomes> {
    Ok(Outcomes { calls: row.get(1)?, errors: row.get(2)?, timeouts: row.get(3)?, tool_errors: row.get(4)? })
}

fn latencies(row: &Row<'_>, column: usize) -> rusqlite::Result<Histogram> {
    Histogram::decode(row.get_ref(column)?.as_blob()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, Box::new(error)))
}

fn slowest(row: &Row<'_>, column: usize) -> rusqlite::Result<Slowest> {
    Slowest::decode(row.get_ref(column)?.as_blob()?).ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, "expected a list of the slowest requests".into())
    })
}
