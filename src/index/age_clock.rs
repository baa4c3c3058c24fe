//! What time it is, as far as ages are concerned: how old rows and segments are counts from here, and not from the clock
//! alone. Pure; `age_table.rs` keeps the state.
//!
//! What is too old goes for good, and the clock says what is too old. A clock that somebody sets ahead by a year (NTP gone
//! wrong, a battery that is empty) would take a year of rows at once, though the mistake may be found within the hour. So
//! expiring goes by a time of its own, the *believed time*:
//!
//! - Where mcplog knows how much time has passed (the machine did not start again meanwhile; suspension counts, and so does
//!   time in which no process had the store open), the believed time goes on by that much.
//! - While believed time and clock agree within a *tolerance*, the clock counts. The tolerance is a twenty-fourth of the age,
//!   at least a minute. An age is rounded to as much anyway, so that more than this is never lost to a small step.
//! - Where they disagree, the earlier of the two counts, so that nothing goes too early. The believed time goes on meanwhile:
//!   rows from before the step become as old as they would have without it.
//! - After a *patience* of a week, or the whole age if that is shorter, the clock is believed. So no wrong time holds
//!   anything for ever: not a step that was right, and not a believed time that was wrong.
//! - Across a start of the machine nobody knows what has passed. What the clock says is believed up to the tolerance, each
//!   time; beyond that it is a step like any other. A machine that is off over the weekend is believed by its second start.
//! - A store that has no believed time yet begins with the newest request on record, or the clock if that is earlier, as if
//!   the machine had been off since. So the age counts from the newest of what was recorded; one request that says it is
//!   from 2099 changes nothing, because the clock is earlier; and in a store where nobody records any more, rows get older
//!   all the same.
//!
//! With an age of up to a week, a wrong step ahead costs nothing: when the clock is believed, what was recorded before is
//! as old as the limit says anyway. With 30 days, a week remains to find the mistake, of which `check` and health speak. The
//! price: after a step that was right (a store that was closed for a month) what is old stays for up to that week more.
//!
//! Rejected: the newest request alone as the time, because the first request after a step is as new as the clock; a clock
//! that catches up by a day each hour, because it takes thirty days within a night; and waiting for a person's word, because
//! there may be none, and rows would stay for ever.

use std::fmt;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// The longest patience with a clock that says something else than the time that passed: long enough that somebody is back
/// from a long weekend and reads what `check` says.
const PATIENCE_MS_MAX: i64 = 7 * DAY_MS;
/// The part of an age by which clock and believed time may differ.
const TOLERANCE_PARTS: i64 = 24;

/// The believed time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AgeClock {
    /// Unix milliseconds, UTC, as of the last look.
    pub(crate) believed_ms: i64,
    /// For how much of the machine's time the clock has said something else; `None`: they agree.
    pub(crate) doubted_ms: Option<i64>,
}

/// How far and for how long the believed time holds against the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Doubts {
    pub(crate) tolerance_ms: i64,
    pub(crate) patience_ms: i64,
}

/// Ages do not count from the clock, because it is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldBack {
    /// How far the clock is ahead of the time that is known to have passed, in milliseconds; behind, if negative.
    pub ahead_ms: i64,
    /// After how much more time it is believed, in milliseconds.
    pub left_ms: i64,
}

impl Doubts {
    /// Those of something that is kept for so long.
    pub(crate) fn of_age(age_ms: u64) -> Self {
        let age_ms = i64::try_from(age_ms).unwrap_or(i64::MAX);
        Self { tolerance_ms: (age_ms / TOLERANCE_PARTS).max(MINUTE_MS), patience_ms: age_ms.min(PATIENCE_MS_MAX) }
    }
}

impl AgeClock {
    /// The time of a store that has none yet. The newest request on record is from `newest_ts`.
    pub(crate) fn first(newest_ts: Option<i64>, clock_ms: i64, doubts: Doubts) -> Self {
        let believed_ms = newest_ts.map_or(clock_ms, |newest_ts| newest_ts.min(clock_ms));
        Self { believed_ms, doubted_ms: None }.after(None, clock_ms, doubts)
    }

    /// The time once so many milliseconds have passed (`None`: nobody knows) and the clock says `clock_ms`.
    pub(crate) fn after(self, passed_ms: Option<i64>, clock_ms: i64, doubts: Doubts) -> Self {
        let Doubts { tolerance_ms, patience_ms } = doubts;
        let is_unexplained = clock_ms.saturating_sub(self.believed_ms);
        let credit_ms = passed_ms.unwrap_or_else(|| is_unexplained.clamp(0, tolerance_ms));
        let believed_ms = self.believed_ms.saturating_add(credit_ms);
        let agrees = clock_ms.saturating_sub(believed_ms).saturating_abs() <= tolerance_ms;
        // A doubt begins with the look that has it.
        let doubted_ms = self.doubted_ms.map_or(0, |doubted_ms| doubted_ms.saturating_add(passed_ms.unwrap_or(0)));
        if agrees || doubted_ms >= patience_ms {
            return Self { believed_ms: clock_ms, doubted_ms: None };
        }
        Self { believed_ms, doubted_ms: Some(doubted_ms) }
    }

    /// The time from which ages count.
    pub(crate) fn aged_at_ms(&self, clock_ms: i64) -> i64 {
        self.believed_ms.min(clock_ms)
    }

    /// What to tell people where the clock is not believed.
    pub(crate) fn held_back(&self, clock_ms: i64, patience_ms: i64) -> Option<HeldBack> {
        self.doubted_ms.map(|doubted_ms| HeldBack {
            ahead_ms: clock_ms.saturating_sub(self.believed_ms),
            left_ms: patience_ms.saturating_sub(doubted_ms).max(0),
        })
    }
}

impl fmt::Display for HeldBack {
    /// A sentence that says what is so, and what ends it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (off, left) = (in_words(self.ahead_ms.saturating_abs()), in_words(self.left_ms));
        if self.ahead_ms >= 0 {
            write!(
                f,
                "expiry is held back: the clock is {off} ahead of the time that is known to have passed; what is too old only \
                 by the clock stays until the clock is set right, or has stood for another {left}"
            )
        } else {
            write!(
                f,
                "expiry is held back: the clock is {off} behind the time that is known to have passed, and ages count from the \
                 clock; set it right, or it is believed after another {left}"
            )
        }
    }
}

/// A time span as people say it: rounded, in one unit.
fn in_words(ms: i64) -> String {
    let (unit_ms, unit) = match ms {
        ..HOUR_MS => (MINUTE_MS, "minute"),
        HOUR_MS..DAY_MS => (HOUR_MS, "hour"),
        _ => (DAY_MS, "day"),
    };
    let number = ms.saturating_add(unit_ms / 2) / unit_ms;
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
#[path = "tests/age_clock_tests.rs"]
mod tests;
