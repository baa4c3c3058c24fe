//! What is wrong right now, if anything: each thread reports its own part, anybody reads.

use super::burst::{Burst, Over};
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

/// Trouble of a part that comes again so soon goes on, as the diagnostics tell it: a log that is full under load gets room
/// for one segment twice a second. Health itself knows no such delay.
const QUIET: Duration = Duration::from_secs(10);

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
    /// Of the parts that were in trouble: how often that was reported, and when it was last so.
    troubles: BTreeMap<Part, Burst>,
}

/// What a report is to the diagnostics.
#[derive(Debug, PartialEq, Eq)]
struct Reported {
    /// Trouble of the same part that was over, and nobody had told yet.
    over: Option<Over>,
    /// Trouble begins with it.
    begins: bool,
    /// It was not said in these words just before.
    is_news: bool,
}

impl Board {
    fn report(&mut self, part: Part, problem: &str, now: Instant) -> Reported {
        let before = self.health.problems.insert(part, problem.to_owned());
        let trouble = self.troubles.entry(part).or_insert(Burst::new(QUIET));
        // Trouble that is still there is never over, however long ago it was reported.
        let over = if before.is_none() { trouble.over(now) } else { None };
        Reported { over, begins: trouble.note(1, now), is_news: before.as_deref() != Some(problem) }
    }

    /// `false`: there was no trouble.
    fn clear(&mut self, part: Part, now: Instant) -> bool {
        let was_there = self.health.problems.remove(&part).is_some();
        if let Some(trouble) = self.troubles.get_mut(&part).filter(|_| was_there) {
            // None more, but until now.
            trouble.note(0, now);
        }
        was_there
    }

    /// The trouble that is over by now, or `at_once`.
    fn over(&mut self, now: Instant, at_once: bool) -> Vec<(Part, Over)> {
        let Self { health, troubles } = self;
        let passed = troubles.iter_mut().filter(|(part, _)| !health.problems.contains_key(part));
        let over = passed.filter_map(|(part, trouble)| {
            let now = if at_once { now + QUIET } else { now };
            Some((*part, trouble.over(now)?))
        });
        over.collect()
    }
}

impl HealthBoard {
    /// Reports a problem. The first report of a part is logged, further ones until it has worked for a while are not; but each
    /// damage, which is a fact and no state.
    pub(crate) fn report(&self, part: Part, problem: impl fmt::Display) {
        let problem = problem.to_string();
        let Reported { over, begins, is_news } = self.board.lock().report(part, &problem, Instant::now());
        if let Some(over) = over {
            tell_over(part, over);
        }
        if begins || (part == Part::Damage && is_news) {
            tracing::error!(?part, problem, "the event store is degraded");
        } else if is_news {
            tracing::debug!(?part, problem, "the event store is degraded still");
        }
    }

    /// The part works again. Logged once it has for a while.
    pub(crate) fn clear(&self, part: Part) {
        let was_there = self.board.lock().clear(part, Instant::now());
        if was_there {
            tracing::debug!(?part, "the event store works again, for now");
        }
    }

    /// Logs which parts have worked again for a while. To be asked now and then.
    pub(crate) fn tell_over(&self) {
        self.tell_what_is_over(false);
    }

    /// Logs which parts work again: nobody will ask any more.
    pub(crate) fn end(&self) {
        self.tell_what_is_over(true);
    }

    fn tell_what_is_over(&self, at_once: bool) {
        let all = self.board.lock().over(Instant::now(), at_once);
        for (part, over) in all {
            tell_over(part, over);
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

    /// Whether all is well right now.
    pub(crate) fn get(&self) -> Health {
        // Whoever asks regularly has it logged also where no thread of the store is left that would.
        self.tell_over();
        self.board.lock().health.clone()
    }
}

fn tell_over(part: Part, over: Over) {
    tracing::warn!(?part, times = over.times, lasted_ms = over.lasted_ms(), "the event store works again");
}

#[cfg(test)]
mod tests {
    use super::*;

    const PART: Part = Part::Segments;

    #[test]
    fn trouble_that_comes_and_goes_is_told_once_and_once_when_it_stayed_well_and_health_knows_at_once() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let (mut board, mut told) = (Board::default(), Vec::new());
        // Half a minute of overload, twice a second, and a quiet one.
        for half in 0..120 {
            let now = at(half * 500);
            if half < 60 {
                let reported = board.report(PART, "no room", now);
                assert_eq!(reported.over, None);
                told.extend(reported.begins.then_some((half, 0)));
                assert!(!board.health.is_ok());
                assert!(board.clear(PART, now + Duration::from_millis(100)) && board.health.is_ok());
            }
            let over = board.over(now + Duration::from_millis(200), false);
            told.extend(over.iter().map(|(_, over)| (half, over.times)));
            assert!(over.iter().all(|(part, over)| *part == PART && over.lasted_ms() == 59 * 500 + 100));
        }
        assert_eq!(told, [(0, 0), (79, 60)]);
        assert!(!board.clear(PART, at(60_000)) && board.over(at(90_000), true).is_empty());
    }

    #[test]
    fn trouble_that_lasts_is_not_over_and_what_nobody_asked_for_is_told_before_it_begins_again() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut board = Board::default();
        assert!(board.report(PART, "no room", at(0)).begins);
        // An hour later it is still there.
        assert_eq!((board.over(at(3600), false), board.over(at(3600), true)), (vec![], vec![]));
        assert_eq!(board.report(PART, "no room", at(3600)), Reported { over: None, begins: false, is_news: false });
        board.clear(PART, at(3601));
        let Reported { over, begins, is_news } = board.report(PART, "no room", at(3700));
        assert_eq!(over.map(|over| (over.times, over.lasted.as_secs())), Some((2, 3601)));
        assert!(begins && is_news);
        board.clear(PART, at(3701));
        assert_eq!(board.over(at(3702), false), []);
        let ended = board.over(at(3702), true);
        assert_eq!(ended.iter().map(|(_, over)| (over.times, over.lasted.as_secs())).collect::<Vec<_>>(), [(1, 1)]);
    }
}
