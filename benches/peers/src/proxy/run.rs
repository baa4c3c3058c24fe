//! One run of the load generator: which way, under which load, and what came of it.

use super::way::Way;
use super::wrk::Measured;
use serde::{Deserialize, Serialize};

/// How the upstream answers, and how many connections ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Load {
    /// As an event stream, instead of as JSON.
    pub(super) sse: bool,
    pub(super) connections: u32,
}

/// All, the heavy ones first.
pub(super) const LOADS: [Load; 4] = [
    Load { sse: false, connections: 32 },
    Load { sse: true, connections: 32 },
    Load { sse: false, connections: 1 },
    Load { sse: true, connections: 1 },
];

/// One run of the load generator.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ProxyRun {
    pub(super) way: Way,
    pub(super) load: Load,
    pub(super) measured: Measured,
}
