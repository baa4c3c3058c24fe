//! The hot path: how an event crosses from the thread that observed it to the appender.
//!
//! Open `recorder.rs`, then `lane.rs` (the recording thread's end) and `intake.rs` (the appender's). Nothing here
//! blocks, makes a system call, or knows of the log or the database.
//!
//! Each recording thread writes its events into a block of memory that only it writes to, and publishes each with one
//! store: no read-modify-write, no lock, no system call, nothing that waits for another core. Blocks go to the
//! appender, and come back empty, through lock-free crossbeam channels; that happens once for some hundred events.
//!
//! Compared with one bounded crossbeam channel of 256-byte messages and as much memory, whose consumer only copies
//! (`benches/handover.rs`, in turn, p50 / p99 in nanoseconds, the timer's 20 included): one thread at 100,000 events
//! per second takes 40 / 70 against 40 / 150, two threads 40 / 70 against 150 / 601, because a channel's threads share
//! its counters. A channel of events that own their texts takes 50 / 460 and 200 / 1,563. What blocks buy beside the
//! time: bytes are bounded and not only events, an event may have any size up to half a segment, and nothing is
//! allocated.

mod block;
pub(crate) mod channel;
mod fence;
pub(crate) mod gap;
pub(crate) mod intake;
mod lane;
mod memory;
mod packing;
#[cfg(test)]
mod packing_tests;
#[expect(clippy::module_inception, reason = "a folder's main noun has the file of its name; this one only declares")]
pub(crate) mod recorder;
#[cfg(test)]
mod recorder_tests;
pub(crate) mod refusal;
mod single_events;
mod unpacking;

pub use gap::GapCounter;
pub use recorder::Recorder;
pub use refusal::{Refusal, Refused};
