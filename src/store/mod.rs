//! A store as a whole: opened and shut down in order, checked, rebuilt, backed up.
//!
//! Open `store.rs`; `opening.rs` gets everything ready, and `threads.rs` starts the threads. Runs on the caller's
//! thread. Nothing below knows of it.

mod appender_thread;
pub mod backup;
mod backup_log;
mod backup_target;
pub mod check;
mod check_access;
mod check_database;
mod check_log;
mod check_quarantine;
mod check_wal;
mod compactor_thread;
pub mod completeness;
pub mod examined_log;
mod file_limit;
mod fold_role;
mod folded;
mod found_log;
mod lost_records;
mod new_database;
mod old_database;
mod opening;
pub mod plan;
mod preparer_thread;
pub mod rebuild;
mod rebuild_plan;
mod rebuild_sources;
mod shared;
#[expect(clippy::module_inception, reason = "a folder's main noun has the file of its name; this one only declares")]
pub(crate) mod store;
mod store_identity;
mod sync_thread;
#[cfg(test)]
mod tests;
mod threads;
mod worker;
pub mod writer_lock;

pub use crate::ground::finding::{Finding, FindingKind, Severity};
pub use store::Store;
