//! `mcplog proxy`: the recording reverse proxy.
//!
//! ```text
//! client --> server --> forward --> upstream client --> MCP server
//!                         |   request_body   |
//!                         |   response_body  |     bytes pass unchanged, as they come
//!                         v                  v
//!                     mcplog-observe: reads along --> the store's recorder
//!                         \-> schema_thread
//! ```
//!
//! Start at [`http::forward`](http). What becomes an event is the business of the crate `mcplog-observe`; everything here is
//! about passing bytes on.
//!
//! - Bodies are never buffered, and never changed. The only header field that is changed is `Accept-Encoding`.
//! - A request is shown to the observer before its last byte leaves, so a response cannot overtake it.

mod config;
mod config_file;
mod config_limits;
mod config_table;
mod http;
mod known_schemas;
mod run;
mod schema_thread;
mod upstream_url;

#[cfg(test)]
mod proxy_tests;

pub(crate) use self::http::{Proxy, chain};
pub(crate) use config::{ProxyArgs, ProxyConfig, store_settings};
pub(crate) use known_schemas::KnownSchemas;
pub(crate) use run::run;
