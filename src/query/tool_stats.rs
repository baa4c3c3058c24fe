//! How often each tool was called, how slow it was and how it failed: one row per proxy, method and tool.
//!
//! Runs on the caller's thread. Exact percentiles need one latency (8 bytes) in memory per request; where the roll-ups
//! answer, one histogram per call.

use super::database::Query;
use super::filter::RequestFilter;
use super::resolved_filter::SearchRow;
use crate::event::Status;
use crate::fold::rollup::Cell;
use crate::ground::error::IndexError;
use std::collections::HashMap;
use std::ops::ControlFlow;

/// The requests of one proxy, method and tool.
///
/// Percentiles are by nearest rank: the smallest latency that at least that share of the requests did not exceed, or,
/// over many requests, a latency within 1 % of it ([`Query::tool_stats`] says when). Always `p50_us <= p95_us <= p99_us
/// <= max_us`, and `max_us` is exact.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct ToolStatsRow {
    /// The proxy that saw them.
    pub proxy: String,
    /// The JSON-RPC method.
    pub method: String,
    /// The tool, for `tools/call`.
    pub tool: Option<String>,
    /// How many there were, however they ended.
    pub calls: i64,
    /// How many ended with status error.
    pub errors: i64,
    /// How many ended with status timeout.
    pub timeouts: i64,
    /// How many had a result that said `isError`; their status is ok.
    pub tool_errors: i64,
    /// Half of them took at most this long, in microseconds.
    pub p50_us: i64,
    /// 95 % of them took at most this long, in microseconds.
    pub p95_us: i64,
    /// 99 % of them took at most this long, in microseconds.
    pub p99_us: i64,
    /// The slowest, in microseconds.
    pub max_us: i64,
    /// Request bodies together, in bytes, where their size is known.
    pub bytes_in: i64,
    /// Responses together, in bytes, where their size is known.
    pub bytes_out: i64,
    /// When the first one arrived: Unix time in milliseconds, UTC.
    pub first_ts: i64,
    /// When the latest one arrived: Unix time in milliseconds, UTC.
    pub last_ts: i64,
}

impl Query {
    /// Statistics over the requests that `filter` keeps, ordered by proxy, method and tool. The filter's limit counts
    /// requests: with it, only the newest ones enter the statistics.
    ///
    /// Where the filter has no more than a time range, a proxy, a method and a tool, and keeps more than 4,000
    /// requests, the percentiles come from the roll-ups and are within 1 %. All other columns, and other percentiles,
    /// are exact. With any other filter, every row that it keeps is read.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn tool_stats(&self, filter: &RequestFilter) -> Result<Vec<ToolStatsRow>, IndexError> {
        self.at_one_time(|| {
            if let Some(stats) = self.stats_in_cells(filter)?
                && stats.values().map(|(cell, _)| cell.calls).sum::<i64>() > self.tuning.exact_rows
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
            rows.push(self.row("SELECT proxy, method, tool FROM calls WHERE id = ?", &[call.into()], |row| {
                Ok(ToolStatsRow { proxy: row.get(0)?, method: row.get(1)?, tool: row.get(2)?, ..stats })
            })?);
        }
        rows.sort_by(|a, b| (&a.proxy, &a.method, &a.tool).cmp(&(&b.proxy, &b.method, &b.tool)));
        Ok(rows)
    }
}

/// The statistics of one call, to which rows are added one by one.
struct Group {
    stats: ToolStatsRow,
    latencies: Vec<i64>,
}

impl Default for Group {
    fn default() -> Self {
        let stats = ToolStatsRow { first_ts: i64::MAX, last_ts: i64::MIN, ..ToolStatsRow::default() };
        Self { stats, latencies: Vec::new() }
    }
}

impl Group {
    fn add(&mut self, row: &SearchRow) {
        let stats = &mut self.stats;
        stats.calls += 1;
        match row.status {
            Status::Ok => {}
            Status::Error => stats.errors += 1,
            Status::Timeout => stats.timeouts += 1,
        }
        stats.tool_errors += i64::from(row.tool_error);
        // A negative size is none, here as in the roll-ups.
        stats.bytes_in = stats.bytes_in.saturating_add(row.bytes_in.unwrap_or(0).max(0));
        stats.bytes_out = stats.bytes_out.saturating_add(row.bytes_out.unwrap_or(0).max(0));
        stats.first_ts = stats.first_ts.min(row.ts);
        stats.last_ts = stats.last_ts.max(row.ts);
        self.latencies.push(row.latency_us);
    }

    fn finish(mut self) -> ToolStatsRow {
        self.latencies.sort_unstable();
        let at = |percent| percentile(&self.latencies, percent);
        ToolStatsRow { p50_us: at(50), p95_us: at(95), p99_us: at(99), max_us: at(100), ..self.stats }
    }
}

/// The statistics that a cell has, still without names. No percentile exceeds the slowest request, which is known
/// exactly.
fn of_cell(cell: &Cell, max_us: i64) -> ToolStatsRow {
    let count = cell.latencies.count();
    let at = |percent: u64| {
        // The rank of `percentile`; in 128 bits, because counts come out of a file.
        let rank = (u128::from(count) * u128::from(percent)).div_ceil(100);
        let latency_us = cell.latencies.quantile(u64::try_from(rank).unwrap_or(u64::MAX));
        latency_us.unwrap_or(max_us).min(max_us)
    };
    ToolStatsRow {
        calls: cell.calls,
        errors: cell.errors,
        timeouts: cell.timeouts,
        tool_errors: cell.tool_errors,
        p50_us: at(50),
        p95_us: at(95),
        p99_us: at(99),
        max_us,
        bytes_in: cell.bytes_in,
        bytes_out: cell.bytes_out,
        first_ts: cell.first_ts,
        last_ts: cell.last_ts,
        ..ToolStatsRow::default()
    }
}

/// The smallest value that at least `percent` of `sorted` do not exceed; 0 of nothing.
fn percentile(sorted: &[i64], percent: usize) -> i64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::test_store::TestStore;

    fn empty_row(proxy: &str, method: &str, tool: Option<&str>, ts: i64) -> ToolStatsRow {
        let (proxy, method, tool) = (proxy.to_owned(), method.to_owned(), tool.map(str::to_owned));
        ToolStatsRow { proxy, method, tool, first_ts: ts, last_ts: ts, ..ToolStatsRow::default() }
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let hundred: Vec<i64> = (1..=100).collect();
        let cases: [(&[i64], usize, i64); 9] = [
            (&[], 50, 0),
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
            assert_eq!(percentile(sorted, percent), expected, "{percent} of {sorted:?}");
        }
        assert_eq!(percentile(&[1, 2, 3], 100), 3);
    }

    #[test]
    fn each_outcome_is_counted_apart() {
        let store = TestStore::new();
        for (id, ts, status, tool_error, latency_us) in [
            ("1", 10, "ok", None, 100),
            ("2", 30, "ok", Some(1), 200),
            ("3", 20, "error", None, 300),
            ("4", 40, "timeout", None, 900),
        ] {
            let row = store.request(id, ts, "tools/call").set("tool", "search").set("status", status);
            let row = row.set("latency_us", latency_us).set("bytes_in", 10).set("bytes_out", 1_000);
            match tool_error {
                Some(flag) => row.set("tool_error", flag).insert(),
                None => row.insert(),
            }
        }
        let rows = store.query().tool_stats(&RequestFilter::default()).unwrap();
        let expected = ToolStatsRow {
            calls: 4,
            errors: 1,
            timeouts: 1,
            tool_errors: 1,
            p50_us: 200,
            p95_us: 900,
            p99_us: 900,
            max_us: 900,
            bytes_in: 40,
            bytes_out: 4_000,
            last_ts: 40,
            ..empty_row("p", "tools/call", Some("search"), 10)
        };
        assert_eq!(rows, [expected]);
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
    fn the_filter_decides_which_requests_count_and_its_limit_keeps_the_newest() {
        let store = TestStore::new();
        store.request("1", 1, "ping").set("latency_us", 1).insert();
        store.request("2", 3, "ping").set("latency_us", 3).insert();
        store.request("3", 2, "ping").set("latency_us", 2).insert();
        let filter = RequestFilter { limit: Some(2), ..RequestFilter::default() };
        let rows = store.query().tool_stats(&filter).unwrap();
        assert_eq!((rows[0].calls, rows[0].p50_us, rows[0].max_us, rows[0].first_ts), (2, 2, 3, 2));
        let filter = RequestFilter { slower_than_us: Some(9), ..RequestFilter::default() };
        assert_eq!(store.query().tool_stats(&filter).unwrap(), []);
    }
}
