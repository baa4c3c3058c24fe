//! Read-only questions to `store.db`, with typed answers.
//!
//! Runs on the caller's thread, in any process, while another process writes: in SQLite's WAL mode readers wait for no
//! writer. This folder imports rusqlite and nothing of the log; it must not write, nor know how rows came to be.
//!
//! ```no_run
//! use mcplog::query::{Query, RequestFilter};
//!
//! let query = Query::open("./mcplog-data".as_ref())?;
//! let slow = RequestFilter { slower_than_us: Some(1_000_000), limit: Some(20), ..RequestFilter::default() };
//! for row in query.requests(&slow)? {
//!     println!("{} took {} us", row.method, row.latency_us);
//! }
//! # Ok::<(), mcplog::error::IndexError>(())
//! ```

pub(crate) mod arrivals;
pub(crate) mod aside;
mod cells;
pub(crate) mod clock_steps;
mod conditions;
mod connecting;
pub(crate) mod database;
pub(crate) mod filter;
pub(crate) mod integrity;
mod interval;
#[cfg(test)]
mod interval_tests;
pub(crate) mod known_missing;
mod matching;
mod outcome_set;
mod page_size;
#[cfg(test)]
mod pinning_tests;
mod plan;
mod range;
mod rank;
mod request_pages;
pub(crate) mod requests;
mod resolved_filter;
pub(crate) mod schema;
mod search;
pub(crate) mod session;
mod slowest;
mod sqlite_uri;
#[cfg(test)]
mod test_store;
#[cfg(test)]
mod tests;
pub(crate) mod tool_stats;
pub(crate) mod totals;
mod tuning;
mod untouched;
pub(crate) mod unused;
mod walk;
mod writers;

pub use arrivals::{Arrivals, RequestCursor};
pub use clock_steps::{ClockStepRow, ClockStepTotals};
pub use database::Query;
pub use filter::{RequestFilter, SchemaFilter, SessionFilter, TimeRange};
pub use integrity::Integrity;
pub use requests::RequestRow;
pub use schema::{SchemaChangeRow, SchemaHash, ServerSchemaRow};
pub use session::{ClientRow, SessionRow};
pub use tool_stats::ToolStatsRow;
pub use totals::{CheckpointRow, GapRow, GapTotals, Totals};
pub use unused::UnusedToolRow;
pub use writers::{WriterFilter, WriterRow};
