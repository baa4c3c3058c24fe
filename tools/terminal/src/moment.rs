//! Points in time as people write them: the values of `--since` and `--until`, in every command.
//!
//! Pure but for [`parse_argument`], which asks what time it is.

use jiff::civil::{Date, DateTime, Time};
use jiff::{Span, Timestamp, Zoned};

/// What is accepted, for help and errors.
pub const SPELLING: &str = "a time: so long ago (15m, 2h, \"2 days\"), 14:03 (today), a date (2026-07-01), a local time \
                            (2026-07-01T09:30), RFC 3339 (2026-07-01T09:30Z), or Unix milliseconds";

/// Unix milliseconds from 2000 to 2100. A number outside of these is seconds, microseconds, or a duration without its
/// unit; taking it for milliseconds would silently ask for everything or for nothing.
pub const UNIX_MS: std::ops::Range<i64> = 946_684_800_000..4_102_444_800_000;

/// What a number that is no Unix milliseconds from 2000 to 2100 would be in another unit, if it would be a time of these
/// years there: `2025-10-09 in seconds`.
#[must_use]
pub fn in_other_unit(number: i64) -> Option<String> {
    let as_ms = [
        ("seconds", number.checked_mul(1_000)),
        ("microseconds", Some(number / 1_000)),
        ("nanoseconds", Some(number / 1_000_000)),
    ];
    let (unit, ms) = as_ms.into_iter().find(|(_, ms)| ms.is_some_and(|ms| UNIX_MS.contains(&ms)))?;
    let day = Timestamp::from_millisecond(ms?).ok()?.strftime("%Y-%m-%d").to_string();
    Some(format!("{day} in {unit}"))
}

/// A time as RFC 3339 has it, in UTC, with milliseconds: for lines that programs read.
#[must_use]
pub fn rfc3339(ts_ms: i64) -> String {
    let time = Timestamp::from_millisecond(ts_ms);
    time.map_or_else(|_| ts_ms.to_string(), |time| time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

/// The same of now.
#[must_use]
pub fn rfc3339_now() -> String {
    rfc3339(Timestamp::now().as_millisecond())
}

/// Reads a time into Unix milliseconds.
///
/// # Errors
/// What is possible instead.
pub fn parse_argument(text: &str) -> Result<i64, String> {
    parse(text, &Zoned::now())
}

/// Reads a time into Unix milliseconds: so long before `now`, or what a clock or a calendar shows in `now`'s zone where
/// the text names none.
///
/// # Errors
/// What is possible instead.
pub fn parse(text: &str, now: &Zoned) -> Result<i64, String> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        if UNIX_MS.contains(&number) {
            return Ok(number);
        }
        let meant = in_other_unit(number).map_or(String::new(), |meant| format!(" (it would be {meant})"));
        return Err(format!("{number} are not milliseconds of the years 2000 to 2099{meant}; expected {SPELLING}"));
    }
    absolute(text, now)
        .or_else(|| ago(text, now))
        .map(|then| then.as_millisecond())
        .ok_or_else(|| format!("expected {SPELLING}"))
}

fn absolute(text: &str, now: &Zoned) -> Option<Timestamp> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp);
    }
    // With a zone's name in brackets, as RFC 9557 has it.
    if let Ok(zoned) = text.parse::<Zoned>() {
        return Some(zoned.timestamp());
    }
    // A zone without a date, or with half a time, is nothing that was understood.
    let local = if text.contains('-') {
        let of_date = || text.parse::<Date>().ok().map(|date| date.to_datetime(Time::midnight()));
        if text.len() <= "2026-07-01".len() { of_date() } else { text.parse::<DateTime>().ok() }
    } else if text.contains(':') {
        text.parse::<Time>().ok().map(|time| now.date().to_datetime(time))
    } else {
        None
    };
    Some(local?.to_zoned(now.time_zone().clone()).ok()?.timestamp())
}

/// Calendar arithmetic: a day ago is the same time yesterday, whatever the clocks did in the night.
fn ago(text: &str, now: &Zoned) -> Option<Timestamp> {
    Some(now.checked_sub(text.parse::<Span>().ok()?.abs()).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Zoned {
        "2026-07-01T12:00:00+02:00[Europe/Berlin]".parse().unwrap()
    }

    #[test]
    fn every_form_of_a_time_is_understood() {
        let cases = [
            ("15m", "2026-07-01T09:45:00Z"),
            ("2h", "2026-07-01T08:00:00Z"),
            ("10ms", "2026-07-01T09:59:59.990Z"),
            ("7d", "2026-06-24T10:00:00Z"),
            ("2 days", "2026-06-29T10:00:00Z"),
            ("1w", "2026-06-24T10:00:00Z"),
            ("1 month", "2026-06-01T10:00:00Z"),
            ("1h30m", "2026-07-01T08:30:00Z"),
            ("1h 30m", "2026-07-01T08:30:00Z"),
            ("90s", "2026-07-01T09:58:30Z"),
            ("2 hours ago", "2026-07-01T08:00:00Z"),
            ("08:03", "2026-07-01T06:03:00Z"),
            ("14:03", "2026-07-01T12:03:00Z"),
            ("08:03:22.5", "2026-07-01T06:03:22.500Z"),
            ("2026-06-30", "2026-06-29T22:00:00Z"),
            ("2026-06-30T08:15", "2026-06-30T06:15:00Z"),
            ("2026-06-30 08:15:30", "2026-06-30T06:15:30Z"),
            ("2026-06-30T08:15Z", "2026-06-30T08:15:00Z"),
            ("2026-06-30T08:15:00Z", "2026-06-30T08:15:00Z"),
            ("2026-06-30 08:15:00-05:00", "2026-06-30T13:15:00Z"),
            ("2026-06-30T08:15[America/New_York]", "2026-06-30T12:15:00Z"),
            ("1782885600000", "2026-07-01T06:00:00Z"),
            (" 2h ", "2026-07-01T08:00:00Z"),
            // Across the change of clocks: a civil day.
            ("120d", "2026-03-03T11:00:00Z"),
        ];
        for (text, expected) in cases {
            let expected: Timestamp = expected.parse().unwrap();
            assert_eq!(parse(text, &now()), Ok(expected.as_millisecond()), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_what_is_possible() {
        let texts = [
            "",
            "soon",
            "yesterday-ish",
            "25:00",
            "2026-13-01",
            "10 bananas",
            "9999999999999999h",
            "99999y",
            "2026-07",
            // Seconds, microseconds, and a duration without its unit.
            "1760000000",
            "1760000000000000",
            "15",
            "-5",
        ];
        for text in texts {
            let error = parse(text, &now()).expect_err(text);
            assert!(error.contains("15m") && error.contains("14:03") && error.contains("RFC 3339"), "{error}");
        }
    }

    #[test]
    fn a_number_in_another_unit_is_known_as_such() {
        let cases = [
            (1_760_000_000, Some("2025-10-09 in seconds")),
            (1_760_000_000_000_000, Some("2025-10-09 in microseconds")),
            (1_760_000_000_000_000_000, Some("2025-10-09 in nanoseconds")),
            (15, None),
            (0, None),
            (-1_760_000_000, None),
            (i64::MIN, None),
            (i64::MAX, None),
        ];
        for (number, expected) in cases {
            assert_eq!(in_other_unit(number).as_deref(), expected, "{number}");
        }
        assert!(parse("1760000000", &now()).unwrap_err().contains("it would be 2025-10-09 in seconds"));
    }
}
