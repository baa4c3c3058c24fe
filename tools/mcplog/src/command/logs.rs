//! `mcplog logs`: requests, the newest last.
//!
//! Runs on the main thread. Rows stream, however many there are.

use super::answer::{Answer, Answered};
use super::follow;
use super::notes::Notes;
use super::request_table::RequestTable;
use super::row_stream::RowStream;
use crate::arguments::LogsArgs;
use crate::error::CliError;
use mcplog_terminal::view::View;
use std::io::Write;

/// Runs the command.
pub(crate) fn run(
    args: &LogsArgs,
    view: &View,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Answered, CliError> {
    let LogsArgs { rows: args, follow } = args;
    let view = &args.show.view(view);
    if *follow {
        return follow::run(args, view, out, err);
    }
    let answer = Answer::begin(&args.store.dir, &args.fold, args.requests.time.range(), err)?;
    let query = &answer.query;
    let session_id = answer.whole_session_id(args.requests.session.as_deref())?;
    let mut filter = args.requests.filter(session_id);
    filter.limit = args.show.limit();

    let mut rows = RowStream::<_, RequestTable>::new(&mut *out, view, args.show.json);
    query.each_request(&filter, |row| rows.push(row))?;
    let seen = rows.finish()?;

    let mut notes = Notes::beside(seen > 0, args.show.json, view, out, err);
    if seen == 0 {
        answer.none_found(&mut notes, "request")?;
    }
    if let Some(limit) = filter.limit
        && seen == limit
    {
        filter.limit = Some(limit.saturating_add(1));
        if query.count_requests(&filter)? > i64::try_from(limit).unwrap_or(i64::MAX) {
            notes.cut(limit, "request", "newest")?;
        }
    }
    answer.end(notes)
}
