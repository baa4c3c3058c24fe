//! The only writer of `store.db`: batches of mutations that commit together with the checkpoint.
//!
//! Open `database.rs`, then `batch.rs`. Owned by the compactor; opening happens on the thread that opens the store. It
//! knows nothing of segments beyond the numbers in the checkpoint.

pub(crate) mod age_clock;
pub(crate) mod age_table;
pub(crate) mod batch;
pub(crate) mod build;
pub(crate) mod checkpoint;
mod clock_steps;
pub(crate) mod connection;
mod copy_schedule;
pub(crate) mod damage;
pub(crate) mod database;
pub(crate) mod database_copy;
mod digest_table;
mod event_time;
mod expiry;
pub(crate) mod expiry_plan;
pub(crate) mod expiry_turn;
mod fault;
mod fence;
mod fold_runs;
mod held;
pub(crate) mod holdings;
pub(crate) mod leftovers;
mod log_fronts;
pub(crate) mod logged;
pub(crate) mod migration;
pub(crate) mod missing_records;
mod name_numbers;
pub(crate) mod newer_records;
mod old_rows;
pub(crate) mod old_runs;
mod quarantine;
pub(crate) mod rebuild;
pub(crate) mod remembered_limits;
pub(crate) mod replacement;
mod request_columns;
pub(crate) mod request_rows;
pub(crate) mod restore;
mod restoring;
mod rollup_table;
pub(crate) mod row_retention;
pub(crate) mod salvage;
mod schema_history;
mod session_table;
mod sqlite_wal;
mod step_size;
pub(crate) mod store_id;
#[cfg(test)]
mod tests;
mod unfoldable;
mod unknown_fronts;
mod used_names;
#[cfg(test)]
mod version_tests;
pub(crate) mod wal_readers;
mod writer_column;
mod writers;
