//! `mcplog logs`: requests, the newest last.
//!
//! Runs on the main thread. Rows stream, however many there are.

use super::notes::{Notes, whole_session_id};
use super::row_stream::{RowStream, RowTable};
use super::session_name;
use crate::arguments::RequestsArgs;
use crate::error::CliError;
use anstyle::Style;
use mcplog::query::{Query, RequestRow};
use mcplog_terminal::clock::TimeStyle;
use mcplog_terminal::style::{BAD, DIM, GOOD, NAME, WARNING};
use mcplog_terminal::table::{Cell, Column, Layout};
use mcplog_terminal::view::View;
use mcplog_terminal::{text, units};
use std::io::{self, Write};

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

/// Requests, as tables show them.
pub(super) struct RequestTable {
    layout: Layout,
    time_header: String,
    time_style: TimeStyle,
    /// How much of a session's name is shown, in characters; `None`: the whole id.
    id_length: Option<usize>,
}

impl RowTable<RequestRow> for RequestTable {
    fn measure(sample: &[RequestRow], view: &View) -> Self {
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

    fn write_header(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.layout.header_beginning(&self.time_header))
    }

    /// One line for the request, and one more below it if there is an error to tell.
    fn write(&self, out: &mut dyn Write, view: &View, row: &RequestRow) -> io::Result<()> {
        writeln!(out, "{}", self.layout.row(&self.cells(row, view)))?;
        let Some(error) = error_of(row) else { return Ok(()) };
        let indent = self.layout.start_of(STATUS_COLUMN).unwrap_or(0);
        let room = view.width.map_or(usize::MAX, |width| width.saturating_sub(indent + 2));
        let (error, (_, style)) = (text::escape(&error), status_of(row));
        writeln!(out, "{:indent$}{style}└ {}{style:#}", "", text::fit(&error, room))
    }
}

impl RequestTable {
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
