//! `mcplog sessions`: who connected, for how long, and how it went; by session or by client.
//!
//! Runs on the main thread.

use super::answer::{Answer, Answered};
use super::notes::Notes;
use super::row_stream::{RowStream, RowTable};
use super::session_name;
use crate::arguments::SessionsArgs;
use crate::error::CliError;
use anstyle::Style;
use mcplog::query::{ClientRow, SessionFilter, SessionRow};
use mcplog_terminal::clock::TimeStyle;
use mcplog_terminal::json;
use mcplog_terminal::style::{BAD, DIM, GOOD, NAME, WARNING};
use mcplog_terminal::table::{Cell, Column, Layout, write_table};
use mcplog_terminal::units::{count, duration_ms};
use mcplog_terminal::view::View;
use std::io::{self, Write};

const SESSION_COLUMNS: [Column; 12] = [
    Column::left("SEEN"),
    Column::left("SESSION").cut_to(8),
    Column::left("CLIENT").cut_to(9),
    Column::left("VERSION").cut_to(8).droppable(6),
    Column::left("PLATFORM").cut_to(8).droppable(4),
    Column::left("PROTOCOL").cut_to(10).droppable(5),
    Column::right("CALLS"),
    Column::right("ERRORS"),
    Column::right("ISERROR").droppable(1),
    Column::right("NOISE").droppable(2),
    Column::right("LASTED").droppable(3),
    Column::left("STATE"),
];
const NOISE_COLUMN: usize = 9;

const CLIENT_COLUMNS: [Column; 9] = [
    Column::left("CLIENT").cut_to(16),
    Column::left("VERSION").cut_to(8).droppable(2),
    Column::left("PLATFORM").cut_to(8).droppable(1),
    Column::right("SESSIONS"),
    Column::right("OPEN"),
    Column::right("CALLS"),
    Column::right("ERRORS"),
    Column::right("ISERROR"),
    Column::left("LAST SEEN"),
];

/// Runs the command.
pub(crate) fn run(
    args: &SessionsArgs,
    view: &View,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Answered, CliError> {
    let view = &args.show.view(view);
    let answer = Answer::begin(&args.store.dir, &args.fold, args.time.range(), err)?;
    let query = &answer.query;
    let filter = args.filter(answer.whole_session_id(args.session.as_deref())?);
    let (limit, json) = (args.show.limit(), args.show.json);
    let (noun, shown, found) = if args.clients {
        let rows = query.clients(&filter)?;
        let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let shown = &rows[rows.len().saturating_sub(limit)..];
        if json {
            shown.iter().try_for_each(|row| json::write_line(out, row))?
        } else {
            write_clients(out, shown, view)?
        }
        ("client", shown.len() as u64, rows.len() as u64)
    } else {
        let mut rows = RowStream::<_, SessionTable>::new(&mut *out, view, json);
        query.each_session(&SessionFilter { limit, ..filter.clone() }, |row| rows.push(row))?;
        ("session", rows.finish()?, query.count_sessions(&filter)?)
    };

    let mut notes = Notes::beside(shown > 0, json, view, out, err);
    if found == 0 {
        answer.none_found(&mut notes, noun)?;
    }
    if let Some(limit) = limit
        && found > limit
    {
        notes.cut(limit, noun, "newest")?;
    }
    answer.end(notes)
}

/// One line per session.
pub(super) fn write_sessions(out: &mut dyn Write, rows: &[SessionRow], view: &View) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let table = SessionTable::measure(rows, view);
    table.write_header(out)?;
    rows.iter().try_for_each(|row| table.write(out, view, row))
}

/// Sessions, as tables show them.
struct SessionTable {
    layout: Layout,
    time_header: String,
    time_style: TimeStyle,
    /// How much of a session's name is shown, in characters; `None`: the whole id.
    id_length: Option<usize>,
    /// Whether there is a column of noise: a session of the sample has some.
    has_noise: bool,
}

impl RowTable<SessionRow> for SessionTable {
    fn measure(sample: &[SessionRow], view: &View) -> Self {
        let first_ts = sample.iter().map(|row| row.last_seen_at).min().unwrap_or(0);
        let last_ts = sample.iter().map(|row| row.last_seen_at).max().unwrap_or(0);
        let (time_header, time_style) = view.clock.column("SEEN", first_ts, last_ts);
        let time_style = time_style.in_seconds();
        let id_length = session_name::shown_length(view, sample.iter().map(|row| row.session_id.as_str()));
        let has_noise = sample.iter().any(|row| row.noise_lines.is_some_and(|lines| lines > 0));
        let mut table = Self { layout: Layout::new(&[], "", &[], None), time_header, time_style, id_length, has_noise };
        let cells: Vec<_> = sample.iter().map(|row| table.cells(row, view)).collect();
        let mut columns = SESSION_COLUMNS.to_vec();
        if !has_noise {
            columns.remove(NOISE_COLUMN);
        }
        table.layout = Layout::new(&columns, &table.time_header, &cells, view.width);
        table
    }

    fn write_header(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.layout.header_beginning(&self.time_header))
    }

    fn write(&self, out: &mut dyn Write, view: &View, row: &SessionRow) -> io::Result<()> {
        writeln!(out, "{}", self.layout.row(&self.cells(row, view)))
    }
}

impl SessionTable {
    fn cells(&self, row: &SessionRow, view: &View) -> Vec<Cell<'static>> {
        let (state, style) = match (row.closed_at, row.ended_at) {
            (Some(_), _) => ("closed", DIM),
            (None, Some(_)) => ("idle", DIM),
            (None, None) => ("open", GOOD),
        };
        let until = row.closed_at.unwrap_or(row.last_seen_at).max(row.last_seen_at);
        let mark = if row.derived { "~" } else { "" };
        let mut cells = vec![
            Cell::owned(view.clock.time(row.last_seen_at, self.time_style)).styled(DIM),
            Cell::owned(format!("{mark}{}", session_name::shown(&row.session_id, self.id_length))).styled(DIM),
            client(row.client_name.as_deref()),
            Cell::owned(row.client_version.clone().unwrap_or_default()),
            Cell::owned(row.client_platform.clone().unwrap_or_default()),
            Cell::owned(row.protocol_version.clone().unwrap_or_default()),
            Cell::owned(count(row.total_calls)),
            notable(row.total_errors, BAD),
            notable(row.total_tool_errors, WARNING),
            lasted(until.saturating_sub(row.started_at)),
            Cell::new(state).styled(style),
        ];
        if self.has_noise {
            cells.insert(NOISE_COLUMN, notable(row.noise_lines.unwrap_or(0), WARNING));
        }
        cells
    }
}

/// One line per client.
pub(super) fn write_clients(out: &mut dyn Write, rows: &[ClientRow], view: &View) -> io::Result<()> {
    let first_ts = rows.iter().map(|row| row.last_seen_at).min().unwrap_or(0);
    let last_ts = rows.iter().map(|row| row.last_seen_at).max().unwrap_or(0);
    let time_style = view.clock.style(first_ts, last_ts).in_seconds();
    let cells = |row: &ClientRow| {
        vec![
            client(row.client_name.as_deref()),
            Cell::owned(row.client_version.clone().unwrap_or_default()),
            Cell::owned(row.client_platform.clone().unwrap_or_default()),
            Cell::owned(count(row.sessions)),
            notable(row.open_sessions, GOOD),
            Cell::owned(count(row.total_calls)),
            notable(row.total_errors, BAD),
            notable(row.total_tool_errors, WARNING),
            Cell::owned(view.clock.time(row.last_seen_at, time_style)).styled(DIM),
        ]
    };
    write_table(out, &CLIENT_COLUMNS, "CLIENT", &rows.iter().map(cells).collect::<Vec<_>>(), view.width)
}

fn client(name: Option<&str>) -> Cell<'static> {
    match name {
        Some(name) => Cell::owned(name.to_owned()).styled(NAME),
        None => Cell::new("not announced").styled(DIM),
    }
}

/// From the first to the last that is known of a session; of one request there is nothing to tell.
fn lasted(lasted_ms: i64) -> Cell<'static> {
    match lasted_ms {
        ..=0 => Cell::new("·").styled(DIM),
        _ => Cell::owned(duration_ms(lasted_ms)),
    }
}

/// A number that is worth a look unless it is zero.
fn notable(number: i64, style: Style) -> Cell<'static> {
    match number {
        0 => Cell::new("·").styled(DIM),
        _ => Cell::owned(count(number)).styled(style),
    }
}
