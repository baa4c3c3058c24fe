//! What is wrong right now, if anything: each thread reports its own part, anybody reads.

use parking_lot::Mutex;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// A part of the store's work that can be in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Part {
    /// Getting room for the log: events wait in the channel, and are dropped when it is full.
    Segments,
    /// Forcing the log to the disk: a power cut may take more than the policy says.
    Sync,
    /// Folding: the log grows, and queries don't see the newest events.
    Fold,
    /// The log holds bytes that can't be read.
    Damage,
    /// Records that a newer mcplog wrote wait for one that knows them, and queries don't see them. A note, no problem: the
    /// store records and folds, and loses nothing of them.
    NewerRecords,
    /// What the store was told to keep is not known any more, and so nothing is let go for it. A note.
    Limits,
    /// The clock does not say what it should, and nothing expires by it. A note, no problem.
    Clock,
    /// SQLite's WAL grows, because somebody reads an old state of the database. A note: nothing is lost, but disk space and
    /// time are.
    DatabaseWal,
    /// A thread of the store died.
    Thread,
}

/// Whether the store keeps its promises right now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// What is wrong, by part; empty when all is well. The texts name files and causes, never what an event said.
    pub problems: BTreeMap<Part, String>,
    /// What somebody should know though no promise is broken, and what to do about it.
    pub notes: BTreeMap<Part, String>,
}

impl Health {
    /// Nothing is wrong.
    pub fn is_ok(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |texts: &BTreeMap<Part, String>| texts.values().cloned().collect::<Vec<_>>().join("; ");
        match self.is_ok() {
            true => f.write_str("ok")?,
            false => write!(f, "degraded: {}", joined(&self.problems))?,
        }
        if !self.notes.is_empty() {
            write!(f, "; beside that, {}", joined(&self.notes))?;
        }
        Ok(())
    }
}

/// Where the threads report. Never touched on the hot path.
#[derive(Debug, Default)]
pub(crate) struct HealthBoard {
    health: Mutex<Health>,
}

impl HealthBoard {
    /// Reports a problem; the first report of each is logged.
    pub(crate) fn report(&self, part: Part, problem: impl fmt::Display) {
        let problem = problem.to_string();
        let before = self.health.lock().problems.insert(part, problem.clone());
        if before.as_ref() != Some(&problem) {
            tracing::error!(?part, problem, "the event store is degraded");
        }
    }

    /// The part works again.
    pub(crate) fn clear(&self, part: Part) {
        if self.health.lock().problems.remove(&part).is_some() {
            tracing::info!(?part, "the event store works again");
        }
    }

    /// Says something that is no problem, in place of what was said before; `None`: there is nothing to say any more.
    pub(crate) fn note(&self, part: Part, note: Option<String>) {
        self.set_note(part, note, true);
    }

    /// The same for a text that changes while its reason stays: it is logged when there was none before.
    pub(crate) fn note_once(&self, part: Part, note: Option<String>) {
        self.set_note(part, note, false);
    }

    fn set_note(&self, part: Part, note: Option<String>, logs_changes: bool) {
        let mut health = self.health.lock();
        let Some(note) = note else {
            health.notes.remove(&part);
            return;
        };
        let before = health.notes.get(&part);
        if before.is_none() || logs_changes && before != Some(&note) {
            tracing::warn!(?part, note, "about the event store");
        }
        health.notes.insert(part, note);
    }

    pub(crate) fn get(&self) -> Health {
        self.health.lock().clone()
    }
}
