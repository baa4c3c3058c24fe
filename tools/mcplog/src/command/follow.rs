//! `mcplog logs --follow`: requests as they come, until Ctrl-C.
//!
//! Runs on the main thread. It looks at the database now and then, each time in one short transaction, and holds nothing
//! while it waits: a follower that is forgotten in some terminal must not keep SQLite's WAL from being copied. What was
//! told is known by a cursor of the library, which stays right when the proxy restarts or the database is made anew.

use super::notes::{dropped, whole_session_id};
use super::request_table::RequestTable;
use super::row_stream::RowTable;
use crate::arguments::RequestsArgs;
use crate::error::CliError;
use mcplog::error::IndexError;
use mcplog::query::{Query, RequestCursor, RequestFilter, RequestRow};
use mcplog_terminal::interrupt::Interrupt;
use mcplog_terminal::json;
use mcplog_terminal::style::WARNING;
use mcplog_terminal::text::escape;
use mcplog_terminal::view::View;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::Duration;

/// How often the database is looked at. Rows are folded every 400 ms at most, so looking more often shows nothing sooner;
/// a look at which nothing is new takes some ten microseconds.
const POLL: Duration = Duration::from_millis(200);

/// Runs the command.
pub(super) fn run(args: &RequestsArgs, view: &View, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), CliError> {
    let interrupt =
        Interrupt::catch().map_err(|error| CliError::Failed(format!("can't listen for signals: {error}")))?;
    let printer = Printer { out, err, view, json: args.show.json, table: None };
    let mut follower = Follower { args, interrupt: &interrupt, printer, reader: None, told: None, waits: false };
    loop {
        follower.look()?;
        if !interrupt.pause(POLL) {
            return Ok(());
        }
    }
}

/// Who follows, between two looks.
struct Follower<'a> {
    args: &'a RequestsArgs,
    interrupt: &'a Interrupt,
    printer: Printer<'a>,
    /// The database, while there is one.
    reader: Option<Reader>,
    /// Up to where requests were told; `None` before the first look.
    told: Option<RequestCursor>,
    /// Whether it was said that there is no store.
    waits: bool,
}

/// An open database.
struct Reader {
    query: Query,
    filter: RequestFilter,
    /// As it was before the last look; `None` before the first.
    data_version: Option<i64>,
}

impl Follower<'_> {
    /// Tells what is new.
    fn look(&mut self) -> Result<(), CliError> {
        match self.look_at_reader() {
            // Whatever is wrong with a file that nobody writes to any more: another is there, or comes.
            Err(CliError::Index(_)) if self.reader.as_ref().is_some_and(|reader| !reader.query.is_current()) => {
                self.reader = None;
            }
            looked => looked?,
        }
        if self.reader.as_ref().is_some_and(|reader| !reader.query.is_current()) {
            self.reader = None;
        }
        if self.reader.is_none() {
            self.open()?;
            self.look_at_reader()?;
        }
        self.printer.out.flush()?;
        Ok(())
    }

    fn open(&mut self) -> Result<(), CliError> {
        let query = match Query::open(&self.args.store.dir) {
            Ok(query) => query,
            Err(IndexError::Missing { .. }) => {
                // All that such a store will hold is new.
                self.told.get_or_insert_default();
                if !std::mem::replace(&mut self.waits, true) {
                    let dir = self.args.store.dir.display().to_string();
                    let why = self.args.store.why_there().map_or(String::new(), |why| format!(" ({why})"));
                    let waiting = format!("Waiting for a store in {}{}; Ctrl-C ends that.", escape(&dir), escape(&why));
                    self.printer.note(&waiting)?;
                }
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let session_id = whole_session_id(&query, self.args.requests.session.as_deref())?;
        let filter = self.args.requests.filter(session_id);
        self.reader = Some(Reader { query, filter, data_version: None });
        self.waits = false;
        Ok(())
    }

    fn look_at_reader(&mut self) -> Result<(), CliError> {
        let Self { args, interrupt, printer, reader: Some(reader), told, .. } = self else { return Ok(()) };
        // Asked first: what is written while rows are read makes the next look find it changed.
        let data_version = reader.query.data_version()?;
        if reader.data_version == Some(data_version) {
            return Ok(());
        }
        let Reader { query, filter, .. } = reader;
        match told {
            None => *told = Some(printer.tell_first(query, filter, args.show.limit(), interrupt)?),
            Some(told) => printer.tell_new(query, filter, told, interrupt)?,
        }
        reader.data_version = Some(data_version);
        Ok(())
    }
}

/// Where rows go.
struct Printer<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    view: &'a View,
    json: bool,
    table: Option<RequestTable>,
}

impl Printer<'_> {
    /// Tells what is there already: the newest, as many as the limit says.
    fn tell_first(
        &mut self,
        query: &Query,
        filter: &RequestFilter,
        limit: Option<u64>,
        interrupt: &Interrupt,
    ) -> Result<RequestCursor, CliError> {
        /// So many rows are measured together.
        const SAMPLE_ROWS: usize = 1_000;
        let mut sample = Vec::new();
        let mut written = Ok(());
        let cursor = query.each_request(&RequestFilter { limit, ..filter.clone() }, |row| {
            sample.push(row);
            if sample.len() == SAMPLE_ROWS {
                written = self.write(&std::mem::take(&mut sample));
            }
            if written.is_err() || interrupt.is_requested() {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        written?;
        self.write(&sample)?;
        let gaps = query.gap_totals(filter.time_range)?;
        if let (Some(from_ts), Some(to_ts)) = (gaps.from_ts, gaps.to_ts) {
            self.note(&dropped(gaps.events, gaps.gaps, from_ts, to_ts, &self.view.clock))?;
        }
        Ok(cursor)
    }

    /// Tells what came behind the cursor.
    fn tell_new(
        &mut self,
        query: &Query,
        filter: &RequestFilter,
        told: &mut RequestCursor,
        interrupt: &Interrupt,
    ) -> Result<(), CliError> {
        while !interrupt.is_requested() {
            let arrivals = query.arrivals(filter, told)?;
            self.write(&arrivals.requests)?;
            for gap in &arrivals.gaps {
                self.note(&dropped(gap.events, 1, gap.from_ts, gap.to_ts, &self.view.clock))?;
            }
            if arrivals.is_all {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Says something beside the rows, behind those that were told before.
    fn note(&mut self, note: &str) -> io::Result<()> {
        self.out.flush()?;
        // Without a standard error there is nobody to tell, and rows go on.
        let _ = writeln!(self.err, "{WARNING}{note}{WARNING:#}");
        Ok(())
    }

    fn write(&mut self, rows: &[RequestRow]) -> io::Result<()> {
        if self.json {
            return rows.iter().try_for_each(|row| json::write_line(self.out, row));
        }
        if rows.is_empty() {
            return Ok(());
        }
        // A new day begins a new table, whose header says which.
        let table = match self.table.take().filter(|table| table.has_times_of(rows, self.view)) {
            Some(table) => table,
            None => {
                let table = RequestTable::measure_beginning(rows, self.view);
                table.write_header(self.out)?;
                table
            }
        };
        rows.iter().try_for_each(|row| table.write(self.out, self.view, row))?;
        self.table = Some(table);
        Ok(())
    }
}
