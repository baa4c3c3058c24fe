//! Folding, the pure part: what records change in the tables, how roll-ups and digests add up, how schemas differ.
//!
//! Open `fold.rs`. Runs on the compactor's thread, and on readers' threads for what roll-ups and digests mean. No I/O,
//! no clock, no file, no database.

pub mod abridged;
pub(crate) mod cell_scope;
pub(crate) mod cut;
pub(crate) mod cut_request;
#[expect(clippy::module_inception, reason = "a folder's main noun has the file of its name; this one only declares")]
pub(crate) mod fold;
pub(crate) mod histogram;
pub mod platform;
pub(crate) mod precedence;
pub(crate) mod rollup;
pub(crate) mod rollup_page;
pub(crate) mod schema_diff;
pub(crate) mod schema_list;
pub(crate) mod session_digest;
pub(crate) mod session_facts;
