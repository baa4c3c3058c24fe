//! Cuts a stream into lines, and reads the message, or the batch of them, that each line is.
//!
//! Runs where the bytes pass; it must not do I/O or fail. A line of any length is read in bounded memory. What it
//! brings counts once the line is whole, and what one line is spoils no other: at each line feed the reading begins
//! anew.

use super::batch::Batch;
use super::text::Text;
use crate::budget::Budget;
use crate::read::{Message, Scanner};
use memchr::memchr;

/// What a line brought.
pub(super) struct Line<'l> {
    /// Of a batch several; none where the line is no JSON-RPC at first sight.
    pub(super) messages: &'l [Message],
    pub(super) text: &'l Text,
    /// A part of it was told before, as one that goes on.
    pub(super) is_continued: bool,
    /// How long it is so far, in bytes.
    pub(super) bytes: u64,
    pub(super) end: LineEnd<'l>,
}

/// How a line ended.
pub(super) enum LineEnd<'l> {
    /// It did not yet: it is a batch of which no more is held.
    GoesOn,
    /// Its line feed came, or its stream ended behind it.
    Whole,
    /// It was not read to its end, since there was no room. With the message that the reading stopped in, if it did in
    /// one.
    Unread(Option<&'l Message>),
    /// Its stream ended within it. With the message that it stopped in, if it did in one.
    BrokenOff(Option<&'l Message>),
}

/// Reads line after line of one stream.
pub(super) struct LineReader {
    budget: Budget,
    scanner: Scanner,
    batch: Batch,
    text: Text,
    /// How much of the current line passed, in bytes.
    bytes: u64,
    /// All of that is whitespace.
    is_blank: bool,
    /// A part of it was told already.
    is_continued: bool,
    keeps_error_text: bool,
}

impl LineReader {
    /// A reader before the first byte of a stream. What it holds is taken from that budget, unless it is little.
    pub(super) fn new(budget: &Budget, keeps_error_text: bool) -> Self {
        Self {
            budget: budget.clone(),
            scanner: scanner(budget, keeps_error_text),
            batch: Batch::new(budget),
            text: Text::new(budget),
            bytes: 0,
            is_blank: true,
            is_continued: false,
            keeps_error_text,
        }
    }

    /// Reads the next bytes. `wants_text` says, as a line begins, whether the text of what it brings is wanted.
    pub(super) fn push(&mut self, mut bytes: &[u8], wants_text: impl Fn() -> bool, mut on_line: impl FnMut(Line<'_>)) {
        while let Some(end) = memchr(b'\n', bytes) {
            self.push_part(&bytes[..end], &wants_text, &mut on_line);
            self.end_line(false, &mut on_line);
            bytes = &bytes[end + 1..];
        }
        self.push_part(bytes, &wants_text, &mut on_line);
    }

    /// The stream is over. The last line needs no line feed.
    pub(super) fn finish(&mut self, mut on_line: impl FnMut(Line<'_>)) {
        self.end_line(true, &mut on_line);
    }

    fn push_part(&mut self, part: &[u8], wants_text: &impl Fn() -> bool, on_line: &mut impl FnMut(Line<'_>)) {
        if part.is_empty() {
            return;
        }
        if self.bytes == 0 {
            self.text.begin(wants_text());
        }
        self.bytes += part.len() as u64;
        self.is_blank = self.is_blank && part.iter().all(u8::is_ascii_whitespace);
        let Self { scanner, batch, text, bytes, is_continued, .. } = self;
        text.push(part);
        scanner.push(part, |message| {
            if !message.in_batch || batch.push(message) {
                return;
            }
            // What is held counts now, so that no batch is so large that messages of it would be missing.
            for messages in [batch.messages(), std::slice::from_ref(message)] {
                let (is_continued, bytes) = (*is_continued, *bytes);
                on_line(Line { messages, text, is_continued, bytes, end: LineEnd::GoesOn });
            }
            *is_continued = true;
            batch.clear();
        });
    }

    fn end_line(&mut self, is_last: bool, on_line: &mut impl FnMut(Line<'_>)) {
        if !self.is_blank {
            self.tell_end(is_last, on_line);
        }
        if self.scanner.is_starved() {
            self.scanner = scanner(&self.budget, self.keeps_error_text);
        } else if self.bytes > 0 {
            self.scanner.reset();
        }
        self.batch.end();
        (self.bytes, self.is_blank, self.is_continued) = (0, true, false);
    }

    fn tell_end(&mut self, is_last: bool, on_line: &mut impl FnMut(Line<'_>)) {
        let Self { scanner, batch, text, bytes, is_continued, .. } = self;
        let (bytes, is_continued, is_unread) = (*bytes, *is_continued, scanner.is_starved());
        if scanner.is_done() {
            let single = std::slice::from_ref(scanner.message());
            let messages = if batch.has_begun() { batch.messages() } else { single };
            return on_line(Line { messages, text, is_continued, bytes, end: LineEnd::Whole });
        }
        let end = match scanner.unfinished() {
            unfinished if is_unread => LineEnd::Unread(unfinished),
            unfinished if is_last => LineEnd::BrokenOff(unfinished),
            _ => LineEnd::Whole,
        };
        on_line(Line { messages: &[], text, is_continued, bytes, end });
    }
}

fn scanner(budget: &Budget, keeps_error_text: bool) -> Scanner {
    let scanner = Scanner::within(budget).of_one();
    if keeps_error_text { scanner } else { scanner.without_error_text() }
}
