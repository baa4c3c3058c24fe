//! What the heads of a request and of its response say, as far as recording cares.
//!
//! Pure data, and plain: text and numbers. Here comes in what is known of the transport; what else is to be recorded of it is
//! one more field here, and one in the calls' `Origin`.

use crate::read::{Codings, EVENT_ID_BYTES_MAX, TOKEN_BYTES_MAX};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::borrow::Cow;

/// Base64 whose padding may be missing.
const BASE64_INDIFFERENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a request wants of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// It can bring JSON-RPC messages.
    Post,
    /// It ends its session.
    Delete,
    /// Anything else, such as GET.
    Other,
}

/// The head of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The request's method.
    pub verb: Verb,
    /// `Mcp-Session-Id`.
    pub session: Option<&'a str>,
    /// The path of the server that is asked: its endpoint.
    pub path: &'a str,
    /// The URL's query, which may name the session of the 2024-11-05 transport.
    pub query: Option<&'a str>,
    /// `Last-Event-ID`: the client resumes a stream behind that event. Nothing is kept of it but a hash.
    pub last_event_id: Option<&'a str>,
    /// `Mcp-Protocol-Version`.
    pub protocol_version: Option<&'a str>,
    /// `Authorization`. Nothing is kept of it but a digest.
    pub authorization: Option<&'a str>,
    /// `User-Agent`. Nothing is kept of it but a digest.
    pub user_agent: Option<&'a str>,
    /// `Mcp-Method`, of the sessionless era.
    pub method: Option<&'a str>,
    /// `Mcp-Name`, of the sessionless era.
    pub name: Option<&'a str>,
}

/// The head of a response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// The status code.
    pub status: u16,
    /// `Mcp-Session-Id`.
    pub session: Option<&'a str>,
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// How the body is packed.
    pub codings: Codings,
    /// Why the response is no answer, where its head says that: where a redirect leads, which option helps. For the row, as
    /// the cause of an end is.
    pub cause: Option<&'a str>,
}

impl ResponseHead<'_> {
    /// Whether the body is a stream of events.
    pub(super) fn is_stream(&self) -> bool {
        let media_type = self.content_type.unwrap_or_default().split(';').next().unwrap_or_default();
        media_type.trim().eq_ignore_ascii_case("text/event-stream")
    }

    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// What a value of a routing field says. One that fits into no field travels as `=?base64?…?=`; what looks so and is no text
/// in Base64 stands for itself.
pub(super) fn decoded(value: &str) -> Cow<'_, str> {
    const HEAD: &str = "=?base64?";
    let is_encoded = value.get(..HEAD.len()).is_some_and(|head| head.eq_ignore_ascii_case(HEAD));
    let encoded = value.get(HEAD.len()..).filter(|_| is_encoded).and_then(|rest| rest.strip_suffix("?="));
    let text = encoded.and_then(|encoded| String::from_utf8(BASE64_INDIFFERENT.decode(encoded).ok()?).ok());
    text.map_or(Cow::Borrowed(value), Cow::Owned)
}

/// As much of a value as is kept: an exchange holds no more than it says, whatever a head brings.
pub(super) fn bounded(value: &str) -> &str {
    &value[..value.floor_char_boundary(TOKEN_BYTES_MAX)]
}

/// As much of an event's id as the stream that had it keeps.
pub(super) fn event_id(id: &str) -> &[u8] {
    &id.as_bytes()[..id.len().min(EVENT_ID_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_base64_is_decoded_and_any_other_stands_for_itself() {
        let cases = [
            ("=?base64?csOpc3Vtw6k=?=", "résumé"),
            ("=?BASE64?csOpc3Vtw6k?=", "résumé"),
            ("=?base64?ID0/YmFzZTY0PyA=?=", " =?base64? "),
            ("=?base64??=", ""),
            ("search", "search"),
            ("=?base64?csOpc3Vtw6k=", "=?base64?csOpc3Vtw6k="),
            ("=?base64?not base64?=", "=?base64?not base64?="),
            // No UTF-8.
            ("=?base64?/w==?=", "=?base64?/w==?="),
            ("=?base6", "=?base6"),
            ("éééééé", "éééééé"),
        ];
        for (value, expected) in cases {
            assert_eq!(decoded(value), expected, "{value}");
        }
    }
}
