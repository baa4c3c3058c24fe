//! mcplog: the event store of an MCP reverse proxy.
#![deny(missing_docs)]

mod appender;
mod compactor;
pub mod config;
pub mod error;
pub mod event;
mod fold;
pub mod format;
mod gap;
mod handover;
pub mod health;
mod index;
mod lock;
mod log;
pub mod platform;
mod preparing;
mod progress;
pub mod query;
pub mod record;
pub mod recorder;
mod retention;
mod schema_diff;
pub mod segment;
pub mod stats;
pub mod store;
mod syncing;
mod worker;

pub use config::{Config, SyncPolicy};
pub use event::{Event, Request, SchemaVersion, Session, SessionClosed, Status};
pub use health::Health;
pub use recorder::{Recorder, Refusal, Refused};
pub use stats::{ShutdownReport, Stats};
pub use store::Store;
