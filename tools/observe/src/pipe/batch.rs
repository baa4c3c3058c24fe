//! The messages of a batch, until the line is whole that they stand in.
//!
//! Pure. Batches were in the protocol until 2025-06-18, and the SDKs that knew them sent a handful at once.

use crate::budget::{Budget, Share};
use crate::read::Message;

/// How many are held.
const MESSAGES_MAX: usize = 64;
/// Room for how many it begins with.
const FIRST_MESSAGES: usize = 4;

/// The messages of a batch so far.
pub(super) struct Batch {
    messages: Vec<Message>,
    share: Share,
    has_begun: bool,
}

impl Batch {
    pub(super) fn new(budget: &Budget) -> Self {
        Self { messages: Vec::new(), share: budget.share(0), has_begun: false }
    }

    /// Takes the message away, if there is room for it.
    pub(super) fn push(&mut self, message: &mut Message) -> bool {
        self.has_begun = true;
        if self.messages.len() >= MESSAGES_MAX || !self.reserve() {
            return false;
        }
        self.messages.push(message.take());
        true
    }

    /// Those that are held.
    pub(super) fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Whether one came since it was [over](Self::end).
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Lets go of those that are held.
    pub(super) fn clear(&mut self) {
        self.messages.clear();
    }

    /// The line is over.
    pub(super) fn end(&mut self) {
        if self.has_begun {
            (self.messages, self.has_begun) = (Vec::new(), false);
            self.share.resize(0);
        }
    }

    /// Makes room for one more. What a message captured is taken from the budget already.
    fn reserve(&mut self) -> bool {
        let before = self.messages.capacity();
        if self.messages.len() < before {
            return true;
        }
        let after = (before * 2).clamp(FIRST_MESSAGES, MESSAGES_MAX);
        // Both are there while they are moved.
        if !self.share.resize((before + after) * size_of::<Message>()) {
            return false;
        }
        self.messages.reserve_exact(after - self.messages.len());
        self.share.resize(after * size_of::<Message>())
    }
}
