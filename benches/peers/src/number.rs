//! Numbers as the tables show them.

/// A share, never rounded up to 100 %.
pub(crate) fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if percent >= 100.0 => "100 %".into(),
        percent if percent >= 99.9 => "99.9 %".into(),
        percent => format!("{percent:.1} %"),
    }
}

/// How many times something is.
pub(crate) fn times(ratio: f64) -> String {
    match ratio {
        ..0.095 => format!("{ratio:.3}"),
        ..9.95 => format!("{ratio:.2}"),
        ..99.5 => format!("{ratio:.1}"),
        _ => thousands(ratio as u64),
    }
}

/// With a comma after every three digits.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_shares_never_flatter() {
        assert_eq!([thousands(7), thousands(1_000), thousands(12_345_678)], ["7", "1,000", "12,345,678"]);
        assert_eq!([percent(1.0), percent(0.999_999), percent(0.081)], ["100 %", "99.9 %", "8.1 %"]);
        assert_eq!([times(0.05), times(1.0), times(23.4), times(12_345.0)], ["0.050", "1.00", "23.4", "12,345"]);
    }
}
