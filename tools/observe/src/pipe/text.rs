//! The text of a line, where it is wanted: a list of what the server offers is looked at elsewhere, as it stood there.
//!
//! Pure. Bounded, and taken from the budget of all.

use super::limits::TEXT_FREE_BYTES;
use crate::budget::Budget;
use crate::read::{Appended, Buffer, Message};
use crate::schema::SCHEMA_BYTES_MAX;

/// The beginning of a line.
pub(super) struct Text {
    buffer: Buffer,
    is_wanted: bool,
}

impl Text {
    pub(super) fn new(budget: &Budget) -> Self {
        Self { buffer: Buffer::new(budget, TEXT_FREE_BYTES), is_wanted: false }
    }

    /// A line begins.
    pub(super) fn begin(&mut self, is_wanted: bool) {
        self.is_wanted = is_wanted;
        self.buffer.clear(TEXT_FREE_BYTES);
    }

    /// The next bytes of the line.
    pub(super) fn push(&mut self, part: &[u8]) {
        // What finds no room must not be followed by what comes later.
        self.is_wanted = self.is_wanted && self.buffer.append(part, SCHEMA_BYTES_MAX) == Appended::Whole;
    }

    /// The text of a message in the line, if all of it was kept.
    pub(super) fn of(&self, message: &Message) -> Option<&[u8]> {
        let (start, end) = (usize::try_from(message.start).ok()?, usize::try_from(message.end).ok()?);
        self.buffer.bytes().get(start..end)
    }
}
