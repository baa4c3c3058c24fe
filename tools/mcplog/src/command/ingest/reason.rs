//! Why a line is no event. It says where a line is wrong, never what it says. Plain data.

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
    #[error("longer than {} MiB", bytes_max / (1024 * 1024))]
    TooLong { bytes_max: usize },
    #[error("too large: the event takes {bytes} bytes, and a segment holds events of up to {bytes_max}")]
    TooLarge { bytes: usize, bytes_max: usize },
}
