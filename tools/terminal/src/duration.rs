//! Durations as people write them, on the command line and in files: `250us`, `10ms`, `1.5s`, `1h30m`, `2 days`.
//!
//! Pure. The grammar is jiff's, for spans. A day is 24 hours and a week seven days here; months and years have no fixed
//! length and are refused.

use jiff::{Span, SpanRelativeTo};
use std::time::Duration;

/// What is accepted, for help and errors.
pub const SPELLING: &str = "a duration with its unit, such as 250us, 10ms, 1.5s, 1h30m or \"2 days\"";

/// Reads a duration.
///
/// # Errors
/// What is possible instead.
pub fn parse(text: &str) -> Result<Duration, String> {
    let expected = || format!("expected {SPELLING}");
    let span: Span = text.trim().parse().map_err(|_| expected())?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err("expected units of a fixed length (up to weeks), since months and years have none".to_owned());
    }
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| expected())?;
    Duration::try_from(duration).map_err(|_| expected())
}

/// Reads a duration from `min` to `max`.
///
/// # Errors
/// What is possible instead.
pub fn parse_within(text: &str, min: Duration, max: Duration) -> Result<Duration, String> {
    let duration = parse(text)?;
    if duration < min || duration > max {
        return Err(format!("expected {} to {}", format(min), format(max)));
    }
    Ok(duration)
}

/// Reads a duration into whole microseconds.
///
/// # Errors
/// What is possible instead.
pub fn parse_us(text: &str) -> Result<i64, String> {
    i64::try_from(parse(text)?.as_micros()).map_err(|_| format!("expected {SPELLING}"))
}

/// A duration in the largest unit that says it exactly: `250us`, `90s`, `30d`.
#[must_use]
pub fn format(duration: Duration) -> String {
    const UNITS_NS: [(u128, &str); 6] = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
    ];
    let ns = duration.as_nanos();
    if ns == 0 {
        return "0s".to_owned();
    }
    match UNITS_NS.iter().find(|(unit_ns, _)| ns.is_multiple_of(*unit_ns)) {
        Some((unit_ns, unit)) => format!("{}{unit}", ns / unit_ns),
        None => format!("{ns}ns"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_numbers_with_units() {
        let cases: [(&str, u64); 15] = [
            ("250us", 250),
            ("250 µs", 250),
            ("10ms", 10_000),
            ("1.5s", 1_500_000),
            ("0s", 0),
            ("90s", 90_000_000),
            ("2m", 120_000_000),
            ("5 minutes", 300_000_000),
            ("1h30m", 5_400_000_000),
            ("1h 30m", 5_400_000_000),
            ("2 days", 172_800_000_000),
            ("30d", 2_592_000_000_000),
            ("1w", 604_800_000_000),
            (" 1s ", 1_000_000),
            ("PT2H", 7_200_000_000),
        ];
        for (text, us) in cases {
            assert_eq!(parse(text), Ok(Duration::from_micros(us)), "{text}");
        }
        assert_eq!(parse_us("1.5ms"), Ok(1_500));
    }

    #[test]
    fn what_is_no_duration_is_refused_with_what_is_possible() {
        for text in ["", "5", "s", "fast", "10 bananas", "-5ms", "5ms ago", "1d-", "99999999999999999h"] {
            let error = parse(text).expect_err(text);
            assert!(error.contains("250us") && error.contains("2 days"), "{error}");
        }
        for text in ["1 month", "2y", "1mo 3d"] {
            assert!(parse(text).expect_err(text).contains("fixed length"), "{text}");
        }
        assert!(parse_us("9999999h").is_ok() && parse_us("99999 weeks").is_ok());
    }

    #[test]
    fn a_range_is_said_in_its_own_words() {
        let (min, max) = (Duration::from_millis(10), Duration::from_secs(86_400));
        assert_eq!(parse_within("24h", min, max), Ok(max));
        assert_eq!(parse_within("10ms", min, max), Ok(min));
        for text in ["9ms", "25h"] {
            assert_eq!(parse_within(text, min, max), Err("expected 10ms to 1d".to_owned()));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(ns in 0..1_000_000_000_000_000_u64, unit in prop::sample::select(vec![1, 1_000, 1_000_000, 60_000_000_000])) {
            let duration = Duration::from_nanos(ns / unit * unit);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }
    }
}
