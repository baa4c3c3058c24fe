//! How bad what was found is, and the exit code that says so. Pure.

use serde::Serialize;

/// From good to bad: of several, the worst counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// Nothing is wrong.
    #[default]
    Sound,
    /// What a crash leaves: bytes at the end of a segment that nothing vouches for. Nothing durable is lost.
    Attention,
    /// Something could not be read, so nothing can be said of it.
    Unreadable,
    /// Bytes that were vouched for are not what they were.
    Damaged,
}

impl Severity {
    pub(crate) const fn exit_code(self) -> u8 {
        match self {
            Self::Sound => 0,
            Self::Unreadable => 1,
            Self::Attention => 2,
            Self::Damaged => 3,
        }
    }

    /// For people, and in JSON; `mcplog check` uses the same words.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Attention => "attention",
            Self::Unreadable => "unreadable",
            Self::Damaged => "damaged",
        }
    }
}
