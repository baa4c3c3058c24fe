//! What is kept of the message that is being read: the values that are wanted, and the words of an error.
//!
//! Told by [`super::scan`] which member comes, and its value's bytes as they pass. Holds no more than [`Message`] and
//! [`ContentText`] do.

use super::content_text::{ContentText, ItemMember};
use super::cursor::CursorReader;
use super::message::{Capture, Message, Slot};
use super::place::{Member, Place, slots_inside};
use crate::budget::Budget;

/// Keeps what is worth keeping of one message after the other.
pub(super) struct Collector {
    pub(super) message: Message,
    /// What the content of the current result says, and that of the task's result in it, as long as nobody knows whether it
    /// is an error. `None` where that is not to be read.
    contents: Option<[ContentText; 2]>,
    /// The reading is in the task's result.
    in_task: bool,
    /// What the value of the current key is worth.
    wanted: Option<Wanted>,
    /// The cursor that is being read.
    cursor: Option<CursorReader>,
    /// The current scalar or string, if it is being captured.
    capture: Option<Capture>,
    /// The budget had no room for a value.
    is_starved: bool,
}

#[derive(Clone, Copy)]
enum Wanted {
    Value(Slot),
    OfItem(ItemMember),
}

impl Collector {
    /// A collector that keeps nothing yet. What it captures is taken from that budget, unless it is little.
    pub(super) fn within(budget: &Budget) -> Self {
        let (message, contents) = (Message::within(budget), Some(Default::default()));
        Self { message, contents, in_task: false, wanted: None, cursor: None, capture: None, is_starved: false }
    }

    /// The same, but that it never looks into what results contain.
    pub(super) fn without_error_text(self) -> Self {
        Self { contents: None, ..self }
    }

    /// Whether the budget had no room for what was to be captured.
    pub(super) fn is_starved(&self) -> bool {
        self.is_starved
    }

    /// A message begins at that position: nothing of another one is left.
    pub(super) fn begin_message(&mut self, start: u64, in_batch: bool) {
        (self.capture, self.cursor) = (None, None);
        self.message.clear(start, in_batch);
        self.forget_contents();
    }

    /// The value of that member comes next. It takes the place of an earlier one, whatever it is. Says which place begins with
    /// it, if it is an object or an array as it should be.
    pub(super) fn expect(&mut self, member: Member) -> Option<Place> {
        self.wanted = None;
        match member {
            Member::Nothing => None,
            Member::Value(slot) => {
                self.message.forget(&[slot]);
                self.wanted = Some(Wanted::Value(slot));
                None
            }
            Member::OfItem(member) => {
                self.content().into_iter().for_each(|content| content.begin(member));
                self.wanted = Some(Wanted::OfItem(member));
                None
            }
            Member::List(place) => {
                let content = self.content()?;
                content.clear();
                Some(place)
            }
            Member::Object(place) => {
                self.message.forget(slots_inside(place));
                match place {
                    Place::Result => {
                        self.message.has_result = true;
                        self.message.set_error_text(None);
                        self.forget_contents();
                    }
                    Place::TaskResult => self.contents.iter_mut().for_each(|[_, of_task]| of_task.clear()),
                    Place::Error => self.message.has_error = false,
                    _ => {}
                }
                Some(place)
            }
        }
    }

    /// An element of a list comes next, which is worth nothing unless it is an object.
    pub(super) fn expect_nothing(&mut self) {
        self.wanted = None;
    }

    /// The object that was expected begins.
    pub(super) fn begin_object(&mut self, place: Place) {
        self.message.has_error |= place == Place::Error;
        self.in_task |= place == Place::TaskResult;
    }

    /// An item of a result's content begins. Says whether it matters.
    pub(super) fn begin_item(&mut self) -> bool {
        let Some(content) = self.content().filter(|content| !content.is_full()) else { return false };
        content.begin_item();
        true
    }

    pub(super) fn end_item(&mut self) {
        self.content().into_iter().for_each(ContentText::end_item);
    }

    /// The result of a task ends.
    pub(super) fn end_task_result(&mut self) {
        self.in_task = false;
    }

    /// A result ends: only now is it known whether it is an error.
    pub(super) fn end_result(&mut self) {
        let Some([content, of_task]) = &self.contents else { return };
        if self.message.is_error() {
            self.message.set_error_text(content.text());
        } else if self.message.is_task_error() {
            self.message.set_error_text(of_task.text());
        }
        self.forget_contents();
    }

    /// A string begins: its quote has passed.
    pub(super) fn begin_string(&mut self) {
        self.begin_scalar();
        self.push_scalar(b"\"");
        let is_cursor = matches!(self.wanted, Some(Wanted::Value(Slot::Cursor)));
        self.cursor = is_cursor.then(CursorReader::default);
    }

    /// The next bytes of a string, with the quote that closes it if that is there.
    pub(super) fn push_string(&mut self, part: &[u8], is_closed: bool) {
        self.push_scalar(part);
        if let Some(mut cursor) = self.cursor.take() {
            cursor.push(&part[..part.len() - usize::from(is_closed)]);
            match is_closed {
                true => self.message.set_long_cursor(cursor.finish()),
                false => self.cursor = Some(cursor),
            }
        }
        if let Some(Wanted::OfItem(member)) = self.wanted
            && let Some(content) = self.content()
        {
            content.push(member, &part[..part.len() - usize::from(is_closed)]);
            if is_closed {
                content.end(member);
            }
        }
        if is_closed {
            self.end_scalar();
        }
    }

    /// A number or a literal begins.
    pub(super) fn begin_scalar(&mut self) {
        let is_captured = matches!(self.wanted, Some(Wanted::Value(_)));
        self.capture = is_captured.then(|| self.message.begin_capture());
    }

    /// The next bytes of one.
    pub(super) fn push_scalar(&mut self, part: &[u8]) {
        if let Some(capture) = &mut self.capture {
            self.is_starved |= !self.message.capture(capture, part);
        }
    }

    /// It is over.
    pub(super) fn end_scalar(&mut self) {
        if let (Some(capture), Some(Wanted::Value(slot))) = (self.capture.take(), self.wanted.take()) {
            self.message.end_capture(slot, &capture);
        }
    }

    /// What the content says so far, of which nobody knows yet whether it is an error.
    #[cfg(test)]
    pub(super) fn content_so_far(&self) -> Option<Box<str>> {
        self.contents.as_ref().and_then(|[content, _]| content.text())
    }

    /// The content that is being read.
    fn content(&mut self) -> Option<&mut ContentText> {
        let [content, of_task] = self.contents.as_mut()?;
        Some(if self.in_task { of_task } else { content })
    }

    fn forget_contents(&mut self) {
        self.in_task = false;
        self.contents.iter_mut().flatten().for_each(ContentText::clear);
    }
}
