//! `mcplog writers`: which processes record into the store, or did, and how they ended.
//!
//! Runs on the main thread. Whether one records, the lock of its log's folder says; nothing else decides that.

use super::answer::{Answer, Answered};
use super::notes::Notes;
use crate::arguments::WritersArgs;
use crate::error::CliError;
use anstyle::Style;
use mcplog::position::WriterId;
use mcplog::query::{WriterFilter, WriterRow};
use mcplog::segment::{WriterFolder, folder_lock};
use mcplog_terminal::json;
use mcplog_terminal::style::{DIM, GOOD, NAME, WARNING};
use mcplog_terminal::table::{Cell, Column, write_table};
use mcplog_terminal::units::count;
use mcplog_terminal::view::View;
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;

const COLUMNS: [Column; 8] = [
    Column::left("STARTED"),
    Column::left("WRITER").cut_to(8),
    Column::left("PROGRAM").cut_to(14),
    Column::left("VERSION").cut_to(8).droppable(2),
    Column::left("HOST").cut_to(8).droppable(1),
    Column::right("PROCESS").droppable(3),
    Column::right("RECORDS"),
    Column::left("STATE"),
];
/// How much of a writer's id is shown, in characters: as much as tells a few thousand of them apart.
const ID_LENGTH: usize = 8;

/// A writer, and what is known of its life.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    row: WriterRow,
    state: State,
}

/// What a writer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It records: the lock of its folder is held.
    Recording,
    /// It ended, as it said itself.
    Closed,
    /// It died.
    Died,
    /// It ended, and its log is still being folded, which says how.
    Ended,
    /// Nobody can tell: its lock can't be asked, or proves nothing; or its log is gone, and nobody noted how it ended.
    Unknown,
}

/// Runs the command.
pub(crate) fn run(
    args: &WritersArgs,
    view: &View,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Answered, CliError> {
    let view = &args.show.view(view);
    let answer = Answer::begin(&args.store.dir, &args.fold, args.time.range(), err)?;
    let limit = args.show.limit();
    let filter = WriterFilter { time_range: args.time.range(), limit };
    let rows = answer.query.writers(&filter)?;
    let found = answer.query.count_writers(&filter)?;
    let shown: Vec<_> = rows.into_iter().map(|row| Shown { state: state(&args.store.dir, &row), row }).collect();

    if args.show.json {
        shown.iter().try_for_each(|row| json::write_line(out, row))?;
    } else if !shown.is_empty() {
        write_writers(out, &shown, view)?;
    }
    let mut notes = Notes::beside(!shown.is_empty(), args.show.json, view, out, err);
    if found == 0 {
        answer.none_found(&mut notes, "writer")?;
    }
    if let Some(limit) = limit
        && found > limit
    {
        notes.cut(limit, "writer", "newest")?;
    }
    answer.end(notes)
}

fn state(dir: &Path, row: &WriterRow) -> State {
    match row.ended.as_deref() {
        Some("closed") => return State::Closed,
        Some(_) => return State::Died,
        None => {}
    }
    let folder = WriterId::from_text(&row.writer_id).map(|writer| WriterFolder::within(&dir.join("wal"), writer));
    match folder.map(|folder| folder_lock::probe(&folder.path)) {
        Some(Ok(true)) => State::Recording,
        Some(Ok(false)) => State::Ended,
        _ => State::Unknown,
    }
}

/// One line per writer.
fn write_writers(out: &mut dyn Write, writers: &[Shown], view: &View) -> io::Result<()> {
    let times = || writers.iter().filter_map(|shown| shown.row.started_at);
    let (first_ts, last_ts) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
    let (time_header, time_style) = view.clock.column("STARTED", first_ts, last_ts);
    let time_style = time_style.in_seconds();
    let id_length = if view.width.is_some() { ID_LENGTH } else { usize::MAX };
    let text = |text: &Option<String>| Cell::owned(text.clone().unwrap_or_default());
    let cells = |Shown { row, state }: &Shown| {
        let (state, style) = state.shown();
        vec![
            Cell::owned(row.started_at.map_or_else(String::new, |ts| view.clock.time(ts, time_style))).styled(DIM),
            Cell::owned(row.writer_id.chars().take(id_length).collect()).styled(DIM),
            text(&row.program).styled(NAME),
            text(&row.program_version),
            text(&row.host),
            Cell::owned(row.process_id.map_or_else(String::new, |process_id| process_id.to_string())),
            Cell::owned(count(row.folded_records)),
            Cell::new(state).styled(style),
        ]
    };
    write_table(out, &COLUMNS, &time_header, &writers.iter().map(cells).collect::<Vec<_>>(), view.width)
}

impl State {
    fn shown(self) -> (&'static str, Style) {
        match self {
            Self::Recording => ("recording", GOOD),
            Self::Closed => ("closed", DIM),
            Self::Died => ("died", WARNING),
            Self::Ended => ("ended", DIM),
            Self::Unknown => ("unknown", DIM),
        }
    }
}
