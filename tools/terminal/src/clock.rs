//! Unix milliseconds as local time, for people: no more of it than they need.
//!
//! Pure but for [`Clock::system`], which asks for the zone and the time once.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// A time zone, and what time it is.
#[derive(Clone, Debug)]
pub struct Clock {
    zone: TimeZone,
    now: Timestamp,
}

/// How much of a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeStyle {
    /// `14:03:22.123`
    Today,
    /// `14:03:22`
    TodaySeconds,
    /// `10-09 14:03:22`
    ThisYear,
    /// `2025-10-09 14:03:22`
    Full,
    /// `2025-10-09 14:03`
    FullMinutes,
}

impl TimeStyle {
    /// The same, without fractions of a second.
    #[must_use]
    pub fn in_seconds(self) -> Self {
        if self == Self::Today { Self::TodaySeconds } else { self }
    }
}

impl Clock {
    /// The system's zone (`TZ` counts) and time.
    #[must_use]
    pub fn system() -> Self {
        Self::at(TimeZone::system(), Timestamp::now())
    }

    /// A zone at a time.
    #[must_use]
    pub const fn at(zone: TimeZone, now: Timestamp) -> Self {
        Self { zone, now }
    }

    /// How to write times so that all of those from `first_ts` to `last_ts` look alike and no more is said than needed.
    #[must_use]
    pub fn style(&self, first_ts: i64, last_ts: i64) -> TimeStyle {
        let Some((first, last)) = self.zoned(first_ts).zip(self.zoned(last_ts)) else { return TimeStyle::Full };
        let now = self.now.to_zoned(self.zone.clone());
        if first.date() == now.date() && last.date() == now.date() {
            TimeStyle::Today
        } else if first.year() == now.year() && last.year() == now.year() {
            TimeStyle::ThisYear
        } else {
            TimeStyle::Full
        }
    }

    /// The header and the style of a column of times that stands first. Where all of them fall on one day in the past,
    /// the header says which, and the rows have room to be precise.
    #[must_use]
    pub fn column(&self, header: &str, first_ts: i64, last_ts: i64) -> (String, TimeStyle) {
        let style = self.style(first_ts, last_ts);
        match (style, self.zoned(first_ts), self.zoned(last_ts)) {
            (TimeStyle::ThisYear | TimeStyle::Full, Some(first), Some(last)) if first.date() == last.date() => {
                (first.date().to_string(), TimeStyle::Today)
            }
            _ => (header.to_owned(), style),
        }
    }

    /// A time, in the reader's zone. Unix milliseconds that no calendar reaches are shown as they are.
    #[must_use]
    pub fn time(&self, ts: i64, style: TimeStyle) -> String {
        let format = match style {
            TimeStyle::Today => "%H:%M:%S%.3f",
            TimeStyle::TodaySeconds => "%H:%M:%S",
            TimeStyle::ThisYear => "%m-%d %H:%M:%S",
            TimeStyle::Full => "%Y-%m-%d %H:%M:%S",
            TimeStyle::FullMinutes => "%Y-%m-%d %H:%M",
        };
        self.format(ts, format)
    }

    /// One time that stands alone.
    #[must_use]
    pub fn one_time(&self, ts: i64) -> String {
        self.time(ts, self.style(ts, ts).in_seconds())
    }

    /// The first and the last time of a span: with days, if one of them needs its day.
    #[must_use]
    pub fn first_and_last(&self, first_ts: i64, last_ts: i64) -> [String; 2] {
        let style = self.style(first_ts, last_ts).in_seconds();
        [first_ts, last_ts].map(|ts| self.time(ts, style))
    }

    /// The day of a time: `2026-10-09`.
    #[must_use]
    pub fn date(&self, ts: i64) -> String {
        self.format(ts, "%Y-%m-%d")
    }

    /// The zone at that time, as its distance from Greenwich: `UTC`, `UTC+02:00`.
    #[must_use]
    pub fn zone(&self, ts: i64) -> String {
        match self.zoned(ts) {
            None => String::new(),
            Some(zoned) if zoned.offset().is_zero() => "UTC".to_owned(),
            Some(zoned) => zoned.strftime("UTC%:z").to_string(),
        }
    }

    fn format(&self, ts: i64, format: &str) -> String {
        self.zoned(ts).map_or_else(|| format!("{ts} ms"), |zoned| zoned.strftime(format).to_string())
    }

    fn zoned(&self, ts: i64) -> Option<Zoned> {
        Some(Timestamp::from_millisecond(ts).ok()?.to_zoned(self.zone.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two hours east of UTC, on 2026-07-01 at noon UTC.
    fn clock() -> Clock {
        Clock::at(TimeZone::fixed(jiff::tz::offset(2)), "2026-07-01T12:00:00Z".parse().unwrap())
    }

    /// The milliseconds of an RFC 3339 time.
    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn times_are_local_and_say_no_more_than_needed() {
        let cases = [
            ("2026-07-01T10:03:22.123Z", "12:03:22.123"),
            ("2026-06-30T22:00:00Z", "00:00:00.000"),
            ("2026-06-30T21:59:59Z", "06-30 23:59:59"),
            ("2025-12-31T21:59:59Z", "2025-12-31 23:59:59"),
        ];
        for (text, expected) in cases {
            let ts = ms(text);
            assert_eq!(clock().time(ts, clock().style(ts, ts)), expected);
        }
        let (yesterday, today) = (ms("2026-06-30T10:00:00Z"), ms("2026-07-01T10:00:00Z"));
        assert_eq!(clock().style(yesterday, today), TimeStyle::ThisYear);
        assert_eq!(clock().one_time(today), "12:00:00");
        let yesterday = today - 24 * 3_600_000;
        let [first, last] = clock().first_and_last(yesterday, today);
        assert_eq!((first, last), (clock().one_time(yesterday), clock().time(today, TimeStyle::ThisYear.in_seconds())));
        assert_eq!(clock().time(today, TimeStyle::FullMinutes), "2026-07-01 12:00");
        assert_eq!((clock().date(today), clock().zone(today)), ("2026-07-01".to_owned(), "UTC+02:00".to_owned()));
        assert_eq!(Clock::at(TimeZone::UTC, Timestamp::UNIX_EPOCH).zone(0), "UTC");
    }

    #[test]
    fn a_day_in_the_past_moves_into_the_header() {
        let cases = [
            ("2026-07-01T01:00:00Z", "2026-07-01T02:00:00Z", "TIME", TimeStyle::Today),
            ("2025-03-01T10:00:00Z", "2025-03-01T21:00:00Z", "2025-03-01", TimeStyle::Today),
            ("2025-03-01T10:00:00Z", "2025-03-01T23:00:00Z", "TIME", TimeStyle::Full),
            ("2026-06-29T23:00:00Z", "2026-06-30T21:00:00Z", "2026-06-30", TimeStyle::Today),
            ("2026-06-29T23:00:00Z", "2026-07-01T01:00:00Z", "TIME", TimeStyle::ThisYear),
        ];
        for (first, last, header, style) in cases {
            assert_eq!(clock().column("TIME", ms(first), ms(last)), (header.to_owned(), style), "{first} {last}");
        }
    }

    #[test]
    fn a_time_that_no_calendar_reaches_is_shown_as_it_is() {
        assert_eq!(clock().time(i64::MAX, clock().style(0, i64::MAX)), "9223372036854775807 ms");
        assert_eq!(clock().one_time(i64::MIN), "-9223372036854775808 ms");
        assert_eq!((clock().date(i64::MAX), clock().zone(i64::MAX)), (format!("{} ms", i64::MAX), String::new()));
    }
}
