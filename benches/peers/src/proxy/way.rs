//! The ways in which requests reach the upstream.

use serde::{Deserialize, Serialize};

/// How requests reach the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Way {
    /// Straight.
    Direct,
    /// Through a hyper reverse proxy that looks at nothing.
    Plain,
    /// Through `mcplog proxy` that was told not to record.
    Silent,
    /// Through `mcplog proxy`.
    Recording,
}

impl Way {
    /// All, from the shortest.
    pub(super) const ALL: [Self; 4] = [Self::Direct, Self::Plain, Self::Silent, Self::Recording];

    /// As in tables.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Direct => "the upstream alone",
            Self::Plain => "a plain hyper proxy",
            Self::Silent => "mcplog proxy, recording off",
            Self::Recording => "mcplog proxy, recording",
        }
    }
}
