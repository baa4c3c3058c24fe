//! The event streams that outlive their exchange: those that clients resume, and those that a session listens on.
//!
//! Called from the tasks that pass bytes on; short critical sections, bounded memory. It decides nothing of calls: who reads
//! messages asks whose they are.

mod stream;
#[expect(clippy::module_inception, reason = "the streams of one observer")]
mod streams;

#[cfg(test)]
pub(crate) use stream::EVENT_IDS_MAX;
pub(crate) use stream::{Stream, Way};
pub(crate) use streams::{STREAMS_BYTES_MAX, Streams};
