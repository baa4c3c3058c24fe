//! What went wrong with the upstream, in the diagnostics: at most once a minute for each fault, with how often meanwhile.
//!
//! Called by the forwarding tasks. One short critical section for each failed exchange.

use super::fault::{Cause, Fault};
use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// How often one fault is told at most.
const INTERVAL: Duration = Duration::from_secs(60);

/// When something was told last, and how often it was not.
#[derive(Clone, Copy, Default)]
pub(super) struct Seldom {
    told: Option<Instant>,
    untold: u64,
}

impl Seldom {
    /// It happened. `Some` if it is to be told: how often it happened since it was told last, now included.
    pub(super) fn note(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        let is_due = self.told.is_none_or(|told| now.saturating_duration_since(told) >= INTERVAL);
        is_due.then(|| {
            self.told = Some(now);
            std::mem::take(&mut self.untold)
        })
    }
}

/// The faults of one upstream.
pub(super) struct FaultLog {
    seldom: Mutex<[Seldom; Fault::COUNT]>,
}

impl Default for FaultLog {
    fn default() -> Self {
        Self { seldom: Mutex::new([Seldom::default(); Fault::COUNT]) }
    }
}

impl FaultLog {
    /// Tells it, unless it was told within the last minute.
    pub(super) fn tell(&self, cause: &Cause) {
        let due = self.seldom.lock()[cause.fault as usize].note(Instant::now());
        match due {
            Some(times) => tracing::warn!(times, "the upstream: {}", cause.words),
            None => tracing::debug!("the upstream: {}", cause.words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_told_once_a_minute_with_how_often() {
        let start = Instant::now();
        let mut seldom = Seldom::default();
        let told: Vec<_> =
            (0..=120).filter_map(|second| Some((second, seldom.note(start + Duration::from_secs(second))?))).collect();
        assert_eq!(told, [(0, 1), (60, 60), (120, 60)]);
        assert_eq!(seldom.note(start), None, "a clock that goes back tells nothing twice");
    }
}
