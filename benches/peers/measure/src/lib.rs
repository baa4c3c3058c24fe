//! What every competitor is measured with: the same event, the same pacing, the same clock.
//!
//! A package of its own, because the predecessor's SQLite and mcplog's can't be linked into one program: two programs
//! share this library. It knows no competitor; each one implements [`Log`].

pub mod job;
pub mod latency;
pub mod log;
pub mod loss;
pub mod offer;
pub mod pacing;
pub mod query_time;
pub mod workload;

pub use job::{Job, Outcome, Task};
pub use log::{Log, Writer};
pub use offer::Offer;
pub use workload::{Event, Workload};
