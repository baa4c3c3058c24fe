//! The commands, one per file.

mod answer;
pub(crate) mod backup;
pub(crate) mod check;
mod check_plan;
pub(crate) mod demo;
mod endpoint_names;
mod fold;
mod follow;
pub(crate) mod ingest;
mod lacking;
mod limits;
pub(crate) mod logs;
mod notes;
pub(crate) mod rebuild;
mod rebuild_plan;
mod request_table;
mod row_stream;
pub(crate) mod schema;
mod server_names;
mod session_name;
pub(crate) mod sessions;
pub(crate) mod slow;
pub(crate) mod stats;
pub(crate) mod unused;
#[cfg(test)]
mod width_tests;
pub(crate) mod writers;

pub(crate) use answer::Answered;
