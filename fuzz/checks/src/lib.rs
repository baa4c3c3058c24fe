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
//! | `recovery` | opening a store on any log, twice | `plain_scan`, and what lay there before |
//! | `fold` | events into tables | `fold_model`, from the set of events |
//! | `wal_inspect_output` | what `wal-inspect` prints | what a terminal can stand |

pub mod fold;
mod fold_model;
mod forged;
pub mod frame;
mod input;
pub mod inspect;
mod plain_scan;
pub mod record;
pub mod recovery;
pub mod scan;
