//! The threads that write the log: one appends, one prepares segments, one forces them to the disk.
//!
//! Open `appender.rs` (what the thread does in turn), then `tail.rs` (the end of the log, where records are appended).
//! `preparer.rs` has the next segment ready, `sync_loop.rs` moves the durable mark, `rewrite.rs` writes again what a failed
//! sync left in doubt. Nothing here knows of SQLite, and only the syncing thread waits for a disk.

#[expect(clippy::module_inception, reason = "a folder's main noun has the file of its name; this one only declares")]
pub(crate) mod appender;
pub(crate) mod parts;
pub(crate) mod preparer;
mod rewrite;
pub(crate) mod sync_loop;
mod tail;
