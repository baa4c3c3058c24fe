//! The mark by which the proxy knows its own requests again: its name in `Via` (RFC 9110, section 7.6.3).
//!
//! Pure but for the name, which is random: two proxies in a row are legal, the same one twice is a loop. Only requests have the
//! mark, and only those that look like one which is on its way already (`lookalikes.rs`): a request in a circle does from its
//! second turn on. So what passes is not changed, but for requests that are alike at the same time. To mark each was
//! rejected: servers that show or sign what they receive would see the proxy.

use http::Version;
use http::header::{HeaderMap, HeaderName, HeaderValue, VIA};
use uuid::Uuid;

/// The field of a response that says whose request came back to it.
const LOOP: HeaderName = HeaderName::from_static("mcplog-loop");

/// One process's mark.
pub(super) struct Via {
    name: HeaderValue,
    of_http_10: HeaderValue,
    of_http_11: HeaderValue,
}

impl Via {
    /// A mark that no other process has.
    pub(super) fn new() -> Self {
        let name = format!("mcplog-{:016x}", Uuid::new_v4().as_u64_pair().0);
        let value = |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("mcplog"));
        Self {
            of_http_10: value(&format!("1.0 {name}")),
            of_http_11: value(&format!("1.1 {name}")),
            name: value(&name),
        }
    }

    /// Marks a request that was received in that version.
    pub(super) fn mark(&self, headers: &mut HeaderMap, received: Version) {
        let value = if received == Version::HTTP_10 { &self.of_http_10 } else { &self.of_http_11 };
        headers.append(VIA, value.clone());
    }

    /// Whether a request has the mark, wherever it has been meanwhile.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let name = self.name.as_bytes();
        headers.get_all(VIA).iter().any(|value| {
            value.as_bytes().split(|byte| *byte == b',').any(|hop| {
                // The protocol, the name, and perhaps a comment.
                hop.split(u8::is_ascii_whitespace).filter(|part| !part.is_empty()).nth(1) == Some(name)
            })
        })
    }

    /// Says in the refusal of such a request whose it was.
    pub(super) fn mark_loop(&self, headers: &mut HeaderMap) {
        headers.insert(LOOP, self.name.clone());
    }

    /// Whether a response says that this proxy's own request came back to it.
    pub(super) fn is_loop(&self, headers: &HeaderMap) -> bool {
        headers.get_all(LOOP).iter().any(|name| *name == self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_among_others_and_is_nobody_elses() {
        let (own, other) = (Via::new(), Via::new());
        let mut headers = HeaderMap::new();
        assert!(!own.is_in(&headers));
        other.mark(&mut headers, Version::HTTP_11);
        assert!(!own.is_in(&headers) && other.is_in(&headers));
        let name = own.name.to_str().unwrap();
        for (value, expected) in [
            (format!("1.1 {name}"), true),
            (format!("1.1 nginx,HTTP/1.0  {name} (mcplog), 2 edge"), true),
            (format!("1.1 nginx,1.0\t{name}"), true),
            (format!("1.1 {name}x"), false),
            (format!("{name} 1.1"), false),
            (String::new(), false),
        ] {
            let mut headers = headers.clone();
            headers.append(VIA, HeaderValue::from_str(&value).unwrap());
            assert_eq!(own.is_in(&headers), expected, "{value}");
        }
    }

    #[test]
    fn a_refusal_is_known_again_by_whom_it_is_for() {
        let (own, other) = (Via::new(), Via::new());
        let mut headers = HeaderMap::new();
        own.mark_loop(&mut headers);
        assert!(own.is_loop(&headers) && !other.is_loop(&headers));
    }
}
