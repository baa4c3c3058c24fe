//! mcplog: the event store of an MCP reverse proxy, embedded in the proxy's own process.
//!
//! Proxy threads hand events to a [`Recorder`], which never blocks. One thread appends them to a write-ahead log; another
//! folds the log into SQLite, where a [`Query`], the `mcplog` command or the `sqlite3` shell reads them.
//!
//! # Following an event
//!
//! Open the files in this order:
//!
//! | stage | thread | what happens | file |
//! |---|---|---|---|
//! | observe | the proxy's | an [`Event`] borrows what the proxy holds | `event.rs` |
//! | record | the proxy's | it is packed into the thread's own block and published with one store | `recorder.rs`, `handover/` |
//! | append | `mcplog-append` | it becomes a record, and the record a frame in the segment | `appender.rs`, `tail.rs`, `tail/`, `record.rs`, `record/`, `segment/writer.rs` |
//! | prepare | `mcplog-prepare` | the next segment is allocated and populated before it is needed | `preparing.rs`, `segment/file.rs` |
//! | sync | `mcplog-sync` | pages are forced to the disk, then the durable mark is moved | `syncing.rs`, `segment/syncer.rs` |
//! | fold | `mcplog-compact` | durable frames become mutations, rows and checkpoint commit together | `compactor.rs`, `pace.rs`, `foldable.rs`, `chunk.rs`, `fold.rs`, `index.rs` |
//! | retire | `mcplog-compact` | a folded segment is deleted, or kept for rebuilding | `retirement.rs`, `retention.rs` |
//! | expire | `mcplog-compact` | requests that are too old or too many go in short steps, if the store is told so | `index/expiry.rs`, `retention.rs` |
//! | copy | `mcplog-copy`, while requests expire | SQLite's own log is copied into the database | `index/log_copy.rs` |
//! | query | the reader's | typed rows, read-only | `query/` |
//!
//! [`store`] opens all that in order and shuts it down in order; `segment/recovery.rs` mends what a crash left.
//!
//! # Invariants
//!
//! - The hot path makes no system call, takes no lock and wakes nobody. The appender looks by itself.
//! - An event that is not accepted is counted, and the log gets a gap record. Nothing is lost silently.
//! - A frame is published by one release-store, or by one write of its first word where a file can't be mapped safely;
//!   readers use plain reads, and check every byte.
//! - The log is the truth until it is folded. Only durable frames are folded (under [`SyncPolicy::Never`], and once
//!   syncing was given up, published ones).
//! - Rows and checkpoint commit in one transaction, so each record is folded exactly once.
//! - Folding does not depend on order. No position and no sequence number is ever used twice.
//! - Segments know nothing of records, the appender nothing of SQLite, `fold` nothing of either. A test checks it.
//! - `unsafe` is in `segment/file.rs` and nowhere else.
//!
//! The bytes on disk are described in `format.md`, and only there.
#![deny(missing_docs)]

mod appender;
pub mod check;
mod chunk;
mod compactor;
pub mod config;
mod cut;
pub mod error;
pub mod event;
mod file_limit;
mod fold;
mod foldable;
pub mod format;
mod gap;
mod handover;
pub mod health;
mod histogram;
mod index;
mod lock;
mod log;
mod pace;
pub mod platform;
mod portion;
mod preparing;
mod progress;
pub mod query;
pub mod rebuild;
pub mod record;
pub mod recorder;
mod refusal;
mod retention;
mod retirement;
mod rollup;
mod rollup_page;
mod schema_diff;
pub mod segment;
mod session_digest;
mod signal;
pub mod stats;
pub mod store;
mod syncing;
mod tail;
mod varint;
mod worker;
pub mod writer_lock;

pub use check::check;
pub use config::{Config, SyncPolicy};
pub use event::{Event, Request, SchemaVersion, Session, SessionClosed, Status};
pub use health::Health;
pub use query::Query;
pub use rebuild::rebuild;
pub use recorder::{Recorder, Refusal, Refused};
pub use stats::{ShutdownReport, Stats};
pub use store::Store;

#[cfg(test)]
mod sabotage;

/// README.md's example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExample;
