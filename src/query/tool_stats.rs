//! What was called how often, how slow it was and how it failed: one row per proxy, method and tool.
//!
//! Runs on the caller's thread. Percentiles are exact, so it holds one latency (8 bytes) per request that counts.

use super::{Query, RequestFilter};
use crate::error::IndexError;
use rusqlite::Row;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;

/// The requests of one proxy, method and tool.
///
/// Percentiles are by nearest rank: the smallest latency that at least that share of the requests did not exceed. So
/// they are always latencies that happened, and `p50_us <= p95_us <= p99_us <= max_us`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
    /// # Errors
    /// What SQLite said.
    pub fn tool_stats(&self, filter: &RequestFilter) -> Result<Vec<ToolStatsRow>, IndexError> {
        let conditions = filter.conditions();
        let newest = if filter.limit.is_some() { " ORDER BY r.ts DESC, r.id DESC" } else { "" };
        let sql = format!(
            "SELECT r.proxy, r.method, r.tool, r.status, r.tool_error, r.latency_us, r.bytes_in, r.bytes_out, r.ts \
             FROM requests r{}{newest} LIMIT ?",
            conditions.sql()
        );
        let mut groups = Groups::default();
        self.each_row(&sql, &conditions.values_with_limit(filter.limit), |row| {
            groups.add(row)?;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(groups.finish())
    }
}

/// Requests on their way into statistics.
#[derive(Default)]
struct Groups {
    groups: Vec<(ToolStatsRow, Vec<i64>)>,
    by_key: HashMap<String, usize>,
    key: String,
}

impl Groups {
    fn add(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        let (proxy, method) = (row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?);
        let tool = row.get_ref(2)?.as_str_or_null()?;
        let (latency_us, ts) = (row.get(5)?, row.get(8)?);

        // The lengths keep ("a", "bc") and ("ab", "c") apart. The buffer is reused: no allocation per row.
        self.key.clear();
        let mark = if tool.is_some() { '+' } else { '-' };
        // Writing to a String can't fail.
        let _ = write!(self.key, "{}:{}:{mark}{proxy}{method}{}", proxy.len(), method.len(), tool.unwrap_or(""));
        let index = match self.by_key.get(&self.key) {
            Some(index) => *index,
            None => {
                let index = self.groups.len();
                self.groups.push((empty_row(proxy, method, tool, ts), Vec::new()));
                self.by_key.insert(self.key.clone(), index);
                index
            }
        };
        let (stats, latencies) = &mut self.groups[index];
        stats.calls += 1;
        match row.get_ref(3)?.as_str()? {
            "error" => stats.errors += 1,
            "timeout" => stats.timeouts += 1,
            _ => {}
        }
        stats.tool_errors += i64::from(row.get::<_, Option<bool>>(4)?.unwrap_or(false));
        stats.bytes_in = stats.bytes_in.saturating_add(row.get::<_, Option<i64>>(6)?.unwrap_or(0));
        stats.bytes_out = stats.bytes_out.saturating_add(row.get::<_, Option<i64>>(7)?.unwrap_or(0));
        stats.first_ts = stats.first_ts.min(ts);
        stats.last_ts = stats.last_ts.max(ts);
        latencies.push(latency_us);
        Ok(())
    }

    fn finish(self) -> Vec<ToolStatsRow> {
        let mut rows: Vec<_> = self
            .groups
            .into_iter()
            .map(|(mut stats, mut latencies)| {
                latencies.sort_unstable();
                stats.p50_us = percentile(&latencies, 50);
                stats.p95_us = percentile(&latencies, 95);
                stats.p99_us = percentile(&latencies, 99);
                stats.max_us = percentile(&latencies, 100);
                stats
            })
            .collect();
        rows.sort_by(|a, b| (&a.proxy, &a.method, &a.tool).cmp(&(&b.proxy, &b.method, &b.tool)));
        rows
    }
}

fn empty_row(proxy: &str, method: &str, tool: Option<&str>, ts: i64) -> ToolStatsRow {
    ToolStatsRow {
        proxy: proxy.to_owned(),
        method: method.to_owned(),
        tool: tool.map(str::to_owned),
        calls: 0,
        errors: 0,
        timeouts: 0,
        tool_errors: 0,
        p50_us: 0,
        p95_us: 0,
        p99_us: 0,
        max_us: 0,
        bytes_in: 0,
        bytes_out: 0,
        first_ts: ts,
        last_ts: ts,
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
