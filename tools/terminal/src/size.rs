//! Sizes as people write them, on the command line and in files: `64MiB`, `1 GiB`, `500kB`, or plain bytes.
//!
//! Pure. Units with an `i` are powers of 1,024, those without are powers of 1,000, as they are meant everywhere but in
//! memory shops. Upper and lower case are the same.

/// What is accepted, for help and errors.
pub const SPELLING: &str = "a size such as 64MiB, \"1 GiB\", 500kB, or plain bytes";

const UNITS: [(&str, u64); 10] = [
    ("", 1),
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

/// Reads a size into bytes.
///
/// # Errors
/// What is possible instead.
pub fn parse(text: &str) -> Result<u64, String> {
    read(text.trim()).ok_or_else(|| format!("expected {SPELLING}"))
}

/// Reads a size from `min` to `max` bytes.
///
/// # Errors
/// What is possible instead.
pub fn parse_within(text: &str, min: u64, max: u64) -> Result<u64, String> {
    let bytes = parse(text)?;
    if (min..=max).contains(&bytes) { Ok(bytes) } else { Err(expected_within(min, max)) }
}

/// What a size of that range is refused with.
#[must_use]
pub fn expected_within(min: u64, max: u64) -> String {
    // What no disk can hold is no limit worth telling.
    if max >= i64::MAX as u64 {
        format!("expected at least {}", format(min))
    } else {
        format!("expected {} to {}", format(min), format(max))
    }
}

/// Bytes in the largest unit of 1,024s that says them exactly: `8MiB`, `1000`.
#[must_use]
pub fn format(bytes: u64) -> String {
    match [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)]
        .iter()
        .find(|(_, shift)| bytes.is_multiple_of(1 << shift))
    {
        Some((unit, shift)) if bytes > 0 => format!("{}{unit}", bytes >> shift),
        _ => bytes.to_string(),
    }
}

/// Digits, perhaps with a fraction, and a unit. A fraction must come to whole bytes.
fn read(text: &str) -> Option<u64> {
    let end = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim_start().to_ascii_lowercase();
    let unit_bytes = u128::from(UNITS.iter().find(|(name, _)| *name == unit)?.1);
    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (number, ""),
    };
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let whole = whole.parse::<u128>().ok()?.checked_mul(unit_bytes)?;
    let part = match fraction {
        "" => 0,
        digits => digits.parse::<u128>().ok()?.checked_mul(unit_bytes)?,
    };
    part.is_multiple_of(scale).then(|| whole.checked_add(part / scale)).flatten()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_numbers_with_units() {
        let cases: [(&str, u64); 13] = [
            ("0", 0),
            ("8388608", 8 << 20),
            ("512 B", 512),
            ("64MiB", 64 << 20),
            ("1 GiB", 1 << 30),
            (" 2 gib ", 2 << 30),
            ("500kB", 500_000),
            ("500KB", 500_000),
            ("2GB", 2_000_000_000),
            ("1.5GiB", 3 << 29),
            ("0.001kB", 1),
            ("1TiB", 1 << 40),
            ("18446744073709551615", u64::MAX),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_what_is_possible() {
        let texts =
            ["", "MiB", "64M", "64 Mib/s", "-1", "1e9", "1.", ".5kB", "1.2.3kB", "0.5", "0.3KiB", "16777216TiB"];
        for text in texts {
            assert_eq!(parse(text), Err(format!("expected {SPELLING}")), "{text}");
        }
        assert_eq!(parse_within("63KiB", 64 << 10, 1 << 30), Err("expected 64KiB to 1GiB".to_owned()));
        assert_eq!(parse_within("1", 1 << 20, u64::MAX), Err("expected at least 1MiB".to_owned()));
        assert_eq!(parse_within("1GiB", 64 << 10, 1 << 30), Ok(1 << 30));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(bytes in any::<u64>(), zeros in 0..44_u32) {
            let bytes = bytes >> zeros << zeros;
            prop_assert_eq!(parse(&format(bytes)), Ok(bytes));
        }
    }
}
