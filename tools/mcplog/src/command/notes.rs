//! What a command says beside its rows: that some were cut, that none were found, that events are missing.
//!
//! Pure but for the database and the writer it is given.

use super::session_name::DERIVED_PREFIX;
use crate::error::CliError;
use anstyle::Style;
use mcplog::query::{ClockStepRow, Query, TimeRange};
use mcplog_terminal::clock::Clock;
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
        Self { view, out: if json { err } else { out }, blank_due: rows_shown && !json, width }
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
        let shown = counted(i64::try_from(limit).unwrap_or(i64::MAX), noun);
        self.write(DIM, &format!("Cut at the {which} {shown}; --limit 0 shows all."))
    }

    /// That events within `time_range` are known to be lost, that the clock was set, or that records could not be folded. Says
    /// nothing otherwise.
    pub(super) fn missing(&mut self, query: &Query, time_range: TimeRange) -> Result<(), CliError> {
        let gaps = query.gap_totals(time_range)?;
        if let (Some(from_ts), Some(to_ts)) = (gaps.from_ts, gaps.to_ts) {
            self.write(WARNING, &dropped(gaps.events, gaps.gaps, from_ts, to_ts, &self.view.clock))?;
        }
        let clock = query.clock_step_totals(time_range)?;
        if let Some(step) = clock.last {
            let times =
                if clock.steps == 1 { String::new() } else { format!("{} times, the last time ", count(clock.steps)) };
            let note = format!("The clock was set {times}{}; times around then are wrong.", self.step(&step));
            self.write(WARNING, &note)?;
        }
        let quarantined = query.quarantine()?;
        if quarantined > 0 {
            let records = counted(quarantined, "record");
            self.write(WARNING, &format!("{records} could not be folded; table quarantine says where and why."))?;
        }
        let newer = query.newer_records()?;
        if newer > 0 {
            let (records, they) = (counted(newer, "record"), if newer == 1 { "it" } else { "them" });
            let note =
                format!("{records} of a newer mcplog not counted: open the store with that one, which folds {they}.");
            self.write(WARNING, &note)?;
        }
        Ok(())
    }

    /// By how much the clock was set, and when.
    fn step(&self, step: &ClockStepRow) -> String {
        let way = if step.step_ms < 0 { "back" } else { "ahead" };
        format!("{way} by {} at {}", duration_ms(step.step_ms.saturating_abs()), self.view.clock.one_time(step.from_ts))
    }

    /// Why there is no row: the store is empty, or nothing matches.
    pub(super) fn none_found(&mut self, query: &Query, noun: &str) -> Result<(), CliError> {
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
            None => format!(
                "Nothing is recorded in {} yet. Point an MCP client at `mcplog proxy`, or import events with \
                 `mcplog ingest`.",
                escape(&query.path().parent().unwrap_or(query.path()).display().to_string()),
            ),
        };
        self.say(&note)
    }
}

/// That so many events were dropped, from when to when.
pub(super) fn dropped(events: i64, gaps: i64, from_ts: i64, to_ts: i64, clock: &Clock) -> String {
    let verb = if events == 1 { "is" } else { "are" };
    let (from, to) = (clock.one_time(from_ts), clock.one_time(to_ts));
    let (events, gaps) = (counted(events, "event"), counted(gaps, "gap"));
    format!("{events} {verb} missing: dropped in {gaps} between {from} and {to}.")
}

/// The whole id of the session whose id, or the name that people see of it, begins with `typed`.
pub(super) fn whole_session_id(query: &Query, typed: Option<&str>) -> Result<Option<String>, CliError> {
    let Some(typed) = typed else { return Ok(None) };
    let mut found = query.session_ids(typed, 2)?;
    if found.is_empty() {
        // The mark that people see before it may have been copied along.
        let typed = typed.strip_prefix('~').unwrap_or(typed);
        found = query.session_ids(&format!("{DERIVED_PREFIX}{typed}"), 2)?;
    }
    // The id itself comes first among those that begin with it.
    if found.len() > 1 && found[0] != typed {
        return Err(CliError::Failed(format!("several sessions begin with {typed}; type more of the id")));
    }
    match found.is_empty() {
        true => Err(CliError::Failed(format!("no session begins with {typed}; `mcplog sessions` lists them"))),
        false => Ok(Some(found.swap_remove(0))),
    }
}
