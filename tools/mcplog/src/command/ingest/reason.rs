//! Why a line is no event. It says where a line is wrong, never what it says. Plain data.

use mcplog_terminal::moment;

/// Why a line is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Reason {
    #[error("not valid JSON, from column {column} on")]
    NotJson { column: usize },
    #[error("not a whole JSON object: the line ends too early")]
    CutOff,
    #[error("not a JSON object")]
    NotAnObject,
    #[error("`{0}` is missing")]
    Missing(String),
    #[error("`{0}` appears twice")]
    Duplicate(String),
    #[error("`{field}` is wrong: expected {expected}")]
    Wrong { field: String, expected: String },
    #[error("`{field}` is no time from 2000 to 2100 in Unix milliseconds{}", .example.meant())]
    Time { field: &'static str, example: Example },
    #[error("longer than {} MiB", bytes_max / (1024 * 1024))]
    TooLong { bytes_max: usize },
    #[error("too large: the event takes {bytes} bytes, and a segment holds events of up to {bytes_max}")]
    TooLarge { bytes: usize, bytes_max: usize },
}

/// A number that stood where a time is wanted. Reasons that differ in their examples only are the same: of a million lines in
/// seconds, the first one is told.
#[derive(Clone, Debug)]
pub(super) struct Example(pub(super) i64);

impl Example {
    /// What the number would be in another unit.
    fn meant(&self) -> String {
        moment::in_other_unit(self.0).map_or(String::new(), |meant| format!("; it would be {meant}"))
    }
}

impl PartialEq for Example {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Example {}
