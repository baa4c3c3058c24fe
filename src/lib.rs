//! mcplog: the event store of an MCP reverse proxy, embedded in the proxy's own process.
//!
//! Proxy threads hand events to a [`Recorder`], which never blocks. One thread appends them to a write-ahead log; another
//! folds the log into SQLite, where a [`Query`], the `mcplog` command or the `sqlite3` shell reads them.
//!
//! # Following an event
//!
//! The listing of `src/` is the way of an event. Open the folders in this order; each `mod.rs` says which file comes first:
//!
//! | folder | thread | what happens there |
//! |---|---|---|
//! | `event/` | the proxy's | an [`Event`] borrows what the proxy holds |
//! | `recorder/` | the proxy's | the event is packed into the thread's own block and published with one store |
//! | `record/` | `mcplog-append` | the event becomes a record: the bytes of a payload |
//! | `segment/` | whoever reads or writes the log | files of frames: header, marks, one frame for each record; recovery after a crash |
//! | `appender/` | `mcplog-append`, `mcplog-prepare`, `mcplog-sync` | records are appended, the next segment is prepared, pages are forced to the disk and the durable mark is moved |
//! | `compactor/` | `mcplog-compact` | when and how far to fold; a folded segment is deleted, or kept for rebuilding |
//! | `fold/` | `mcplog-compact` | pure: records become mutations, roll-ups, schema changes |
//! | `index/` | `mcplog-compact`, `mcplog-copy` for SQLite's WAL | the only writer of `store.db`: rows and checkpoint commit together; what is too old goes |
//! | `query/` | the reader's | the only reader of `store.db`: typed rows |
//! | `store/` | the caller's | opens all that in order and shuts it down in order; checks, rebuilds and backs up |
//! | `ground/` | all | what all stages share: errors, settings, health, positions, progress, the clock |
//!
//! `segment/recovery.rs` mends what a crash left. Folders import downwards only: `lib.rs`; `store`; `compactor`; `query`,
//! `index`, `appender`; `fold`, `recorder`; `record`, `segment`; `event`, `ground`. A test checks that.
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
//! - A record of a newer build is kept whole in the database until a build comes that knows it, and is folded then, once.
//! - Who opens `store.db` has a permit for its version; nothing else makes a [`Query`] or the index.
//! - Folding does not depend on order. No position and no sequence number is ever used twice.
//! - Segments know nothing of records, the appender nothing of SQLite, `fold` nothing of either.
//! - `unsafe` is in `segment/file.rs` and nowhere else.
//!
//! The bytes on disk are described in `format.md`, and only there.
#![deny(missing_docs)]

mod appender;
mod compactor;
pub mod event;
mod fold;
mod ground;
mod index;
pub mod query;
pub mod record;
pub mod recorder;
pub mod segment;
pub mod store;

pub use event::{Event, Request, SchemaVersion, Session, SessionClosed, Status};
pub use fold::{abridged, platform};
pub use ground::config::{Config, SyncPolicy};
pub use ground::default_dir::{DIR_VARIABLE, DefaultDir, NoDefaultDir, default_dir};
pub use ground::health::Health;
pub use ground::stats::{ShutdownReport, Stats};
pub use ground::{burst, config, error, expired, finding, health, position, severity, stats};
pub use query::Query;
pub use recorder::{Recorder, Refusal, Refused};
pub use store::Store;
pub use store::backup::backup;
pub use store::check::check;
pub use store::completeness::completeness;
pub use store::examined_log::examine_log;
pub use store::plan::plan;
pub use store::rebuild::rebuild;
pub use store::{backup, check, completeness, examined_log, plan, rebuild, writer_lock};

// The fixture of all packages' tests names the library as they do.
#[cfg(test)]
extern crate self as mcplog;

/// README.md's example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExample;
