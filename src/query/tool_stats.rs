//! How often each tool was called, how slow it was and how it failed: one row per proxy, method, tool, endpoint and direction.
//!
//! Runs on the caller's thread. Exact percentiles need one latency (8 bytes) in memory per request; where the roll-ups
//! answer, one histogram per call.

use super::database::Query;
use super::filter::RequestFilter;
use super::resolved_filter::SearchRow;
use crate::event::{Outcome, OutcomeCounts};
use crate::fold::rollup::Cell;
use crate::ground::error::IndexError;
use std::collections::HashMap;
use std::ops::ControlFlow;

/// The requests of one proxy, method, tool, endpoint and direction: what a client's user takes to answer says nothing
/// of how fast a server is.
///
/// Each request counts as one outcome ([`Outcome::of`]): [`ToolStatsRow::ok`] and the numbers from `errors` to `lost`, but
/// for `timeouts`, which are among the errors, add up to `calls`.
///
/// Percentiles are by nearest rank: the smallest latency that at least that share of the requests did not exceed, or,
/// over many requests, a latency within 1 % of it ([`Query::tool_stats`] says when). Always `p50_us <= p95_us <= p99_us
/// <= max_us`, and `max_us` is exact. All four are `None` where no request has a latency: subscriptions that ended have none.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct ToolStatsRow {
    /// The proxy that saw them.
    pub proxy: String,
    /// The JSON-RPC method.
    pub method: String,
    /// The tool, for `tools/call`.
    pub tool: Option<String>,
    /// The server's path that was asked: several servers may be behind one proxy. `None` where no event says it.
    pub endpoint: Option<String>,
    /// Who asked: `client` or `server`.
    pub direction: String,
    /// How many there were, however they ended.
    pub calls: i64,
    /// How many failed: outcome error or timeout.
    pub errors: i64,
    /// How many of these had no answer within the time limit: outcome timeout.
    pub timeouts: i64,
    /// How many had a result that said `isError`: outcome `tool_error`. Their status is ok.
    pub tool_errors: i64,
    /// How many the client took back.
    pub cancelled: i64,
    /// By how many a client found out which era its server speaks.
    pub probes: i64,
    /// How many the upstream redirected.
    pub redirected: i64,
    /// How many subscriptions either side ended.
    pub ended: i64,
    /// How many results asked the client for more. The call that goes on with it is counted apart.
    pub input_required: i64,
    /// How many were begun, and cut off when the proxy was stopped.
    pub lost: i64,
    /// Half of them took at most this long, in microseconds.
    pub p50_us: Option<i64>,
    /// 95 % of them took at most this long, in microseconds.
    pub p95_us: Option<i64>,
    /// 99 % of them took at most this long, in microseconds.
    pub p99_us: Option<i64>,
    /// The slowest, in microseconds.
    pub max_us: Option<i64>,
    /// Request bodies together, in bytes, where their size is known.
    pub bytes_in: i64,
    /// Responses together, in bytes, where their size is known.
    pub bytes_out: i64,
    /// When the first one arrived: Unix time in milliseconds, UTC.
    pub first_ts: i64,
    /// When the latest one arrived: Unix time in milliseconds, UTC.
    pub last_ts: i64,
}

impl ToolStatsRow {
    /// How many had a result, and nothing more to say of it.
    pub const fn ok(&self) -> i64 {
        let Self { errors, tool_errors, cancelled, probes, redirected, ended, input_required, lost, .. } = *self;
        self.calls - errors - tool_errors - cancelled - probes - redirected - ended - input_required - lost
    }

    /// How many ended in each way.
    pub fn counts(&self) -> OutcomeCounts {
        let mut counts = OutcomeCounts::default();
        for (outcome, requests) in [
            (Outcome::Ok, self.ok()),
            (Outcome::ToolError, self.tool_errors),
            (Outcome::Error, self.errors - self.timeouts),
            (Outcome::Timeout, self.timeouts),
            (Outcome::Cancelled, self.cancelled),
            (Outcome::Probe, self.probes),
            (Outcome::Redirected, self.redirected),
            (Outcome::Ended, self.ended),
            (Outcome::InputRequired, self.input_required),
            (Outcome::Lost, self.lost),
        ] {
            counts.add(outcome, requests);
        }
        counts
    }

    /// The same row, with these counts.
    fn with_counts(self, counts: &OutcomeCounts) -> Self {
        Self {
            calls: counts.calls(),
            errors: counts.failures(),
            timeouts: counts.with(Outcome::Timeout),
            tool_errors: counts.with(Outcome::ToolError),
            cancelled: counts.with(Outcome::Cancelled),
            probes: counts.with(Outcome::Probe),
            redirected: counts.with(Outcome::Redirected),
            ended: counts.with(Outcome::Ended),
            input_required: counts.with(Outcome::InputRequired),
            lost: counts.with(Outcome::Lost),
            ..self
        }
    }
}

impl Query {
    /// Statistics over the requests that `filter` keeps, ordered by proxy, method, tool, endpoint and direction. The
    /// filter's limit counts requests: with it, only the newest ones enter the statistics.
    ///
    /// Where the filter has no more than a time range, a proxy, a method, a tool, an endpoint and a direction, and
    /// keeps more than 4,000 requests, the percentiles come from the roll-ups and are within 1 %. All other columns,
    /// and other percentiles, are exact. With any other filter, every row that it keeps is read.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn tool_stats(&self, filter: &RequestFilter) -> Result<Vec<ToolStatsRow>, IndexError> {
        self.at_one_time(|| {
            if let Some(stats) = self.stats_in_cells(filter)?
                && stats.values().map(|(cell, _)| cell.counts.calls()).sum::<i64>() > self.tuning.exact_rows
            {
                return self.with_names(stats.into_iter().map(|(call, (cell, max_us))| (call, of_cell(&cell, max_us))));
            }
            let mut groups: HashMap<i64, Group> = HashMap::new();
            self.each_match(filter, |row| {
                groups.entry(row.call).or_default().add(row);
                Ok(ControlFlow::Continue(()))
            })?;
            self.with_names(groups.into_iter().map(|(call, group)| (call, group.finish())))
        })
    }

    /// Gives each call its names, and all of them their order.
    fn with_names(&self, stats: impl Iterator<Item = (i64, ToolStatsRow)>) -> Result<Vec<ToolStatsRow>, IndexError> {
        let mut rows = Vec::new();
        for (call, stats) in stats {
            let sql =
                "SELECT proxy, method, tool, endpoint, iif(direction = 2, 'server', 'client') FROM calls WHERE id = ?";
            rows.push(self.row(sql, &[call.into()], |row| {
                let (proxy, method, tool) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let (endpoint, direction) = (row.get(3)?, row.get(4)?);
                Ok(ToolStatsRow { proxy, method, tool, endpoint, direction, ..stats })
            })?);
        }
        fn names(row: &ToolStatsRow) -> (&String, &String, &Option<String>, &Option<String>, &String) {
            (&row.proxy, &row.method, &row.tool, &row.endpoint, &row.direction)
        }
        rows.sort_by(|a, b| names(a).cmp(&names(b)));
        Ok(rows)
    }
}

/// The statistics of one call, to which rows are added one by one.
struct Group {
    stats: ToolStatsRow,
    counts: OutcomeCounts,
    latencies: Vec<i64>,
}

impl Default for Group {
    fn default() -> Self {
        let stats = ToolStatsRow { first_ts: i64::MAX, last_ts: i64::MIN, ..ToolStatsRow::default() };
        Self { stats, counts: OutcomeCounts::default(), latencies: Vec::new() }
    }
}

impl Group {
    fn add(&mut self, row: &SearchRow) {
        let stats = &mut self.stats;
        self.counts.add(row.outcome, 1);
        // A negative size is none, here as in the roll-ups.
        stats.bytes_in = stats.bytes_in.saturating_add(row.bytes_in.unwrap_or(0).max(0));
        stats.bytes_out = stats.bytes_out.saturating_add(row.bytes_out.unwrap_or(0).max(0));
        stats.first_ts = stats.first_ts.min(row.ts);
        stats.last_ts = stats.last_ts.max(row.ts);
        if row.outcome.has_latency() {
            self.latencies.push(row.latency_us);
        }
    }

    fn finish(mut self) -> ToolStatsRow {
        self.latencies.sort_unstable();
        let at = |percent| percentile(&self.latencies, percent);
        let stats = ToolStatsRow { p50_us: at(50), p95_us: at(95), p99_us: at(99), max_us: at(100), ..self.stats };
        stats.with_counts(&self.counts)
    }
}

/// The statistics that a cell has, still without names. No percentile exceeds the slowest request, which is known
/// exactly.
fn of_cell(cell: &Cell, max_us: Option<i64>) -> ToolStatsRow {
    let count = cell.latencies.count();
    let at = |percent: u64| {
        let max_us = max_us?;
        // The rank of `percentile`; in 128 bits, because counts come out of a file.
        let rank = (u128::from(count) * u128::from(percent)).div_ceil(100);
        let latency_us = cell.latencies.quantile(u64::try_from(rank).unwrap_or(u64::MAX));
        Some(latency_us.unwrap_or(max_us).min(max_us))
    };
    let stats = ToolStatsRow {
        p50_us: at(50),
        p95_us: at(95),
        p99_us: at(99),
        max_us,
        bytes_in: cell.bytes_in,
        bytes_out: cell.bytes_out,
        first_ts: cell.first_ts,
        last_ts: cell.last_ts,
        ..ToolStatsRow::default()
    };
    stats.with_counts(&cell.counts)
}

/// The smallest value that at least `percent` of `sorted` do not exceed; `None` of nothing.
fn percentile(sorted: &[i64], percent: usize) -> Option<i64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Code;
    use crate::query::test_store::TestStore;

    fn empty_row(proxy: &str, method: &str, tool: Option<&str>, ts: i64) -> ToolStatsRow {
        let (proxy, method, tool) = (proxy.to_owned(), method.to_owned(), tool.map(str::to_owned));
        let direction = "client".to_owned();
        ToolStatsRow { proxy, method, tool, direction, first_ts: ts, last_ts: ts, ..ToolStatsRow::default() }
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let hundred: Vec<i64> = (1..=100).collect();
        let cases: [(&[i64], usize, i64); 8] = [
            (&[7], 50, 7),
            (&[7], 99, 7),
            (&[1, 2], 50, 1),
            (&[1, 2, 3], 50, 2),
            (&[1, 2, 3], 95, 3),
            (&hundred, 50, 50),
            (&hundred, 95, 95),
            (&hundred, 99, 99),
        ];
        for (sorted, percent, expected) in cases {
            assert_eq!(percentile(sorted, percent), Some(expected), "{percent} of {sorted:?}");
        }
        assert_eq!((percentile(&[1, 2, 3], 100), percentile(&[], 50)), (Some(3), None));
    }

    #[test]
    fn each_outcome_is_counted_apart() {
        let store = TestStore::new();
        for (id, ts, outcome, latency_us) in [
            ("1", 10, "ok", 100),
            ("2", 30, "tool_error", 200),
            ("3", 20, "error", 300),
            ("4", 40, "timeout", 900),
            ("5", 15, "ended", 9_000_000),
        ] {
            let row = store.request(id, ts, "tools/call").set("tool", "search").set("outcome", outcome);
            row.set("latency_us", latency_us).set("bytes_in", 10).set("bytes_out", 1_000).insert();
        }
        let rows = store.query().tool_stats(&RequestFilter::default()).unwrap();
        let expected = ToolStatsRow {
            calls: 5,
            errors: 2,
            timeouts: 1,
            tool_errors: 1,
            ended: 1,
            p50_us: Some(200),
            p95_us: Some(900),
            p99_us: Some(900),
            max_us: Some(900),
            bytes_in: 50,
            bytes_out: 5_000,
            last_ts: 40,
            ..empty_row("p", "tools/call", Some("search"), 10)
        };
        assert_eq!(rows, [expected]);
    }

    #[test]
    fn the_counts_of_a_row_are_those_it_was_made_of() {
        for outcome in Outcome::ALL {
            let mut counts = OutcomeCounts::default();
            counts.add(Outcome::Ok, 40);
            counts.add(*outcome, 2);
            assert_eq!(ToolStatsRow::default().with_counts(&counts).counts(), counts, "{outcome:?}");
        }
    }

    #[test]
    fn subscriptions_have_no_latency() {
        let store = TestStore::new();
        store.request("1", 1, "subscriptions/listen").set("outcome", "ended").insert();
        let row = store.query().tool_stats(&RequestFilter::default()).unwrap().remove(0);
        assert_eq!([row.p50_us, row.p95_us, row.p99_us, row.max_us], [None; 4]);
        assert_eq!((row.calls, row.ended), (1, 1));
    }

    #[test]
    fn groups_that_differ_in_one_name_only_stay_apart_and_sorted() {
        let store = TestStore::new();
        store.request("1", 1, "tools/call").set("tool", "b").insert();
        store.request("2", 1, "tools/call").set("tool", "").insert();
        store.request("3", 1, "tools/call").insert();
        store.request("4", 1, "tools/cal").set("tool", "lb").insert();
        store.request("5", 1, "tools/call").set("tool", "b").set("proxy", "pt").insert();
        store.request("6", 1, "ools/call").set("tool", "b").set("proxy", "pt").insert();
        let rows = store.query().tool_stats(&RequestFilter::default()).unwrap();
        let keys: Vec<_> = rows.iter().map(|r| (r.proxy.as_str(), r.method.as_str(), r.tool.as_deref())).collect();
        assert_eq!(
            keys,
            [
                ("p", "tools/cal", Some("lb")),
                ("p", "tools/call", None),
                ("p", "tools/call", Some("")),
                ("p", "tools/call", Some("b")),
                ("pt", "ools/call", Some("b")),
                ("pt", "tools/call", Some("b")),
            ]
        );
        assert!(rows.iter().all(|row| row.calls == 1));
    }

    #[test]
    fn each_server_s_tools_are_counted_apart() {
        let store = TestStore::new();
        for (id, endpoint) in [("1", "/b"), ("2", "/a"), ("3", "/a")] {
            store.request(id, 1, "tools/call").set("tool", "t").set("endpoint", endpoint).insert();
        }
        store.request("4", 1, "tools/call").set("tool", "t").insert();
        let gist = |row: ToolStatsRow| (row.endpoint, row.calls);
        let stats = |filter: &RequestFilter| -> Vec<_> {
            store.query().tool_stats(filter).unwrap().into_iter().map(gist).collect()
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(stats(&RequestFilter::default()), [(None, 1), (text("/a"), 2), (text("/b"), 1)]);
        let of = |endpoint| RequestFilter { endpoint: text(endpoint), ..RequestFilter::default() };
        assert_eq!(stats(&of("/a")), [(text("/a"), 2)]);
        assert_eq!(stats(&of("/c")), []);
    }

    #[test]
    fn the_filter_decides_which_requests_count_and_its_limit_keeps_the_newest() {
        let store = TestStore::new();
        store.request("1", 1, "ping").set("latency_us", 1).insert();
        store.request("2", 3, "ping").set("latency_us", 3).insert();
        store.request("3", 2, "ping").set("latency_us", 2).insert();
        let filter = RequestFilter { limit: Some(2), ..RequestFilter::default() };
        let rows = store.query().tool_stats(&filter).unwrap();
        assert_eq!((rows[0].calls, rows[0].p50_us, rows[0].max_us, rows[0].first_ts), (2, Some(2), Some(3), 2));
        let filter = RequestFilter { slower_than_us: Some(9), ..RequestFilter::default() };
        assert_eq!(store.query().tool_stats(&filter).unwrap(), []);
    }
}
