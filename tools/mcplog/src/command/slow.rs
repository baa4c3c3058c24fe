//! `mcplog slow`: the slowest requests, the slowest first.
//!
//! Runs on the main thread. The roll-ups know where the slowest are, so that it takes no longer over millions. Rows
//! stream, however many are asked for.

use super::logs::RequestTable;
use super::notes::{Notes, whole_session_id};
use super::row_stream::RowStream;
use crate::arguments::RequestsArgs;
use crate::error::CliError;
use mcplog::query::Query;
use mcplog_terminal::view::View;
use std::io::Write;
use std::ops::ControlFlow;

/// Runs the command.
pub(crate) fn run(args: &RequestsArgs, view: &View, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), CliError> {
    let query = Query::open(&args.store.dir)?;
    let filter = args.requests.filter(whole_session_id(&query, args.requests.session.as_deref())?);
    let limit = args.show.limit().unwrap_or(u64::MAX);
    let mut rows = RowStream::<_, RequestTable>::new(&mut *out, view, args.show.json);
    // One more than asked for tells whether anything was cut.
    let mut is_cut = false;
    query.each_slowest(&filter, limit.saturating_add(1), |row| {
        is_cut = rows.seen() == limit;
        if is_cut { ControlFlow::Break(()) } else { rows.push(row) }
    })?;
    let seen = rows.finish()?;

    let mut notes = Notes::beside(seen > 0, args.show.json, view, out, err);
    if seen == 0 {
        notes.none_found(&query, "request")?;
    }
    if is_cut {
        notes.cut(limit, "request", "slowest")?;
    }
    notes.missing(&query, filter.time_range)
}
