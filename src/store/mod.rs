//! A store as a whole: opened and shut down in order, checked, rebuilt.
//!
//! Open `store.rs`. Runs on the caller's thread. Nothing below knows of it.

pub mod check;
mod check_log;
mod file_limit;
pub(crate) mod finding;
pub(crate) mod lock;
pub mod plan;
pub mod rebuild;
#[expect(clippy::module_inception, reason = "a folder's main noun has the file of its name; this one only declares")]
pub(crate) mod store;
#[cfg(test)]
mod tests;
pub(crate) mod worker;
pub mod writer_lock;

pub use finding::{Finding, Severity};
pub use store::Store;
