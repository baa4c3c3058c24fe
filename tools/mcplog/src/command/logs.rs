//! `mcplog logs`: requests, the newest last.
//!
//! Runs on the main thread. Rows stream: however many there are, only the first thousand are held, to measure columns.

use super::follow;
use super::notes::{Notes, whole_session_id};
use super::request_table::RequestTable;
use crate::arguments::LogsArgs;
use crate::error::CliError;
use mcplog::query::{Query, RequestRow};
use mcplog_terminal::json;
use mcplog_terminal::view::View;
use std::io::{self, Write};
use std::ops::ControlFlow;

/// So many rows are looked at to measure the columns.
const SAMPLE_ROWS: usize = 1_000;

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

    let mut rows = Rows { out: &mut *out, view, json: args.show.json, table: None, sample: Vec::new(), seen: 0 };
    let mut written = Ok(());
    query.each_request(&filter, |row| {
        written = rows.push(row);
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    written?;
    rows.finish()?;
    let seen = rows.seen;

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

/// Rows on their way out.
struct Rows<'a> {
    out: &'a mut dyn Write,
    view: &'a View,
    json: bool,
    table: Option<RequestTable>,
    sample: Vec<RequestRow>,
    seen: u64,
}

impl Rows<'_> {
    fn push(&mut self, row: RequestRow) -> io::Result<()> {
        self.seen += 1;
        if self.json {
            return json::write_line(self.out, &row);
        }
        match &self.table {
            Some(table) => table.write(self.out, self.view, &row),
            None => {
                self.sample.push(row);
                if self.sample.len() == SAMPLE_ROWS { self.start_table() } else { Ok(()) }
            }
        }
    }

    fn start_table(&mut self) -> io::Result<()> {
        let table = RequestTable::measure(&self.sample, self.view);
        table.write_header(self.out)?;
        for row in std::mem::take(&mut self.sample) {
            table.write(self.out, self.view, &row)?;
        }
        self.table = Some(table);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.sample.is_empty() { Ok(()) } else { self.start_table() }
    }
}
