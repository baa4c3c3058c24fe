//! The threads that write the log: one appends, one prepares segments, one forces them to the disk.
//!
//! Open `appender.rs` (what the thread does in turn), then `log_writer.rs` (records are appended) and `log_end.rs` (the
//! segment that takes them). `preparer.rs` makes the next segment, whose size `segment_growth.rs` tells, and the folder of a
//! new log; `own_log.rs` sees whether that is still there, `process_facts.rs` has what its first record says. `sync_loop.rs`
//! moves the durable mark, `rewrite.rs` writes once more what a failed sync left in doubt, `clock_watch.rs` sees who sets
//! the clock. Nothing here knows of SQLite, and only the syncing thread waits for a disk.

#[expect(clippy::module_inception, reason = "a folder's main noun has the file of its name; this one only declares")]
pub(crate) mod appender;
#[cfg(test)]
mod appender_tests;
mod clock_watch;
pub(crate) mod handles;
mod log_end;
mod log_writer;
mod own_log;
pub(crate) mod preparer;
mod process_facts;
mod rewrite;
mod segment_growth;
pub(crate) mod sync_loop;
