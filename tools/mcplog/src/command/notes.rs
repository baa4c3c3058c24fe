//! What a command says beside its rows: that some were cut, that none were found, that events are missing.
//!
//! Pure but for the database and the writer it is given.

use super::lacking::{dropped, lacking};
use crate::error::CliError;
use anstyle::Style;
use mcplog::completeness::Completeness;
use mcplog::query::{ClockStepRow, Query, TimeRange};
use mcplog_terminal::style::{DIM, WARNING};
use mcplog_terminal::text::{escape, wrap};
use mcplog_terminal::units::{count, counted, duration_ms};
use mcplog_terminal::view::View;
use std::io::Write;

/// Where notes go, and to whom.
pub(super) struct Notes<'a> {
    view: &'a View,
    out: &'a mut dyn Write,
    /// A blank line is due before the first note, because rows stand above it.
    blank_due: bool,
    /// How many columns a note may take. Beside JSON nobody knows what reads it.
    width: usize,
    /// Where rows went, if they are JSON.
    json_out: Option<&'a mut dyn Write>,
    /// Whether a limit cut the answer.
    is_cut: bool,
}

impl<'a> Notes<'a> {
    /// Under a table, notes belong to it. Beside JSON they would not be JSON, so they go to stderr.
    pub(super) fn beside(
        rows_shown: bool,
        json: bool,
        view: &'a View,
        out: &'a mut dyn Write,
        err: &'a mut dyn Write,
    ) -> Self {
        let width = view.width.filter(|_| !json).unwrap_or(usize::MAX);
        let (out, json_out) = if json { (err, Some(out)) } else { (out, None) };
        Self { view, out, blank_due: rows_shown && !json, width, json_out, is_cut: false }
    }

    /// Where rows went, if they are JSON.
    pub(super) fn json_out(&mut self) -> Option<&mut dyn Write> {
        // Not a closure: it could not say that what it returns lives no longer than this borrow.
        match &mut self.json_out {
            Some(out) => Some(&mut **out),
            None => None,
        }
    }

    /// Whether [`Notes::cut`] said so.
    pub(super) const fn is_cut(&self) -> bool {
        self.is_cut
    }

    fn write(&mut self, style: Style, note: &str) -> Result<(), CliError> {
        if std::mem::take(&mut self.blank_due) {
            writeln!(self.out)?;
        }
        for line in wrap(note, self.width) {
            writeln!(self.out, "{style}{line}{style:#}")?;
        }
        Ok(())
    }

    /// Something that there is to say instead of rows.
    pub(super) fn say(&mut self, note: &str) -> Result<(), CliError> {
        self.write(Style::new(), note)
    }

    /// That a limit cut the answer.
    pub(super) fn cut(&mut self, limit: u64, noun: &str, which: &str) -> Result<(), CliError> {
        self.is_cut = true;
        let shown = counted(i64::try_from(limit).unwrap_or(i64::MAX), noun);
        self.write(DIM, &format!("Cut at the {which} {shown}; --limit 0 shows all."))
    }

    /// What the answer about `time_range` lacks, and that the clock was set. Says nothing otherwise.
    pub(super) fn missing(
        &mut self,
        query: &Query,
        completeness: &Completeness,
        time_range: TimeRange,
    ) -> Result<(), CliError> {
        if let Some(note) = dropped(&completeness.gaps, &self.view.clock) {
            self.write(WARNING, &note)?;
        }
        let clock = query.clock_step_totals(time_range)?;
        if let Some(step) = clock.last {
            let times =
                if clock.steps == 1 { String::new() } else { format!("{} times, the last time ", count(clock.steps)) };
            let note = format!("The clock was set {times}{}; times around then are wrong.", self.step(&step));
            self.write(WARNING, &note)?;
        }
        for (_, note) in lacking(completeness, &self.view.clock) {
            self.write(WARNING, &escape(&note))?;
        }
        Ok(())
    }

    /// By how much the clock was set, and when.
    fn step(&self, step: &ClockStepRow) -> String {
        let way = if step.step_ms < 0 { "back" } else { "ahead" };
        format!("{way} by {} at {}", duration_ms(step.step_ms.saturating_abs()), self.view.clock.one_time(step.from_ts))
    }

    /// Why there is no row: the store is empty, what it holds is not folded yet, or nothing matches.
    pub(super) fn none_found(&mut self, query: &Query, noun: &str, is_behind: bool) -> Result<(), CliError> {
        let totals = query.totals()?;
        let note = match totals.last_ts {
            Some(last_ts) => format!(
                "No {noun} matches. {} on record, the latest at {}.",
                if totals.requests == 1 {
                    "1 request is".into()
                } else {
                    format!("{} requests are", count(totals.requests))
                },
                self.view.clock.one_time(last_ts),
            ),
            None if totals.sessions > 0 => format!("No {noun} matches, and no request is on record yet."),
            None if is_behind => format!("No {noun} is in the database yet."),
            None => format!(
                "Nothing is recorded in {} yet. Put mcplog before the servers that a client starts with `mcplog \
                 attach`, point a client at `mcplog proxy`, or import events with `mcplog ingest`.",
                escape(&query.path().parent().unwrap_or(query.path()).display().to_string()),
            ),
        };
        self.say(&note)
    }
}
