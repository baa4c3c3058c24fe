//! How long the holder of the fold lock tries in vain before it lets another process try. Pure.
//!
//! What one process lacks (open files, memory, a mount that can be written to, a quota) another may have. So after some
//! seconds of such errors the holder lets go, and stays away for a while; but not while nobody else takes the lock, because
//! then nobody would fold, and this process may be able to by then.

use std::time::{Duration, Instant};

/// So long errors may go on, one after the other.
const ERRORS: Duration = Duration::from_secs(5);
/// So long the process stays away then, if somebody else holds the lock meanwhile.
const AWAY: Duration = Duration::from_secs(30);
/// So long it waits for somebody to take the lock: twice as long as those sleep who try.
const UNTAKEN: Duration = Duration::from_secs(1);

/// What failed, and since when.
#[derive(Debug, Default)]
pub(super) struct Patience {
    failing_since: Option<Instant>,
    let_go_at: Option<Instant>,
}

impl Patience {
    /// It works.
    pub(super) fn clear(&mut self) {
        self.failing_since = None;
    }

    /// Something failed that another process may be able to do; tells whether to let go.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        let since = *self.failing_since.get_or_insert(now);
        let is_over = now.duration_since(since) >= ERRORS;
        if is_over {
            self.let_go(now);
        }
        is_over
    }

    /// The process lets go, of something that another one is known to do better.
    pub(super) fn let_go(&mut self, now: Instant) {
        *self = Self { failing_since: None, let_go_at: Some(now) };
    }

    /// Whether the process still stays away; `is_taken`: somebody has the lock.
    pub(super) fn stays_away(&self, is_taken: bool, now: Instant) -> bool {
        let away = if is_taken { AWAY } else { UNTAKEN };
        self.let_go_at.is_some_and(|at| now.duration_since(at) < away)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_knows_that_another_does_better_stays_away_at_once() {
        let (start, mut patience) = (Instant::now(), Patience::default());
        patience.let_go(start);
        assert!(patience.stays_away(true, start + AWAY / 2) && !patience.stays_away(false, start + AWAY / 2));
    }

    #[test]
    fn errors_that_go_on_make_it_let_go_and_stay_away_unless_nobody_else_comes() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut patience = Patience::default();
        assert!(!patience.stays_away(true, at(0)), "nothing failed yet");
        assert!([0, 2_000, 4_999].iter().all(|ms| !patience.is_over(at(*ms))));
        patience.clear();
        assert!([5_000, 9_999].iter().all(|ms| !patience.is_over(at(*ms))), "it worked in between");
        assert!(patience.is_over(at(10_000)));
        let away = |is_taken, ms| patience.stays_away(is_taken, at(ms));
        assert_eq!([10_999, 11_000].map(|ms| away(false, ms)), [true, false]);
        assert_eq!([39_999, 40_000].map(|ms| away(true, ms)), [true, false]);
    }
}
