//! `mcplog slow`: the slowest requests, the slowest first. What a server asks is left out unless it is asked for: its client
//! may have to ask a user, and that is no slowness of the server.
//!
//! Runs on the main thread. The roll-ups know where the slowest are, so that it takes no longer over millions. Rows
//! stream, however many are asked for.

use super::answer::{Answer, Answered};
use super::notes::Notes;
use super::request_table::RequestTable;
use super::row_stream::RowStream;
use crate::arguments::RequestsArgs;
use crate::error::CliError;
use mcplog::event::Direction;
use mcplog_terminal::view::View;
use std::io::Write;
use std::ops::ControlFlow;

/// Runs the command.
pub(crate) fn run(
    args: &RequestsArgs,
    view: &View,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Answered, CliError> {
    let view = &args.show.view(view);
    let answer = Answer::begin(&args.store.dir, &args.fold, args.requests.time.range(), err)?;
    let query = &answer.query;
    let mut filter = args.requests.filter(answer.whole_session_id(args.requests.session.as_deref())?);
    filter.direction.get_or_insert(Direction::Client);
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
        answer.none_found(&mut notes, "request")?;
    }
    if is_cut {
        notes.cut(limit, "request", "slowest")?;
    }
    answer.end(notes)
}
