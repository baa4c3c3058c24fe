//! Whether the holder of the fold lock moves, as those see it that wait for the lock. Pure.
//!
//! A process that was stopped (SIGSTOP, a debugger, `docker pause`, a disk that hangs) keeps its lock and folds nothing, for
//! hours. Its beat stands still then. How long that has been so is measured by the own monotonic clock: no time of another
//! process decides anything.

use std::time::{Duration, Instant};

/// So long a beat stands still before the holder is taken to have stopped. Its longest step between two looks is one batch,
/// or a sync of the database: seconds on a bad disk.
pub(super) const STANDSTILL: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 10 });

/// What was seen of the beat.
#[derive(Debug, Default)]
pub(super) struct BeatWatch {
    last: Option<(u64, Instant)>,
}

impl BeatWatch {
    /// Notes the beat as it is `now`; tells whether it has stood still for so long that the holder has stopped.
    pub(super) fn has_stopped(&mut self, beat: u64, now: Instant) -> bool {
        match self.last {
            Some((seen, since)) if seen == beat => now.duration_since(since) >= STANDSTILL,
            _ => {
                self.last = Some((beat, now));
                false
            }
        }
    }

    /// Nobody holds the lock, or nothing is waited for: what was seen counts no more.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_that_stands_still_long_enough_has_stopped_and_one_that_moves_has_not() {
        let start = Instant::now();
        let mut watch = BeatWatch::default();
        let mut stopped_at = |beat, tenths| watch.has_stopped(beat, start + STANDSTILL * tenths / 10);
        let seen = [(7, 0), (7, 9), (8, 9), (8, 18), (8, 19), (8, 60), (9, 61), (9, 70), (9, 71)];
        let stopped = seen.map(|(beat, tenths)| stopped_at(beat, tenths));
        assert_eq!(stopped, [false, false, false, false, true, true, false, false, true]);
        watch.forget();
        assert!(!watch.has_stopped(9, start + STANDSTILL * 10), "it is looked at anew");
    }
}
