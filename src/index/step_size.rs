//! How many rows a step of expiring removes: fewer where steps take long. Pure.
//!
//! Nobody knows beforehand what removing a row costs: 10 µs where the row's pages are in memory, a thousand times that
//! where the disk has to be asked for each page.

use std::time::Duration;

/// A step that takes longer than this is followed by a step of half its size.
const LONG_STEP: Duration = Duration::from_millis(10);
/// A step that takes less than this is followed by a step of twice its size.
const SHORT_STEP: Duration = Duration::from_millis(4);
/// How many times the largest step is halved at most.
const HALVINGS_MAX: u32 = 9;

/// The size of a step, as a part of the largest step: one half to the power of `halvings`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StepSize {
    halvings: u32,
}

impl StepSize {
    /// An eighth, because nothing is known yet.
    pub(crate) const FIRST: Self = Self { halvings: 3 };

    /// The number of rows, where the largest step removes `max`; at least one.
    pub(crate) fn of(self, max: usize) -> usize {
        (max >> self.halvings).max(1)
    }

    /// The size of the next step, after a step of this size that took so long.
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

    /// The sizes of the steps, of at most 512, that follow steps of so many milliseconds.
    fn sizes(took_ms: &[u64]) -> Vec<usize> {
        let mut step_size = StepSize::FIRST;
        let mut next = |took: &u64| {
            step_size = step_size.after(Duration::from_millis(*took));
            step_size.of(512)
        };
        took_ms.iter().map(&mut next).collect()
    }

    #[test]
    fn it_is_halved_where_a_step_took_long_down_to_one() {
        assert_eq!(sizes(&[11; 8]), [32, 16, 8, 4, 2, 1, 1, 1]);
        assert_eq!(StepSize { halvings: HALVINGS_MAX }.of(3), 1);
    }

    #[test]
    fn it_is_doubled_where_a_step_took_little_up_to_all_of_it() {
        assert_eq!(sizes(&[0, 3, 3, 3]), [128, 256, 512, 512]);
    }

    #[test]
    fn it_stays_where_a_step_took_as_long_as_it_should() {
        assert_eq!(sizes(&[4, 10, 7]), [64, 64, 64]);
        assert_eq!(sizes(&[1000, 0, 7]), [32, 64, 64]);
    }
}
