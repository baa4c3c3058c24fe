//! Cells of the roll-ups, read from the database.
//!
//! Runs on the caller's thread.

use super::database::Query;
use super::interval::{CellRange, ClosedInterval};
use crate::event::OutcomeCounts;
use crate::fold::cell_scope::CellScope;
use crate::fold::rollup::{Cell, CellSum, Level, Slowest};
use crate::fold::rollup_page;
use crate::ground::error::IndexError;
use rusqlite::types::Type;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// A cell without its histogram, which only percentiles need. Searches go by these.
#[derive(Debug)]
pub(super) struct CellHead {
    /// Whose requests the cell counts.
    pub(super) scope: CellScope,
    pub(super) level: Level,
    /// The time of the cell.
    pub(super) interval: ClosedInterval,
    pub(super) counts: OutcomeCounts,
    pub(super) last_ts: i64,
    pub(super) slowest: Slowest,
}

impl CellHead {
    /// The level of the cells that make this one up; `None` for seconds, which rows make up.
    pub(super) fn finer_level(&self) -> Option<Level> {
        Level::ALL.iter().rev().find(|level| **level < self.level).copied()
    }

    /// The range that holds this cell and the cells of other scopes at the same time.
    pub(super) fn own_range(&self) -> CellRange {
        let from_ts = self.interval.first_ts;
        CellRange { level: self.level, from_ts, before_ts: from_ts.saturating_add(1) }
    }
}

impl Query {
    /// The interval from the first request on record to the last; `None` if there is none.
    pub(super) fn recorded_interval(&self) -> Result<Option<ClosedInterval>, IndexError> {
        // Two statements in one: SQLite looks up an end of an index only for a minimum or maximum that stands alone.
        let sql = "SELECT (SELECT min(ts) FROM request_rows), (SELECT max(ts) FROM request_rows)";
        self.row(sql, &[], |row| {
            let (first, last): (Option<i64>, Option<i64>) = (row.get(0)?, row.get(1)?);
            Ok(first.zip(last).map(|(first_ts, last_ts)| ClosedInterval { first_ts, last_ts }))
        })
    }

    /// The cells of those scopes in a range, without their histograms. The scopes ascend.
    pub(super) fn cell_heads(&self, scopes: &[CellScope], range: CellRange) -> Result<Vec<CellHead>, IndexError> {
        let mut heads = Vec::new();
        self.each_bytes(scopes, range, |scope, start, mut bytes| {
            let cell = Cell::decode_head(start, &mut bytes)?;
            heads.push(CellHead {
                scope,
                level: range.level,
                interval: ClosedInterval::of_cell(range.level, start),
                counts: cell.counts,
                last_ts: cell.last_ts,
                slowest: cell.slowest,
            });
            Some(())
        })?;
        Ok(heads)
    }

    /// Hands over the cells of those scopes in a range, whole, each with its scope and its time. The scopes ascend.
    pub(super) fn each_cell(
        &self,
        scopes: &[CellScope],
        range: CellRange,
        mut each: impl FnMut(CellScope, ClosedInterval, Cell),
    ) -> Result<(), IndexError> {
        self.each_bytes(scopes, range, |scope, start, bytes| {
            each(scope, ClosedInterval::of_cell(range.level, start), Cell::decode(start, bytes)?);
            Some(())
        })
    }

    /// Adds the cells of those calls in a range to sums by call. The calls ascend.
    pub(super) fn sum_cells(
        &self,
        calls: &[i64],
        range: CellRange,
        sums: &mut BTreeMap<i64, CellSum>,
    ) -> Result<(), IndexError> {
        let scopes: Vec<_> = calls.iter().copied().map(CellScope::Call).collect();
        self.each_bytes(&scopes, range, |scope, start, bytes| match scope {
            CellScope::Call(call) => sums.entry(call).or_insert_with(CellSum::empty).add(start, bytes),
            // No caller asks for all calls together.
            CellScope::All => Some(()),
        })
    }

    /// How the requests of those scopes in a range ended, together. The scopes ascend.
    pub(super) fn outcome_counts(&self, scopes: &[CellScope], range: CellRange) -> Result<OutcomeCounts, IndexError> {
        let mut sum = OutcomeCounts::default();
        self.each_bytes(scopes, range, |_, start, mut bytes| {
            sum.merge(&Cell::decode_head(start, &mut bytes)?.counts);
            Some(())
        })?;
        Ok(sum)
    }

    /// Hands over scope, first millisecond and bytes of each cell in a range; `each` returns `None` for bytes that are
    /// no cell.
    fn each_bytes<'a>(
        &self,
        scopes: &[CellScope],
        range: CellRange,
        mut each: impl FnMut(CellScope, i64, &[u8]) -> Option<()> + 'a,
    ) -> Result<(), IndexError> {
        let (Some(first), Some(last)) = (scopes.first(), scopes.last()) else { return Ok(()) };
        let sql = "SELECT start, page, cells FROM rollups \
                   WHERE level = ?1 AND start >= ?2 AND start < ?3 AND page BETWEEN ?4 AND ?5";
        let pages = [rollup_page::page_of(*first), rollup_page::page_of(*last)];
        let place = [range.level.number(), range.from_ts, range.before_ts, pages[0], pages[1]].map(Into::into);
        let scopes = scopes.to_vec();
        self.each_row(sql, &place, move |row| {
            let corrupt = |error| rusqlite::Error::FromSqlConversionFailure(2, Type::Blob, Box::new(error));
            let (start, page) = (row.get(0)?, row.get(1)?);
            for cell in rollup_page::cells(page, row.get_ref(2)?.as_blob()?) {
                let (scope, bytes) = cell.map_err(corrupt)?;
                if scopes.binary_search(&scope).is_ok() {
                    each(scope, start, bytes).ok_or_else(|| corrupt(rollup_page::PageError))?;
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }
}
