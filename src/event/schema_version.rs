//! What a server offers, as a proxy observes it. Plain data, on the caller's thread.

/// What a server offers to one caller, as it said in one of its list or handshake results.
///
/// Emit one when it differs from what the same caller was offered before, or when the caller is new. What a version says
/// goes with it once; where that is on record already, [`seen_again`](Self::seen_again) says who was offered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaVersion<'a> {
    /// When it was seen: Unix time in milliseconds, UTC.
    pub ts: i64,
    /// The name of the proxy that saw it.
    pub proxy: &'a str,
    /// The server.
    pub upstream_url: &'a str,
    /// The method whose result this is, such as `tools/list`.
    pub method: &'a str,
    /// The merged `result`, as JSON text. Absent: a version with this hash, and its payload, is on record already.
    pub payload: Option<&'a str>,
    /// SHA-256 of the canonical payload, in lower-case hexadecimal. Payloads of one hash mean the same.
    pub content_hash: &'a str,
    /// Who was offered it: any short text that stays the same for the same caller, and is never a credential. Empty if
    /// nothing is known of the caller.
    pub caller: &'a str,
}

impl<'a> SchemaVersion<'a> {
    /// A version of what `upstream_url` answers to `method`, with its payload.
    pub const fn new(
        ts: i64,
        proxy: &'a str,
        upstream_url: &'a str,
        method: &'a str,
        payload: &'a str,
        content_hash: &'a str,
    ) -> Self {
        Self { ts, proxy, upstream_url, method, payload: Some(payload), content_hash, caller: "" }
    }

    /// A version that is on record, and was offered to somebody who was not offered it before.
    pub const fn seen_again(
        ts: i64,
        proxy: &'a str,
        upstream_url: &'a str,
        method: &'a str,
        content_hash: &'a str,
    ) -> Self {
        Self { ts, proxy, upstream_url, method, payload: None, content_hash, caller: "" }
    }
}
