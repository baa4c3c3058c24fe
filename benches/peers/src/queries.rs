//! How long mcplog's queries take on a large database.

use crate::folding::{open, record};
use mcplog::Query;
use mcplog::query::{RequestFilter, SessionFilter};
use measure::log::Failure;
use measure::workload::TOOLS;
use measure::{Outcome, query_time};
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) fn mcplog(dir: &Path, rows: u64) -> Result<Outcome, Failure> {
    let store = open(dir)?;
    record(&store, rows)?;
    store.wait_folded(PATIENCE)?;
    let query = Query::open(store.dir())?;
    let everything = RequestFilter::default();
    let latest = RequestFilter { limit: Some(50), ..RequestFilter::default() };
    let of_a_tool = RequestFilter { tool: Some(TOOLS[1].into()), ..latest.clone() };
    let slow = RequestFilter { slower_than_us: Some(query_time::SLOW_US), ..RequestFilter::default() };
    let sessions = SessionFilter { limit: Some(50), ..SessionFilter::default() };
    let times = vec![
        ("stats per tool".into(), query_time::milliseconds(|| query.tool_stats(&everything).map(drop))?),
        ("slowest 50".into(), query_time::milliseconds(|| query.slowest(&slow, 50).map(drop))?),
        ("store totals".into(), query_time::milliseconds(|| query.totals().map(drop))?),
        ("latest 50".into(), query_time::milliseconds(|| query.requests(&latest).map(drop))?),
        ("latest 50 of a tool".into(), query_time::milliseconds(|| query.requests(&of_a_tool).map(drop))?),
        ("50 sessions".into(), query_time::milliseconds(|| query.sessions(&sessions).map(drop))?),
    ];
    drop(query);
    store.shutdown(PATIENCE);
    Ok(Outcome::Queries(times))
}
