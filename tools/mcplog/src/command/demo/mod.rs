//! `mcplog demo`: everything at once, on loopback ports of this machine.
//!
//! ```text
//! clients (rmcp) --> proxy --> bookshop (rmcp server on axum)
//!                      |
//!                      v
//!                    store --> what `mcplog stats`, `sessions` and `schema` show
//! ```
//!
//! All of it runs in one process, on the runtime that `run` starts; the traffic is real HTTP.

mod bookshop;
mod client;
mod directory;
mod run;
mod script;
mod show;
mod steps;

pub(crate) use run::run;
