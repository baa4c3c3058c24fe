//! mcplog: the event store of an MCP reverse proxy.
#![deny(missing_docs)]

pub mod config;
pub mod error;
pub mod event;
pub mod format;
mod gap;
pub mod health;
mod lock;
mod log;
mod progress;
mod handover;
pub mod record;
pub mod recorder;
pub mod segment;

pub use config::{Config, SyncPolicy};
pub use health::Health;
pub use event::{Event, Request, SchemaVersion, Session, SessionClosed, Status};
