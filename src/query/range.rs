//! Counts and sums over a range of time, put together from cells and, at its ragged ends, from rows.
//!
//! Runs on the caller's thread. However long the range is, it reads at most twelve ranges of cells per call, and the
//! rows of two minutes of few requests or of two seconds.

use super::stretch::{CellRange, Cover, Stretch};
use super::walk::{Order, Walk};
use super::wanted::Wanted;
use super::{Query, RequestFilter};
use crate::error::IndexError;
use crate::rollup::{Cell, Level, Sample};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

impl Query {
    /// How many requests the filter keeps, its limit aside; `None` where only rows tell.
    pub(super) fn count_in_cells(&self, filter: &RequestFilter) -> Result<Option<i64>, IndexError> {
        let Some((wanted, cover)) = self.wanted_cover(filter)? else { return Ok(Some(0)) };
        if wanted.needs_rows() {
            return Ok(None);
        }
        let mut counted = 0_i64;
        for call in &wanted.calls {
            let parts = self.refined(*call, &cover)?;
            for range in parts.cells {
                counted = counted.saturating_add(wanted.by_outcome(&self.outcomes(*call, range)?));
            }
            for stretch in parts.loose {
                self.walk(Walk::Call(*call), Order::OldestFirst, stretch, |facts| {
                    counted += i64::from(wanted.keeps(facts));
                    ControlFlow::Continue(())
                })?;
            }
        }
        Ok(Some(counted))
    }

    /// What the requests that the filter keeps add up to, by call; `None` where only rows tell.
    pub(super) fn stats_in_cells(&self, filter: &RequestFilter) -> Result<Option<BTreeMap<i64, Cell>>, IndexError> {
        let mut stats = BTreeMap::new();
        let Some((wanted, cover)) = self.wanted_cover(filter)? else { return Ok(Some(stats)) };
        if wanted.needs_rows() || wanted.status.is_some() || filter.limit.is_some() {
            return Ok(None);
        }
        for call in &wanted.calls {
            let mut sum = Cell::empty();
            let parts = self.refined(*call, &cover)?;
            for range in parts.cells {
                self.each_cell(*call, range, |_, cell| sum.merge(&cell))?;
            }
            for stretch in parts.loose {
                let mut samples = Vec::new();
                self.walk(Walk::Call(*call), Order::OldestFirst, stretch, |facts| {
                    samples.push(Sample {
                        id: facts.id,
                        ts: facts.ts,
                        latency_us: facts.latency_us,
                        status: facts.status,
                        tool_error: facts.tool_error,
                        bytes_in: facts.bytes_in,
                        bytes_out: facts.bytes_out,
                    });
                    ControlFlow::Continue(())
                })?;
                sum.merge(&Cell::of(&samples));
            }
            if sum.calls > 0 {
                stats.insert(*call, sum);
            }
        }
        Ok(Some(stats))
    }

    /// What is wanted, and the cells and stretches of its time; `None` if nothing is.
    fn wanted_cover(&self, filter: &RequestFilter) -> Result<Option<(Wanted, Cover)>, IndexError> {
        let Some(wanted) = self.wanted(filter)? else { return Ok(None) };
        let Some(recorded) = self.recorded()? else { return Ok(None) };
        let cover = wanted.stretch.cover(recorded);
        Ok(Some((wanted, cover)))
    }

    /// The cover with seconds in it, where the call has some: in minutes of many requests.
    fn refined(&self, call: i64, cover: &Cover) -> Result<Cover, IndexError> {
        let mut refined = Cover { cells: cover.cells.clone(), loose: Vec::new() };
        for loose in &cover.loose {
            let minute = Stretch::of_cell(Level::Minute, Level::Minute.start_of(loose.first_ts));
            let seconds: CellRange = minute.touched(Level::Second);
            if self.outcomes(call, seconds)?.calls == 0 {
                refined.loose.push(*loose);
                continue;
            }
            let with_seconds = loose.cover_with_seconds();
            refined.cells.extend(with_seconds.cells);
            refined.loose.extend(with_seconds.loose);
        }
        Ok(refined)
    }
}
