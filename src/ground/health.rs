//! What is wrong right now, if anything: each thread reports its own part, anybody reads.

use super::burst::Burst;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

/// Trouble of a part lasts until the part says that it works again.
const UNTIL_TOLD: Duration = Duration::MAX;

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
    board: Mutex<Board>,
}

/// What is wrong, and since when.
#[derive(Debug, Default)]
struct Board {
    health: Health,
    /// Of the parts that were in trouble: how often that was reported.
    troubles: BTreeMap<Part, Burst>,
}

impl HealthBoard {
    /// Reports a problem. The first report of a part is logged, further ones until it works again are not; but each damage,
    /// which is a fact and no state.
    pub(crate) fn report(&self, part: Part, problem: impl fmt::Display) {
        let problem = problem.to_string();
        let mut board = self.board.lock();
        let before = board.health.problems.insert(part, problem.clone());
        let begins = board.troubles.entry(part).or_insert(Burst::new(UNTIL_TOLD)).note(1, Instant::now());
        drop(board);
        let is_news = before.as_ref() != Some(&problem);
        if begins || (part == Part::Damage && is_news) {
            tracing::error!(?part, problem, "the event store is degraded");
        } else if is_news {
            tracing::debug!(?part, problem, "the event store is degraded still");
        }
    }

    /// The part works again.
    pub(crate) fn clear(&self, part: Part) {
        let mut board = self.board.lock();
        if board.health.problems.remove(&part).is_none() {
            return;
        }
        let over = board.troubles.get_mut(&part).and_then(|trouble| trouble.end(Instant::now()));
        drop(board);
        if let Some(over) = over {
            tracing::warn!(?part, times = over.times, lasted_ms = over.lasted_ms(), "the event store works again");
        }
    }

    /// Says something that is no problem, in place of what was said before; `None`: there is nothing to say any more. What
    /// was not said before is logged; that its words change (a time that is left, a count) is not.
    pub(crate) fn note(&self, part: Part, note: Option<String>) {
        let notes = &mut self.board.lock().health.notes;
        match note {
            None if notes.remove(&part).is_some() => {
                tracing::warn!(?part, "nothing is left to say about the event store")
            }
            None => {}
            Some(note) if notes.get(&part) == Some(&note) => {}
            Some(note) => {
                match notes.contains_key(&part) {
                    false => tracing::warn!(?part, note, "about the event store"),
                    true => tracing::debug!(?part, note, "about the event store, still"),
                }
                notes.insert(part, note);
            }
        }
    }

    pub(crate) fn get(&self) -> Health {
        self.board.lock().health.clone()
    }
}
