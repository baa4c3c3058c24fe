//! What a query is about: the rows to keep, and how many of them.
//!
//! Pure data, on the caller's thread. `resolved_filter.rs` and `session.rs` say which rows a filter keeps.

use super::conditions::Conditions;
use crate::event::{Direction, Outcome, Status};

/// A range of time in Unix milliseconds, UTC: the start is included, the end is not. The default has neither, and so
/// includes all times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// The start: the first millisecond that is included. Absent: the range has no start.
    pub since_ts: Option<i64>,
    /// The end: the first millisecond behind the range. Absent: the range has no end.
    pub until_ts: Option<i64>,
}

impl TimeRange {
    pub(super) fn contains(self, ts: i64) -> bool {
        self.since_ts.is_none_or(|since_ts| ts >= since_ts) && self.until_ts.is_none_or(|until_ts| ts < until_ts)
    }

    pub(super) fn add_to(self, conditions: &mut Conditions, column: &str) {
        conditions.require_if(&format!("{column} >= ?"), self.since_ts);
        conditions.require_if(&format!("{column} < ?"), self.until_ts);
    }
}

/// Which requests. The default keeps all of them, and every field that is set keeps fewer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestFilter {
    /// When the request arrived.
    pub time_range: TimeRange,
    /// The proxy's name, exactly.
    pub proxy: Option<String>,
    /// The JSON-RPC method, exactly.
    pub method: Option<String>,
    /// The tool, exactly.
    pub tool: Option<String>,
    /// The server's path that was asked, exactly: several servers may be behind one proxy.
    pub endpoint: Option<String>,
    /// Who asked.
    pub direction: Option<Direction>,
    /// How the request ended, in the three words that every reader knows.
    pub status: Option<Status>,
    /// How the request ended, exactly.
    pub outcome: Option<Outcome>,
    /// The session's id, exactly.
    pub session_id: Option<String>,
    /// Only requests that failed (outcome error or timeout) or whose result said `isError`:
    /// [`Outcome::is_trouble`].
    pub errors_only: bool,
    /// Only requests that took longer than this, in microseconds. What has no latency never does
    /// ([`Outcome::has_latency`]).
    pub slower_than_us: Option<i64>,
    /// At most so many rows: the newest. Absent: all.
    pub limit: Option<u64>,
}

impl RequestFilter {
    /// Whether a request with that outcome may be kept.
    pub(super) fn allows(&self, outcome: Outcome) -> bool {
        self.status.is_none_or(|status| outcome.status() == status)
            && self.outcome.is_none_or(|wanted| outcome == wanted)
            && (!self.errors_only || outcome.is_trouble())
            && (self.slower_than_us.is_none() || outcome.has_latency())
    }
}

/// Which sessions. The default keeps all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionFilter {
    /// When the session was active. A session is kept if any time from its start until it was last seen lies in the
    /// range.
    pub time_range: TimeRange,
    /// The proxy's name, exactly.
    pub proxy: Option<String>,
    /// The client's name, exactly.
    pub client_name: Option<String>,
    /// The session's id, exactly.
    pub session_id: Option<String>,
    /// Only sessions with a request that failed or whose result said `isError`.
    pub errors_only: bool,
    /// At most so many rows: those last seen most recently. Absent: all.
    pub limit: Option<u64>,
}

/// Which schema changes, or which servers' schemas. The default keeps all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchemaFilter {
    /// When the change was detected, or the current version was captured.
    pub time_range: TimeRange,
    /// The proxy's name, exactly.
    pub proxy: Option<String>,
    /// The method whose result it is, exactly.
    pub method: Option<String>,
    /// At most so many rows: the newest. Absent: all.
    pub limit: Option<u64>,
}

impl SchemaFilter {
    pub(super) fn conditions(&self, time_column: &str) -> Conditions {
        let mut conditions = Conditions::default();
        self.time_range.add_to(&mut conditions, time_column);
        conditions.require_if("proxy = ?", self.proxy.clone());
        conditions.require_if("method = ?", self.method.clone());
        conditions
    }
}
