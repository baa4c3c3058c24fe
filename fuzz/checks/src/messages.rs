//! What must hold of reading JSON-RPC messages out of any bytes.

use crate::events::cuts;
use crate::plain_messages::{self, PATHS, Plain};
use mcplog::event::ERROR_MSG_CHARS_MAX;
use mcplog_observe::read::{Kind, MESSAGE_BYTES_MAX, Message, SLOTS, Scanner, TOKEN_BYTES_MAX, kind};
use std::borrow::Cow;

/// What was read of a document.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    messages: Vec<Found>,
    is_done: bool,
    /// The message that the document broke off in.
    unfinished: Option<Found>,
}

/// What was read of a message.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    /// Every value, as JSON text and as text.
    values: [Option<(Vec<u8>, Option<String>)>; SLOTS],
    kind: Kind,
    has_result: bool,
    has_error: bool,
    in_batch: bool,
    error_text: Option<String>,
    start: u64,
    end: u64,
}

/// The same is read wherever the bytes are cut; and of what is JSON, what `serde_json` reads.
pub fn check(document: &[u8]) {
    let whole = read(&[document]);
    for cut in cuts(document.len()) {
        assert_eq!(read(&[&document[..cut], &document[cut..]]), whole, "cut at {cut}");
    }
    assert_eq!(read(&document.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
    let Some(expected) = plain_messages::read(document) else { return };
    assert_eq!(whole.messages.len(), expected.len(), "as many messages");
    for (found, expected) in whole.messages.iter().zip(&expected) {
        compare(found, expected, document);
    }
}

/// The same values, each in its place, and the same kind.
fn compare(found: &Found, expected: &Plain<'_>, document: &[u8]) {
    for (slot, path) in PATHS {
        let value = found.values[slot as usize].as_ref();
        let raw = expected.raw(path).map(|raw| &raw.as_bytes()[..raw.len().min(TOKEN_BYTES_MAX)]);
        assert_eq!(value.map(|(raw, _)| raw.as_slice()), raw, "{path:?}");
        let text = expected.raw(path).and_then(|raw| serde_json::from_str::<String>(raw).ok());
        if text.as_ref().is_some_and(|_| raw.is_some_and(|raw| raw.len() < TOKEN_BYTES_MAX)) {
            assert_eq!(value.and_then(|(_, text)| text.clone()), text, "{path:?}");
        }
    }
    assert_eq!((found.has_result, found.has_error), (expected.has_result(), expected.has_error()));
    let range = usize::try_from(found.start).expect("small")..usize::try_from(found.end).expect("small");
    assert_eq!(&document[range], expected.text.as_bytes(), "it lies where it was found");
    assert_eq!(found.in_batch, expected.in_batch);
    if let Ok(error_text) = expected.error_text() {
        assert_eq!(found.error_text, error_text);
    }
    assert_eq!(said(&found.kind), said_plainly(expected));
}

/// The kind in words, and the id as JSON text.
fn said(kind: &Kind) -> (&'static str, Option<Cow<'_, str>>) {
    match kind {
        Kind::Request(id) => ("request", Some(id.to_json())),
        Kind::Notification => ("notification", None),
        Kind::Response(id) => ("response", id.as_ref().map(|id| id.to_json())),
        Kind::Other => ("other", None),
    }
}

fn said_plainly<'p>(message: &'p Plain<'_>) -> (&'static str, Option<Cow<'p, str>>) {
    let id = message.raw(&["id"]).filter(|raw| *raw != "null").map(|raw| match serde_json::from_str::<String>(raw) {
        Ok(text) => Cow::Owned(serde_json::Value::from(text).to_string()),
        Err(_) => Cow::Borrowed(raw),
    });
    let is_answer = message.has_result() || message.has_error();
    match (message.raw(&["method"]), id) {
        (Some(_), Some(id)) => ("request", Some(id)),
        (Some(_), None) => ("notification", None),
        (None, Some(id)) if is_answer => ("response", Some(id)),
        (None, None) if message.has_error() && message.raw(&["jsonrpc"]).is_some() => ("response", None),
        (None, _) => ("other", None),
    }
}

fn read(pieces: &[&[u8]]) -> Read {
    let mut read = Read::default();
    let mut scanner = Scanner::new();
    for piece in pieces {
        scanner.push(piece, |message| read.messages.push(found(message)));
    }
    read.is_done = scanner.is_done();
    read.unfinished = scanner.unfinished().map(found);
    read
}

fn found(message: &Message) -> Found {
    let value = |slot| Some((message.raw(slot)?.to_vec(), message.text(slot).map(Cow::into_owned)));
    let values = PATHS.map(|(slot, _)| value(slot));
    let captured: usize = values.iter().flatten().map(|(raw, _)| raw.len()).sum();
    assert!(captured <= MESSAGE_BYTES_MAX, "{captured} bytes are kept");
    let error_text = message.error_text();
    assert!(error_text.map_or(0, |text| text.chars().count()) <= ERROR_MSG_CHARS_MAX + 1, "{error_text:?}");
    Found {
        values,
        kind: kind(message),
        has_result: message.has_result,
        has_error: message.has_error,
        in_batch: message.in_batch,
        error_text: error_text.map(str::to_owned),
        start: message.start,
        end: message.end,
    }
}
