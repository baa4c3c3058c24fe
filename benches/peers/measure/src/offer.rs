//! How the events of a measurement come: at a steady rate, or as fast as they are taken.

use serde::{Deserialize, Serialize};

/// How events come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Offer {
    /// At a steady rate.
    Paced {
        /// Events per second of all threads together.
        rate_per_s: u64,
        /// For how long.
        for_ms: u64,
    },
    /// As fast as they are taken.
    Burst {
        /// How many, of all threads together.
        events: u64,
        /// After this time it ends, even if not all are handed over.
        for_ms: u64,
    },
}

impl Offer {
    /// How many events are offered in all.
    pub fn events(self) -> u64 {
        match self {
            Self::Paced { rate_per_s, for_ms } => rate_per_s * for_ms / 1_000,
            Self::Burst { events, .. } => events,
        }
    }
}
