//! Every query of the reading side over one large store, at several ranges of time.
//!
//! `cargo bench --bench queries -- DIR [ROWS] [TOOLS] [--beside-sql]`. A store that is not there is recorded and folded
//! first, with 10 million requests and five tools unless it is said otherwise, and left there for the next time. Each
//! number is the median and the longest of several runs, each over a connection of its own, as the command has it:
//! opening is part of it, the file's pages are warm, SQLite's are not.
//!
//! With `--beside-sql`, only what roll-ups answer is asked, and each run is followed by one of the same question in
//! plain SQL over the rows; the two must agree.

#[path = "support/plain_sql.rs"]
mod plain_sql;
#[path = "support/workload.rs"]
mod workload;

use mcplog::error::IndexError;
use mcplog::query::{Query, RequestFilter, SessionFilter, TimeRange};
use mcplog::{Config, SchemaVersion, Status, Store};
use plain_sql::{Answer, PlainSql};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use workload::{START_TS, Workload};

const RUNS: usize = 15;
/// Of each way, where two are compared.
const COMPARED_RUNS: usize = 5;
/// But no further one of a question that took so long altogether: over millions of rows plain SQL takes half a minute.
const COMPARED_FOR: Duration = Duration::from_secs(20);
const LIMIT: u64 = 100;
const HOUR_MS: i64 = 3_600_000;

const PATIENCE: Duration = Duration::from_secs(600);

/// What is asked, over a time range; returns how many rows came.
type Ask<'a> = Box<dyn Fn(&Query, TimeRange) -> Result<usize, IndexError> + 'a>;

fn main() -> Result<(), IndexError> {
    let beside_sql = std::env::args().any(|argument| argument == "--beside-sql");
    let mut arguments =
        std::env::args().skip(1).filter(|argument| !["--bench", "--beside-sql"].contains(&argument.as_str()));
    let Some(dir) = arguments.next().filter(|argument| argument != "--test").map(PathBuf::from) else {
        // `cargo test --benches` only asks whether it runs, and without a store there is nothing to ask.
        return Ok(());
    };
    if !dir.exists() {
        let mut number = |usual| arguments.next().map_or(usual, |number| number.parse().expect("a number"));
        let (rows, tools) = (number(10_000_000), number(5));
        fill(&dir, rows, usize::try_from(tools).expect("a number of tools"));
    }
    let query = Query::open(&dir)?;
    let totals = query.totals()?;
    let (Some(first_ts), Some(last_ts)) = (totals.first_ts, totals.last_ts) else { return Ok(()) };
    println!("{} requests, {} sessions, {} bytes\n", totals.requests, totals.sessions, totals.database_bytes);
    if beside_sql {
        return compare(&dir, &time_ranges(first_ts, last_ts), &Names::of(&query)?);
    }
    println!("{:<34} {:<16} {:>8} {:>9} {:>9}", "query", "range", "rows", "p50 ms", "max ms");
    let time_ranges = time_ranges(first_ts, last_ts);
    let names = Names::of(&query)?;
    let mut longest = Duration::ZERO;
    for (name, ask) in request_questions(&names).into_iter().chain(other_questions(&names)) {
        for (range, time_range) in &time_ranges {
            longest = longest.max(measure(&dir, &name, range, *time_range, &ask)?);
        }
    }
    println!("\nthe longest of all: {:.2} ms", milliseconds(longest));
    Ok(())
}

/// Records a week's worth of requests, one every 60 ms, and folds them.
fn fill(dir: &Path, rows: u64, tools: usize) {
    let mut config = Config::new(dir);
    // Nothing is dropped: whoever records waits.
    config.record_wait_ms = 60_000;
    let store = Store::open(config).expect("open");
    let recorder = store.recorder();
    let start = Instant::now();
    let list = r#"{"tools":[{"name":"search"},{"name":"read_file"},{"name":"never_called"}]}"#;
    recorder.record(SchemaVersion::new(START_TS, "files", "http://up", "tools/list", list, "00"));
    let mut workload = Workload::new();
    workload.tools = workload::tool_names(tools);
    for number in 0..rows {
        workload.record_next(&recorder);
        // Folding is slower than recording, and the log must not fill the disk.
        while number % 1_024 == 0 && store.stats().lag_records > 2_000_000 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    store.wait_folded(PATIENCE).expect("folded");
    assert_eq!(store.stats().dropped, 0);
    store.shutdown(PATIENCE);
    println!("recorded and folded in {:.0} s", start.elapsed().as_secs_f64());
}

/// No border of any cell is met by accident.
fn time_ranges(first_ts: i64, last_ts: i64) -> Vec<(&'static str, TimeRange)> {
    let between = |since_ts, until_ts| TimeRange { since_ts: Some(since_ts), until_ts: Some(until_ts) };
    let middle_ts = first_ts + (last_ts - first_ts) / 2;
    vec![
        ("all", TimeRange::default()),
        ("last 2 h", TimeRange { since_ts: Some(last_ts - 2 * HOUR_MS + 12_345), until_ts: None }),
        ("a ragged week", between(first_ts + 34_567, last_ts - 45_678)),
        ("a past day", between(middle_ts - 12 * HOUR_MS + 1_234, middle_ts + 12 * HOUR_MS + 5_678)),
        ("past 10 minutes", between(middle_ts + 7, middle_ts + 599_013)),
        // Few enough for exact percentiles.
        ("past 3 minutes", between(middle_ts + 7, middle_ts + 180_013)),
        ("a past minute", between(middle_ts + 7, middle_ts + 60_013)),
    ]
}

/// Names that stand in the store.
struct Names {
    proxy: String,
    method: String,
    tool: Option<String>,
    session: Option<String>,
    client: Option<String>,
    /// What one request in a hundred exceeds, and what only those do that timed out.
    slow_us: i64,
    slower_us: i64,
    /// What no request exceeds.
    slowest_us: i64,
}

impl Names {
    fn of(query: &Query) -> Result<Self, IndexError> {
        let stats = query.tool_stats(&RequestFilter::default())?;
        let most = stats.iter().max_by_key(|row| row.calls).cloned().unwrap_or_default();
        let sessions = query.sessions(&SessionFilter { limit: Some(500), ..SessionFilter::default() })?;
        let slowest = query.slowest(&RequestFilter::default(), 10)?;
        Ok(Self {
            slow_us: most.p99_us.unwrap_or_default(),
            slower_us: slowest.last().map_or(0, |row| row.latency_us - 1),
            slowest_us: slowest.first().map_or(0, |row| row.latency_us),
            proxy: most.proxy,
            method: most.method,
            tool: most.tool,
            session: sessions.first().map(|row| row.session_id.clone()),
            client: sessions.first().and_then(|row| row.client_name.clone()),
        })
    }
}

fn request_questions(names: &Names) -> Vec<(String, Ask<'_>)> {
    let all = RequestFilter::default;
    let filters = [
        ("", all()),
        (" proxy", RequestFilter { proxy: Some(names.proxy.clone()), ..all() }),
        (" method", RequestFilter { method: Some(names.method.clone()), ..all() }),
        (" tool", RequestFilter { tool: names.tool.clone(), ..all() }),
        (" status ok", RequestFilter { status: Some(Status::Ok), ..all() }),
        (" status error", RequestFilter { status: Some(Status::Error), ..all() }),
        (" status timeout", RequestFilter { status: Some(Status::Timeout), ..all() }),
        (" session", RequestFilter { session_id: names.session.clone(), ..all() }),
        (" errors", RequestFilter { errors_only: true, ..all() }),
        (" slower than 0", RequestFilter { slower_than_us: Some(0), ..all() }),
        (" slower than the p99", RequestFilter { slower_than_us: Some(names.slow_us), ..all() }),
        (" slower than most", RequestFilter { slower_than_us: Some(names.slower_us), ..all() }),
        (" tool, errors", RequestFilter { tool: names.tool.clone(), errors_only: true, ..all() }),
    ];
    let mut questions: Vec<(String, Ask<'_>)> = Vec::new();
    for (name, filter) in filters {
        let limited = RequestFilter { limit: Some(LIMIT), ..filter.clone() };
        questions.push((
            format!("logs{name}"),
            Box::new(move |query, time_range| {
                Ok(query.requests(&RequestFilter { time_range, ..limited.clone() })?.len())
            }),
        ));
        // Failures are few: all time-outs are among the slowest of all, hardly any error is.
        if ["", " tool", " status error", " status timeout", " errors"].contains(&name) {
            let slow = filter.clone();
            questions.push((
                format!("slow{name}"),
                Box::new(move |query, time_range| {
                    Ok(query.slowest(&RequestFilter { time_range, ..slow.clone() }, LIMIT)?.len())
                }),
            ));
        }
        if ["", " proxy", " method", " tool"].contains(&name) {
            let counted = filter.clone();
            questions.push((
                format!("stats{name}"),
                Box::new(move |query, time_range| {
                    Ok(query.tool_stats(&RequestFilter { time_range, ..filter.clone() })?.len())
                }),
            ));
            questions.push((
                format!("count{name}"),
                Box::new(move |query, time_range| {
                    let count = query.count_requests(&RequestFilter { time_range, ..counted.clone() })?;
                    Ok(usize::try_from(count).unwrap_or(0))
                }),
            ));
        }
    }
    questions
}

fn other_questions(names: &Names) -> Vec<(String, Ask<'_>)> {
    let all = || SessionFilter { limit: Some(LIMIT), ..SessionFilter::default() };
    let filters = [
        ("", all()),
        (" proxy", SessionFilter { proxy: Some(names.proxy.clone()), ..all() }),
        (" client", SessionFilter { client_name: names.client.clone(), ..all() }),
        (" session", SessionFilter { session_id: names.session.clone(), ..all() }),
        (" errors", SessionFilter { errors_only: true, ..all() }),
    ];
    let mut questions: Vec<(String, Ask<'_>)> = Vec::new();
    for (name, filter) in filters {
        questions.push((
            format!("sessions{name}"),
            Box::new(move |query, time_range| {
                Ok(query.sessions(&SessionFilter { time_range, ..filter.clone() })?.len())
            }),
        ));
    }
    questions.push((
        "clients".to_owned(),
        Box::new(|query, time_range| {
            Ok(query.clients(&SessionFilter { time_range, ..SessionFilter::default() })?.len())
        }),
    ));
    questions.push((
        "unused tools".to_owned(),
        Box::new(|query, time_range| Ok(query.unused_tools(time_range, None)?.len())),
    ));
    questions.push(("totals".to_owned(), Box::new(|query, _| query.totals().map(|_| 1))));
    questions
}

type AskRollups<'a> = Box<dyn Fn(&Query, TimeRange) -> Result<Answer, IndexError> + 'a>;
type AskRows<'a> = Box<dyn Fn(&PlainSql, TimeRange) -> Answer + 'a>;

/// A question, as the library is asked and as the rows are.
struct Compared<'a> {
    name: &'static str,
    by_rollups: AskRollups<'a>,
    by_rows: AskRows<'a>,
}

fn compared(names: &Names) -> Vec<Compared<'_>> {
    let in_range = |time_range| RequestFilter { time_range, ..RequestFilter::default() };
    let of_tool = move |time_range| RequestFilter { tool: names.tool.clone(), ..in_range(time_range) };
    let slower = move |time_range, above| RequestFilter {
        slower_than_us: Some(above),
        limit: Some(LIMIT),
        ..in_range(time_range)
    };
    vec![
        Compared {
            name: "count",
            by_rollups: Box::new(move |query, time_range| {
                query.count_requests(&in_range(time_range)).map(Answer::of_count)
            }),
            by_rows: Box::new(|sql, time_range| sql.count(time_range, None)),
        },
        Compared {
            name: "count tool",
            by_rollups: Box::new(move |query, time_range| {
                query.count_requests(&of_tool(time_range)).map(Answer::of_count)
            }),
            by_rows: Box::new(|sql, time_range| sql.count(time_range, names.tool.as_deref())),
        },
        Compared {
            name: "stats",
            by_rollups: Box::new(move |query, time_range| {
                query.tool_stats(&in_range(time_range)).map(|rows| Answer::of_stats(&rows))
            }),
            by_rows: Box::new(|sql, time_range| sql.stats(time_range, true)),
        },
        Compared {
            name: "stats, SQL without percentiles",
            by_rollups: Box::new(move |query, time_range| {
                let stats = query.tool_stats(&in_range(time_range))?;
                Ok(Answer { about: Vec::new(), ..Answer::of_stats(&stats) })
            }),
            by_rows: Box::new(|sql, time_range| sql.stats(time_range, false)),
        },
        Compared {
            name: "slow",
            by_rollups: Box::new(move |query, time_range| {
                query.slowest(&in_range(time_range), LIMIT).map(|rows| Answer::of_rows(&rows))
            }),
            by_rows: Box::new(|sql, time_range| sql.slowest(time_range, None, LIMIT)),
        },
        Compared {
            name: "slow tool",
            by_rollups: Box::new(move |query, time_range| {
                query.slowest(&of_tool(time_range), LIMIT).map(|rows| Answer::of_rows(&rows))
            }),
            by_rows: Box::new(|sql, time_range| sql.slowest(time_range, names.tool.as_deref(), LIMIT)),
        },
        Compared {
            name: "logs slower than the p99",
            by_rollups: Box::new(move |query, time_range| {
                query.requests(&slower(time_range, names.slow_us)).map(|rows| Answer::of_rows(&rows))
            }),
            by_rows: Box::new(|sql, time_range| sql.newest_slower_than(time_range, names.slow_us, LIMIT)),
        },
        Compared {
            name: "logs slower than any",
            by_rollups: Box::new(move |query, time_range| {
                query.requests(&slower(time_range, names.slowest_us)).map(|rows| Answer::of_rows(&rows))
            }),
            by_rows: Box::new(|sql, time_range| sql.newest_slower_than(time_range, names.slowest_us, LIMIT)),
        },
    ]
}

/// Asks both ways in turn, so that what else the machine does meets both, and prints how many times as long the rows
/// take.
fn compare(dir: &Path, time_ranges: &[(&'static str, TimeRange)], names: &Names) -> Result<(), IndexError> {
    println!("{:<34} {:<16} {:>11} {:>9} {:>8}", "query", "range", "roll-ups ms", "SQL ms", "ratio");
    for Compared { name, by_rollups, by_rows } in compared(names) {
        for (range, time_range) in time_ranges {
            let (mut rollups, mut rows) = (Vec::new(), Vec::new());
            let begun = Instant::now();
            // The first run of each warms the file's pages and does not count.
            while rows.len() <= 1 || (rows.len() <= COMPARED_RUNS && begun.elapsed() < COMPARED_FOR) {
                let start = Instant::now();
                let one = by_rollups(&Query::open(dir)?, *time_range)?;
                let between = Instant::now();
                let other = by_rows(&PlainSql::open(dir), *time_range);
                rollups.push(between - start);
                rows.push(between.elapsed());
                one.assert_agrees(&other, &format!("{name}, {range}"));
            }
            let [rollups, rows] = [rollups, rows].map(|mut runs| {
                runs.remove(0);
                runs.sort_unstable();
                milliseconds(runs[runs.len() / 2])
            });
            println!("{name:<34} {range:<16} {rollups:>11.2} {rows:>9.2} {:>8.1}", rows / rollups);
        }
    }
    Ok(())
}

/// Prints a line, and returns the longest run.
fn measure(dir: &Path, name: &str, range: &str, time_range: TimeRange, ask: &Ask<'_>) -> Result<Duration, IndexError> {
    let mut runs = Vec::with_capacity(RUNS);
    // The first run warms the file's pages and does not count.
    let mut rows = ask(&Query::open(dir)?, time_range)?;
    for _ in 0..RUNS {
        let start = Instant::now();
        rows = ask(&Query::open(dir)?, time_range)?;
        runs.push(start.elapsed());
    }
    runs.sort_unstable();
    let (median, longest) = (runs[RUNS / 2], runs[RUNS - 1]);
    println!("{name:<34} {range:<16} {rows:>8} {:>9.2} {:>9.2}", milliseconds(median), milliseconds(longest));
    Ok(longest)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
