//! The messages of a batch, until the line is whole that they stand in.
//!
//! Pure. Batches were in the protocol until 2025-06-18.

use super::limits::{BATCH_FREE_BYTES, BATCH_MAX};
use crate::budget::{Budget, Share};
use crate::read::Message;

/// Room for how many it begins with.
const FIRST_MESSAGES: usize = 4;

/// The messages of a batch so far.
pub(super) struct Batch {
    messages: Vec<Message>,
    /// What these hold beside themselves.
    text_bytes: usize,
    share: Share,
    has_begun: bool,
}

impl Batch {
    pub(super) fn new(budget: &Budget) -> Self {
        Self { messages: Vec::new(), text_bytes: 0, share: budget.share(BATCH_FREE_BYTES), has_begun: false }
    }

    /// Takes the message away, if there is room for it.
    pub(super) fn push(&mut self, message: &mut Message) -> bool {
        self.has_begun = true;
        if self.messages.len() >= BATCH_MAX || !self.reserve(message.text_bytes()) {
            return false;
        }
        self.text_bytes += message.text_bytes();
        self.messages.push(message.take());
        true
    }

    /// Those that are held.
    pub(super) fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Whether one came since the last line was [over](Self::end).
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Lets go of those that are held.
    pub(super) fn clear(&mut self) {
        self.messages.clear();
        self.text_bytes = 0;
        self.share.resize(self.messages.capacity() * size_of::<Message>());
    }

    /// The line is over.
    pub(super) fn end(&mut self) {
        if self.has_begun {
            (self.messages, self.has_begun) = (Vec::new(), false);
            self.clear();
        }
    }

    /// Makes room for one more, which holds so much beside itself.
    fn reserve(&mut self, text_bytes: usize) -> bool {
        let before = self.messages.capacity();
        let after = if self.messages.len() < before { before } else { (before * 2).clamp(FIRST_MESSAGES, BATCH_MAX) };
        // Both are there while they are moved.
        let moving = if after > before { before } else { 0 };
        let bytes = self.text_bytes + text_bytes + after * size_of::<Message>();
        if !self.share.resize(bytes + moving * size_of::<Message>()) {
            return false;
        }
        self.messages.reserve_exact(after - self.messages.len());
        self.share.resize(bytes)
    }
}
