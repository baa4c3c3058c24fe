//! Whoever looks: how wide the terminal is, where they live, what time it is there, and how things look to them.
//!
//! Asked once at the start and then passed along, so that everything that formats is pure.

use anstyle::{AnsiColor, Style};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// The reader's surroundings.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// How many columns a line may take; `None`: as many as it needs, because no person is looking.
    pub(crate) width: Option<usize>,
    pub(crate) time_zone: TimeZone,
    pub(crate) now: Timestamp,
}

impl View {
    /// The view of standard output: `COLUMNS` if it is set, else the terminal, else no limit.
    pub(crate) fn of_stdout() -> Self {
        let of_terminal = || terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| width.0.into());
        let of_variable = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        Self {
            width: of_variable.or_else(of_terminal).filter(|width| *width > 0),
            time_zone: TimeZone::system(),
            now: Timestamp::now(),
        }
    }

    /// How to write times so that all of those from `first` to `last` look alike and no more is said than needed.
    pub(crate) fn time_style(&self, first_ts: i64, last_ts: i64) -> TimeStyle {
        let Some((first, last)) = self.zoned(first_ts).zip(self.zoned(last_ts)) else { return TimeStyle::Full };
        let now = self.now.to_zoned(self.time_zone.clone());
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
    pub(crate) fn time_column(&self, header: &str, first_ts: i64, last_ts: i64) -> (String, TimeStyle) {
        let style = self.time_style(first_ts, last_ts);
        match (style, self.zoned(first_ts), self.zoned(last_ts)) {
            (TimeStyle::ThisYear | TimeStyle::Full, Some(first), Some(last)) if first.date() == last.date() => {
                (first.date().to_string(), TimeStyle::Today)
            }
            _ => (header.to_owned(), style),
        }
    }

    /// A time, in the reader's zone.
    pub(crate) fn time(&self, ts: i64, style: TimeStyle) -> String {
        let Some(zoned) = self.zoned(ts) else { return format!("{ts} ms") };
        let format = match style {
            TimeStyle::Today => "%H:%M:%S%.3f",
            TimeStyle::TodaySeconds => "%H:%M:%S",
            TimeStyle::ThisYear => "%m-%d %H:%M:%S",
            TimeStyle::Full => "%Y-%m-%d %H:%M:%S",
        };
        zoned.strftime(format).to_string()
    }

    /// One time that stands alone.
    pub(crate) fn one_time(&self, ts: i64) -> String {
        self.time(ts, self.time_style(ts, ts).in_seconds())
    }

    /// Unix milliseconds that no calendar reaches have no local time.
    fn zoned(&self, ts: i64) -> Option<Zoned> {
        Some(Timestamp::from_millisecond(ts).ok()?.to_zoned(self.time_zone.clone()))
    }
}

/// How much of a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeStyle {
    /// `14:03:22.123`
    Today,
    /// `14:03:22`
    TodaySeconds,
    /// `10-09 14:03:22`
    ThisYear,
    /// `2025-10-09 14:03:22`
    Full,
}

impl TimeStyle {
    /// The same, without fractions of a second.
    pub(crate) fn in_seconds(self) -> Self {
        if self == Self::Today { Self::TodaySeconds } else { self }
    }
}

/// Headers and titles.
pub(crate) const HEADER: Style = Style::new().bold();
/// What matters less.
pub(crate) const DIM: Style = Style::new().dimmed();
/// What went well.
pub(crate) const GOOD: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
/// What failed.
pub(crate) const BAD: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));
/// What deserves a look.
pub(crate) const WARNING: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow)));
/// Names that people look for.
pub(crate) const NAME: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Cyan)));

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// 80 columns, two hours east of UTC, on 2026-07-01 at noon UTC.
    pub(crate) fn view() -> View {
        View {
            width: Some(80),
            time_zone: TimeZone::fixed(jiff::tz::offset(2)),
            now: timestamp("2026-07-01T12:00:00Z"),
        }
    }

    fn timestamp(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The milliseconds of an RFC 3339 time.
    pub(crate) fn ms(text: &str) -> i64 {
        timestamp(text).as_millisecond()
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
            assert_eq!(view().time(ts, view().time_style(ts, ts)), expected);
        }
        let (yesterday, today) = (ms("2026-06-30T10:00:00Z"), ms("2026-07-01T10:00:00Z"));
        assert_eq!(view().time_style(yesterday, today), TimeStyle::ThisYear);
        assert_eq!(view().one_time(today), "12:00:00");
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
            assert_eq!(view().time_column("TIME", ms(first), ms(last)), (header.to_owned(), style), "{first} {last}");
        }
    }

    #[test]
    fn a_time_that_no_calendar_reaches_is_shown_as_it_is() {
        assert_eq!(view().time(i64::MAX, view().time_style(0, i64::MAX)), "9223372036854775807 ms");
        assert_eq!(view().one_time(i64::MIN), "-9223372036854775808 ms");
    }
}
