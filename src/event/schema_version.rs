//! A version of what a server offers, as a proxy observes it. Plain data, on the caller's thread.

/// What a server offers, as it said in one of its list or handshake results.
///
/// Emit one only when the payload changed; the folder compares it with the version before it.
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
    /// The merged `result`, as JSON text.
    pub payload: &'a str,
    /// SHA-256 of the canonical payload, in lower-case hexadecimal.
    pub content_hash: &'a str,
}

impl<'a> SchemaVersion<'a> {
    /// A version of what `upstream_url` answers to `method`.
    pub const fn new(
        ts: i64,
        proxy: &'a str,
        upstream_url: &'a str,
        method: &'a str,
        payload: &'a str,
        content_hash: &'a str,
    ) -> Self {
        Self { ts, proxy, upstream_url, method, payload, content_hash }
    }
}
