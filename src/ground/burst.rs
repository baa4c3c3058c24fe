//! A condition that repeats, for the diagnostics: told once when it begins and once when it is over, with how often and for
//! how long; not each time, or a disk that is full fills another one with words about it.
//!
//! Pure. Whoever notes a condition holds one of these, says what is told, and tells the beginning and the end at one level,
//! so that who reads of trouble also reads that it is over. What came in between is for level debug.

use std::time::{Duration, Instant};

/// Something that happens in bursts.
#[derive(Clone, Copy, Debug)]
pub struct Burst {
    /// After so long without another one, it is over.
    quiet: Duration,
    current: Option<Current>,
}

#[derive(Clone, Copy, Debug)]
struct Current {
    since: Instant,
    last: Instant,
    times: u64,
}

/// A burst that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Over {
    /// How often it happened.
    pub times: u64,
    /// From the first time to the last; to the end, where somebody said that it is over.
    pub lasted: Duration,
}

impl Burst {
    /// None yet. One is over when nothing happened for the time `quiet`, or when somebody [ends](Self::end) it.
    #[must_use]
    pub const fn new(quiet: Duration) -> Self {
        Self { quiet, current: None }
    }

    /// It happened, so many times. `true`: a burst begins with that, and is to be told.
    pub fn note(&mut self, times: u64, now: Instant) -> bool {
        match &mut self.current {
            Some(current) => {
                current.last = now.max(current.last);
                current.times = current.times.saturating_add(times);
                false
            }
            None => {
                self.current = Some(Current { since: now, last: now, times });
                true
            }
        }
    }

    /// Whether one is under way, or over and nobody asked yet.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.current.is_some()
    }

    /// The burst that is over by now, which is to be told. To be asked now and then while one is [on](Self::is_on).
    pub fn over(&mut self, now: Instant) -> Option<Over> {
        let is_quiet = |current: &Current| now.saturating_duration_since(current.last) >= self.quiet;
        let Current { since, last, times } = self.current.take_if(|current| is_quiet(current))?;
        Some(Over { times, lasted: last - since })
    }

    /// Ends the burst that is under way, if one is: whatever it was is over now.
    pub fn end(&mut self, now: Instant) -> Option<Over> {
        let Current { since, times, .. } = self.current.take()?;
        Some(Over { times, lasted: now.saturating_duration_since(since) })
    }
}

impl Over {
    /// How long it lasted, in milliseconds, for the diagnostics.
    #[must_use]
    pub fn lasted_ms(&self) -> u64 {
        u64::try_from(self.lasted.as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_told_when_it_begins_and_when_it_was_quiet_for_long_enough() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut burst = Burst::new(Duration::from_secs(10));
        let mut told = Vec::new();
        for second in 0..100 {
            if matches!(second, 3..20 | 25 | 60..63) && burst.note(2, at(second)) {
                told.push((second, None));
            }
            if let Some(Over { times, lasted }) = burst.over(at(second)) {
                told.push((second, Some((times, lasted.as_secs()))));
            }
        }
        assert_eq!(told, [(3, None), (35, Some((36, 22))), (60, None), (72, Some((6, 2)))]);
        assert!(!burst.is_on());
    }

    #[test]
    fn what_somebody_ends_is_over_at_once_and_only_once() {
        let start = Instant::now();
        let mut burst = Burst::new(Duration::MAX);
        assert_eq!(burst.end(start), None);
        assert!(burst.note(1, start) && !burst.note(1, start + Duration::from_secs(1)));
        assert_eq!(burst.over(start + Duration::from_secs(1_000_000)), None);
        let over = burst.end(start + Duration::from_secs(7)).unwrap();
        assert_eq!((over.times, over.lasted_ms()), (2, 7_000));
        assert_eq!(burst.end(start), None);
        assert!(burst.note(1, start), "the next one is told again");
        assert!(!burst.note(1, start - Duration::from_secs(1)), "and no clock that goes back ends it");
    }
}
