//! `mcplog sessions`: who connected, for how long, and how it went; by session or by client.
//!
//! Runs on the main thread.

use super::notes::{Notes, whole_session_id};
use super::session_name;
use crate::arguments::SessionsArgs;
use crate::error::CliError;
use anstyle::Style;
use mcplog::query::{ClientRow, Query, SessionRow};
use mcplog_terminal::json;
use mcplog_terminal::style::{BAD, DIM, GOOD, NAME, WARNING};
use mcplog_terminal::table::{Cell, Column, write_table};
use mcplog_terminal::units::{count, duration_ms};
use mcplog_terminal::view::View;
use std::io::{self, Write};

const SESSION_COLUMNS: [Column; 11] = [
    Column::left("SEEN"),
    Column::left("SESSION").cut_to(8),
    Column::left("CLIENT").cut_to(12),
    Column::left("VERSION").cut_to(8).droppable(3),
    Column::left("PLATFORM").cut_to(8).droppable(1),
    Column::left("PROTOCOL").cut_to(10).droppable(2),
    Column::right("CALLS"),
    Column::right("ERRORS"),
    Column::right("ISERROR"),
    Column::right("LASTED"),
    Column::left("STATE"),
];

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
pub(crate) fn run(args: &SessionsArgs, view: &View, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), CliError> {
    let view = &args.show.view(view);
    let query = Query::open(&args.store.dir)?;
    let mut filter = args.filter(whole_session_id(&query, args.session.as_deref())?);
    // One more than asked for tells whether anything was cut.
    let limit = args.show.limit();
    filter.limit = limit.map(|limit| limit.saturating_add(1));
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));

    let json = args.show.json;
    let found = if args.clients {
        let rows = query.clients(&filter)?;
        let shown = newest(&rows, limit);
        if json {
            shown.iter().try_for_each(|row| json::write_line(out, row))?
        } else {
            write_clients(out, shown, view)?
        }
        rows.len()
    } else {
        let rows = query.sessions(&filter)?;
        let shown = newest(&rows, limit);
        if json {
            shown.iter().try_for_each(|row| json::write_line(out, row))?
        } else {
            write_sessions(out, shown, view)?
        }
        rows.len()
    };

    let noun = if args.clients { "client" } else { "session" };
    let mut notes = Notes::beside(found > 0, json, view, out, err);
    if found == 0 {
        notes.none_found(&query, noun)?;
    }
    if found > limit {
        notes.cut(limit as u64, noun, "newest")?;
    }
    notes.missing(&query, filter.time_range)
}

/// The last `limit` rows.
fn newest<T>(rows: &[T], limit: usize) -> &[T] {
    &rows[rows.len().saturating_sub(limit)..]
}

/// One line per session.
pub(super) fn write_sessions(out: &mut dyn Write, rows: &[SessionRow], view: &View) -> io::Result<()> {
    let first_ts = rows.iter().map(|row| row.last_seen_at).min().unwrap_or(0);
    let last_ts = rows.iter().map(|row| row.last_seen_at).max().unwrap_or(0);
    let (header, time_style) = view.clock.column("SEEN", first_ts, last_ts);
    let time_style = time_style.in_seconds();
    let id_length = session_name::shown_length(view, rows.iter().map(|row| row.session_id.as_str()));
    let cells = |row: &SessionRow| {
        let (state, style) = match (row.closed_at, row.ended_at) {
            (Some(_), _) => ("closed", DIM),
            (None, Some(_)) => ("idle", DIM),
            (None, None) => ("open", GOOD),
        };
        let until = row.closed_at.unwrap_or(row.last_seen_at).max(row.last_seen_at);
        let mark = if row.derived { "~" } else { "" };
        vec![
            Cell::owned(view.clock.time(row.last_seen_at, time_style)).styled(DIM),
            Cell::owned(format!("{mark}{}", session_name::shown(&row.session_id, id_length))).styled(DIM),
            client(row.client_name.as_deref()),
            Cell::owned(row.client_version.clone().unwrap_or_default()),
            Cell::owned(row.client_platform.clone().unwrap_or_default()),
            Cell::owned(row.protocol_version.clone().unwrap_or_default()),
            Cell::owned(count(row.total_calls)),
            notable(row.total_errors, BAD),
            notable(row.total_tool_errors, WARNING),
            lasted(until.saturating_sub(row.started_at)),
            Cell::new(state).styled(style),
        ]
    };
    write_table(out, &SESSION_COLUMNS, &header, &rows.iter().map(cells).collect::<Vec<_>>(), view.width)
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
