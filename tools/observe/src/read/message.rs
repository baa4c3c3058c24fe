//! What was captured of one JSON-RPC message: a few short values, as they stood in the text.
//!
//! Pure data, filled by [`super::scan`] and understood by [`super::rpc`]. It must not hold anything that grows with the
//! message: not even one that repeats a member without end, of which only the last value counts.

use super::bounded::{Appended, Buffer};
use crate::budget::Budget;
use std::borrow::Cow;

/// The longest captured value in bytes; the rest of a longer one is not kept. Error messages are the longest of them
/// (512 characters are stored, and JSON may spend twelve bytes on one).
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// What the captured values of one message may take up together, in bytes: twice what they can be, so that making room for
/// repeated members, which copies, is paid for by as many bytes of input.
pub const MESSAGE_BYTES_MAX: usize = 2 * SLOTS * TOKEN_BYTES_MAX;

/// How much of that is not taken from the budget, in bytes: more than what is captured of an ordinary message.
pub(crate) const MESSAGE_FREE_BYTES: usize = 4 * 1024;

/// A value that is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// `jsonrpc`.
    JsonRpc,
    /// `id`.
    Id,
    /// `method`.
    Method,
    /// `params.name`: the tool or the prompt.
    Name,
    /// `params.uri`: the resource.
    Uri,
    /// `params.cursor`: which page.
    Cursor,
    /// `params.requestId` of a cancellation.
    CancelledId,
    /// `params.protocolVersion` of `initialize`: what the client asked for.
    RequestedVersion,
    /// `params.clientInfo` of `initialize`.
    ClientName,
    /// The version beside it.
    ClientVersion,
    /// `params._meta` of the sessionless era.
    MetaProtocolVersion,
    /// The client's name beside it.
    MetaClientName,
    /// The client's version beside it.
    MetaClientVersion,
    /// `params.ref` of `completion/complete`.
    RefName,
    /// The resource template of the same.
    RefUri,
    /// `error.code`.
    ErrorCode,
    /// `error.message`.
    ErrorMessage,
    /// `result.isError` of a tool call.
    IsError,
    /// `result.protocolVersion` of `initialize`: what was agreed on.
    AgreedVersion,
    /// `result.resultType`: whether the result is complete, asks the client for more, or is a task.
    ResultType,
    /// `params.taskId`: the task that is asked about.
    TaskId,
    /// `result.taskId`: the task that was asked about, or that the result is (2026-07-28).
    ResultTaskId,
    /// `result.task.taskId`: the task that the result is (2025-11-25).
    CreatedTaskId,
    /// `result.result.isError` of a task that came to its end.
    TaskIsError,
    /// `result.error.message` of a task that failed.
    TaskErrorMessage,
}

/// How many slots there are.
pub const SLOTS: usize = Slot::TaskErrorMessage as usize + 1;

/// What was captured of one JSON-RPC message.
pub struct Message {
    /// The captured values one after the other, as they stood in the JSON text.
    arena: Buffer,
    tokens: [Option<Token>; SLOTS],
    error_text: Option<Box<str>>,
    /// What stands for the cursor, where that is a long one.
    long_cursor: Option<Box<str>>,
    /// There is a member `result`, of any type.
    pub has_result: bool,
    /// There is a member `error` that is an object.
    pub has_error: bool,
    /// It is part of a batch.
    pub in_batch: bool,
    /// Where the message began in the stream, in bytes from the stream's start.
    pub start: u64,
    /// Where it ended; equal to the position reached while the message is incomplete.
    pub end: u64,
}

/// A value that is being captured.
pub(super) struct Capture {
    start: usize,
    is_cut: bool,
}

#[derive(Clone, Copy)]
struct Token {
    start: usize,
    end: usize,
    /// The value was longer than [`TOKEN_BYTES_MAX`].
    is_cut: bool,
}

impl Default for Message {
    /// An empty message with a budget of its own.
    fn default() -> Self {
        Self::within(&Budget::default())
    }
}

impl Message {
    /// An empty message.
    pub(super) fn within(budget: &Budget) -> Self {
        Self::empty(Buffer::new(budget, MESSAGE_FREE_BYTES))
    }

    /// Takes it away, and leaves an empty one of the same budget.
    pub(crate) fn take(&mut self) -> Self {
        let empty = Self::empty(self.arena.another());
        std::mem::replace(self, empty)
    }

    fn empty(arena: Buffer) -> Self {
        Self {
            arena,
            tokens: [None; SLOTS],
            error_text: None,
            long_cursor: None,
            has_result: false,
            has_error: false,
            in_batch: false,
            start: 0,
            end: 0,
        }
    }

    /// The value as it stood in the JSON text, quotes included.
    pub fn raw(&self, slot: Slot) -> Option<&[u8]> {
        self.tokens[slot as usize].map(|token| &self.arena.bytes()[token.start..token.end])
    }

    /// The value of a string, unescaped. `None` if it is missing or no string.
    pub fn text(&self, slot: Slot) -> Option<Cow<'_, str>> {
        let token = self.tokens[slot as usize]?;
        unquoted(&self.arena.bytes()[token.start..token.end], token.is_cut)
    }

    /// What stands for `params.cursor`, as [`cursor_key`](super::cursor_key) says. `None` if it is missing or no string.
    pub(crate) fn cursor(&self) -> Option<Cow<'_, str>> {
        self.long_cursor.as_deref().map(Cow::Borrowed).or_else(|| self.text(Slot::Cursor))
    }

    /// Whether its result says that it is an error.
    pub fn is_error(&self) -> bool {
        self.raw(Slot::IsError) == Some(b"true")
    }

    /// Whether its result is that of a task whose own result says that it is an error.
    pub fn is_task_error(&self) -> bool {
        self.raw(Slot::TaskIsError) == Some(b"true")
    }

    /// The beginning of what its result, or that of the task in it, contains as text, if that is an error: as much as a row
    /// keeps, and `…` where there was more. Of any other message nothing is kept.
    pub fn error_text(&self) -> Option<&str> {
        self.error_text.as_deref()
    }

    /// Its size in bytes, as the peer sent it.
    pub fn bytes(&self) -> i64 {
        i64::try_from(self.end - self.start).unwrap_or(i64::MAX)
    }

    /// What it takes up beside itself, in bytes.
    pub(crate) fn text_bytes(&self) -> usize {
        self.arena.capacity()
            + [self.error_text(), self.long_cursor.as_deref()].into_iter().flatten().map(str::len).sum::<usize>()
    }

    /// What its result contains as text. Only for one that is an error.
    pub(super) fn set_error_text(&mut self, text: Option<Box<str>>) {
        self.error_text = text;
    }

    /// What stands for its cursor, if that is a long one.
    pub(super) fn set_long_cursor(&mut self, key: Option<Box<str>>) {
        self.long_cursor = key;
    }

    /// Forgets what was captured for these slots: the member is there again, and its last value counts.
    pub(super) fn forget(&mut self, slots: &[Slot]) {
        for slot in slots {
            self.tokens[*slot as usize] = None;
            if *slot == Slot::Cursor {
                self.long_cursor = None;
            }
        }
    }

    /// Begins to capture a value; what it returns goes to [`Message::capture`] and [`Message::end_capture`].
    pub(super) fn begin_capture(&mut self) -> Capture {
        if self.captured_bytes() + TOKEN_BYTES_MAX > MESSAGE_BYTES_MAX {
            self.make_room();
        }
        Capture { start: self.captured_bytes(), is_cut: false }
    }

    /// Keeps the next bytes of the value, as long as there is room. `false` if the budget gave none.
    #[must_use]
    pub(super) fn capture(&mut self, capture: &mut Capture, part: &[u8]) -> bool {
        let room = TOKEN_BYTES_MAX - (self.captured_bytes() - capture.start);
        let fitting = &part[..part.len().min(room)];
        let appended = self.arena.append(fitting, MESSAGE_BYTES_MAX);
        capture.is_cut |= appended != Appended::Whole || fitting.len() < part.len();
        appended != Appended::Refused
    }

    /// The value is complete.
    pub(super) fn end_capture(&mut self, slot: Slot, capture: &Capture) {
        let token = Token { start: capture.start, end: self.captured_bytes(), is_cut: capture.is_cut };
        self.tokens[slot as usize] = Some(token);
    }

    /// Moves the values that count to the front, over those that were forgotten.
    fn make_room(&mut self) {
        let mut tokens: Vec<&mut Token> = self.tokens.iter_mut().flatten().collect();
        tokens.sort_unstable_by_key(|token| token.start);
        let mut end = 0;
        for token in tokens {
            self.arena.copy_within(token.start..token.end, end);
            let len = token.end - token.start;
            (token.start, token.end) = (end, end + len);
            end += len;
        }
        self.arena.truncate(end);
    }

    fn captured_bytes(&self) -> usize {
        self.arena.bytes().len()
    }

    /// A new message begins at that position.
    pub(super) fn clear(&mut self, start: u64, in_batch: bool) {
        self.arena.clear(MESSAGE_FREE_BYTES);
        self.in_batch = in_batch;
        self.tokens = [None; SLOTS];
        (self.error_text, self.long_cursor) = (None, None);
        self.has_result = false;
        self.has_error = false;
        self.start = start;
        self.end = start;
    }
}

/// The text of a JSON string; of a cut one, as much as can be read.
fn unquoted(raw: &[u8], is_cut: bool) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix(b"\"")?;
    let inner = if is_cut { inner } else { inner.strip_suffix(b"\"")? };
    if !inner.contains(&b'\\') {
        return Some(String::from_utf8_lossy(inner));
    }
    // The end of a cut string may be in the middle of an escape, the longest of which has twelve bytes.
    for shorter_by in 0..=if is_cut { inner.len().min(12) } else { 0 } {
        let mut quoted = Vec::with_capacity(inner.len() + 2);
        quoted.push(b'"');
        quoted.extend_from_slice(&inner[..inner.len() - shorter_by]);
        quoted.push(b'"');
        if let Ok(text) = serde_json::from_slice::<String>(&quoted) {
            return Some(Cow::Owned(text));
        }
    }
    Some(String::from_utf8_lossy(inner))
}
