//! What a JSON-RPC message says, as far as recording cares: which kind it is, and whom it is about.
//!
//! Pure. Works on what [`super::scan`] captured, inside the tasks that pass bytes on; it must not look at payloads.

use super::message::{Message, Slot, TOKEN_BYTES_MAX};
use serde::de::IgnoredAny;
use std::borrow::Cow;

/// The longest text that may be a whole number, in bytes. The largest numbers have 20, a fraction or an exponent some more.
const NUMBER_BYTES_MAX: usize = 32;
/// Below this, a double holds every whole number, and no other text is read as one of them.
const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;

/// A JSON-RPC id. The number 1, the number 1.0 and the string "1" are different, and are the same number where an answer is
/// looked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RpcId {
    /// The text without quotes and escapes; what the row stores.
    pub text: Box<str>,
    is_string: bool,
}

impl RpcId {
    /// The id in that slot. `None` if there is none, or if it is `null`.
    pub fn of(message: &Message, slot: Slot) -> Option<Self> {
        let raw = message.raw(slot)?;
        // A string that is JSON and yet no text, since half of a surrogate pair stands alone in it, stays as it stood there.
        let is_no_text = || serde_json::from_slice::<String>(raw).is_err();
        let is_kept = raw.contains(&b'\\') && is_no_text() && serde_json::from_slice::<IgnoredAny>(raw).is_ok();
        if let Some(text) = message.text(slot).filter(|_| !is_kept) {
            return Some(Self { text: text.into(), is_string: true });
        }
        // JSON-RPC allows null as an id; MCP does not, and an error about an unreadable request carries it.
        (raw != b"null").then(|| Self { text: String::from_utf8_lossy(raw).into(), is_string: false })
    }

    /// Whether the message has an id in that slot, and another one than this.
    pub(crate) fn differs(&self, message: &Message, slot: Slot) -> bool {
        match (message.text(slot), message.raw(slot)) {
            // An id that stays as it stood there, be it a string.
            (_, Some(raw)) if !self.is_string && raw == self.text.as_bytes() => false,
            (Some(text), _) => !self.is_string || *text != *self.text,
            (None, Some(raw)) => raw != b"null" && (self.is_string || raw != self.text.as_bytes()),
            (None, None) => false,
        }
    }

    /// The whole number that the id is, be it written as a string or with a fraction of zeros.
    ///
    /// Client SDKs take an answer whose id is the same number as their request's: Python's by `int(id)` of a string,
    /// TypeScript's by `Number(id)`, Rust's by parsing a string. What only one of them takes for a number is none here:
    /// the empty string, hexadecimal digits, underscores.
    pub(crate) fn number(&self) -> Option<i64> {
        let text = if self.is_string { self.text.trim() } else { &self.text };
        if text.len() > NUMBER_BYTES_MAX {
            return None;
        }
        if let Ok(number) = text.parse() {
            return Some(number);
        }
        let number: f64 = text.parse().ok()?;
        #[expect(clippy::cast_possible_truncation, reason = "a whole number within the range")]
        (number.fract() == 0.0 && number.abs() < EXACT_BELOW).then_some(number as i64)
    }

    /// The spellings in which ids of that number come, in the order in which they are likely.
    pub(crate) fn spellings(number: i64) -> [Self; 3] {
        let id = |text: String, is_string| Self { text: text.into(), is_string };
        [id(number.to_string(), false), id(number.to_string(), true), id(format!("{number}.0"), false)]
    }

    /// The id as JSON text, whatever the peer sent: as it stood there, where that was JSON.
    pub fn to_json(&self) -> Cow<'_, str> {
        if self.is_string {
            Cow::Owned(serde_json::Value::from(&*self.text).to_string())
        } else if self.text.len() < TOKEN_BYTES_MAX && serde_json::from_str::<IgnoredAny>(&self.text).is_ok() {
            Cow::Borrowed(&self.text)
        } else {
            // The reading is lenient, and what is too long is cut: JSON-RPC has null for an id that could not be read.
            Cow::Borrowed("null")
        }
    }
}

/// What kind of message it is.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// Wants a response: it has a method and an id.
    Request(RpcId),
    /// Wants none: it has a method and no id.
    Notification,
    /// A result or an error; without an id where the peer could not tell whose it is.
    Response(Option<RpcId>),
    /// JSON, but no JSON-RPC.
    Other,
}

/// Tells what kind of message it is.
pub fn kind(message: &Message) -> Kind {
    let id = RpcId::of(message, Slot::Id);
    if message.raw(Slot::Method).is_some() {
        return id.map_or(Kind::Notification, Kind::Request);
    }
    // An error without an id must at least say that it is JSON-RPC: any web framework answers {"error": {...}}.
    let is_response = if id.is_some() {
        message.has_result || message.has_error
    } else {
        message.has_error && message.raw(Slot::JsonRpc).is_some()
    };
    if is_response { Kind::Response(id) } else { Kind::Other }
}

/// Whether it takes a request back.
pub(crate) fn is_cancellation(message: &Message) -> bool {
    message.text(Slot::Method).as_deref() == Some("notifications/cancelled")
}

/// Whose `params.name`, `params.uri` or `params.taskId` is worth a column, and which.
pub(crate) fn tool_and_target<'m>(method: &str, message: &'m Message) -> (Option<Cow<'m, str>>, Option<Cow<'m, str>>) {
    match method {
        "tools/call" => (message.text(Slot::Name), None),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => (None, message.text(Slot::Uri)),
        "prompts/get" => (None, message.text(Slot::Name)),
        "tasks/get" | "tasks/result" | "tasks/cancel" | "tasks/update" => (None, message.text(Slot::TaskId)),
        "completion/complete" => (None, message.text(Slot::RefName).or_else(|| message.text(Slot::RefUri))),
        _ => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan::Scanner;
    use super::*;

    fn kind_of(json: &str) -> Kind {
        let mut found = None;
        Scanner::new().push(json.as_bytes(), |message| found = Some(kind(message)));
        found.unwrap()
    }

    fn number(text: &str) -> RpcId {
        RpcId { text: text.into(), is_string: false }
    }

    #[test]
    fn a_message_is_classified_by_its_members() {
        let string = RpcId { text: "a\"b".into(), is_string: true };
        let cases = [
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, Kind::Request(number("1"))),
            (r#"{"method":"ping","id":"a\"b"}"#, Kind::Request(string.clone())),
            (r#"{"method":"ping","id":"a\u0022b"}"#, Kind::Request(string)),
            (r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, Kind::Notification),
            (r#"{"jsonrpc":"2.0","method":"odd","id":null}"#, Kind::Notification),
            (r#"{"jsonrpc":"2.0","id":7,"result":{}}"#, Kind::Response(Some(number("7")))),
            (r#"{"jsonrpc":"2.0","id":7,"result":null}"#, Kind::Response(Some(number("7")))),
            (r#"{"id":7,"error":{"code":1,"message":"m"}}"#, Kind::Response(Some(number("7")))),
            (r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}"#, Kind::Response(None)),
            (r#"{"error":{"message":"some framework"}}"#, Kind::Other),
            (r#"{"error":"invalid_token","jsonrpc":"2.0"}"#, Kind::Other),
            (r#"{"detail":"Not Found"}"#, Kind::Other),
        ];
        for (json, expected) in cases {
            assert_eq!(kind_of(json), expected, "{json}");
        }
    }

    #[test]
    fn ids_that_sdks_take_for_the_same_are_the_same_number() {
        let of = |json: &str| match kind_of(&format!(r#"{{"id":{json},"result":0}}"#)) {
            Kind::Response(Some(id)) => id.number(),
            other => panic!("{other:?}"),
        };
        for one in ["1", "1.0", "1e0", "10e-1", r#""1""#, r#""1.0""#, r#"" 1 ""#, r#""01""#, r#""\u0031""#] {
            assert_eq!(of(one), Some(1), "{one}");
        }
        for none in ["1.5", r#""""#, r#"" ""#, r#""a""#, r#""1a""#, r#""0x1""#, r#""nan""#, r#""inf""#, "1e300", "true"]
        {
            assert_eq!(of(none), None, "{none}");
        }
        assert_eq!(of("-0"), Some(0));
        assert_eq!(of("9223372036854775807"), Some(i64::MAX));
        // From here on doubles don't tell whole numbers apart, so nobody can say which one it is.
        assert_eq!([of("9007199254740991.0"), of("9007199254740992.0")], [Some(9_007_199_254_740_991), None]);
        assert_eq!(of(&format!(r#""{}""#, "1".repeat(5000))), None);
        for id in RpcId::spellings(-7) {
            assert_eq!(of(&id.to_json()), Some(-7));
        }
    }

    #[test]
    fn an_id_goes_back_to_json_as_what_it_was() {
        assert_eq!(number("17").to_json(), "17");
        assert_eq!(RpcId { text: "a\"b".into(), is_string: true }.to_json(), r#""a\"b""#);
    }

    #[test]
    fn every_method_with_a_target_names_it() {
        let cases = [
            ("tools/call", r#"{"name":"grep","uri":"u"}"#, Some("grep"), None),
            ("resources/read", r#"{"uri":"file:///a"}"#, None, Some("file:///a")),
            ("resources/subscribe", r#"{"uri":"file:///a"}"#, None, Some("file:///a")),
            ("resources/unsubscribe", r#"{"uri":"file:///a"}"#, None, Some("file:///a")),
            ("prompts/get", r#"{"name":"greet"}"#, None, Some("greet")),
            ("completion/complete", r#"{"ref":{"type":"ref/prompt","name":"p"}}"#, None, Some("p")),
            ("completion/complete", r#"{"ref":{"type":"ref/resource","uri":"t/{x}"}}"#, None, Some("t/{x}")),
            ("tasks/get", r#"{"taskId":"t1"}"#, None, Some("t1")),
            ("tasks/result", r#"{"taskId":"t1"}"#, None, Some("t1")),
            ("tasks/cancel", r#"{"taskId":"t1"}"#, None, Some("t1")),
            ("tasks/update", r#"{"taskId":"t1"}"#, None, Some("t1")),
            ("tasks/list", r#"{"taskId":"none"}"#, None, None),
            ("tools/list", r#"{"name":"not a tool"}"#, None, None),
            ("tools/call", "{}", None, None),
        ];
        for (method, params, tool, target) in cases {
            let json = format!(r#"{{"params":{params},"method":"{method}","id":1}}"#);
            let mut seen = false;
            Scanner::new().push(json.as_bytes(), |message| {
                seen = true;
                let found = tool_and_target(method, message);
                assert_eq!((found.0.as_deref(), found.1.as_deref()), (tool, target), "{json}");
            });
            assert!(seen, "{json}");
        }
    }
}
