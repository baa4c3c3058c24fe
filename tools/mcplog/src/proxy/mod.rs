//! `mcplog proxy`: the recording reverse proxy.
//!
//! ```text
//! client --> server --> forward --> upstream client --> MCP server
//!                         |   request_body   |
//!                         |   response_body  |     bytes pass unchanged, as they come
//!                         v                  v
//!                    decode -> sse -> scan -> rpc       read along; nothing is buffered
//!                                      |
//!                                      v
//!                 exchange -> call (exactly one Request each) -> journal -> Sink (the store's recorder)
//!                                      \-> schema thread: pages -> canonical hash -> SchemaVersion
//! ```
//!
//! Start at [`forward`]. What is read from a message is the table in [`scan`]; what a failed request is called is in
//! [`failure`]; sessions of both eras are in [`sessions`].
//!
//! - Bodies are never buffered, and never changed. The only header field that is changed is `Accept-Encoding`.
//! - A request is registered before its last byte leaves, so a response cannot overtake it.
//! - A registered request becomes exactly one event: ending a [`call::Call`] takes its facts, and its drop ends it.
//! - `bytes_in` and `bytes_out` are the sizes of the JSON-RPC messages themselves, unpacked, without what HTTP or SSE
//!   wrap around them.

mod admin;
mod call;
mod call_index;
mod canonical;
mod config;
mod config_file;
mod config_limits;
mod config_table;
mod decode;
mod exchange;
mod failure;
mod forward;
mod headers;
mod journal;
mod message;
mod metrics;
mod pages;
mod request_body;
mod response_body;
mod response_reader;
mod rpc;
mod run;
mod scan;
mod schema;
mod server;
mod sessions;
mod sse;
mod upstream;

#[cfg(test)]
mod proxy_tests;

pub(crate) use config::{ProxyArgs, ProxyConfig, store_settings};
pub(crate) use forward::chain;
pub(crate) use run::run;
pub(crate) use server::{KnownSchema, Proxy};
