//! Which revisions of the protocol know sessions.
//!
//! Pure.

/// The first revision without sessions, whose clients say in each request who they are. Revisions are named by their dates.
const SESSIONLESS_SINCE: &str = "2026-07-28";

/// Whether the revision of that name has no sessions. Other texts than dates name none.
pub(crate) fn is_sessionless(version: &str) -> bool {
    let is_digit_or_dash =
        |(at, byte): (usize, u8)| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() };
    let is_date = version.len() == SESSIONLESS_SINCE.len() && version.bytes().enumerate().all(is_digit_or_dash);
    is_date && version >= SESSIONLESS_SINCE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dates_from_then_on_name_a_revision_without_sessions() {
        for (version, expected) in [
            ("2024-11-05", false),
            ("2025-11-25", false),
            ("2026-07-28", true),
            ("2027-01-01", true),
            ("2026-07-28x", false),
            ("draft", false),
            ("9999999999", false),
            ("", false),
        ] {
            assert_eq!(is_sessionless(version), expected, "{version}");
        }
    }
}
