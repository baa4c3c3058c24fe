//! What must hold of mcplog for any input: a check for each fuzz target.
//!
//! A crate of its own, so that the same checks run under a fuzzer, which finds inputs, and in `cargo test`, which replays
//! the inputs that were worth keeping. A check panics where something does not hold.
//!
//! | target | what is attacked | held against |
//! |---|---|---|
//! | `frame_decoder` | the codec of frames, marks, headers | itself, backwards |
//! | `record_decoder` | the record decoder | itself, backwards |
//! | `segment_scan` | the reader of segments | `plain_scan`, over the bytes in memory |
//! | `damaged_log` | opening a store on any log of a dead writer, twice | `plain_scan`, and what lay there before |
//! | `fold` | events of several writers into tables | `fold_model`, from the set of events |
//! | `message_scanner` | reading JSON-RPC out of any bytes | `plain_messages`, by `serde_json`; itself, at every cut |
//! | `event_stream` | the parser of server-sent events | `plain_events`, line by line; itself, at every cut |
//! | `content_decoder` | undoing a body's codings | other libraries, or their reading sides; a budget of memory |
//! | `observer` | exchanges with any bodies, in any order, ended in any way | one event for each call; a budget of memory |
//! | `pipe` | both streams of a stdio server, in any order, ended in any way | one event for each call; itself, in any pieces |
//! | `wal_inspect_output` | what `wal-inspect` prints | what a terminal can stand |

pub mod content;
pub mod damaged_log;
pub mod events;
pub mod fold;
mod fold_model;
mod forged;
pub mod frame;
mod input;
pub mod inspect;
pub mod messages;
pub mod observer;
mod observer_script;
pub mod pipe;
mod plain_events;
mod plain_messages;
mod plain_scan;
pub mod record;
pub mod scan;
