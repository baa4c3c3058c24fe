//! Numbers as people read them: latencies, sizes, counts.
//!
//! Pure.

/// A time in microseconds: `840 µs`, `1.2 ms`, `38 ms`, `1.5 s`, `2.0 min`.
#[must_use]
pub fn latency(latency_us: i64) -> String {
    scaled(latency_us, &[("µs", 1_000), ("ms", 1_000), ("s", 60), ("min", 60), ("h", i64::MAX)])
}

/// Milliseconds between two times, as [`latency`] writes them.
#[must_use]
pub fn duration_ms(duration_ms: i64) -> String {
    latency(duration_ms.saturating_mul(1_000))
}

/// A time that passed here, as [`latency`] writes it.
#[must_use]
pub fn elapsed(duration: std::time::Duration) -> String {
    latency(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
}

/// Bytes: `840 B`, `1.2 KiB`, `38 MiB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    scaled(bytes, &[("B", 1_024), ("KiB", 1_024), ("MiB", 1_024), ("GiB", 1_024), ("TiB", i64::MAX)])
}

/// A count with its thousands set apart: `1,234,567`.
#[must_use]
pub fn count(count: impl Into<i128>) -> String {
    let count = count.into();
    let digits = count.unsigned_abs().to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if count < 0 {
        grouped.push('-');
    }
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 event`, `2 events`: a count and its noun, whose plural takes an s.
#[must_use]
pub fn counted(number: impl Into<i128>, noun: &str) -> String {
    let number = number.into();
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A value in the largest unit that leaves at least 1 before the point, with one digit after it below 10. Each unit
/// comes with how many of it make the next one.
fn scaled(value: i64, units: &[(&str, i64)]) -> String {
    // A clock that went backwards makes negative values; there is nothing to round for people in them.
    if value < 0 {
        return format!("{value} {}", units[0].0);
    }
    let mut unit_size: i128 = 1;
    for (position, (unit, next)) in units.iter().enumerate() {
        let tenths = (i128::from(value) * 10 + unit_size / 2) / unit_size;
        let whole = (i128::from(value) + unit_size / 2) / unit_size;
        if position > 0 && tenths < 100 {
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
        if whole < i128::from(*next) {
            return format!("{whole} {unit}");
        }
        unit_size *= i128::from(*next);
    }
    format!("{value} {}", units[0].0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_change_unit_without_jumping() {
        let cases = [
            (0, "0 µs"),
            (1, "1 µs"),
            (999, "999 µs"),
            (1_000, "1.0 ms"),
            (1_249, "1.2 ms"),
            (1_250, "1.3 ms"),
            (9_949, "9.9 ms"),
            (9_950, "10 ms"),
            (38_400, "38 ms"),
            (999_499, "999 ms"),
            (999_500, "1.0 s"),
            (1_500_000, "1.5 s"),
            (59_400_000, "59 s"),
            (59_600_000, "1.0 min"),
            (90_000_000, "1.5 min"),
            (3_600_000_000, "1.0 h"),
            (-5, "-5 µs"),
        ];
        for (latency_us, expected) in cases {
            assert_eq!(latency(latency_us), expected, "{latency_us}");
        }
        assert_eq!(duration_ms(3_200), "3.2 s");
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        assert_eq!(latency(i64::MAX), "2562047788 h");
        assert_eq!(duration_ms(i64::MAX), latency(i64::MAX));
        assert_eq!(bytes(u64::MAX), "8388608 TiB");
        assert_eq!(count(i64::MIN), "-9,223,372,036,854,775,808");
    }

    #[test]
    fn sizes_are_in_units_of_1024() {
        let cases = [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (10_240, "10 KiB"),
            (8 << 20, "8.0 MiB"),
            (3 << 30, "3.0 GiB"),
        ];
        for (size, expected) in cases {
            assert_eq!(bytes(size), expected, "{size}");
        }
    }

    #[test]
    fn thousands_are_set_apart() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (123_456, "123,456"),
            (1_234_567, "1,234,567"),
            (-1_000, "-1,000"),
        ];
        for (number, expected) in cases {
            assert_eq!(count(number), expected);
        }
        assert_eq!((counted(1, "event").as_str(), counted(0, "event").as_str()), ("1 event", "0 events"));
    }
}
