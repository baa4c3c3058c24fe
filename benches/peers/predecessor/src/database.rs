//! The predecessor's writer without its losses, and its queries.

use crate::event::{request_event, session_event};
use mcpr_integrations::store::query::logs::LogsParams;
use mcpr_integrations::store::query::sessions::SessionsParams;
use mcpr_integrations::store::query::slow::SlowParams;
use mcpr_integrations::store::query::stats::StatsParams;
use mcpr_integrations::store::{QueryEngine, db, schema, writer};
use measure::log::Failure;
use measure::workload::{TOOLS, Texts};
use measure::{Outcome, Workload, query_time};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// As in its `Store`.
const CHANNEL_EVENTS: usize = 10_000;
/// Rows per transaction where only the content of the database matters, not how it got there.
const FILL_ROWS: u64 = 50_000;

/// A million rows would take it minutes. It gets slower as its indexes grow, so that stopping earlier is in its favour.
const FOLDING_TIME_MAX: Duration = Duration::from_secs(20);

/// Its writer's own loop behind a channel of its own size; but whoever sends waits for room, so that nothing is lost.
pub(crate) fn folding(dir: &Path, rows: u64) -> Result<Outcome, Failure> {
    let connection = create(dir)?;
    let (sender, receiver) = tokio::sync::mpsc::channel(CHANNEL_EVENTS);
    let workload = Workload::default();
    let start = Instant::now();
    let rows = std::thread::scope(|scope| {
        scope.spawn(move || writer::run_writer_loop(connection, receiver));
        for session in workload.sessions() {
            sender.blocking_send(session_event(session))?;
        }
        let mut sent = 0;
        while sent < rows && start.elapsed() < FOLDING_TIME_MAX {
            let mut texts = Texts::new();
            sender.blocking_send(request_event(&workload.event(sent, &mut texts)))?;
            sent += 1;
        }
        drop(sender);
        Ok::<u64, Failure>(sent)
    })?;
    let took_s = start.elapsed().as_secs_f64();
    let stored = QueryEngine::open(&database(dir))?.store_stats(&database(dir))?.total_requests;
    if u64::try_from(stored) != Ok(rows) {
        return Err(format!("{stored} of {rows} rows were stored").into());
    }
    Ok(Outcome::Folding { rows, took_s })
}

/// Its queries, by the names that mcplog's have.
pub(crate) fn queries(dir: &Path, rows: u64) -> Result<Outcome, Failure> {
    fill(dir, rows)?;
    let path = database(dir);
    let engine = QueryEngine::open(&path)?;
    let stats = StatsParams { proxy: None, since_ts: 0 };
    let slow = SlowParams { proxy: None, threshold_us: query_time::SLOW_US, since_ts: 0, tool: None, limit: 50 };
    let logs = |tool: Option<&str>| LogsParams {
        proxy: None,
        since_ts: 0,
        limit: 50,
        tool: tool.map(str::to_owned),
        method: None,
        session: None,
        status: None,
        error_code: None,
    };
    let (latest, of_a_tool) = (logs(None), logs(Some(TOOLS[1])));
    let sessions = SessionsParams { proxy: None, since_ts: 0, limit: 50, active_only: false, client: None };
    Ok(Outcome::Queries(vec![
        ("stats per tool".into(), query_time::milliseconds(|| engine.stats(&stats).map(drop))?),
        ("slowest 50".into(), query_time::milliseconds(|| engine.slow(&slow).map(drop))?),
        ("store totals".into(), query_time::milliseconds(|| engine.store_stats(&path).map(drop))?),
        ("latest 50".into(), query_time::milliseconds(|| engine.logs(&latest).map(drop))?),
        ("latest 50 of a tool".into(), query_time::milliseconds(|| engine.logs(&of_a_tool).map(drop))?),
        ("50 sessions".into(), query_time::milliseconds(|| engine.sessions(&sessions).map(drop))?),
    ]))
}

/// Its own statements, prepared once and in large transactions: its writer would take minutes. The counters of the
/// sessions, which no query here adds up, are left out.
fn fill(dir: &Path, rows: u64) -> Result<(), Failure> {
    let connection = create(dir)?;
    let workload = Workload::default();
    connection.execute_batch("BEGIN")?;
    let mut insert_session = connection.prepare(schema::INSERT_SESSION_SQL)?;
    for session in workload.sessions() {
        insert_session.execute((session, measure::workload::PROXY, 0, "claude-desktop", "1.2.0", "claude"))?;
    }
    let mut insert_request = connection.prepare(schema::INSERT_REQUEST_SQL)?;
    for number in 0..rows {
        if number > 0 && number.is_multiple_of(FILL_ROWS) {
            connection.execute_batch("COMMIT; BEGIN")?;
        }
        let mut texts = Texts::new();
        let event = workload.event(number, &mut texts);
        insert_request.execute((
            event.request_id,
            event.ts,
            event.proxy,
            event.session_id,
            event.method,
            event.tool,
            event.latency_us,
            if event.failure.is_some() { "error" } else { "ok" },
            event.failure.map(|failure| failure.code),
            event.failure.map(|failure| failure.message),
            event.bytes_in,
            event.bytes_out,
        ))?;
    }
    connection.execute_batch("COMMIT")?;
    Ok(())
}

fn create(dir: &Path) -> Result<rusqlite::Connection, Failure> {
    let connection = db::open_connection(&database(dir))?;
    db::run_migrations(&connection, "0.4.40")?;
    Ok(connection)
}

fn database(dir: &Path) -> PathBuf {
    dir.join("store.db")
}
