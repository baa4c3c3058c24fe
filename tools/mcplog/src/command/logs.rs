//! `mcplog logs`: requests, the newest last.
//!
//! Runs on the main thread. Rows stream: however many there are, only the first thousand are held, to measure columns.

use super::notes::{Notes, whole_session_id};
use super::session_name;
use crate::arguments::RequestsArgs;
use crate::error::CliError;
use anstyle::Style;
use mcplog::query::{Query, RequestRow};
use mcplog_terminal::clock::TimeStyle;
use mcplog_terminal::style::{BAD, DIM, GOOD, NAME, WARNING};
use mcplog_terminal::table::{Cell, Column, Layout};
use mcplog_terminal::view::View;
use mcplog_terminal::{json, text, units};
use std::io::{self, Write};
use std::ops::ControlFlow;

/// So many rows are looked at to measure the columns.
const SAMPLE_ROWS: usize = 1_000;

const COLUMNS: [Column; 7] = [
    Column::left("TIME"),
    Column::left("STATUS"),
    Column::right("LATENCY"),
    Column::left("METHOD").cut_to(14),
    Column::left("TOOL OR TARGET").cut_to(18),
    Column::left("CLIENT").cut_to(12).droppable(1),
    Column::left("SESSION").cut_to(8).droppable(2),
];
const STATUS_COLUMN: usize = 1;

/// Runs the command.
pub(crate) fn run(args: &RequestsArgs, view: &View, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), CliError> {
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

/// Requests, as tables show them.
pub(super) struct RequestTable {
    layout: Layout,
    time_header: String,
    time_style: TimeStyle,
    /// How much of a session's name is shown, in characters; `None`: the whole id.
    id_length: Option<usize>,
}

impl RequestTable {
    /// Columns that the sample fits into.
    pub(super) fn measure(sample: &[RequestRow], view: &View) -> Self {
        let first_ts = sample.iter().map(|row| row.ts).min().unwrap_or(0);
        let last_ts = sample.iter().map(|row| row.ts).max().unwrap_or(0);
        let (time_header, time_style) = view.clock.column("TIME", first_ts, last_ts);
        let sessions = sample.iter().filter_map(|row| row.session_id.as_deref());
        let id_length = session_name::shown_length(view, sessions);
        let mut table = Self { layout: Layout::new(&[], &[], None), time_header, time_style, id_length };
        let cells: Vec<_> = sample.iter().map(|row| table.cells(row, view)).collect();
        table.layout = Layout::new(&COLUMNS, &cells, view.width);
        table
    }

    pub(super) fn write_header(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.layout.header_beginning(&self.time_header))
    }

    /// One line for the request, and one more below it if there is an error to tell.
    pub(super) fn write(&self, out: &mut dyn Write, view: &View, row: &RequestRow) -> io::Result<()> {
        writeln!(out, "{}", self.layout.row(&self.cells(row, view)))?;
        let Some(error) = error_of(row) else { return Ok(()) };
        let indent = self.layout.start_of(STATUS_COLUMN).unwrap_or(0);
        let room = view.width.map_or(usize::MAX, |width| width.saturating_sub(indent + 2));
        let (error, (_, style)) = (text::escape(&error), status_of(row));
        writeln!(out, "{:indent$}{style}└ {}{style:#}", "", text::fit(&error, room))
    }

    fn cells<'a>(&self, row: &'a RequestRow, view: &View) -> Vec<Cell<'a>> {
        let (status, style) = status_of(row);
        let session = session_name::shown(row.session_id.as_deref().unwrap_or(""), self.id_length);
        let about = row.tool.as_deref().or(row.target.as_deref()).unwrap_or("");
        vec![
            Cell::owned(view.clock.time(row.ts, self.time_style)).styled(DIM),
            Cell::new(status).styled(style),
            Cell::owned(units::latency(row.latency_us)),
            Cell::new(&row.method),
            Cell::new(about).styled(NAME),
            Cell::new(row.client_name.as_deref().unwrap_or("")),
            Cell::new(session).styled(DIM),
        ]
    }
}

/// How the request ended, in one word: its outcome, which says more than its status.
fn status_of(row: &RequestRow) -> (&str, Style) {
    match row.outcome.as_str() {
        "tool_error" => ("isError", WARNING),
        outcome @ ("ok" | "ended") => (outcome, GOOD),
        outcome @ ("cancelled" | "probe" | "redirected" | "input_required") => (outcome, WARNING),
        outcome => (outcome, BAD),
    }
}

/// What went wrong. The cause of an upstream's failure stands in the place of the message, which says in general what the cause
/// says of this one, and together they are too long for a line.
fn error_of(row: &RequestRow) -> Option<String> {
    match (&row.error_code, row.cause.as_ref().or(row.error_msg.as_ref())) {
        (Some(code), Some(message)) => Some(format!("{code}: {message}")),
        (Some(only), None) | (None, Some(only)) => Some(only.clone()),
        (None, None) => None,
    }
}
