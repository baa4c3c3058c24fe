//! Reads along while MCP messages pass between a client and a server, and makes events of them.
//!
//! ```text
//! bytes of a body --> read: decode -> sse -> scan -> rpc        nothing is buffered
//!                                              |
//!                                              v
//!       exchange (one HTTP request and its response: whose message is it?)
//!                                              |  what happens
//!                                              v
//!       call (one row each: lifecycle says what follows) --> event --> Sink (the store's recorder)
//!        ^ |                                                   \
//!        | index, asked, streams (met on another stream)        \-> SchemaQueue --> schema: pages -> hash -> SchemaVersion
//!        |
//!        |  what happens
//!       pipe (one process, both streams: whose message is it?)
//!        ^
//! bytes of a stream --> pipe: line -> read: scan -> rpc         nothing is buffered
//! ```
//!
//! Start at [`Exchange`], or at [`Pipe`] for a server that its client starts. What is read from a message is the table
//! in `read/place.rs`; which answer belongs to which call is told in `docs/matching.md`, and for a pipe in
//! `docs/stdio.md`; how a call ends is the table in `calls/lifecycle.rs`; what a failed call is called is [`Failure`];
//! sessions of both eras are in `session/`.
//!
//! - Pure: no socket, no file, no thread, no runtime. Bytes and heads come in as plain values, the time through [`Clock`];
//!   events go out through [`Sink`], long work through [`SchemaQueue`]. Only the ids of rows come from the system's source of
//!   randomness.
//! - Nothing here can fail or wait: what can't be read has no row, or one that says so.
//! - A request that was registered becomes exactly one event, whatever happens to its exchange.
//! - All exchanges together hold at most [`BUDGET_BYTES`], and each of them [`EXCHANGE_FREE_BYTES`] besides, whatever
//!   their bodies bring; a pipe holds [`PIPE_FREE_BYTES`]. What finds no room in the [`Budget`] is passed on unread,
//!   and its row says so. Ordinary small messages need no room in it. What all of them share (sessions, the index of
//!   calls, unfinished pages) has limits of its own, where it is defined.
//! - A call knows neither exchanges nor the index: who reads messages begins calls and tells them what happens. HTTP's
//!   exchange is one such reader; the pipe, where each message is a line and requests go both ways, stands beside it.
//! - `bytes_in` and `bytes_out` are the sizes of the JSON-RPC messages themselves, unpacked, without what HTTP or SSE wrap
//!   around them.

mod activity;
mod arrival;
mod budget;
mod calls;
mod clock;
mod counts;
mod credential;
mod exchanges;
mod observer;
mod pipe;
pub mod read;
mod recording;
mod schema;
mod session;
mod sink;
mod streams;
mod tasks;

#[cfg(test)]
mod testing;

pub use arrival::Arrival;
pub use budget::{BUDGET_BYTES, Budget};
pub use calls::{End, Failure};
pub use clock::{Clock, SystemClock};
pub use counts::{Counter, Counts, Gauge};
pub use exchanges::{
    EXCHANGE_FREE_BYTES, Exchange, RequestHead, RequestReader, ResponseHead, ResponseReader, Unanswered, Verb,
};
pub use observer::{Observer, Surroundings};
pub use pipe::{Noise, PIPE_FREE_BYTES, Pipe, PipeReader, Side};
pub use schema::{
    KNOWN_MAX, Known, KnownVersion, SCHEMA_BYTES_MAX, SchemaMethod, SchemaQueue, SchemaResult, SchemaWatch,
};
pub use session::{KNOWN_SESSIONS_MAX, KnownSession, KnownSessions};
pub use sink::{Nowhere, Sink, Taken};
