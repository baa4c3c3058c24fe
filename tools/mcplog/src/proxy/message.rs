//! What was captured of one JSON-RPC message: a few short values, as they stood in the text.
//!
//! Pure data, filled by [`super::scan`] and understood by [`super::rpc`]. It must not hold anything that grows with the
//! message.

use std::borrow::Cow;

/// The longest captured value in bytes; the rest of a longer one is not kept. Error messages are the longest of them
/// (512 characters are stored, and JSON may spend twelve bytes on one).
pub(super) const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// A value that is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    JsonRpc,
    Id,
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
    ClientVersion,
    /// `params._meta` of the sessionless era.
    MetaProtocolVersion,
    MetaClientName,
    MetaClientVersion,
    /// `params.ref` of `completion/complete`.
    RefName,
    RefUri,
    ErrorCode,
    ErrorMessage,
    /// `result.isError` of a tool call.
    IsError,
    /// `result.protocolVersion` of `initialize`: what was agreed on.
    AgreedVersion,
}

pub(super) const SLOTS: usize = Slot::AgreedVersion as usize + 1;

/// What was captured of one JSON-RPC message.
#[derive(Default)]
pub(super) struct Message {
    /// The captured values one after the other, as they stood in the JSON text.
    arena: Vec<u8>,
    tokens: [Option<Token>; SLOTS],
    /// There is a member `result`, of any type.
    pub(super) has_result: bool,
    /// There is a member `error` that is an object.
    pub(super) has_error: bool,
    /// It is part of a batch.
    pub(super) in_batch: bool,
    /// Where the message began in the stream, in bytes from the stream's start.
    pub(super) start: u64,
    /// Where it ended; equal to the position reached while the message is incomplete.
    pub(super) end: u64,
}

/// A value that is being captured.
pub(super) struct Capture {
    start: usize,
    cut: bool,
}

#[derive(Clone, Copy)]
struct Token {
    start: usize,
    end: usize,
    /// The value was longer than [`TOKEN_BYTES_MAX`].
    cut: bool,
}

impl Message {
    /// The value as it stood in the JSON text, quotes included.
    pub(super) fn raw(&self, slot: Slot) -> Option<&[u8]> {
        self.tokens[slot as usize].map(|token| &self.arena[token.start..token.end])
    }

    /// The value of a string, unescaped. `None` if it is missing or no string.
    pub(super) fn text(&self, slot: Slot) -> Option<Cow<'_, str>> {
        let token = self.tokens[slot as usize]?;
        unquoted(&self.arena[token.start..token.end], token.cut)
    }

    /// Its size in bytes, as the peer sent it.
    pub(super) fn bytes(&self) -> i64 {
        i64::try_from(self.end - self.start).unwrap_or(i64::MAX)
    }

    /// What it allocated for captured values, in bytes.
    #[cfg(test)]
    pub(super) fn arena_bytes(&self) -> usize {
        self.arena.capacity()
    }

    /// Begins to capture a value; what it returns goes to [`Message::capture`] and [`Message::end_capture`].
    pub(super) fn begin_capture(&self) -> Capture {
        Capture { start: self.arena.len(), cut: false }
    }

    /// Keeps the next bytes of the value, as long as there is room.
    pub(super) fn capture(&mut self, capture: &mut Capture, part: &[u8]) {
        let room = TOKEN_BYTES_MAX - (self.arena.len() - capture.start);
        capture.cut |= part.len() > room;
        self.arena.extend_from_slice(&part[..part.len().min(room)]);
    }

    /// The value is complete. Of a member that is there twice, the last one counts.
    pub(super) fn end_capture(&mut self, slot: Slot, capture: &Capture) {
        let token = Token { start: capture.start, end: self.arena.len(), cut: capture.cut };
        self.tokens[slot as usize] = Some(token);
    }

    /// A new message begins at that position.
    pub(super) fn clear(&mut self, start: u64, in_batch: bool) {
        self.arena.clear();
        self.in_batch = in_batch;
        self.tokens = [None; SLOTS];
        self.has_result = false;
        self.has_error = false;
        self.start = start;
        self.end = start;
    }
}

/// The text of a JSON string; of a cut one, as much as can be read.
fn unquoted(raw: &[u8], cut: bool) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix(b"\"")?;
    let inner = if cut { inner } else { inner.strip_suffix(b"\"")? };
    if !inner.contains(&b'\\') {
        return Some(String::from_utf8_lossy(inner));
    }
    // The end of a cut string may be in the middle of an escape, the longest of which has twelve bytes.
    for shorter_by in 0..=if cut { inner.len().min(12) } else { 0 } {
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
