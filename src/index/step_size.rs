//! How much a step of expiring takes on: less where steps take long. Pure.
//!
//! What a row costs is not known before. Where its pages are in memory it is 10 µs; where the disk has to be asked for
//! each of them, a thousand times that.

use std::time::Duration;

/// A step that takes longer is followed by one of half its size.
const LONG_STEP: Duration = Duration::from_millis(10);
/// And one that takes less than this by one of twice its size.
const SHORT_STEP: Duration = Duration::from_millis(4);
/// So often it is halved at most.
const HALVINGS_MAX: u32 = 9;

/// What part of the most that a step may take on it does take on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StepSize {
    halvings: u32,
}

impl StepSize {
    /// An eighth: nothing is known yet.
    pub(crate) const FIRST: Self = Self { halvings: 3 };

    /// So many of at most `max`, and at least one.
    pub(crate) fn of(self, max: usize) -> usize {
        (max >> self.halvings).max(1)
    }

    /// The next step size, when a step with this one took so long.
    pub(crate) fn after(self, took: Duration) -> Self {
        let halvings = if took > LONG_STEP {
            (self.halvings + 1).min(HALVINGS_MAX)
        } else if took < SHORT_STEP {
            self.halvings.saturating_sub(1)
        } else {
            self.halvings
        };
        Self { halvings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The portions of 512 that follow on steps that take so many milliseconds.
    fn portions(took_ms: &[u64]) -> Vec<usize> {
        let mut step_size = StepSize::FIRST;
        let mut next = |took: &u64| {
            step_size = step_size.after(Duration::from_millis(*took));
            step_size.of(512)
        };
        took_ms.iter().map(&mut next).collect()
    }

    #[test]
    fn it_is_halved_where_a_step_took_long_down_to_one() {
        assert_eq!(portions(&[11; 8]), [32, 16, 8, 4, 2, 1, 1, 1]);
        assert_eq!(StepSize { halvings: HALVINGS_MAX }.of(3), 1);
    }

    #[test]
    fn it_is_doubled_where_a_step_took_little_up_to_all_of_it() {
        assert_eq!(portions(&[0, 3, 3, 3]), [128, 256, 512, 512]);
    }

    #[test]
    fn it_stays_where_a_step_took_as_long_as_it_should() {
        assert_eq!(portions(&[4, 10, 7]), [64, 64, 64]);
        assert_eq!(portions(&[1000, 0, 7]), [32, 64, 64]);
    }
}
