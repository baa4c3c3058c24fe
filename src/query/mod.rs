//! Read-only questions to `store.db`, with typed answers.
//!
//! Runs on the caller's thread, in any process, while another process writes: SQLite's WAL mode lets readers be. It
//! imports rusqlite and nothing of the log; it must not write, nor know how rows came to be.
//!
//! ```no_run
//! use mcplog::query::{Query, RequestFilter};
//!
//! let query = Query::open("./mcplog-data".as_ref())?;
//! let slow = RequestFilter { slower_than_us: Some(1_000_000), limit: Some(20), ..RequestFilter::default() };
//! for row in query.logs(&slow)? {
//!     println!("{} took {} us", row.method, row.latency_us);
//! }
//! # Ok::<(), mcplog::error::IndexError>(())
//! ```

mod cells;
mod conditions;
mod database;
mod filter;
mod integrity;
mod log;
mod plan;
mod range;
mod schema;
mod search;
mod session;
mod stretch;
#[cfg(test)]
mod test_store;
#[cfg(test)]
mod tests;
mod tool_stats;
mod totals;
mod unused;
mod walk;
mod wanted;

pub use database::Query;
pub use filter::{RequestFilter, SchemaFilter, SessionFilter, Span};
pub use integrity::Integrity;
pub use log::LogRow;
pub use schema::{SchemaChangeRow, SchemaHash, ServerSchemaRow};
pub use session::{ClientRow, SessionRow};
pub use tool_stats::ToolStatsRow;
pub use totals::{CheckpointRow, GapRow, GapTotals, Totals};
pub use unused::UnusedToolRow;
