//! The questions that roll-ups answer, put to the rows in plain SQL: what a store without roll-ups would do.
//!
//! Written as well as it can be over the same tables: it reads the lean rows and never the view, names the calls by
//! their numbers, looks whole rows up only for what is shown, and has all five indexes.

use mcplog::query::{RequestRow, TimeRange, ToolStatsRow};
use rusqlite::{Connection, OpenFlags, Row, params};
use std::path::Path;

/// What both ways must agree on: to the number, and within the hundredth that percentiles from histograms are good for.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) exact: Vec<i64>,
    pub(crate) about: Vec<i64>,
}

impl Answer {
    pub(crate) fn of_count(count: i64) -> Self {
        Self { exact: vec![count], about: Vec::new() }
    }

    pub(crate) fn of_rows(rows: &[RequestRow]) -> Self {
        Self { exact: rows.iter().map(|row| row.id).collect(), about: Vec::new() }
    }

    pub(crate) fn of_stats(rows: &[ToolStatsRow]) -> Self {
        let mut answer = Self::default();
        for row in rows {
            let failed = [row.errors, row.timeouts, row.tool_errors];
            let max_us = row.max_us.unwrap_or_default();
            answer.exact.extend([row.calls, max_us, row.bytes_in, row.bytes_out, row.first_ts, row.last_ts]);
            answer.exact.extend(failed);
            answer.about.extend([row.p50_us, row.p95_us, row.p99_us].map(Option::unwrap_or_default));
        }
        answer
    }

    /// # Panics
    /// If the answers differ: then one of the two ways is wrong, and no ratio means anything.
    pub(crate) fn assert_agrees(&self, other: &Self, question: &str) {
        assert_eq!(self.exact, other.exact, "{question}");
        let close = |(one, two): (&i64, &i64)| one.abs_diff(*two) <= 1 + two.unsigned_abs() / 100;
        assert_eq!(self.about.len(), other.about.len(), "{question}");
        assert!(self.about.iter().zip(&other.about).all(close), "{question}: {:?} {:?}", self.about, other.about);
    }
}

/// A reader's connection without the library.
pub(crate) struct PlainSql(Connection);

impl PlainSql {
    pub(crate) fn open(dir: &Path) -> Self {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Self(Connection::open_with_flags(dir.join("store.db"), flags).expect("the database"))
    }

    /// The number of the call with that tool, of which there is one.
    fn call_of(&self, tool: &str) -> i64 {
        self.0.query_row("SELECT id FROM calls WHERE tool = ?", [tool], |row| row.get(0)).expect("a call")
    }

    /// How many requests.
    pub(crate) fn count(&self, time_range: TimeRange, tool: Option<&str>) -> Answer {
        let (first, last) = borders(time_range);
        let count = match tool {
            None => "SELECT count(*) FROM request_rows WHERE ts BETWEEN ?1 AND ?2 AND ?3 = 0",
            Some(_) => "SELECT count(*) FROM request_rows WHERE ts BETWEEN ?1 AND ?2 AND call = ?3",
        };
        let call = tool.map_or(0, |tool| self.call_of(tool));
        Answer::of_count(self.0.query_row(count, params![first, last, call], |row| row.get(0)).expect("a count"))
    }

    /// Statistics of each call; without percentiles one pass is enough, and nothing is sorted.
    pub(crate) fn stats(&self, time_range: TimeRange, percentiles: bool) -> Answer {
        let sums = "max(latency_us), coalesce(sum(bytes_in), 0), coalesce(sum(bytes_out), 0), min(ts), max(ts), \
                    sum(outcome IN (3, 4)), sum(outcome = 4), sum(outcome = 2)";
        let sql = if percentiles {
            let at = |percent: u32| format!("max(latency_us) FILTER (WHERE place = (calls * {percent} + 99) / 100)");
            format!(
                "SELECT calls, {sums}, {}, {}, {} FROM ( \
                     SELECT *, row_number() OVER (PARTITION BY call ORDER BY latency_us) AS place, \
                            count(*) OVER (PARTITION BY call) AS calls \
                     FROM request_rows WHERE ts BETWEEN ?1 AND ?2) r \
                 JOIN calls ON calls.id = r.call GROUP BY call ORDER BY proxy, method, tool",
                at(50),
                at(95),
                at(99)
            )
        } else {
            format!(
                "SELECT count(*), {sums} FROM request_rows r JOIN calls ON calls.id = r.call \
                 WHERE ts BETWEEN ?1 AND ?2 GROUP BY call ORDER BY proxy, method, tool"
            )
        };
        let (first, last) = borders(time_range);
        let mut answer = Answer::default();
        let mut statement = self.0.prepare(&sql).expect("a statement");
        let mut rows = statement.query(params![first, last]).expect("rows");
        while let Some(row) = rows.next().expect("a row") {
            answer.exact.extend((0..9).map(|column| number(row, column)));
            answer.about.extend((9..12).take(if percentiles { 3 } else { 0 }).map(|column| number(row, column)));
        }
        answer
    }

    /// The slowest, the slowest first.
    pub(crate) fn slowest(&self, time_range: TimeRange, tool: Option<&str>, limit: u64) -> Answer {
        let condition = if tool.is_some() { "call = ?3" } else { "?3 = 0" };
        let call = tool.map_or(0, |tool| self.call_of(tool));
        self.shown(time_range, condition, call, "latency_us DESC, ts DESC, id DESC", "", limit)
    }

    /// The newest of those that took longer, the oldest first.
    pub(crate) fn newest_slower_than(&self, time_range: TimeRange, above_us: i64, limit: u64) -> Answer {
        self.shown(time_range, "latency_us > ?3", above_us, "ts DESC, id DESC", "ORDER BY r.ts, r.id", limit)
    }

    /// Finds ids, and then looks up the whole rows, every column of which is read.
    fn shown(&self, time_range: TimeRange, condition: &str, value: i64, best: &str, shown: &str, limit: u64) -> Answer {
        let (first, last) = borders(time_range);
        let sql = format!(
            "SELECT r.* FROM (SELECT id FROM request_rows WHERE ts BETWEEN ?1 AND ?2 AND {condition} \
             ORDER BY {best} LIMIT {limit}) AS best CROSS JOIN requests r ON r.id = best.id {shown}"
        );
        let mut statement = self.0.prepare(&sql).expect("a statement");
        let columns = statement.column_count();
        let mut rows = statement.query(params![first, last, value]).expect("rows");
        let mut answer = Answer::default();
        while let Some(row) = rows.next().expect("a row") {
            for column in 1..columns {
                std::hint::black_box(row.get_ref(column).expect("a value"));
            }
            answer.exact.push(number(row, 0));
        }
        answer
    }
}

fn number(row: &Row<'_>, column: usize) -> i64 {
    row.get(column).expect("a number")
}

/// The first and the last millisecond.
fn borders(time_range: TimeRange) -> (i64, i64) {
    (time_range.since_ts.unwrap_or(i64::MIN), time_range.until_ts.map_or(i64::MAX, |until_ts| until_ts - 1))
}
