//! `mcplog ingest`: events from JSON lines into a store.
//!
//! Three threads' work: `reader` reads and splits on a thread of its own, `feed` parses and records on the main
//! thread, and the store folds on its own threads. Memory is bounded at every hand-over, whatever the input's size.

mod bad_lines;
mod details;
mod feed;
mod line;
mod reader;
mod reason;
mod summary;
mod text;
mod unpack;

pub(crate) use feed::run;
