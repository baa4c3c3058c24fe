//! Counts and sums over a range of time, put together from cells and, at the edges of the range, from rows.
//!
//! Runs on the caller's thread. However long the range is, a query reads at most thirteen ranges of cells, two of them
//! of seconds, and the rows of two minutes that are not dense or of two seconds.

use super::database::Query;
use super::filter::RequestFilter;
use super::interval::{ClosedInterval, Cover};
use super::resolved_filter::{ResolvedFilter, SearchRow};
use super::walk::{Order, Walk};
use crate::fold::cell_scope::CellScope;
use crate::fold::rollup::{Cell, CellSum, DENSE_CALLS, Level, Sample};
use crate::ground::error::IndexError;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// By call: a cell without its slowest, and the latency of the slowest, if any request has one.
pub(super) type SumsByCall = BTreeMap<i64, (Cell, Option<i64>)>;

impl Query {
    /// How many requests the filter keeps, its limit aside; `None` if cells can't say.
    pub(super) fn count_in_cells(&self, filter: &RequestFilter) -> Result<Option<i64>, IndexError> {
        let Some((wanted, cover)) = self.resolve_and_cover(filter)? else { return Ok(Some(0)) };
        if wanted.needs_rows() {
            return Ok(None);
        }
        let mut counted = 0_i64;
        for range in cover.cells {
            counted = counted.saturating_add(wanted.ended_so(&self.outcome_counts(&wanted.scopes(), range)?));
        }
        for interval in cover.edges {
            self.each_in_edge(&wanted, interval, |_| counted += 1)?;
        }
        Ok(Some(counted))
    }

    /// The sums over the requests that the filter keeps; `None` if cells can't say.
    pub(super) fn stats_in_cells(&self, filter: &RequestFilter) -> Result<Option<SumsByCall>, IndexError> {
        let Some((wanted, cover)) = self.resolve_and_cover(filter)? else { return Ok(Some(BTreeMap::new())) };
        if wanted.needs_rows() || !wanted.outcomes.is_full() || filter.limit.is_some() {
            return Ok(None);
        }
        let mut sums = BTreeMap::new();
        for range in cover.cells {
            self.sum_cells(&wanted.calls, range, &mut sums)?;
        }
        let mut samples: BTreeMap<i64, Vec<Sample>> = BTreeMap::new();
        for interval in cover.edges {
            self.each_in_edge(&wanted, interval, |row| samples.entry(row.call).or_default().push(row.sample()))?;
        }
        for (call, samples) in samples {
            sums.entry(call).or_insert_with(CellSum::empty).add_samples(&samples);
        }
        Ok(Some(sums.into_iter().map(|(call, sum)| (call, sum.finish())).collect()))
    }

    /// Hands over the wanted requests of an edge, which no cells make up.
    fn each_in_edge(
        &self,
        wanted: &ResolvedFilter,
        interval: ClosedInterval,
        mut each: impl FnMut(&SearchRow),
    ) -> Result<(), IndexError> {
        let walks = match wanted.excludes_calls && wanted.calls.len() <= self.tuning.few_calls {
            true => wanted.calls.iter().map(|call| Walk::Call(*call)).collect(),
            false => vec![Walk::All],
        };
        for walk in walks {
            self.walk(walk, Order::OldestFirst, interval, |row| {
                if wanted.keeps(row) {
                    each(row);
                }
                ControlFlow::Continue(())
            })?;
        }
        Ok(())
    }

    /// The resolved filter, and the cover of its time; `None` if the filter keeps nothing.
    fn resolve_and_cover(&self, filter: &RequestFilter) -> Result<Option<(ResolvedFilter, Cover)>, IndexError> {
        let Some(wanted) = self.resolve(filter)? else { return Ok(None) };
        let Some(recorded) = self.recorded_interval()? else { return Ok(None) };
        let cover = self.refine_to_seconds(wanted.interval.cover(recorded))?;
        Ok(Some((wanted, cover)))
    }

    /// The cover with whole seconds in the place of most of an edge, where the edge's minute is dense and so has
    /// seconds.
    fn refine_to_seconds(&self, cover: Cover) -> Result<Cover, IndexError> {
        let (mut cells, mut edges) = (Vec::new(), Vec::new());
        for interval in cover.edges {
            let minute = ClosedInterval { last_ts: interval.first_ts, ..interval }.touched(Level::Minute);
            if self.outcome_counts(&[CellScope::All], minute)?.calls() < DENSE_CALLS {
                edges.push(interval);
                continue;
            }
            let with_seconds = interval.cover_with_seconds();
            cells.extend(with_seconds.cells);
            edges.extend(with_seconds.edges);
        }
        cells.extend(cover.cells);
        Ok(Cover { cells, edges })
    }
}
