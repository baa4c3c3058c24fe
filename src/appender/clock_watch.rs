//! Watching the clock by which times are recorded: whether somebody sets it, ahead or back.
//!
//! Runs on the appender, about once a second. A step is recorded in the log, so that whoever reads the rows of that time
//! knows why they are not in the order of their times. The clock is held against the time that has passed, which nobody can
//! set. Slewing, by which NTP mends a clock that is a little wrong, stays far below
//! what counts as a step.

use crate::ground::machine_clock::{MachineClock, Moment, STEP_MS_MIN};
use crate::record::record::ClockStepRecord;
use std::time::{Duration, Instant};

/// How often to look. A step is seen however long ago the last look was; this only bounds what looking costs.
const INTERVAL: Duration = if cfg!(test) { Duration::from_millis(10) } else { Duration::from_secs(1) };

/// The clock under watch.
pub(super) struct ClockWatch {
    clock: MachineClock,
    last: Moment,
    looked_at: Instant,
    /// The first step that is yet to be told.
    found: Option<ClockStepRecord>,
}

impl ClockWatch {
    pub(super) fn new(clock: MachineClock) -> Self {
        Self { last: clock.now(), clock, looked_at: Instant::now(), found: None }
    }

    /// Looks whether the clock made a step since the last look, unless one is yet to be taken.
    pub(super) fn look(&mut self) {
        if self.found.is_some() || self.looked_at.elapsed() < INTERVAL {
            return;
        }
        self.looked_at = Instant::now();
        let now = self.clock.now();
        self.found = step_between(&std::mem::replace(&mut self.last, now), &now);
    }

    /// The step that was found. Steps that come before it is taken make one with the next.
    pub(super) fn take_step(&mut self) -> Option<ClockStepRecord> {
        self.found.take()
    }
}

/// The step between two looks; `None` if the clock says what it should.
fn step_between(before: &Moment, now: &Moment) -> Option<ClockStepRecord> {
    let from_ts = before.wall_ms.saturating_add(now.since(before)?);
    let step = ClockStepRecord { from_ts, to_ts: now.wall_ms, between_runs: false };
    (step.step_ms().saturating_abs() > STEP_MS_MIN).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_760_000_000_000;

    #[test]
    fn a_step_is_what_the_clock_says_beyond_the_time_that_passed() {
        let before = Moment { wall_ms: START, up_ms: 5_000, boot_id: 1 };
        let year = 365 * 24 * 3_600_000;
        for (passed, wall, step) in [
            // Nothing happened; also for a long time, as on a laptop that was suspended over the weekend.
            (1_000, 1_000, None),
            (60 * 3_600_000, 60 * 3_600_000, None),
            // Slewed, or read a little late.
            (1_000, 61_000, None),
            (1_000, -59_000, None),
            // Set, by more than a minute, ahead and back.
            (1_000, 61_001, Some(60_001)),
            (1_000, -59_001, Some(-60_001)),
            (1_000, 1_000 + year, Some(year)),
            // The clock stood still, while time passed.
            (3_600_000, 0, Some(-3_600_000)),
            (0, -START, Some(-START)),
        ] {
            let now = Moment { wall_ms: START + wall, up_ms: before.up_ms + passed, boot_id: 1 };
            let found = step_between(&before, &now);
            let expected = step.map(|_| (START + passed, START + wall));
            assert_eq!(found.map(|found| (found.from_ts, found.to_ts)), expected, "{passed} {wall}");
            assert_eq!(found.map(|found| found.step_ms()), step, "{passed} {wall}");
        }
    }

    #[test]
    fn each_step_is_told_once_and_waits_until_it_is_taken() {
        let clock = MachineClock::new();
        let mut watch = ClockWatch::new(clock.clone());
        let mut look = || {
            for _ in 0..2 {
                watch.looked_at = Instant::now().checked_sub(INTERVAL).unwrap();
                watch.look();
            }
            watch.take_step()
        };
        assert_eq!(look(), None);
        clock.step(-120_000);
        clock.pass(3_600_000);
        let step = look().unwrap();
        assert!((-125_000..=-115_000).contains(&step.step_ms()) && !step.between_runs, "{step:?}");
        assert_eq!(look(), None);
        clock.step(120_000);
        assert!(look().is_some());
    }
}
