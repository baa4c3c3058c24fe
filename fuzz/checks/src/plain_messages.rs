//! A reader of JSON-RPC messages that is obviously right: `serde_json` parses the whole text, and each value is looked up
//! where it stands in the document.

use mcplog::event::ERROR_MSG_CHARS_MAX;
use mcplog_observe::read::{SLOTS, Slot};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The members of an object. Of one that is there twice, the last counts, as for every peer.
type Members<'t> = BTreeMap<String, &'t RawValue>;

/// Where each value stands.
pub(crate) const PATHS: [(Slot, &[&str]); SLOTS] = [
    (Slot::JsonRpc, &["jsonrpc"]),
    (Slot::Id, &["id"]),
    (Slot::Method, &["method"]),
    (Slot::Name, &["params", "name"]),
    (Slot::Uri, &["params", "uri"]),
    (Slot::Cursor, &["params", "cursor"]),
    (Slot::CancelledId, &["params", "requestId"]),
    (Slot::RequestedVersion, &["params", "protocolVersion"]),
    (Slot::ClientName, &["params", "clientInfo", "name"]),
    (Slot::ClientVersion, &["params", "clientInfo", "version"]),
    (Slot::MetaProtocolVersion, &["params", "_meta", "io.modelcontextprotocol/protocolVersion"]),
    (Slot::MetaClientName, &["params", "_meta", "io.modelcontextprotocol/clientInfo", "name"]),
    (Slot::MetaClientVersion, &["params", "_meta", "io.modelcontextprotocol/clientInfo", "version"]),
    (Slot::RefName, &["params", "ref", "name"]),
    (Slot::RefUri, &["params", "ref", "uri"]),
    (Slot::ErrorCode, &["error", "code"]),
    (Slot::ErrorMessage, &["error", "message"]),
    (Slot::IsError, &["result", "isError"]),
    (Slot::AgreedVersion, &["result", "protocolVersion"]),
    (Slot::ResultType, &["result", "resultType"]),
    (Slot::TaskId, &["params", "taskId"]),
    (Slot::ResultTaskId, &["result", "taskId"]),
    (Slot::CreatedTaskId, &["result", "task", "taskId"]),
    (Slot::TaskIsError, &["result", "result", "isError"]),
    (Slot::TaskErrorMessage, &["result", "error", "message"]),
];

/// One message of a document.
#[derive(Debug)]
pub(crate) struct Plain<'t> {
    pub(crate) text: &'t str,
    pub(crate) in_batch: bool,
    members: Members<'t>,
}

impl<'t> Plain<'t> {
    /// The scalar or string at that place, as JSON text. `None` if there is none.
    pub(crate) fn raw(&self, path: &[&str]) -> Option<&'t str> {
        let (last, outer) = path.split_last()?;
        let mut members = self.members.clone();
        for name in outer {
            members = object(members.get(*name)?.get())?;
        }
        let raw = members.get(*last)?.get();
        (!raw.starts_with(['{', '['])).then_some(raw)
    }

    /// The beginning of the text of a result that is an error, or of a task's result in it that is. The error of this is for a text that is half of a surrogate pair.
    pub(crate) fn error_text(&self) -> Result<Option<String>, serde_json::Error> {
        let result_of = |members: &Members<'t>| members.get("result").and_then(|result| object(result.get()));
        let mut result = result_of(&self.members).unwrap_or_default();
        if self.raw(&["result", "isError"]) != Some("true") {
            result = result_of(&result).unwrap_or_default();
        }
        let is_error = result.get("isError").is_some_and(|is_error| is_error.get() == "true");
        let content = result.get("content").map_or("", |content| content.get());
        if !is_error || !content.starts_with('[') {
            return Ok(None);
        }
        let mut texts = Vec::new();
        for item in serde_json::from_str::<Vec<&RawValue>>(content)?.iter().filter_map(|item| object(item.get())) {
            let is_text = item.get("type").is_some_and(|kind| serde_json::from_str(kind.get()).is_ok_and(is_text));
            if let Some(text) = item.get("text").filter(|text| is_text && text.get().starts_with('"')) {
                texts.push(serde_json::from_str::<String>(text.get())?);
            }
        }
        texts.retain(|text| !text.is_empty());
        let text = texts.join("\n");
        let beginning: String = text.chars().take(ERROR_MSG_CHARS_MAX).collect();
        let mark = if beginning.len() < text.len() { "…" } else { "" };
        Ok((!text.is_empty()).then(|| beginning + mark))
    }

    pub(crate) fn has_result(&self) -> bool {
        self.members.contains_key("result")
    }

    pub(crate) fn has_error(&self) -> bool {
        self.members.get("error").is_some_and(|error| error.get().starts_with('{'))
    }
}

/// The messages of a document. `None` if it is no JSON, or has a key that is no text.
pub(crate) fn read(document: &[u8]) -> Option<Vec<Plain<'_>>> {
    let document: &RawValue = serde_json::from_slice(document).ok()?;
    // So that a key that can't be looked up is nobody's.
    serde_json::from_str::<serde_json::Value>(document.get()).ok()?;
    if document.get().starts_with('[') {
        let elements: Vec<&RawValue> = serde_json::from_str(document.get()).ok()?;
        return Some(elements.into_iter().filter_map(|element| message(element, true)).collect());
    }
    Some(message(document, false).into_iter().collect())
}

fn message(raw: &RawValue, in_batch: bool) -> Option<Plain<'_>> {
    object(raw.get()).map(|members| Plain { text: raw.get(), in_batch, members })
}

fn is_text(kind: String) -> bool {
    kind == "text"
}

fn object(text: &str) -> Option<Members<'_>> {
    serde_json::from_str(text).ok()
}
