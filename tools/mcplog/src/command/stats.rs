//! `mcplog stats`: what was called how often, how slow it was, how it failed.
//!
//! Runs on the main thread.

use super::answer::{Answer, Answered};
use super::endpoint_names::EndpointNames;
use super::notes::Notes;
use crate::arguments::RequestsArgs;
use crate::error::CliError;
use anstyle::Style;
use mcplog::event::{Outcome, OutcomeCounts};
use mcplog::query::{ToolStatsRow, Totals};
use mcplog_terminal::json;
use mcplog_terminal::style::{BAD, DIM, NAME, WARNING};
use mcplog_terminal::table::{Cell, Column, Layout};
use mcplog_terminal::text::wrap;
use mcplog_terminal::units::{bytes, count, counted, latency};
use mcplog_terminal::view::View;
use std::io::{self, Write};

const METHOD_HEADER: &str = "OTHER METHOD";
/// Above what servers asked their clients: how long that took says nothing of the server.
const ASKED_HEADER: &str = "SERVER ASKED";
const NUMBERS: [Column; 11] = [
    Column::right("CALLS"),
    Column::right("ERRORS"),
    Column::right("TIMEOUTS").droppable(4),
    Column::right("ISERROR"),
    Column::right("P50"),
    Column::right("P95"),
    Column::right("P99"),
    Column::right("MAX"),
    Column::right("IN").droppable(3),
    Column::right("OUT").droppable(2),
    Column::left("LAST").droppable(1),
];

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
    let session_id = answer.whole_session_id(args.requests.session.as_deref())?;
    let filter = args.requests.filter(session_id);
    let mut rows = query.tool_stats(&filter)?;
    // Most called first; what is called equally often stays in the order of its name.
    rows.sort_by_key(|row| std::cmp::Reverse(row.calls));
    let found = rows.len();
    let limit = args.show.limit().unwrap_or(u64::MAX);
    let shown = &rows[..found.min(usize::try_from(limit).unwrap_or(usize::MAX))];

    if args.show.json {
        shown.iter().try_for_each(|row| json::write_line(out, row))?;
    } else if found > 0 {
        write_tables(out, shown, view)?;
        writeln!(out)?;
        for line in summary(&rows, &query.totals()?, view) {
            writeln!(out, "{DIM}{line}{DIM:#}")?;
        }
    }
    let mut notes = Notes::beside(found > 0, args.show.json, view, out, err);
    if found == 0 {
        answer.none_found(&mut notes, "request")?;
    }
    if shown.len() < found {
        notes.cut(limit, "row", "most called")?;
    }
    answer.end(notes)
}

/// Tools first, since they are what people ask about; then the protocol's other methods, then what servers asked. All line up.
pub(super) fn write_tables(out: &mut dyn Write, rows: &[ToolStatsRow], view: &View) -> io::Result<()> {
    let several_proxies = rows.iter().any(|row| row.proxy != rows[0].proxy);
    let mut columns = vec![Column::left(METHOD_HEADER).cut_to(14)];
    columns.extend(several_proxies.then_some(Column::left("PROXY").cut_to(6)));
    let several_servers = rows.iter().any(|row| row.endpoint != rows[0].endpoint);
    let endpoints = EndpointNames::of(rows.iter().filter_map(|row| row.endpoint.as_deref()));
    columns.extend(several_servers.then_some(Column::left("ENDPOINT").cut_to(10)));
    columns.extend(NUMBERS);

    let first_ts = rows.iter().map(|row| row.last_ts).min().unwrap_or(0);
    let last_ts = rows.iter().map(|row| row.last_ts).max().unwrap_or(0);
    let time_style = view.clock.style(first_ts, last_ts);
    let cells = |row: &ToolStatsRow| {
        let name = row.tool.as_ref().unwrap_or(&row.method).clone();
        let mut cells = vec![Cell::owned(name).styled(NAME)];
        cells.extend(several_proxies.then(|| Cell::owned(row.proxy.clone())));
        let endpoint = || row.endpoint.as_deref().map_or_else(String::new, |endpoint| endpoints.name(endpoint));
        cells.extend(several_servers.then(|| Cell::owned(endpoint()).styled(DIM)));
        cells.extend(numbers(row));
        cells.push(Cell::owned(view.clock.time(row.last_ts, time_style)).styled(DIM));
        cells
    };
    let all: Vec<_> = rows.iter().map(cells).collect();
    let layout = Layout::new(&columns, METHOD_HEADER, &all, view.width);

    let mut first = true;
    for header in ["TOOL", METHOD_HEADER, ASKED_HEADER] {
        let mut section = rows.iter().zip(&all).filter(|(row, _)| header_of(row) == header).peekable();
        if section.peek().is_none() {
            continue;
        }
        if !std::mem::take(&mut first) {
            writeln!(out)?;
        }
        writeln!(out, "{}", layout.header_beginning(header))?;
        section.try_for_each(|(_, cells)| writeln!(out, "{}", layout.row(cells)))?;
    }
    Ok(())
}

/// Above which it stands.
fn header_of(row: &ToolStatsRow) -> &'static str {
    match (row.direction.as_str(), &row.tool) {
        ("server", _) => ASKED_HEADER,
        (_, Some(_)) => "TOOL",
        (_, None) => METHOD_HEADER,
    }
}

fn numbers(row: &ToolStatsRow) -> [Cell<'static>; 10] {
    let counted = |number: i64, style: Style| match number {
        0 => Cell::new("·").styled(DIM),
        _ => Cell::owned(count(number)).styled(style),
    };
    let time = |latency_us: Option<i64>| match latency_us {
        None => Cell::new("·").styled(DIM),
        Some(latency_us) => Cell::owned(latency(latency_us)),
    };
    let size = |size: i64| Cell::owned(bytes(u64::try_from(size).unwrap_or(0))).styled(DIM);
    [
        Cell::owned(count(row.calls)),
        counted(row.errors, BAD),
        counted(row.timeouts, BAD),
        counted(row.tool_errors, WARNING),
        time(row.p50_us),
        time(row.p95_us),
        time(row.p99_us),
        time(row.max_us),
        size(row.bytes_in),
        size(row.bytes_out),
    ]
}

/// The last lines: what all of it comes to, however many rows are shown.
fn summary(rows: &[ToolStatsRow], totals: &Totals, view: &View) -> Vec<String> {
    let mut counts = OutcomeCounts::default();
    rows.iter().for_each(|row| counts.merge(&row.counts()));
    let calls = counts.calls();
    let first_ts = rows.iter().map(|row| row.first_ts).min().unwrap_or(0);
    let last_ts = rows.iter().map(|row| row.last_ts).max().unwrap_or(0);
    let of_all = if calls == totals.requests { String::new() } else { format!(" of {}", count(totals.requests)) };
    let endings = endings(&counts).join(", ");
    let asked: i64 = rows.iter().filter(|row| row.direction == "server").map(|row| row.calls).sum();
    let by_servers = if asked > 0 { format!(" Servers asked {} of them.", count(asked)) } else { String::new() };
    let count_line = format!("{}{of_all}, {endings}.{by_servers}", counted(calls, "request"));
    let [first, last] = view.clock.first_and_last(first_ts, last_ts);
    let time_line = format!("From {first} to {last}; the database takes {}.", bytes(totals.database_bytes));
    [count_line, time_line].iter().flat_map(|line| wrap(line, view.width.unwrap_or(usize::MAX))).collect()
}

/// In which ways they ended, but for plain results. Whether any failed is always said.
fn endings(counts: &OutcomeCounts) -> Vec<String> {
    let failed = match counts.with(Outcome::Timeout) {
        0 => format!("{} failed", count(counts.failures())),
        timeouts => format!("{} failed ({} timed out)", count(counts.failures()), count(timeouts)),
    };
    let others = [
        (Outcome::ToolError, "tool error", "tool errors"),
        (Outcome::Cancelled, "cancelled", "cancelled"),
        (Outcome::Probe, "probe", "probes"),
        (Outcome::Redirected, "redirected", "redirected"),
        (Outcome::Ended, "subscription ended", "subscriptions ended"),
        (Outcome::InputRequired, "asked for input", "asked for input"),
        (Outcome::Lost, "lost", "lost"),
    ];
    let counted = others.into_iter().filter_map(|(outcome, one, several)| match counts.with(outcome) {
        0 => None,
        1 => Some(format!("1 {one}")),
        number => Some(format!("{} {several}", count(number))),
    });
    std::iter::once(failed).chain(counted).collect()
}
