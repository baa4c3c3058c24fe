//! Requests as a table: `logs`, followed or not, and `slow`.
//!
//! Pure but for the writer it is given.

use super::row_stream::RowTable;
use super::session_name;
use anstyle::Style;
use mcplog::query::RequestRow;
use mcplog_terminal::clock::TimeStyle;
use mcplog_terminal::line::Line;
use mcplog_terminal::style::{BAD, DIM, GOOD, NAME, WARNING};
use mcplog_terminal::table::{Cell, Column, Layout};
use mcplog_terminal::units;
use mcplog_terminal::view::View;
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
/// Which proxy or wrapped server recorded it, where there are several; it stands before this column.
const PROXY: Column = Column::left("PROXY").cut_to(12);
const METHOD_COLUMN: usize = 3;
/// Stands before the method of what the server asked its client.
const ASKED: &str = "← ";
/// What most rows fit into: rows that are still to come have no widths yet.
const USUAL_CELLS: [&str; 7] =
    ["", "timeout", "999 ms", "tools/call", "a name of 18 chars", "of 12 chars.", "8 chars."];

/// Requests, as tables show them.
pub(super) struct RequestTable {
    layout: Layout,
    time_header: String,
    time_style: TimeStyle,
    /// The first and the last of the times that it was measured for.
    times: (i64, i64),
    /// How much of a session's name is shown, in characters; `None`: the whole id.
    id_length: Option<usize>,
    has_proxies: bool,
}

impl RowTable<RequestRow> for RequestTable {
    fn measure(sample: &[RequestRow], view: &View) -> Self {
        Self::with_room(sample, view, &[])
    }

    fn write_header(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.layout.header_beginning(&self.time_header))
    }

    /// One line for the request, and one more below it if there is an error to tell.
    fn write(&self, out: &mut dyn Write, view: &View, row: &RequestRow) -> io::Result<()> {
        writeln!(out, "{}", self.layout.row(&self.cells(row, view)))?;
        let Some(error) = error_of(row) else { return Ok(()) };
        let indent = self.layout.start_of(STATUS_COLUMN).unwrap_or(0);
        let mut line = Line::new();
        line.push_spaces(indent);
        line.push(status_of(row).1, format!("└ {error}"));
        writeln!(out, "{}", line.render(view.width, true))
    }
}

impl RequestTable {
    /// Columns that the sample fits into, and what usually comes behind it.
    pub(super) fn measure_beginning(sample: &[RequestRow], view: &View) -> Self {
        Self::with_room(sample, view, &USUAL_CELLS.map(Cell::new))
    }

    fn with_room(sample: &[RequestRow], view: &View, room: &[Cell<'static>]) -> Self {
        let first_ts = sample.iter().map(|row| row.ts).min().unwrap_or(0);
        let last_ts = sample.iter().map(|row| row.ts).max().unwrap_or(0);
        let (time_header, time_style) = view.clock.column("TIME", first_ts, last_ts);
        let sessions = sample.iter().filter_map(|row| row.session_id.as_deref());
        let id_length = session_name::shown_length(view, sessions);
        let times = (first_ts, last_ts);
        let has_proxies = sample.windows(2).any(|rows| rows[0].proxy != rows[1].proxy);
        let layout = Layout::new(&[], "", &[], None);
        let mut table = Self { layout, time_header, time_style, times, id_length, has_proxies };
        let (mut columns, mut room) = (COLUMNS.to_vec(), room.to_vec());
        if has_proxies {
            columns.insert(METHOD_COLUMN, PROXY);
            room.insert(METHOD_COLUMN.min(room.len()), Cell::new(""));
        }
        let cells: Vec<_> = sample.iter().map(|row| table.cells(row, view)).chain([room]).collect();
        table.layout = Layout::new(&columns, &table.time_header, &cells, view.width);
        table
    }

    /// Whether the column of times says all that there is to say of these rows' times as well.
    pub(super) fn has_times_of(&self, rows: &[RequestRow], view: &View) -> bool {
        let times = || rows.iter().map(|row| row.ts);
        let first_ts = times().chain([self.times.0]).min().unwrap_or(self.times.0);
        let last_ts = times().chain([self.times.1]).max().unwrap_or(self.times.1);
        view.clock.column("TIME", first_ts, last_ts) == (self.time_header.clone(), self.time_style)
    }

    fn cells<'a>(&self, row: &'a RequestRow, view: &View) -> Vec<Cell<'a>> {
        let (status, style) = status_of(row);
        let session = session_name::shown(row.session_id.as_deref().unwrap_or(""), self.id_length);
        let method = match row.direction.as_str() {
            "server" => Cell::owned(format!("{ASKED}{}", row.method)),
            _ => Cell::new(&row.method),
        };
        let about = row.tool.as_deref().or(row.target.as_deref()).unwrap_or("");
        let mut cells = vec![
            Cell::owned(view.clock.time(row.ts, self.time_style)).styled(DIM),
            Cell::new(status).styled(style),
            Cell::owned(units::latency(row.latency_us)),
            method,
            Cell::new(about).styled(NAME),
            Cell::new(row.client_name.as_deref().unwrap_or("")),
            Cell::new(session).styled(DIM),
        ];
        if self.has_proxies {
            cells.insert(METHOD_COLUMN, Cell::new(&row.proxy));
        }
        cells
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
    // The cause says who ended it, which is no error.
    if row.outcome == "ended" {
        return None;
    }
    match (&row.error_code, row.cause.as_ref().or(row.error_msg.as_ref())) {
        (Some(code), Some(message)) => Some(format!("{code}: {message}")),
        (Some(only), None) | (None, Some(only)) => Some(only.clone()),
        (None, None) => None,
    }
}
