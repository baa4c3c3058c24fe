//! `mcplog unused`: tools that servers offer and that nobody called.
//!
//! Runs on the main thread.

use super::answer::{Answer, Answered};
use super::notes::Notes;
use super::server_names::ServerNames;
use crate::arguments::UnusedArgs;
use crate::error::CliError;
use mcplog::query::{SchemaFilter, UnusedToolRow};
use mcplog_terminal::json;
use mcplog_terminal::style::{DIM, NAME};
use mcplog_terminal::table::{Cell, Column, write_table};
use mcplog_terminal::view::View;
use std::io::{self, Write};

const COLUMNS: [Column; 5] = [
    Column::left("TOOL").cut_to(16),
    Column::left("KNOWN SINCE"),
    Column::left("LAST CALLED"),
    Column::left("PROXY").cut_to(6).droppable(2),
    Column::left("SERVER").cut_to(12).droppable(1),
];

/// Runs the command.
pub(crate) fn run(
    args: &UnusedArgs,
    view: &View,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Answered, CliError> {
    let view = &args.show.view(view);
    let answer = Answer::begin(&args.store.dir, &args.fold, args.time.range(), err)?;
    let query = &answer.query;
    let time_range = args.time.range();
    let rows = query.unused_tools(time_range, args.proxy.as_deref())?;
    let limit = args.show.limit().unwrap_or(u64::MAX);
    let shown = &rows[..rows.len().min(usize::try_from(limit).unwrap_or(usize::MAX))];

    if args.show.json {
        shown.iter().try_for_each(|row| json::write_line(out, row))?;
    } else if !shown.is_empty() {
        write_tools(out, shown, view)?;
    }
    let mut notes = Notes::beside(!shown.is_empty(), args.show.json, view, out, err);
    if rows.is_empty() {
        let lists = SchemaFilter {
            proxy: args.proxy.clone(),
            method: Some("tools/list".to_owned()),
            limit: Some(1),
            ..SchemaFilter::default()
        };
        match query.server_schema(&lists)?.is_empty() {
            true => answer.none_found(&mut notes, "list of tools")?,
            false => notes.say("Every tool on offer was called.")?,
        }
    }
    if shown.len() < rows.len() {
        notes.cut(limit, "tool", "first")?;
    }
    answer.end(notes)
}

fn write_tools(out: &mut dyn Write, rows: &[UnusedToolRow], view: &View) -> io::Result<()> {
    let times = || rows.iter().flat_map(|row| [Some(row.known_since), row.last_called_at]).flatten();
    let time_style = view.clock.style(times().min().unwrap_or(0), times().max().unwrap_or(0)).in_seconds();
    let servers = ServerNames::of(rows.iter().map(|row| row.upstream_url.as_str()));
    let cells = |row: &UnusedToolRow| {
        let last_call = row.last_called_at.map_or("never".to_owned(), |ts| view.clock.time(ts, time_style));
        vec![
            Cell::owned(row.tool.clone()).styled(NAME),
            Cell::owned(view.clock.time(row.known_since, time_style)).styled(DIM),
            Cell::owned(last_call),
            Cell::owned(row.proxy.clone()),
            servers.cell(&row.upstream_url),
        ]
    };
    let rows: Vec<_> = rows.iter().map(cells).collect();
    write_table(out, &COLUMNS, "TOOL", &rows, view.width)
}
