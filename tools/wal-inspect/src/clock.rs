//! Times: Unix milliseconds to local time for people, and what people type to Unix milliseconds. Pure but for the zone,
//! which is looked up once.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};

/// Shows times in one zone.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    zone: TimeZone,
}

impl Clock {
    /// The system's zone (`TZ` counts).
    pub(crate) fn local() -> Self {
        Self { zone: TimeZone::system() }
    }

    /// `2026-10-09`; a time that no calendar has is shown as its number.
    pub(crate) fn date(&self, at_ms: i64) -> String {
        self.format(at_ms, "%Y-%m-%d")
    }

    /// `14:03:22.123`.
    pub(crate) fn time_of_day(&self, at_ms: i64) -> String {
        self.format(at_ms, "%H:%M:%S%.3f")
    }

    /// `2026-10-09 14:03:22`.
    pub(crate) fn seconds(&self, at_ms: i64) -> String {
        self.format(at_ms, "%Y-%m-%d %H:%M:%S")
    }

    /// `2026-10-09 14:03`.
    pub(crate) fn minutes(&self, at_ms: i64) -> String {
        self.format(at_ms, "%Y-%m-%d %H:%M")
    }

    /// The zone's name and offset at that time: `CEST, UTC+02:00`.
    pub(crate) fn zone(&self, at_ms: i64) -> String {
        let Ok(timestamp) = Timestamp::from_millisecond(at_ms) else { return String::new() };
        let zoned = timestamp.to_zoned(self.zone.clone());
        if zoned.offset().is_zero() {
            return "UTC".into();
        }
        zoned.strftime("UTC%:z").to_string()
    }

    fn format(&self, at_ms: i64, format: &str) -> String {
        match Timestamp::from_millisecond(at_ms) {
            Ok(timestamp) => timestamp.to_zoned(self.zone.clone()).strftime(format).to_string(),
            Err(_) => format!("{at_ms} ms"),
        }
    }
}

/// Reads a point in time: `10m` (ago), `2026-10-09T14:03:22Z`, `2026-10-09 14:03`, `2026-10-09`, `14:03` (today), or
/// Unix milliseconds. Without a zone it is local time.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    parse_at(text.trim(), &Zoned::now())
}

fn parse_at(text: &str, now: &Zoned) -> Result<i64, String> {
    let zone = || now.time_zone().clone();
    if let Ok(at_ms) = text.parse::<i64>() {
        return Ok(at_ms);
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp.as_millisecond());
    }
    let civil = if let Ok(time) = text.parse::<Time>()
        && text.contains(':')
        && !text.contains('-')
    {
        Some(now.date().to_datetime(time))
    } else {
        text.parse::<DateTime>().ok().or_else(|| text.parse::<Date>().ok().map(|date| date.at(0, 0, 0, 0)))
    };
    if let Some(civil) = civil {
        let zoned = civil.to_zoned(zone()).map_err(|error| error.to_string())?;
        return Ok(zoned.timestamp().as_millisecond());
    }
    if let Ok(span) = text.trim_end_matches(" ago").parse::<Span>()
        && let Ok(then) = now.checked_sub(span.abs())
    {
        return Ok(then.timestamp().as_millisecond());
    }
    Err("expected a time such as 10m (ago), 2026-10-09T14:03:22Z, \"2026-10-09 14:03\", 2026-10-09, 14:03, or Unix \
         milliseconds"
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin(text: &str) -> Zoned {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        text.parse::<DateTime>().unwrap().to_zoned(zone).unwrap()
    }

    #[test]
    fn every_form_of_a_time_is_understood() {
        let now = berlin("2026-10-09T14:03:22.500");
        let now_ms = now.timestamp().as_millisecond();
        let cases = [
            ("1760000000000", 1_760_000_000_000),
            ("10m", now_ms - 600_000),
            ("2h ago", now_ms - 7_200_000),
            ("1h 30m", now_ms - 5_400_000),
            ("1d", now_ms - 86_400_000),
            ("2026-10-09T12:03:22Z", now_ms - 500),
            ("2026-10-09T14:03:22+02:00", now_ms - 500),
            ("2026-10-09 14:03", now_ms - 22_500),
            ("2026-10-09", now_ms - 22_500 - (14 * 60 + 3) * 60_000),
            ("14:03", now_ms - 22_500),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_at(text, &now), Ok(expected), "{text}");
        }
        for text in ["", "yesterday-ish", "25:00", "2026-13-01", "10 bananas"] {
            assert!(parse_at(text, &now).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_that_no_calendar_has_is_shown_as_its_number() {
        let clock = Clock { zone: TimeZone::UTC };
        assert_eq!(clock.time_of_day(i64::MAX), "9223372036854775807 ms");
        assert_eq!(clock.seconds(1_760_000_000_000), "2025-10-09 08:53:20");
        assert_eq!(clock.time_of_day(1_760_000_000_007), "08:53:20.007");
        assert_eq!(clock.zone(0), "UTC");
    }
}
