//! A question to the store, from opening it to the last line of the answer: what the answer lacks.
//!
//! Runs on the main thread. Every command that answers from the database goes through here, and proves it with an
//! [`Answered`]. It must not write to the store, but for having folded what waits.

use super::fold::{fold_first, fold_for_a_moment};
use super::notes::Notes;
use super::session_name::DERIVED_PREFIXES;
use crate::arguments::FoldArgs;
use crate::error::{CliError, EXIT_OK};
use crate::waiting::Waiting;
use mcplog::completeness::Completeness;
use mcplog::query::{Query, TimeRange};
use mcplog_terminal::interrupt::Interrupt;
use mcplog_terminal::json;
use mcplog_terminal::units::counted;
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;

/// An open question.
pub(super) struct Answer {
    pub(super) query: Query,
    completeness: Completeness,
    time_range: TimeRange,
}

/// Proof that a command said how complete its answer is.
#[must_use]
pub(crate) struct Answered(());

impl Answered {
    /// That of a command that says so as it goes, and has no last line: it ends when somebody ends it.
    pub(super) const fn as_it_went() -> Self {
        Self(())
    }

    /// What is missing is no failure of the command's, and is told by what it printed.
    pub(crate) const fn exit_code(&self) -> u8 {
        EXIT_OK
    }
}

impl Answer {
    /// Opens the store in `dir`, after what waits there is folded if that was asked for, or if nobody else folds it, and
    /// finds out what an answer about `time_range` lacks. Before anything is read: what is folded from then on may be in
    /// the answer, and nothing else that the answer lacks is left out.
    pub(super) fn begin(
        dir: &Path,
        fold: &FoldArgs,
        time_range: TimeRange,
        err: &mut dyn Write,
    ) -> Result<Self, CliError> {
        if fold.fold {
            let interrupt =
                Interrupt::catch().map_err(|error| CliError::Failed(format!("can't listen for signals: {error}")))?;
            fold_first(dir, &interrupt, err)?;
            interrupt.let_go();
        }
        let mut query = Query::open(dir)?;
        let mut completeness = mcplog::completeness(&query, time_range)?;
        if !fold.fold && completeness.is_behind && !completeness.in_use {
            drop(query);
            let is_let_go = fold_for_a_moment(dir, &Waiting::found(dir, completeness));
            query = Query::open(dir)?;
            completeness = mcplog::completeness(&query, time_range)?;
            if !is_let_go {
                // What is seen of it is this process, which ends with the answer.
                completeness.in_use = false;
                completeness.is_behind |= completeness.unfolded_records != Some(0);
            }
        }
        Ok(Self { query, completeness, time_range })
    }

    /// The whole id of the session whose id, or the name that people see of it, begins with `typed`.
    pub(super) fn whole_session_id(&self, typed: Option<&str>) -> Result<Option<String>, CliError> {
        whole_session_id(&self.query, &self.completeness, typed)
    }

    /// Says why there is no row.
    pub(super) fn none_found(&self, notes: &mut Notes<'_>, noun: &str) -> Result<(), CliError> {
        notes.none_found(&self.query, noun, self.completeness.is_behind)
    }

    /// Says what the answer lacks: in words, if that is anything, and always in a last line of JSON.
    pub(super) fn end(self, mut notes: Notes<'_>) -> Result<Answered, CliError> {
        notes.missing(&self.query, &self.completeness, self.time_range)?;
        let is_cut = notes.is_cut();
        if let Some(out) = notes.json_out() {
            write_line(out, &self.completeness, is_cut)?;
        }
        Ok(Answered(()))
    }
}

/// The last line of an answer in JSON.
pub(super) fn write_line(out: &mut dyn Write, completeness: &Completeness, is_cut: bool) -> io::Result<()> {
    #[derive(Serialize)]
    struct LastLine<'a> {
        answer: Members<'a>,
    }
    #[derive(Serialize)]
    struct Members<'a> {
        #[serde(flatten)]
        completeness: &'a Completeness,
        cut: bool,
    }
    json::write_line(out, &LastLine { answer: Members { completeness, cut: is_cut } })
}

/// The whole id of the session whose id, or the name that people see of it, begins with `typed`.
pub(super) fn whole_session_id(
    query: &Query,
    completeness: &Completeness,
    typed: Option<&str>,
) -> Result<Option<String>, CliError> {
    let Some(typed) = typed else { return Ok(None) };
    let mut found = query.session_ids(typed, 2)?;
    if found.is_empty() {
        // The mark that people see before it may have been copied along.
        let typed = typed.strip_prefix('~').unwrap_or(typed);
        for prefix in DERIVED_PREFIXES {
            found.extend(query.session_ids(&format!("{prefix}{typed}"), 2)?);
        }
    }
    // The id itself comes first among those that begin with it.
    if found.len() > 1 && found[0] != typed {
        return Err(CliError::Failed(format!("several sessions begin with {typed}; type more of the id")));
    }
    if !found.is_empty() {
        return Ok(Some(found.swap_remove(0)));
    }
    let waiting = completeness.unfolded_records.filter(|_| completeness.is_behind).map_or(String::new(), |records| {
        format!(
            " ({} in the log not looked at; --fold has {} folded first)",
            counted(records, "record"),
            if records == 1 { "it" } else { "them" }
        )
    });
    Err(CliError::Failed(format!("no session begins with {typed}{waiting}; `mcplog sessions` lists them")))
}
