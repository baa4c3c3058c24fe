//! mcplog: the event store of an MCP reverse proxy, embedded in the proxy's own process.
//!
//! Proxy threads hand events to a [`Recorder`], which never blocks. One thread appends them to a write-ahead log; another
//! folds the log into SQLite, where a [`Query`], the `mcplog` command or the `sqlite3` shell reads them. Any number of
//! processes may have one store open: each appends to a log of its own, and one of them folds for all.
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
//! | `segment/` | whoever reads or writes a log | a folder for each writer, born locked; in it files of frames: header, marks, one frame for each record |
//! | `appender/` | `mcplog-append`, `mcplog-prepare`, `mcplog-sync` | records are appended to the log of this process, the next segment is prepared, pages are forced to the disk and the durable mark is moved |
//! | `compactor/` | `mcplog-compact` | who folds; all writers' logs in one transaction, each its share; a folded segment is deleted, or kept for rebuilding |
//! | `fold/` | `mcplog-compact` | pure: records become mutations, roll-ups, schema changes |
//! | `index/` | `mcplog-compact`, `mcplog-copy` for SQLite's WAL | the only writer of `store.db`: rows and checkpoints commit together, behind the fence; what is too old goes |
//! | `query/` | the reader's | the only reader of `store.db`: typed rows |
//! | `store/` | the caller's | opens all that in order and shuts it down in order; checks, rebuilds and backs up |
//! | `ground/` | all | what all stages share: errors, settings, health, positions, progress, the clock, the store's locks |
//!
//! Folders import downwards only: `lib.rs`; `store`; `compactor`; `query`, `index`, `appender`; `fold`, `recorder`;
//! `record`, `segment`; `event`, `ground`. A test checks that.
//!
//! # Invariants
//!
//! One process:
//!
//! - The hot path makes no system call, takes no lock and wakes nobody. The appender looks by itself.
//! - An event that is not accepted is counted, and the log gets a gap record. Nothing is lost silently.
//! - A frame is published by one release-store, or by one write of its first word where a file can't be mapped safely;
//!   readers use plain reads, and check every byte.
//! - Segments know nothing of records, the appender nothing of SQLite, `fold` nothing of either.
//! - `unsafe` is in `segment/file.rs` and nowhere else.
//!
//! Many:
//!
//! - A writer id names one life of one process. Nobody goes on with another's log: what a writer left is read, moved aside
//!   or unlinked, and never shortened, sealed or written to.
//! - A segment's number and a record's name nothing without their writer. Numbers begin at 1 in each log, and none is ever
//!   used for something else. Rows are numbered in the order of folding.
//! - A log's folder is locked before it has its name, and as long as the process has a segment mapped. So a folder whose
//!   lock is free has no writer any more. No process id, no time and no host decides anything.
//! - A segment has ended where its seal says, or where frames end when looked at after its successor was seen or its
//!   folder's lock was taken; never by an earlier look. Of a living writer nothing is torn: it is not there yet.
//! - What is published is folded, durable or not: since no number comes again, the database may be ahead of a log that a
//!   power cut made shorter. What is called durable is on the disk: the file, its folder, and `wal/`.
//! - Each record is folded exactly once, and that is the database's doing, no lock's. Rows and the checkpoints of all
//!   writers in a batch commit in one transaction, which reads those checkpoints again before it builds on them. If
//!   somebody else committed, everything remembered is dropped. Two that fold at once cost time and no row.
//! - A number is folded in its order: the next one that is due, or one behind a hole that is booked in the same transaction.
//! - A file is unlinked only if all that is in it is folded and that was made durable, by name, one by one. So a file that
//!   is not there any more was folded.
//! - The fold lock belongs to the thread that folds and goes with it. Only its holder unlinks, moves, expires and replaces;
//!   who stands in for a holder that does not move only folds.
//! - Locks are taken in the order `LOCK`, `FOLD.want`, `FOLD`, a folder's, SQLite's; each but SQLite's is tried, and never
//!   waited for with a later one in hand.
//! - Whoever joins tables and log looks at the log first and takes the database's snapshot second.
//! - A log that may hold what this build does not know is left to a newer one. A record of a newer build that is met all
//!   the same is kept whole in the database, and is folded, once, by a build that knows it.
//! - Who opens `store.db` has a permit for its version; nothing else makes a [`Query`] or the index.
//! - Folding does not depend on order: the tables are a function of the set of events, but for the rows' ids.
//!
//! `docs/architecture.md` says what tests each. The bytes on disk are described in `format.md`, and only there.
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
