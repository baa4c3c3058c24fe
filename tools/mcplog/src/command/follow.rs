//! `mcplog logs --follow`: requests as they come, until Ctrl-C.
//!
//! Runs on the main thread. It looks at the database now and then, each time in one short transaction, and holds nothing
//! while it waits: a follower that is forgotten in some terminal must not keep SQLite's WAL from being copied. What was
//! told is known by a cursor of the library, which stays right when the proxy restarts or the database is made anew.

use super::answer::{Answered, whole_session_id, write_line};
use super::fold::fold_first;
use super::lacking::{Lack, dropped, lacking};
use super::request_table::RequestTable;
use super::row_stream::RowTable;
use crate::arguments::RequestsArgs;
use crate::error::CliError;
use mcplog::completeness::Completeness;
use mcplog::error::IndexError;
use mcplog::query::{GapTotals, Query, RequestCursor, RequestFilter, RequestRow};
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

/// At every so many looks, that is every five seconds, it is asked what the rows lack: above all, whether records wait that
/// nobody folds. That reads the log, which is not for every look.
const LOOKS_PER_QUESTION: u32 = 25;

/// Runs the command.
pub(super) fn run(
    args: &RequestsArgs,
    view: &View,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Answered, CliError> {
    let interrupt =
        Interrupt::catch().map_err(|error| CliError::Failed(format!("can't listen for signals: {error}")))?;
    if args.fold.fold {
        match fold_first(&args.store.dir, &interrupt, err) {
            Err(CliError::Index(IndexError::Missing { .. })) => {}
            // Ctrl-C ends following, whatever it is at.
            Err(CliError::Interrupted) => return Ok(Answered::as_it_went()),
            folded => folded?,
        }
    }
    let printer = Printer { out, err, view, json: args.show.json, table: None, lacked: Lacked::default() };
    let mut follower = Follower { args, interrupt: &interrupt, printer, reader: None, told: None, waits: false };
    loop {
        follower.look()?;
        if !interrupt.pause(POLL) {
            return Ok(Answered::as_it_went());
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
    /// How many looks it is until the next question what the rows lack.
    until_question: u32,
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
        let completeness = mcplog::completeness(&query, self.args.requests.time.range())?;
        let session_id = whole_session_id(&query, &completeness, self.args.requests.session.as_deref())?;
        let filter = self.args.requests.filter(session_id);
        self.reader = Some(Reader { query, filter, data_version: None, until_question: 0 });
        self.waits = false;
        Ok(())
    }

    fn look_at_reader(&mut self) -> Result<(), CliError> {
        let Self { args, interrupt, printer, reader: Some(reader), told, .. } = self else { return Ok(()) };
        // Asked first: what is written while rows are read makes the next look find it changed.
        let data_version = reader.query.data_version()?;
        let Reader { query, filter, .. } = reader;
        if reader.data_version != Some(data_version) {
            match told {
                None => *told = Some(printer.tell_first(query, filter, args.show.limit(), interrupt)?),
                Some(told) => printer.tell_new(query, filter, told, interrupt)?,
            }
            reader.data_version = Some(data_version);
        }
        if reader.until_question == 0 {
            printer.tell_lacking(&mcplog::completeness(query, filter.time_range)?)?;
            reader.until_question = LOOKS_PER_QUESTION;
        }
        reader.until_question -= 1;
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
    lacked: Lacked,
}

/// What was told of what the rows lack.
#[derive(Default)]
struct Lacked {
    /// What was found at the last question.
    found: Vec<Lack>,
    /// What was told, and has been so since.
    told: Vec<Lack>,
    /// What decided about the last line of JSON, if there was one: whether the rows are complete, what they lack, and how many
    /// events were dropped.
    line: Option<(bool, Vec<Lack>, i64)>,
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
        if let Some(note) = dropped(&query.gap_totals(filter.time_range)?, &self.view.clock) {
            self.note(&note)?;
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
                if let Some(note) = dropped(&GapTotals::from(*gap), &self.view.clock) {
                    self.note(&note)?;
                }
            }
            if arrivals.is_all {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Tells what the rows lack, each kind once for as long as it lasts. Dropped events are told as they come; but a line of
    /// JSON says all again whenever it has changed.
    fn tell_lacking(&mut self, found: &Completeness) -> Result<(), CliError> {
        let mut lacking = lacking(found, &self.view.clock);
        let before = std::mem::replace(&mut self.lacked.found, lacking.iter().map(|(lack, _)| *lack).collect());
        // What a running process has not folded is told once it has not for the time from one question to the next. What was
        // recorded does not say when: an import records what is old.
        lacking.retain(|(lack, _)| *lack != Lack::Unfolded || !found.in_use || before.contains(lack));
        for (lack, note) in &lacking {
            if !self.lacked.told.contains(lack) {
                self.note(&escape(note))?;
            }
        }
        self.lacked.told = lacking.into_iter().map(|(lack, _)| lack).collect();
        let line = Some((found.is_complete(), self.lacked.told.clone(), found.gaps.events));
        if self.json && self.lacked.line != line {
            write_line(self.out, found, false)?;
            self.lacked.line = line;
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
