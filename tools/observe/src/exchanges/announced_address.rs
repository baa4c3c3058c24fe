//! The address that a stream of the 2024-11-05 transport announces, and the one that a request asks, in the same form.
//!
//! Pure. Path and query count, and no origin: the proxy stands for its upstream's.

use super::address::normal;
use url::Url;

/// The address that a stream on that path announces with that reference. `None` if it is no address of HTTP.
pub(super) fn announced(path: &str, reference: &str) -> Option<String> {
    let stream = Url::parse("http://proxy/").ok()?.join(path.trim_start_matches("//")).ok()?;
    let url = stream.join(reference).ok().filter(|_| !reference.is_empty())?;
    matches!(url.scheme(), "http" | "https").then(|| asked(url.path(), url.query()))
}

/// The address that a request asks.
pub(super) fn asked(path: &str, query: Option<&str>) -> String {
    let whole = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    normal(&whole).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_finds_the_address_that_its_stream_announced() {
        for (path, reference, expected) in [
            ("/sse", "/messages/?session_id=0a1b", Some("/messages/?session_id=0a1b")),
            ("/sse", "/messages/0a1b", Some("/messages/0a1b")),
            ("/a/sse", "message?sessionId=x", Some("/a/message?sessionId=x")),
            ("/a/sse", "../b/message", Some("/b/message")),
            ("/a/sse/", "message", Some("/a/sse/message")),
            ("/a/sse", "?clientId=1", Some("/a/sse?clientId=1")),
            ("/sse", "http://127.0.0.1:9000/messages?x=%2b&y=%7e", Some("/messages?x=%2B&y=~")),
            ("/sse", "https://example.com", Some("/")),
            ("/sse", "//example.com/m#part", Some("/m")),
            ("/sse", "/m#part", Some("/m")),
            ("/sse", "/m?q=a b", Some("/m?q=a%20b")),
            ("//sse", "m", Some("/m")),
            ("/sse", "data:text/plain,x", None),
            ("/sse", "http://[", None),
            ("/sse", "", None),
        ] {
            assert_eq!(announced(path, reference).as_deref(), expected, "{path} {reference}");
        }
        assert_eq!(asked("/m%7e", Some("x=%2b")), "/m~?x=%2B");
        assert_eq!(asked("/m", None), "/m");
    }
}
