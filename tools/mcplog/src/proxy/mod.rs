//! `mcplog proxy`: the recording reverse proxy.
//!
//! ```text
//! client --> server --> forward --> upstream client --> MCP server
//!                         |   request_body   |
//!                         |   response_body  |     bytes pass unchanged, as they come
//!                         v                  v
//!                     mcplog-observe: reads along --> recording: the store's recorder, while there is a store
//!                         \-> recording: the schema thread
//! ```
//!
//! Start at [`http::forward`](http). What becomes an event is the business of the crate `mcplog-observe`; everything here is
//! about passing bytes on.
//!
//! - Bodies are never buffered, and never changed. Of the header fields, `Accept-Encoding` loses codings that nobody here can
//!   read, `Via` gets the proxy's mark on requests that look like one on its way, `Location` and `Content-Location` lead back
//!   through the proxy, Host is the upstream's if the proxy is told so, and what HTTP itself wants put right is.
//! - Traffic comes before recording: nothing that goes wrong with the store, a terminal or a reader touches what passes.
//! - A request is shown to the observer before its last byte leaves, so a response cannot overtake it.

mod access_file;
mod access_line;
mod access_log;
mod clients;
mod config;
mod config_file;
mod config_limits;
mod config_table;
mod diagnostics;
mod greeting;
mod http;
mod left_out;
mod reload;
mod run;
mod signals;
mod store_limits;
mod talk;
mod upstream_url;

#[cfg(test)]
mod proxy_tests;

pub(crate) use self::http::{Proxy, chain};
pub(crate) use config::{ProxyArgs, ProxyConfig, store_settings};
pub(crate) use config_limits::{parse_database_size, parse_keep, parse_min_free, parse_segments_size};
pub(crate) use diagnostics::{LogFormat, complain};
pub(crate) use run::run;
pub(crate) use upstream_url::UpstreamUrl;
