//! `mcplog slow`: the slowest requests, the slowest first.
//!
//! Runs on the main thread. The roll-ups know where the slowest are, so that it takes no longer over millions.

use super::notes::{Notes, whole_session_id};
use super::request_table::RequestTable;
use crate::arguments::RequestsArgs;
use crate::error::CliError;
use mcplog::query::Query;
use mcplog_terminal::json;
use mcplog_terminal::view::View;
use std::io::Write;

/// Runs the command.
pub(crate) fn run(args: &RequestsArgs, view: &View, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), CliError> {
    let view = &args.show.view(view);
    let query = Query::open(&args.store.dir)?;
    let filter = args.requests.filter(whole_session_id(&query, args.requests.session.as_deref())?);
    let limit = args.show.limit().unwrap_or(u64::MAX);
    // One more than asked for tells whether anything was cut.
    let rows = query.slowest(&filter, limit.saturating_add(1))?;
    let shown = &rows[..rows.len().min(usize::try_from(limit).unwrap_or(usize::MAX))];

    if args.show.json {
        shown.iter().try_for_each(|row| json::write_line(out, row))?;
    } else if !shown.is_empty() {
        let table = RequestTable::measure(shown, view);
        table.write_header(out)?;
        shown.iter().try_for_each(|row| table.write(out, view, row))?;
    }
    let mut notes = Notes::beside(!shown.is_empty(), args.show.json, view, out, err);
    if rows.is_empty() {
        notes.none_found(&query, "request")?;
    }
    if shown.len() < rows.len() {
        notes.cut(limit, "request", "slowest")?;
    }
    notes.missing(&query, filter.time_range)
}
