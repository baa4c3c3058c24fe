//! A filter in the numbers of the database, by which searches test rows and cells.
//!
//! Runs on the caller's thread. The test of a row is here and nowhere in SQL, so that every way of finding rows keeps
//! the same rows.

use super::database::Query;
use super::filter::RequestFilter;
use super::interval::ClosedInterval;
use crate::event::Status;
use crate::fold::cell_scope::CellScope;
use crate::fold::rollup::{Cell, Ending, Sample};
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
    pub(super) status: Option<Status>,
    pub(super) errors_only: bool,
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
    pub(super) status: Status,
    pub(super) tool_error: bool,
    pub(super) bytes_in: Option<i64>,
    pub(super) bytes_out: Option<i64>,
}

/// The columns of [`SearchRow`].
pub(super) const SEARCH_COLUMNS: &str =
    "r.id, r.ts, r.call, r.session, r.latency_us, r.status, r.tool_error, r.bytes_in, r.bytes_out";

impl SearchRow {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            ts: row.get(1)?,
            call: row.get(2)?,
            session: row.get(3)?,
            latency_us: row.get(4)?,
            status: Status::from_number(row.get(5)?),
            tool_error: row.get::<_, Option<bool>>(6)?.unwrap_or(false),
            bytes_in: row.get(7)?,
            bytes_out: row.get(8)?,
        })
    }

    /// The same row, for sums.
    pub(super) fn sample(&self) -> Sample {
        Sample {
            id: self.id,
            ts: self.ts,
            latency_us: self.latency_us,
            status: self.status,
            tool_error: self.tool_error,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
        }
    }
}

/// How many requests there are, and how many of them had which ending.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct EndingCounts {
    pub(super) calls: i64,
    pub(super) errors: i64,
    pub(super) timeouts: i64,
    pub(super) tool_errors: i64,
}

impl EndingCounts {
    /// The counts of a cell.
    pub(super) fn of(cell: &Cell) -> Self {
        let Cell { calls, errors, timeouts, tool_errors, .. } = *cell;
        Self { calls, errors, timeouts, tool_errors }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.errors = self.errors.saturating_add(other.errors);
        self.timeouts = self.timeouts.saturating_add(other.timeouts);
        self.tool_errors = self.tool_errors.saturating_add(other.tool_errors);
    }

    /// How many of them have that status.
    pub(super) fn with(&self, status: Status) -> i64 {
        match status {
            Status::Ok => self.calls.saturating_sub(self.errors).saturating_sub(self.timeouts),
            Status::Error => self.errors,
            Status::Timeout => self.timeouts,
        }
    }
}

impl ResolvedFilter {
    /// Whether the request is wanted.
    pub(super) fn keeps(&self, row: &SearchRow) -> bool {
        self.interval.contains(row.ts)
            && (!self.excludes_calls || self.calls.binary_search(&row.call).is_ok())
            && self.session.is_none_or(|session| row.session == Some(session.id))
            && self.has_wanted_ending(row)
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

    /// Whether the request's ending is wanted.
    fn has_wanted_ending(&self, row: &SearchRow) -> bool {
        self.allows(Ending::of(row.status, row.tool_error))
    }

    /// Whether a request with that ending can be wanted.
    pub(super) fn allows(&self, ending: Ending) -> bool {
        let has_status = match self.status {
            None => true,
            Some(Status::Ok) => matches!(ending, Ending::Ok | Ending::ToolError),
            Some(Status::Error) => ending == Ending::Error,
            Some(Status::Timeout) => ending == Ending::Timeout,
        };
        has_status && !(self.errors_only && ending == Ending::Ok)
    }

    /// How many of these requests have a wanted ending, at most: where any failure is wanted, a request that failed and
    /// said `isError` too is counted twice.
    pub(super) fn by_ending(&self, endings: &EndingCounts) -> i64 {
        let with_status = self.status.map_or(endings.calls, |status| endings.with(status));
        let failed = endings.errors.saturating_add(endings.timeouts).saturating_add(endings.tool_errors);
        if self.errors_only { with_status.min(failed) } else { with_status }
    }

    /// Whether only failures are wanted: the index of failures has all of these.
    pub(super) fn only_failed(&self) -> bool {
        self.errors_only || self.status.is_some_and(|status| status != Status::Ok)
    }

    /// Whether the roll-ups can't say how many requests are wanted. Roll-ups know neither sessions nor exact latencies,
    /// and count a request that failed in two ways twice.
    pub(super) fn needs_rows(&self) -> bool {
        self.session.is_some() || self.errors_only || self.slower_than_us.is_some()
    }
}

impl Query {
    /// Looks up the numbers of a filter's names; `None` if one of the names is on no record, so that nothing can be
    /// wanted.
    pub(super) fn resolve(&self, filter: &RequestFilter) -> Result<Option<ResolvedFilter>, IndexError> {
        let Some(interval) = ClosedInterval::of(filter.time_range) else { return Ok(None) };
        let mut excludes_calls = false;
        let mut calls: Vec<i64> = Vec::new();
        self.each_row(
            "SELECT id, (?1 IS NULL OR proxy = ?1) AND (?2 IS NULL OR method = ?2) AND (?3 IS NULL OR tool IS ?3) \
             FROM calls ORDER BY id",
            &[filter.proxy.clone().into(), filter.method.clone().into(), filter.tool.clone().into()],
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
            status: filter.status,
            errors_only: filter.errors_only,
            slower_than_us: filter.slower_than_us,
        }))
    }
}
