//! mcplog: the event store of an MCP reverse proxy.
#![deny(missing_docs)]

pub mod config;
pub mod error;
pub mod event;
pub mod query;

pub use config::{Config, SyncPolicy};
pub use event::{Event, Request, SchemaVersion, Session, SessionClosed, Status};
