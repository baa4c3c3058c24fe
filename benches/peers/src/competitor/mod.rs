//! Everything that mcplog is compared with, each in a file of its own behind [`measure::Log`].
//!
//! The predecessor is missing here: it is a program of its own, in `predecessor/`.

pub(crate) mod encoding;
pub(crate) mod framing;
pub(crate) mod mcplog;
pub(crate) mod memory;
pub(crate) mod mrecordlog;
pub(crate) mod non_blocking;
pub(crate) mod nothing;
pub(crate) mod okaywal;
pub(crate) mod raft_engine;
pub(crate) mod tracing_appender;
pub(crate) mod walrus;
pub(crate) mod write_call;
