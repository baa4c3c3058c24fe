//! Where events go.
//!
//! Called from the tasks that pass bytes on. A sink must not wait.

use mcplog::{Event, Refusal};

/// Takes events. The store's recorder is one, outside of tests.
pub trait Sink: Send + Sync + 'static {
    /// Hands an event over; says whether the event was taken. Must not wait.
    fn record(&self, event: Event<'_>) -> bool;

    /// The same, for an event that may be too large: says then that it will never be taken. A sink that wraps another one
    /// passes this on.
    fn offer(&self, event: Event<'_>) -> Taken {
        if self.record(event) { Taken::Yes } else { Taken::NotNow }
    }
}

/// What became of an event that was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was taken.
    Yes,
    /// There was no room for it.
    NotNow,
    /// There is never room for it.
    TooLarge,
}

impl Sink for mcplog::Recorder {
    fn record(&self, event: Event<'_>) -> bool {
        Self::record(self, event)
    }

    fn offer(&self, event: Event<'_>) -> Taken {
        let Err(refused) = self.try_record(event) else { return Taken::Yes };
        // This counts the event, and waits for room where the store was told to.
        match (Self::record(self, event), refused.reason) {
            (true, _) => Taken::Yes,
            (false, Refusal::TooLarge { .. }) => Taken::TooLarge,
            (false, _) => Taken::NotNow,
        }
    }
}

/// Keeps nothing: for who was told not to record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nowhere;

impl Sink for Nowhere {
    /// Takes every event: nobody is to offer one again.
    fn record(&self, _event: Event<'_>) -> bool {
        true
    }
}
