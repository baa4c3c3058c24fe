//! When what was committed is copied out of SQLite's WAL into the database, whatever the WAL's length.
//!
//! Pure; times are handed in. Without this, the rows of a quiet store would lie in the WAL for hours, and a copy of
//! `store.db` alone, which is what people make, would have none of them.

use std::time::{Duration, Instant};

/// Once nothing was committed for so long, the WAL is emptied: nobody waits for that, and then the database's file
/// alone has everything. A shorter time would have a store with a request every other second sync three times for each.
pub(super) const QUIET: Duration = Duration::from_secs(3);
/// While commits follow each other, what was committed is copied after so long at the latest. Two syncs in that time
/// are little beside those of the log, one for each sync interval.
pub(super) const COPIED_WITHIN: Duration = Duration::from_secs(10);
/// How long to wait before a copy that did not come to its end is tried again.
pub(super) const RETRY: Duration = Duration::from_secs(3);

/// What a copy does with the WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CopyMode {
    /// Copies the WAL's pages into the database.
    Copy,
    /// Copies them and truncates the WAL. Then the database's file is no longer than its pages.
    Empty,
}

/// What is in the WAL.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CopySchedule {
    /// When the last commit was; `None` once the WAL is empty.
    last: Option<Instant>,
    /// Since when something is not copied; `None` if everything is.
    uncopied_since: Option<Instant>,
    /// When a copy last failed to come to its end.
    tried_at: Option<Instant>,
}

impl CopySchedule {
    /// Something was committed, or is in the WAL since a process died.
    pub(super) fn note_commit(&mut self, at: Instant) {
        self.last = Some(at);
        self.uncopied_since.get_or_insert(at);
    }

    /// A copy that began at `began` came to its end: everything that was committed before is in the database.
    pub(super) fn note_copied(&mut self, mode: CopyMode, began: Instant) {
        let is_all = self.last.is_none_or(|last| last < began);
        self.uncopied_since = if is_all { None } else { Some(began) };
        if is_all && mode == CopyMode::Empty {
            self.last = None;
        }
        self.tried_at = None;
    }

    /// A copy did not come to its end: it failed, or a reader was in the way.
    pub(super) fn note_tried(&mut self, at: Instant) {
        self.tried_at = Some(at);
    }

    /// What is to be done now.
    pub(super) fn due(&self, now: Instant) -> Option<CopyMode> {
        let last = self.last?;
        if self.tried_at.is_some_and(|tried_at| now.duration_since(tried_at) < RETRY) {
            None
        } else if now.duration_since(last) >= QUIET {
            Some(CopyMode::Empty)
        } else {
            let is_due = self.uncopied_since.is_some_and(|since| now.duration_since(since) >= COPIED_WITHIN);
            is_due.then_some(CopyMode::Copy)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commits every `step` for a minute, copies when that is due, and says at which second what was done.
    fn history(step: Duration, commits: usize) -> Vec<(u64, CopyMode)> {
        let (start, mut schedule, mut done) = (Instant::now(), CopySchedule::default(), Vec::new());
        for tick in 0..600 {
            let passed = Duration::from_millis(100) * tick;
            let now = start + passed;
            let number = passed.as_millis() / step.as_millis();
            if passed.as_millis().is_multiple_of(step.as_millis()) && number < commits as u128 {
                schedule.note_commit(now);
            }
            if let Some(mode) = schedule.due(now) {
                done.push((passed.as_secs(), mode));
                schedule.note_copied(mode, now + Duration::from_millis(1));
            }
        }
        done
    }

    #[test]
    fn what_is_committed_is_copied_within_seconds_and_once() {
        use CopyMode::{Copy, Empty};
        let ms = Duration::from_millis;
        for (step, commits, expected) in [
            (ms(100), 0, vec![]),
            (ms(100), 1, vec![(3, Empty)]),
            (ms(400), 25, vec![(10, Copy), (12, Empty)]),
            (ms(1_000), 30, vec![(10, Copy), (21, Copy), (32, Empty)]),
            (ms(5_000), 3, vec![(3, Empty), (8, Empty), (13, Empty)]),
        ] {
            assert_eq!(history(step, commits), expected, "{commits} commits, one in {step:?}");
        }
    }

    #[test]
    fn what_comes_while_it_is_copied_is_still_to_be_copied_and_what_failed_is_tried_again() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut schedule = CopySchedule::default();
        schedule.note_commit(at(0));
        schedule.note_commit(at(5));
        schedule.note_copied(CopyMode::Empty, at(4));
        assert_eq!(schedule.due(at(7)), None);
        assert_eq!(schedule.due(at(8)), Some(CopyMode::Empty));
        schedule.note_tried(at(8));
        assert_eq!(schedule.due(at(10)), None);
        assert_eq!(schedule.due(at(11)), Some(CopyMode::Empty));
        schedule.note_copied(CopyMode::Copy, at(11));
        assert_eq!(schedule.due(at(12)), Some(CopyMode::Empty), "copied, and still long");
        schedule.note_copied(CopyMode::Empty, at(12));
        assert_eq!(schedule.due(at(99)), None);
    }
}
