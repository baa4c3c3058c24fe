//! The beginning of a writer id, as `--writer` takes it. Pure.

use mcplog::position::WriterId;
use std::fmt;
use std::str::FromStr;

/// How a writer id is written.
const ID_LENGTH: usize = 36;

/// The beginning of a writer id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WriterPrefix(String);

impl WriterPrefix {
    /// Whether that id begins so.
    pub(crate) fn matches(&self, writer: WriterId) -> bool {
        writer.to_string().starts_with(&self.0)
    }
}

impl FromStr for WriterPrefix {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_id = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
        if text.is_empty() || text.len() > ID_LENGTH || !text.bytes().all(is_id) {
            return Err(
                "expected the beginning of a writer id: hexadecimal digits and hyphens, as `wal-inspect list` shows",
            );
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for WriterPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_the_beginning_of_an_id_in_either_case_and_nothing_else() {
        let writer = WriterId::from_text("0197a1c0-7b1e-4cc3-98c4-dc0c000739ff").unwrap();
        let matches = |text: &str| text.parse::<WriterPrefix>().map(|prefix| prefix.matches(writer));
        for text in ["0", "0197A1C0", "0197a1c0-", "0197a1c0-7b1e-4cc3-98c4-dc0c000739ff"] {
            assert_eq!(matches(text), Ok(true), "{text}");
        }
        for text in ["1", "197a1c0", "0197a1c07"] {
            assert_eq!(matches(text), Ok(false), "{text}");
        }
        for text in ["", "x", "0197 ", "0197a1c0-7b1e-4cc3-98c4-dc0c000739ff0"] {
            assert!(matches(text).is_err(), "{text}");
        }
    }
}
