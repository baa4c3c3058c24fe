//! Why an event was not accepted. Plain data.

use crate::event::Event;

/// An event that was not accepted, handed back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused<'a> {
    /// The event.
    pub event: Event<'a>,
    /// Why.
    pub reason: Refusal,
}

/// Why an event was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The channel is full: events come faster than they can be written.
    #[error("the channel is full")]
    Full,
    /// The store was shut down, or its appender died.
    #[error("the store is shut down")]
    Closed,
    /// The event is too large for a segment.
    #[error("the event takes {bytes} bytes; a segment of this store holds events of up to {bytes_max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The largest size.
        bytes_max: usize,
    },
}
