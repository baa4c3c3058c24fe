//! When the next event is due, and how a thread waits for it. The same for every competitor.
//!
//! - One thread spins until the event is due. The second processor is then free for the competitor's own threads.
//! - Several threads must not spin: on two processors they would keep the competitor's threads from running at all. They
//!   sleep until the event is due and, as a proxy that was woken does, hand over whatever has become due by then.

use std::time::{Duration, Instant};

/// A run may end so much later than it should: the last events may be due in its last moment, and sleeping takes longer
/// than it was asked to. Whoever is later than that was held up by the competitor.
pub const GRACE: Duration = Duration::from_millis(50);

/// One thread's timetable.
#[derive(Debug)]
pub struct Timetable {
    start: Instant,
    /// Events per second of all threads together; `None` for as fast as they come.
    rate_per_s: Option<u64>,
    spin: bool,
}

impl Timetable {
    /// For one of `threads` threads that start at `start`.
    pub fn new(start: Instant, rate_per_s: Option<u64>, threads: u64) -> Self {
        Self { start, rate_per_s, spin: threads == 1 }
    }

    /// Returns when event `number` (counted over all threads) is due.
    #[inline]
    pub fn wait_for(&self, number: u64) {
        let Some(rate_per_s) = self.rate_per_s else { return };
        let due = self.start + Duration::from_nanos(number.saturating_mul(1_000_000_000) / rate_per_s);
        if self.spin {
            while Instant::now() < due {
                std::hint::spin_loop();
            }
        } else if let Some(left) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(left);
        }
    }
}
