//! Times and durations as people type them on the command line.
//!
//! Pure but for [`parse_argument`], which asks what time it is.

use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Span, Timestamp, Zoned};

/// What `--since` and `--until` accept, for help and errors.
const ACCEPTED: &str = "15m, 2h, 7d, a date (2026-07-01), a local time (2026-07-01T09:30) or RFC 3339";

/// Parses the value of `--since` or `--until` into Unix milliseconds.
pub(crate) fn parse_argument(text: &str) -> Result<i64, String> {
    parse(text, &Zoned::now())
}

/// A time: so long before `now` (`15m`), or a date, local time or RFC 3339 time.
fn parse(text: &str, now: &Zoned) -> Result<i64, String> {
    let failed = || format!("expected {ACCEPTED}");
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp.as_millisecond());
    }
    if let Ok(span) = text.parse::<Span>() {
        // Calendar arithmetic: a day ago is the same time yesterday, whatever the clocks did in the night.
        return now.checked_sub(span.abs()).map(|then| then.timestamp().as_millisecond()).map_err(|_| failed());
    }
    // Dates first: a date-time's parser takes a date too, but so is midnight said plainly.
    let local = match text.parse::<Date>() {
        Ok(date) if text.len() <= "2026-07-01".len() => date.to_datetime(jiff::civil::Time::midnight()),
        _ => text.parse::<DateTime>().map_err(|_| failed())?,
    };
    local.to_zoned(now.time_zone().clone()).map(|zoned| zoned.timestamp().as_millisecond()).map_err(|_| failed())
}

/// Parses the value of `--slower-than` into microseconds.
pub(crate) fn parse_latency_us(text: &str) -> Result<i64, String> {
    let failed = || "expected a duration with its unit: 250us, 100ms, 1.5s, 2m".to_owned();
    let duration = text.parse::<SignedDuration>().map_err(|_| failed())?;
    if duration.is_negative() {
        return Err(failed());
    }
    i64::try_from(duration.as_micros()).map_err(|_| failed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_relative_to_now_or_absolute() {
        let now: Zoned = "2026-07-01T12:00:00+02:00[Europe/Berlin]".parse().unwrap();
        let cases = [
            ("15m", "2026-07-01T09:45:00Z"),
            ("2h", "2026-07-01T08:00:00Z"),
            ("7d", "2026-06-24T10:00:00Z"),
            ("1w", "2026-06-24T10:00:00Z"),
            ("1h30m", "2026-07-01T08:30:00Z"),
            ("90s", "2026-07-01T09:58:30Z"),
            ("2 hours ago", "2026-07-01T08:00:00Z"),
            ("2026-06-30", "2026-06-29T22:00:00Z"),
            ("2026-06-30T08:15", "2026-06-30T06:15:00Z"),
            ("2026-06-30 08:15:30", "2026-06-30T06:15:30Z"),
            ("2026-06-30T08:15:00Z", "2026-06-30T08:15:00Z"),
            ("2026-06-30T08:15:00-05:00", "2026-06-30T13:15:00Z"),
            // Across the change of clocks: a civil day.
            ("120d", "2026-03-03T11:00:00Z"),
        ];
        for (text, expected) in cases {
            let expected: Timestamp = expected.parse().unwrap();
            assert_eq!(parse(text, &now), Ok(expected.as_millisecond()), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_what_is_possible() {
        let now: Zoned = "2026-07-01T12:00:00+00:00[UTC]".parse().unwrap();
        for text in ["", "soon", "15", "2026-13-01", "9999999999999999h", "99999y"] {
            let error = parse(text, &now).expect_err(text);
            assert!(error.contains("15m") && error.contains("RFC 3339"), "{error}");
        }
    }

    #[test]
    fn latencies_need_their_unit() {
        for (text, expected) in
            [("250us", 250), ("100ms", 100_000), ("1.5s", 1_500_000), ("2m", 120_000_000), ("0s", 0)]
        {
            assert_eq!(parse_latency_us(text), Ok(expected), "{text}");
        }
        for text in ["100", "", "-5ms", "fast"] {
            assert!(parse_latency_us(text).is_err(), "{text}");
        }
    }
}
