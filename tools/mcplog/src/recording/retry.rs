//! When to try again to open a store.
//!
//! Pure.

use std::time::Duration;

/// The first pause: a predecessor that is about to end lets go of the lock soon.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause: whoever made room on the disk should not have to wait long, and a try costs little.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A store that stayed open for so long is trusted again.
const TRUSTED_AFTER: Duration = Duration::from_secs(60);

/// How long to wait before the next try.
#[derive(Debug)]
pub(super) struct Retry {
    next: Duration,
}

impl Retry {
    pub(super) const fn new() -> Self {
        Self { next: PAUSE_MIN }
    }

    /// Opening failed.
    pub(super) fn after_failure(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(PAUSE_MAX);
        pause
    }

    /// A store that was open for so long died. One that dies again and again is not opened in a tight loop.
    pub(super) fn after_death(&mut self, lived: Duration) -> Duration {
        if lived >= TRUSTED_AFTER {
            *self = Self::new();
        }
        self.after_failure()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_begin_anew_after_a_long_life() {
        let mut retry = Retry::new();
        let pauses: Vec<u128> = (0..8).map(|_| retry.after_failure().as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(retry.after_death(Duration::from_secs(1)), PAUSE_MAX);
        assert_eq!(retry.after_death(TRUSTED_AFTER), PAUSE_MIN);
    }
}
