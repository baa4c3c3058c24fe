//! Requests, one row each.
//!
//! Runs on the caller's thread. `request_pages.rs` hands them over one by one, `arrivals.rs` as they come.

use super::database::Query;
use super::filter::RequestFilter;
use super::page_size::HANDED_OVER_MAX;
use crate::ground::error::IndexError;
use rusqlite::Row;
use std::ops::ControlFlow;

/// One request, as view `requests` has it, and the name of the client that its session belongs to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct RequestRow {
    /// The number of its row: the order of folding in this database.
    pub id: i64,
    /// The recorder's own id of the request.
    pub request_id: String,
    /// When the request arrived: Unix time in milliseconds, UTC.
    pub ts: i64,
    /// The proxy that saw it.
    pub proxy: String,
    /// The MCP session, where there is one.
    pub session_id: Option<String>,
    /// The client's name, if its session was announced.
    pub client_name: Option<String>,
    /// The JSON-RPC method.
    pub method: String,
    /// The tool, for `tools/call`.
    pub tool: Option<String>,
    /// What it was about when it is not a tool: a resource URI, a prompt name, a task's id.
    pub target: Option<String>,
    /// From the request's arrival to its response, in microseconds.
    pub latency_us: i64,
    /// `ok`, `error` or `timeout`.
    pub status: String,
    /// Whether the result said `isError`; `None` where the method has no such flag.
    pub tool_error: Option<bool>,
    /// The JSON-RPC error code, or the proxy's name for how the exchange broke off.
    pub error_code: Option<String>,
    /// The error message, at most 512 characters.
    pub error_msg: Option<String>,
    /// Size of the request body in bytes.
    pub bytes_in: Option<i64>,
    /// Size of the response in bytes.
    pub bytes_out: Option<i64>,
    /// The MCP revision spoken.
    pub protocol_version: Option<String>,
    /// The JSON-RPC id, as text.
    pub rpc_id: Option<String>,
    /// The HTTP status of the response that brought the answer, or of the one that had none.
    pub http_status: Option<u16>,
    /// How the request reached the server: `http`, `sse` or `stdio`.
    pub transport: Option<String>,
    /// The path that was asked.
    pub endpoint: Option<String>,
    /// What it counts as: the name of an [`Outcome`](crate::event::Outcome).
    pub outcome: String,
    /// Why an upstream failed, in the words of whoever said so.
    pub cause: Option<String>,
    /// Who asked: `client` or `server`.
    pub direction: String,
    /// On whose behalf: a salted digest or a named claim.
    pub principal: Option<String>,
    /// The trace that it is part of: 32 hexadecimal digits.
    pub trace_id: Option<String>,
    /// The span that asked: 16 hexadecimal digits.
    pub parent_span_id: Option<String>,
    /// The request id of the call that this one continues.
    pub retry_of: Option<String>,
    /// How long the call waited for its user, in microseconds.
    pub input_wait_us: Option<i64>,
    /// What was odd about the protocol: names of [`Note`](crate::event::Note)s.
    pub notes: Vec<String>,
}

/// In the order of [`read`].
const COLUMNS: &str = "r.id, r.request_id, r.ts, r.proxy, r.session_id, \
    (SELECT s.client_name FROM session_state s WHERE s.session_id = r.session_id), \
    r.method, r.tool, r.target, r.latency_us, r.status, r.tool_error, r.error_code, r.error_msg, \
    r.bytes_in, r.bytes_out, r.protocol_version, r.rpc_id, r.http_status, r.transport, r.endpoint, r.outcome, r.cause, \
    r.direction, r.principal, r.trace_id, r.parent_span_id, r.retry_of, r.input_wait_us, r.notes";

fn read(row: &Row<'_>) -> rusqlite::Result<RequestRow> {
    Ok(RequestRow {
        id: row.get(0)?,
        request_id: row.get(1)?,
        ts: row.get(2)?,
        proxy: row.get(3)?,
        session_id: row.get(4)?,
        client_name: row.get(5)?,
        method: row.get(6)?,
        tool: row.get(7)?,
        target: row.get(8)?,
        latency_us: row.get(9)?,
        status: row.get(10)?,
        tool_error: row.get(11)?,
        error_code: row.get(12)?,
        error_msg: row.get(13)?,
        bytes_in: row.get(14)?,
        bytes_out: row.get(15)?,
        protocol_version: row.get(16)?,
        rpc_id: row.get(17)?,
        http_status: row.get(18)?,
        transport: row.get(19)?,
        endpoint: row.get(20)?,
        outcome: row.get(21)?,
        cause: row.get(22)?,
        direction: row.get(23)?,
        principal: row.get(24)?,
        trace_id: row.get(25)?,
        parent_span_id: row.get(26)?,
        retry_of: row.get(27)?,
        input_wait_us: row.get(28)?,
        notes: row
            .get::<_, Option<String>>(29)?
            .map(|notes| notes.split(',').map(str::to_owned).collect())
            .unwrap_or_default(),
    })
}

impl Query {
    /// The requests that `filter` keeps, oldest first. With a limit: the newest ones, still oldest first.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn requests(&self, filter: &RequestFilter) -> Result<Vec<RequestRow>, IndexError> {
        self.at_one_time(|| {
            let mut rows = Vec::new();
            self.each_match(filter, |row| {
                rows.push(self.request_row(row.id)?);
                Ok(ControlFlow::Continue(()))
            })?;
            Ok(rows)
        })
    }

    pub(super) fn request_row(&self, id: i64) -> Result<RequestRow, IndexError> {
        self.row(&format!("SELECT {COLUMNS} FROM requests r WHERE r.id = ?"), &[id.into()], read)
    }

    /// The rows with those ids, as far as they are still there.
    pub(super) fn request_rows(&self, ids: &[i64]) -> Result<Vec<RequestRow>, IndexError> {
        let sql = format!("SELECT {COLUMNS} FROM requests r WHERE r.id = ?");
        let found = ids.iter().map(|id| self.rows(&sql, &[(*id).into()], read));
        Ok(found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// Hands the rows with those ids over, as far as they are still there, until `each` breaks off. They are read in short
    /// transactions, and none is open while a row is handed over.
    pub(super) fn hand_over(
        &self,
        ids: &[i64],
        each: &mut impl FnMut(RequestRow) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, IndexError> {
        for page in ids.chunks(HANDED_OVER_MAX) {
            for row in self.at_one_time(|| self.request_rows(page))? {
                if each(row).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// How many requests `filter` keeps; no more than its limit are counted.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn count_requests(&self, filter: &RequestFilter) -> Result<i64, IndexError> {
        self.at_one_time(|| {
            let limit = filter.limit.map_or(i64::MAX, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
            if let Some(counted) = self.count_in_cells(filter)? {
                return Ok(counted.min(limit));
            }
            let mut counted = 0;
            self.each_match(filter, |_| {
                counted += 1;
                Ok(ControlFlow::Continue(()))
            })?;
            Ok(counted)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Status;
    use crate::query::filter::TimeRange;
    use crate::query::test_store::TestStore;

    fn ids(store: &TestStore, filter: &RequestFilter) -> Vec<String> {
        store.query().requests(filter).unwrap().into_iter().map(|row| row.request_id).collect()
    }

    fn store_with_four() -> TestStore {
        let store = TestStore::new();
        store.session("s1").set("client_name", "claude-ai").insert();
        store.request("late", 40, "tools/call").set("tool", "search").set("session_id", "s1").insert();
        store.request("early", 10, "tools/list").set("latency_us", 500).insert();
        store.request("failed", 20, "tools/call").set("tool", "deploy").set("status", "error").insert();
        store.request("said_no", 30, "tools/call").set("tool", "search").set("tool_error", 1).insert();
        store
    }

    #[test]
    fn rows_come_oldest_first_whatever_order_they_were_folded_in() {
        assert_eq!(ids(&store_with_four(), &RequestFilter::default()), ["early", "failed", "said_no", "late"]);
    }

    #[test]
    fn a_limit_keeps_the_newest_and_still_shows_the_oldest_of_them_first() {
        let filter = RequestFilter { limit: Some(2), ..RequestFilter::default() };
        assert_eq!(ids(&store_with_four(), &filter), ["said_no", "late"]);
    }

    #[test]
    fn every_filter_narrows() {
        let store = store_with_four();
        store.request("other", 50, "ping").set("proxy", "second").set("latency_us", 9_000).insert();
        let all = RequestFilter::default;
        let text = |text: &str| Some(text.to_owned());
        let cases = [
            (
                RequestFilter { time_range: TimeRange { since_ts: Some(30), until_ts: None }, ..all() },
                &["said_no", "late", "other"][..],
            ),
            (
                RequestFilter { time_range: TimeRange { since_ts: None, until_ts: Some(30) }, ..all() },
                &["early", "failed"],
            ),
            (RequestFilter { proxy: text("second"), ..all() }, &["other"]),
            (RequestFilter { method: text("tools/list"), ..all() }, &["early"]),
            (RequestFilter { tool: text("search"), ..all() }, &["said_no", "late"]),
            (RequestFilter { status: Some(Status::Error), ..all() }, &["failed"]),
            (RequestFilter { session_id: text("s1"), ..all() }, &["late"]),
            (RequestFilter { errors_only: true, ..all() }, &["failed", "said_no"]),
            (RequestFilter { slower_than_us: Some(1_000), ..all() }, &["other"]),
            (RequestFilter { tool: text("search"), errors_only: true, limit: Some(5), ..all() }, &["said_no"]),
            (RequestFilter { tool: text("' OR 1=1 --"), ..all() }, &[]),
        ];
        for (filter, expected) in cases {
            assert_eq!(ids(&store, &filter), expected, "{filter:?}");
        }
    }

    #[test]
    fn counting_stops_at_the_limit() {
        let query_store = store_with_four();
        let count = |filter: RequestFilter| query_store.query().count_requests(&filter).unwrap();
        let all = RequestFilter::default;
        assert_eq!(count(all()), 4);
        assert_eq!(count(RequestFilter { limit: Some(3), ..all() }), 3);
        assert_eq!(count(RequestFilter { limit: Some(9), ..all() }), 4);
        assert_eq!(count(RequestFilter { errors_only: true, ..all() }), 2);
    }

    #[test]
    fn the_client_is_named_where_the_session_was_announced() {
        let rows = store_with_four().query().requests(&RequestFilter::default()).unwrap();
        let clients: Vec<_> = rows.iter().map(|row| row.client_name.as_deref()).collect();
        assert_eq!(clients, [None, None, None, Some("claude-ai")]);
    }
}
