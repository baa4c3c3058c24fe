//! HTTP on both sides: clients are served, their requests forwarded, the responses passed back.
//!
//! Runs on the runtime's threads; a client connection's task does most of it. Nothing here interprets what passes: the
//! bodies show it to the observer.

mod admin;
mod buffer;
mod client_stream;
mod connection_clock;
mod error_chain;
mod fault;
mod fault_log;
mod forward;
mod gate;
mod headers;
mod lookalikes;
mod metrics;
mod open_exchange;
mod own_response;
mod redirect;
mod refusal;
mod request_body;
mod response_body;
mod server;
mod timed_connector;
mod unread;
mod upstream;
mod via;

pub(super) use admin::{Admin, Liveness, Sources};
pub(crate) use connection_clock::ClientLimits;
pub(crate) use error_chain::chain;
pub(crate) use server::Proxy;
pub(super) use server::{ProxyHandle, StartError};
