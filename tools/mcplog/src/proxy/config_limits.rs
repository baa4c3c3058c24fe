//! What settings may be: the ranges that flags and file have in common, and the shape of an address.
//!
//! Pure.

use mcplog::config::{DATABASE_BYTES_MIN, KEEP_ROWS_AGE_MS_MIN, SESSION_IDLE_MS_MAX};
use mcplog_terminal::{duration, size};
use std::ops::RangeInclusive;
use std::time::Duration;

/// No time limit may be longer; one that never ends is a mistake.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Time limits of a request. None may be shorter than 10 ms; nothing would ever be in time.
pub(super) const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(10)..=TIMEOUT_MAX;
/// Not waiting at all is a way to end, too.
pub(super) const DRAINS: RangeInclusive<Duration> = Duration::ZERO..=TIMEOUT_MAX;
/// A hundred years: where a range has no upper end that means anything.
pub(super) const LONGEST: Duration = Duration::from_millis(SESSION_IDLE_MS_MAX);
/// For how long requests can be kept.
pub(super) const KEEPS: RangeInclusive<Duration> = Duration::from_millis(KEEP_ROWS_AGE_MS_MIN)..=LONGEST;
/// How many clients can be connected: a limit of none would serve nobody.
pub(super) const CONNECTIONS: RangeInclusive<u64> = 1..=1_000_000;
/// SQLite and the log count sizes in signed numbers.
pub(super) const SIZE_MAX: u64 = i64::MAX as u64;
/// What may be left free of a disk, in bytes.
pub(super) const MIN_FREES: RangeInclusive<u64> = 0..=SIZE_MAX;
/// The word for no limit.
pub(super) const UNLIMITED: &str = "unlimited";
/// What a database can be limited to, in bytes.
pub(super) const DATABASE_SIZES: RangeInclusive<u64> = DATABASE_BYTES_MIN..=SIZE_MAX;

/// A time limit of a request, from a flag.
pub(super) fn parse_timeout(text: &str) -> Result<Duration, String> {
    duration::parse_within(text, *TIMEOUTS.start(), *TIMEOUTS.end())
}

/// How many clients may be connected, from a flag.
pub(super) fn parse_connections(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| CONNECTIONS.contains(number));
    let expected = || format!("expected a whole number from {} to {}", CONNECTIONS.start(), CONNECTIONS.end());
    number.and_then(|number| usize::try_from(number).ok()).ok_or_else(expected)
}

/// How long to wait at the end, from a flag.
pub(super) fn parse_drain(text: &str) -> Result<Duration, String> {
    duration::parse_within(text, *DRAINS.start(), *DRAINS.end())
}

/// For how long to keep requests, from a flag: in milliseconds, and 0 for no limit, as the library's setting has it.
pub(crate) fn parse_keep(text: &str) -> Result<u64, String> {
    let parse = |text: &str| duration::parse_within(text, *KEEPS.start(), *KEEPS.end()).map(whole_ms);
    parse_limit(text, 0, parse)
}

/// How large the database may get, from a flag: in bytes, and 0 for no limit.
pub(crate) fn parse_database_size(text: &str) -> Result<u64, String> {
    parse_limit(text, 0, |text| size::parse_within(text, *DATABASE_SIZES.start(), *DATABASE_SIZES.end()))
}

/// How much of the folded log to keep, from a flag: in bytes, and `u64::MAX` for all.
pub(crate) fn parse_segments_size(text: &str) -> Result<u64, String> {
    parse_limit(text, u64::MAX, |text| size::parse_within(text, 0, SIZE_MAX))
}

/// A limit, or the word for none.
fn parse_limit(text: &str, none: u64, parse: impl Fn(&str) -> Result<u64, String>) -> Result<u64, String> {
    if text == UNLIMITED { Ok(none) } else { parse(text).map_err(|expected| format!("{expected}, or {UNLIMITED}")) }
}

/// How much of the disk is left free, from a flag.
pub(crate) fn parse_min_free(text: &str) -> Result<u64, String> {
    size::parse_within(text, *MIN_FREES.start(), *MIN_FREES.end())
}

/// An address to bind: a host or an IP address, and a port.
pub(super) fn parse_address(text: &str) -> Result<String, String> {
    let is_whole = text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    let meant = || match (text.trim_start_matches(':').parse::<u16>(), text.contains([':', ' '])) {
        (Ok(port), _) => format!("expected an address and a port, such as 127.0.0.1:{port}"),
        (Err(_), false) if !text.is_empty() => format!("expected a port as well, such as {text}:3000"),
        _ => "expected an address and a port, such as 127.0.0.1:3000".to_owned(),
    };
    is_whole.then(|| text.to_owned()).ok_or_else(meant)
}

/// A duration in whole milliseconds, as the library's settings have them.
pub(super) fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_is_held_on_both_sides() {
        for (text, holds) in [("9ms", false), ("10ms", true), ("24h", true), ("1d 1ms", false)] {
            assert_eq!(parse_timeout(text).is_ok(), holds, "{text}");
        }
        for (text, holds) in [("0s", true), ("24h", true), ("25h", false), ("5", false)] {
            assert_eq!(parse_drain(text).is_ok(), holds, "{text}");
        }
        for (text, holds) in
            [("0", false), ("1", true), ("1000000", true), ("1000001", false), ("-1", false), ("x", false)]
        {
            assert_eq!(parse_connections(text).is_ok(), holds, "{text}");
        }
        for (text, holds) in
            [("59s", false), ("1m", true), ("36500d", true), ("36501d", false), ("unlimited", true), ("0", false)]
        {
            assert_eq!(parse_keep(text).is_ok(), holds, "{text}");
        }
        for (text, holds) in [("1023KiB", false), ("1MiB", true), ("8TiB", true), ("lots", false), ("unlimited", true)]
        {
            assert_eq!(parse_database_size(text).is_ok(), holds, "{text}");
        }
        for (text, holds) in [("0", true), ("1GiB", true), ("5", true), ("5%", false), ("unlimited", false)] {
            assert_eq!(parse_min_free(text).is_ok(), holds, "{text}");
        }
    }

    #[test]
    fn no_limit_has_a_word_and_becomes_what_the_library_calls_so() {
        let limits = [parse_keep("unlimited"), parse_database_size("unlimited"), parse_segments_size("unlimited")];
        assert_eq!(limits, [Ok(0), Ok(0), Ok(u64::MAX)]);
        assert_eq!([parse_keep("1d"), parse_segments_size("0")], [Ok(86_400_000), Ok(0)]);
        assert!(parse_keep("5s").unwrap_err().ends_with(", or unlimited"));
    }

    #[test]
    fn an_address_has_a_port() {
        for (text, holds) in [
            ("127.0.0.1:3000", true),
            ("[::1]:0", true),
            ("localhost:80", true),
            ("9504", false),
            (":9504", false),
            ("localhost", false),
            ("localhost:http", false),
            ("h:65536", false),
            ("", false),
        ] {
            assert_eq!(parse_address(text).is_ok(), holds, "{text}");
        }
    }

    #[test]
    fn what_was_meant_by_half_an_address_is_said() {
        for (text, meant) in [
            ("9504", "127.0.0.1:9504"),
            (":9504", "127.0.0.1:9504"),
            ("localhost", "localhost:3000"),
            ("h:65536", "such as 127.0.0.1:3000"),
            ("", "such as 127.0.0.1:3000"),
        ] {
            let error = parse_address(text).unwrap_err();
            assert!(error.contains(meant), "{text}: {error}");
        }
    }
}
