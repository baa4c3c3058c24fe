//! Which way to the wanted rows is the shortest.
//!
//! Runs on the caller's thread. The number of rows on each way decides, as the roll-ups and the session's own count
//! say. SQLite's planner would choose by statistics that nobody keeps.

use super::database::Query;
use super::rank::Rank;
use super::resolved_filter::ResolvedFilter;
use super::walk::Walk;
use crate::fold::cell_scope::CellScope;
use crate::ground::error::IndexError;

/// A way to the wanted rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Along an index, to its end or until enough rows are found.
    Walk(Walk),
    /// Back over a limited number of all rows, in the hope that matches are dense; then the cheapest of the others.
    TryAll,
    /// From cell to cell.
    Cells,
    /// From cell to cell, but past so many rows and cells at most; then along an index.
    TryCells(i64, Walk),
}

/// About how many rows there are to look at.
#[derive(Debug, Default)]
struct Estimate {
    /// The rows of the wanted calls that are slow enough; all their rows, if the filter has no latency.
    slow: i64,
    /// The rows of all calls in the index by outcome, as far as the filter allows.
    ended_so: i64,
}

impl Query {
    /// The way to the best of the wanted requests. The interval must lie within what is recorded.
    pub(super) fn way(&self, wanted: &ResolvedFilter, rank: Rank) -> Result<Way, IndexError> {
        if let Some(session) = wanted.session {
            if session.requests <= self.tuning.session_rows {
                return Ok(Way::Walk(Walk::Session(session.id)));
            }
            return self.cheapest_way(wanted, rank);
        }
        let has_more_conditions = wanted.excludes_calls || wanted.slower_than_us.is_some();
        Ok(match rank {
            // Every row on these walks is wanted.
            Rank::Newest if !has_more_conditions && wanted.is_without_plain_results() => {
                Way::Walk(outcome_walk(wanted))
            }
            Rank::Newest if !has_more_conditions && wanted.outcomes.is_full() => Way::Walk(Walk::All),
            Rank::Newest => Way::TryAll,
            Rank::Slowest => self.cheapest_way(wanted, rank)?,
        })
    }

    /// The way with the fewest rows on it. The walk over all rows is no candidate: it has been tried, or can't end
    /// early.
    pub(super) fn cheapest_way(&self, wanted: &ResolvedFilter, rank: Rank) -> Result<Way, IndexError> {
        let session = wanted.session.map(|session| (session.requests, Walk::Session(session.id)));
        if rank == Rank::Slowest {
            return Ok(match session {
                // Cells name the slowest requests of each outcome.
                None => Way::Cells,
                // Nobody knows beforehand whether the slowest of all belong to the session. Finding out costs a quarter
                // of the session's walk, which must go to its end, or a few milliseconds.
                Some((rows, walk)) => Way::TryCells((rows / 4).max(self.tuning.tried_looks), walk),
            });
        }
        let estimate = self.estimate(wanted)?;
        let ended_so = wanted.is_without_plain_results().then(|| (estimate.ended_so, outcome_walk(wanted)));
        let walk = session.into_iter().chain(ended_so).min_by_key(|(rows, _)| *rows);
        Ok(match walk {
            Some((rows, walk)) if rows < estimate.slow => Way::Walk(walk),
            _ => Way::Cells,
        })
    }

    /// The walk that leads to all wanted rows in the order of time.
    pub(super) fn whole_walk(wanted: &ResolvedFilter) -> Walk {
        match (wanted.session, wanted.calls.as_slice()) {
            (Some(session), _) => Walk::Session(session.id),
            (None, _) if wanted.is_without_plain_results() => outcome_walk(wanted),
            (None, [call]) => Walk::Call(*call),
            _ => Walk::All,
        }
    }

    /// Counts from one or two cells per call, in proportion to the time that they share with the interval.
    fn estimate(&self, wanted: &ResolvedFilter) -> Result<Estimate, IndexError> {
        let mut estimate = Estimate::default();
        let range = wanted.interval.touched(wanted.interval.level());
        self.each_cell(&wanted.scopes(), range, |_, time, cell| {
            let slow = wanted.slower_than_us.map_or(cell.counts.calls(), |above_us| {
                let buckets = cell.latencies.buckets().filter(|bucket| bucket.high > above_us);
                buckets.map(|bucket| i64::try_from(bucket.count).unwrap_or(i64::MAX)).sum()
            });
            estimate.slow = estimate.slow.saturating_add(wanted.interval.share_of(time, slow));
        })?;
        if wanted.is_without_plain_results() {
            for cell in self.cell_heads(&[CellScope::All], range)? {
                let share = wanted.interval.share_of(cell.interval, wanted.ended_so(&cell.counts));
                estimate.ended_so = estimate.ended_so.saturating_add(share);
            }
        }
        Ok(estimate)
    }
}

/// The walk over all rows that ended in a wanted way.
fn outcome_walk(wanted: &ResolvedFilter) -> Walk {
    Walk::Ended(wanted.outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::filter::RequestFilter;
    use crate::query::test_store::TestStore;

    /// Three slow requests and a hundred quick ones of two methods, every second one of session `s`.
    fn store() -> TestStore {
        let store = TestStore::new();
        for (number, method) in (0..103).zip(["a", "b"].into_iter().cycle()) {
            let row = store.request(&format!("r{number}"), 1 + number, method);
            let row = row.set("latency_us", if number < 3 { 1_000_000 } else { 100 });
            if number % 2 == 0 { row.set("session_id", "s").insert() } else { row.insert() }
        }
        store.execute("UPDATE session_state SET total_calls = 52");
        store
    }

    #[test]
    fn all_wanted_rows_are_walked_along_the_index_that_has_the_fewest_others() {
        let query = store().query();
        let walk = |filter: RequestFilter| Query::whole_walk(&query.resolve(&filter).unwrap().unwrap());
        let method = Some("a".to_owned());
        assert_eq!(walk(RequestFilter::default()), Walk::All);
        assert!(matches!(walk(RequestFilter { method: method.clone(), ..RequestFilter::default() }), Walk::Call(_)));
        let of_session = RequestFilter { session_id: Some("s".into()), method, ..RequestFilter::default() };
        assert!(matches!(walk(of_session), Walk::Session(_)));
    }

    #[test]
    fn a_session_is_walked_unless_the_cells_promise_fewer_rows_that_are_slow_enough() {
        let store = store();
        let mut query = store.query();
        query.tuning.session_rows = 10;
        for (slower_than_us, is_walked) in [(None, true), (Some(10), true), (Some(10_000), false)] {
            let filter = RequestFilter { session_id: Some("s".into()), slower_than_us, ..RequestFilter::default() };
            let wanted = query.resolve(&filter).unwrap().unwrap();
            let way = query.cheapest_way(&wanted, Rank::Newest).unwrap();
            assert_eq!(matches!(way, Way::Walk(Walk::Session(_))), is_walked, "{slower_than_us:?}: {way:?}");
        }
    }
}
