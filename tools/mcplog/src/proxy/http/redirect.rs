//! Where a response leads: back through the proxy, if it names the upstream itself.
//!
//! Pure; runs inside the forwarding tasks. `Location` and `Content-Location` are looked at. `Link` and `WWW-Authenticate` are
//! not: what they name are resources whose names are compared (OAuth's), and not addresses that a client is sent to.

use crate::proxy::upstream_url::UpstreamUrl;
use http::StatusCode;
use http::header::{CONTENT_LOCATION, HeaderMap, HeaderValue, LOCATION};

/// Makes references to the upstream's own origin relative, so that they lead to the address that the client used.
///
/// A relative reference is right whatever that was: the scheme in front of a proxy that ends TLS, a forwarded port. The
/// alternative, to put together an address from Host, would have to guess the scheme.
pub(super) fn lead_back(headers: &mut HeaderMap, upstream: &UpstreamUrl) {
    for name in [LOCATION, CONTENT_LOCATION] {
        let Some(reference) = headers.get(&name).and_then(|value| value.to_str().ok()) else { continue };
        let within = upstream.within(reference).map(|within| HeaderValue::try_from(within.as_ref()));
        if let Some(Ok(value)) = within {
            headers.insert(name, value);
        }
    }
}

/// Where a redirect leads, for the row: without query and fragment, and without a password.
pub(super) fn target(status: StatusCode, headers: &HeaderMap) -> Option<String> {
    if !status.is_redirection() {
        return None;
    }
    let location = headers.get(LOCATION)?.to_str().ok()?;
    let bare = location.split(['?', '#']).next().unwrap_or_default();
    let shown = match bare.split_once("//") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}//{host}{path}")
        }
        _ => bare.to_owned(),
    };
    Some(format!("{} to {shown}", status.as_u16()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn what_names_the_upstream_leads_to_the_proxy_and_nothing_else_does() {
        for (upstream, given, expected) in [
            ("http://h:9/mcp", "http://h:9/mcp/", "/mcp/"),
            ("http://h:9/mcp", "http://H:9/mcp/?a=b#c", "/mcp/?a=b#c"),
            ("http://h:9/mcp", "//h:9/mcp/", "/mcp/"),
            ("http://h:9/mcp", "http://h:9", "/"),
            ("http://h:9/mcp", "http://h:9?x", "/?x"),
            ("http://h/mcp", "HTTP://h:80/x", "/x"),
            ("http://h:80/mcp", "http://h/x", "/x"),
            ("https://h/mcp", "https://h:443/x", "/x"),
            ("http://[::1]:9/mcp", "http://[::1]:9/x", "/x"),
            // What would name another host once it is relative.
            ("http://h:9/mcp", "http://h:9//evil.example/x", "/.//evil.example/x"),
            // Another origin, or none.
            ("http://h:9/mcp", "https://h:9/x", "https://h:9/x"),
            ("http://h/mcp", "https://h/x", "https://h/x"),
            ("http://h:9/mcp", "http://h:90/x", "http://h:90/x"),
            ("http://h:9/mcp", "http://h/x", "http://h/x"),
            ("http://h:9/mcp", "http://h.example:9/x", "http://h.example:9/x"),
            ("http://h:9/mcp", "http://u@h:9/x", "http://u@h:9/x"),
            ("http://h:9/mcp", "/mcp/?x", "/mcp/?x"),
            ("http://h:9/mcp", "mcp/", "mcp/"),
            ("http://h:9/mcp", "?http://h:9/x", "?http://h:9/x"),
            ("http://h:9/mcp", "mailto:h:9", "mailto:h:9"),
            ("http://h:9/mcp", "", ""),
        ] {
            let mut headers = location(given);
            lead_back(&mut headers, &UpstreamUrl::parse(upstream).unwrap());
            assert_eq!(headers[LOCATION], expected, "{upstream} {given}");
        }
    }

    #[test]
    fn a_row_says_where_to_without_query_and_password() {
        for (status, given, expected) in [
            (307, "/mcp/?key=hunter2", Some("307 to /mcp/")),
            (301, "https://u:hunter2@h/x#hunter2", Some("301 to https://h/x")),
            (302, "//u:hunter2@h", Some("302 to //h")),
            (308, "mcp/", Some("308 to mcp/")),
            (303, "/a//b@c", Some("303 to /a//b@c")),
            (200, "/mcp/", None),
            (404, "/mcp/", None),
        ] {
            let found = target(StatusCode::from_u16(status).unwrap(), &location(given));
            assert_eq!(found.as_deref(), expected, "{given}");
        }
        assert_eq!(target(StatusCode::FOUND, &HeaderMap::new()), None);
    }
}
