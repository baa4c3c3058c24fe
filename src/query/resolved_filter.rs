//! A filter in the numbers of the database, by which searches test rows and cells.
//!
//! Runs on the caller's thread. The test of a row is here and nowhere in SQL, so that every way of finding rows keeps
//! the same rows.

use super::database::Query;
use super::filter::RequestFilter;
use super::interval::ClosedInterval;
use super::outcome_set::OutcomeSet;
use crate::event::{Code, Outcome, OutcomeCounts};
use crate::fold::cell_scope::CellScope;
use crate::fold::rollup::Sample;
use crate::ground::error::IndexError;
use rusqlite::Row;
use std::ops::ControlFlow;

/// Which requests are wanted: a [`RequestFilter`] whose names are resolved to numbers.
#[derive(Debug, Clone)]
pub(super) struct ResolvedFilter {
    pub(super) interval: ClosedInterval,
    /// The ids of all calls that may be wanted, ascending.
    pub(super) calls: Vec<i64>,
    /// Whether any call is excluded.
    pub(super) excludes_calls: bool,
    pub(super) session: Option<ResolvedSession>,
    /// How they may have ended; never empty.
    pub(super) outcomes: OutcomeSet,
    pub(super) slower_than_us: Option<i64>,
}

/// A session by its number, and how many requests it has.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResolvedSession {
    pub(super) id: i64,
    pub(super) requests: i64,
}

/// The columns of a request's row that searches and statistics need, in the order of [`SEARCH_COLUMNS`].
#[derive(Debug, Clone, Copy)]
pub(super) struct SearchRow {
    pub(super) id: i64,
    pub(super) ts: i64,
    pub(super) call: i64,
    session: Option<i64>,
    pub(super) latency_us: i64,
    pub(super) outcome: Outcome,
    pub(super) bytes_in: Option<i64>,
    pub(super) bytes_out: Option<i64>,
}

/// The columns of [`SearchRow`].
pub(super) const SEARCH_COLUMNS: &str =
    "r.id, r.ts, r.call, r.session, r.latency_us, r.outcome, r.bytes_in, r.bytes_out";

impl SearchRow {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            ts: row.get(1)?,
            call: row.get(2)?,
            session: row.get(3)?,
            latency_us: row.get(4)?,
            outcome: Outcome::from_number(row.get(5)?),
            bytes_in: row.get(6)?,
            bytes_out: row.get(7)?,
        })
    }

    /// The same row, for sums.
    pub(super) fn sample(&self) -> Sample {
        Sample {
            id: self.id,
            ts: self.ts,
            latency_us: self.latency_us,
            outcome: self.outcome,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
        }
    }
}

impl ResolvedFilter {
    /// Whether the request is wanted.
    pub(super) fn keeps(&self, row: &SearchRow) -> bool {
        self.interval.contains(row.ts)
            && (!self.excludes_calls || self.calls.binary_search(&row.call).is_ok())
            && self.session.is_none_or(|session| row.session == Some(session.id))
            && self.outcomes.has(row.outcome)
            && self.slower_than_us.is_none_or(|limit_us| row.latency_us > limit_us)
    }

    /// The scopes whose cells together count all requests that can be wanted and none of an excluded call.
    pub(super) fn scopes(&self) -> Vec<CellScope> {
        if self.excludes_calls { self.call_scopes() } else { vec![CellScope::All] }
    }

    /// The cells of each call that may be wanted.
    pub(super) fn call_scopes(&self) -> Vec<CellScope> {
        self.calls.iter().copied().map(CellScope::Call).collect()
    }

    /// How many of these requests ended in a wanted way.
    pub(super) fn ended_so(&self, counts: &OutcomeCounts) -> i64 {
        counts.where_so(|outcome| self.outcomes.has(outcome))
    }

    /// Whether none is wanted that just had its result: the index of the others has all of these.
    pub(super) fn is_without_plain_results(&self) -> bool {
        !self.outcomes.has(Outcome::Ok)
    }

    /// Whether the roll-ups can't say how many requests are wanted. Roll-ups know neither sessions nor exact latencies.
    pub(super) fn needs_rows(&self) -> bool {
        self.session.is_some() || self.slower_than_us.is_some()
    }

    /// The same filter, for the slowest: what has no latency is never slow. `None` if nothing is left.
    pub(super) fn with_latency(self) -> Option<Self> {
        let outcomes = OutcomeSet::of(|outcome| self.outcomes.has(outcome) && outcome.has_latency());
        (!outcomes.is_empty()).then_some(Self { outcomes, ..self })
    }
}

impl Query {
    /// Looks up the numbers of a filter's names; `None` if nothing can be wanted, because one of the names is on no record,
    /// or because no outcome is left.
    pub(super) fn resolve(&self, filter: &RequestFilter) -> Result<Option<ResolvedFilter>, IndexError> {
        let Some(interval) = ClosedInterval::of(filter.time_range) else { return Ok(None) };
        let outcomes = OutcomeSet::of(|outcome| filter.allows(outcome));
        if outcomes.is_empty() {
            return Ok(None);
        }
        let [proxy, method, tool, endpoint] =
            [&filter.proxy, &filter.method, &filter.tool, &filter.endpoint].map(|name| name.clone().into());
        let direction = filter.direction.map(|direction| i64::from(direction.number())).into();
        let names = [proxy, method, tool, endpoint, direction];
        let mut excludes_calls = false;
        let mut calls: Vec<i64> = Vec::new();
        self.each_row(
            "SELECT id, (?1 IS NULL OR proxy = ?1) AND (?2 IS NULL OR method = ?2) AND (?3 IS NULL OR tool IS ?3) \
                    AND (?4 IS NULL OR endpoint IS ?4) AND (?5 IS NULL OR direction = ?5) \
             FROM calls ORDER BY id",
            &names,
            |row| {
                if row.get(1)? {
                    calls.push(row.get(0)?)
                } else {
                    excludes_calls = true
                }
                Ok(ControlFlow::Continue(()))
            },
        )?;
        if calls.is_empty() {
            return Ok(None);
        }
        let session = match &filter.session_id {
            None => None,
            Some(session_id) => {
                let found = self.rows(
                    "SELECT id, total_calls FROM session_state WHERE session_id = ?",
                    &[session_id.clone().into()],
                    |row| Ok(ResolvedSession { id: row.get(0)?, requests: row.get(1)? }),
                )?;
                let Some(session) = found.first() else { return Ok(None) };
                Some(*session)
            }
        };
        Ok(Some(ResolvedFilter {
            interval,
            calls,
            excludes_calls,
            session,
            outcomes,
            slower_than_us: filter.slower_than_us,
        }))
    }
}
