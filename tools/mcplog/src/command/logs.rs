//! `mcplog logs`: requests, the newest last.
//!
//! Runs on the main thread. Rows stream, however many there are.

use super::follow;
use super::notes::{Notes, whole_session_id};
use super::request_table::RequestTable;
use super::row_stream::RowStream;
use crate::arguments::LogsArgs;
use crate::error::CliError;
use mcplog::query::Query;
use mcplog_terminal::view::View;
use std::io::Write;

/// Runs the command.
pub(crate) fn run(args: &LogsArgs, view: &View, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), CliError> {
    let LogsArgs { rows: args, follow } = args;
    let view = &args.show.view(view);
    if *follow {
        return follow::run(args, view, out, err);
    }
    let query = Query::open(&args.store.dir)?;
    let session_id = whole_session_id(&query, args.requests.session.as_deref())?;
    let mut filter = args.requests.filter(session_id);
    filter.limit = args.show.limit();

    let mut rows = RowStream::<_, RequestTable>::new(&mut *out, view, args.show.json);
    query.each_request(&filter, |row| rows.push(row))?;
    let seen = rows.finish()?;

    let mut notes = Notes::beside(seen > 0, args.show.json, view, out, err);
    if seen == 0 {
        notes.none_found(&query, "request")?;
    }
    if let Some(limit) = filter.limit
        && seen == limit
    {
        filter.limit = Some(limit.saturating_add(1));
        if query.count_requests(&filter)? > i64::try_from(limit).unwrap_or(i64::MAX) {
            notes.cut(limit, "request", "newest")?;
        }
    }
    notes.missing(&query, filter.time_range)
}
