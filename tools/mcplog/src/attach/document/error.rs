//! Why a document can't be read, or a member of it not be edited.
//!
//! Pure. An error says where, what was expected and why; it never carries what the file says, which may be a secret.

use super::place;
use thiserror::Error;

/// Why a document can't be read, or a member of it not be edited. Whatever it is, the document is as it was.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(in crate::attach) enum DocumentError {
    /// The text isn't of its format.
    #[error("line {line}, column {column}: {problem}")]
    Invalid {
        /// From 1 on.
        line: usize,
        /// From 1 on, in characters.
        column: usize,
        /// What was expected, or what is wrong.
        problem: String,
    },
    /// Files of that size are no configuration.
    #[error("it has {bytes} bytes; at most {max_bytes} are read")]
    TooLarge { bytes: usize, max_bytes: usize },
    /// The place can't be edited so that all else stays as it is.
    #[error("line {line}: {reason}")]
    Refused {
        /// From 1 on.
        line: usize,
        reason: &'static str,
    },
    /// There is no such place.
    #[error("there is no such member: {0}")]
    Missing(&'static str),
}

impl DocumentError {
    /// The text isn't of its format, at that byte.
    pub(super) fn invalid(text: &str, at: usize, problem: impl Into<String>) -> Self {
        let (line, column) = place::line_and_column(text, at);
        Self::Invalid { line, column, problem: problem.into() }
    }

    /// The place at that byte can't be edited.
    pub(super) fn refused(text: &str, at: usize, reason: &'static str) -> Self {
        Self::Refused { line: place::line_and_column(text, at).0, reason }
    }
}
