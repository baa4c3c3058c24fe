//! What a check finds, and how bad it is. Plain data.

use serde::Serialize;
use std::path::PathBuf;

/// Something about a store that is worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    #[serde(rename = "verdict")]
    pub severity: Severity,
    /// The file or directory.
    #[serde(rename = "file")]
    pub path: PathBuf,
    /// Where in the file, in bytes.
    pub offset: Option<u64>,
    /// What was found, and what to do. Never what an event said.
    #[serde(rename = "reason")]
    pub text: String,
}

/// How bad something is. Of several, the worst counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Severity {
    /// Nothing is wrong.
    #[default]
    Sound,
    /// What a crash leaves, or a process that was stopped early: the next one who opens the store sees to it.
    #[serde(rename = "attention")]
    Unfinished,
    /// Something is not what it was, or not as it must be.
    Damaged,
}
