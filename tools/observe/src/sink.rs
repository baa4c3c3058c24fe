//! Where events go.
//!
//! Called from the tasks that pass bytes on. A sink must not wait.

use mcplog::Event;

/// Takes events. The store's recorder is one, outside of tests.
pub trait Sink: Send + Sync + 'static {
    /// Hands an event over; says whether the event was taken. Must not wait.
    fn record(&self, event: Event<'_>) -> bool;
}

impl Sink for mcplog::Recorder {
    fn record(&self, event: Event<'_>) -> bool {
        Self::record(self, event)
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
