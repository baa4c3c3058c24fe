//! `mcplog wrap`: stands between a client and the stdio server that it starts, and records what passes.
//!
//! ```text
//! client --> wrap-input  --> server        bytes pass unchanged, as they come
//!        <-- wrap-output <--
//!        <-- wrap-errors <--               its last lines are kept
//!                |
//!                v
//!             reading --> mcplog-observe's pipe --> recording: the store, beside all this (keeping.rs)
//!
//! main: course (who is gone, and what follows) <-- threads: streams, wrap-signals, wrap-wait
//! ```
//!
//! Open `run.rs`. Nothing here may change, hold up or end what passes: each stream has a thread that does nothing else, the
//! observer cannot wait, and the store is opened by a thread of its own after the server was started.

mod course;
mod fate;
mod keeping;
mod last_words;
mod launcher;
mod package_name;
mod passage;
mod reading;
mod run;
mod server;
mod server_name;
mod signals;
mod threads;
mod words;
mod wrap_args;

pub(crate) use run::run;
pub(crate) use wrap_args::WrapArgs;
