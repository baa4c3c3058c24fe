//! The header fields a proxy may not pass on, those it has to put right, and those that the observer is told.
//!
//! Everything else goes through unchanged: Host (unless `--rewrite-host`), Origin and Authorization included, since servers defend themselves
//! against DNS rebinding with the first two. Names keep their case, which the library carries beside the map, and fields
//! their order; the map holds all values of a name in the place of the first one. Pure; runs inside the forwarding tasks.

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap,
    HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::uri::Scheme;
use http::{Method, Uri};
use mcplog_observe::read::Codings;
use mcplog_observe::{RequestHead, ResponseHead, Verb};

/// Fields that concern one connection only (RFC 9110, section 7.6.1). `Trailer` is not among them: trailers pass.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes the fields that end at this proxy, those that `Connection` names included.
///
/// `Upgrade` ends here too, which a server may take as "answer in HTTP": MCP has no use for other protocols.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // Almost every request has no Connection header or `keep-alive` in it; only others allocate.
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // Naming these would only serve to smuggle a request past somebody.
        .filter(|name| name != HOST && name != CONTENT_LENGTH)
        .collect();
    let takes_trailers = headers
        .get_all(TE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("trailers")));
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    retain(headers, |name| {
        let ends_here = HOP_BY_HOP.contains(name) || named.contains(name);
        !ends_here || (takes_trailers && name == TE)
    });
}

/// Names the host that is asked, in the place of the one that the client named.
pub(super) fn rewrite_host(headers: &mut HeaderMap, uri: &Uri) {
    let default_port = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    let host = match (uri.host().unwrap_or_default(), uri.port_u16()) {
        (host, Some(port)) if port != default_port => HeaderValue::try_from(format!("{host}:{port}")),
        (host, _) => HeaderValue::from_str(host),
    };
    if let Ok(host) = host {
        headers.insert(HOST, host);
    }
}

/// Leaves those fields, in their order, which the map's own removing does not keep.
fn retain(headers: &mut HeaderMap, is_kept: impl Fn(&HeaderName) -> bool) {
    if headers.keys().all(&is_kept) {
        return;
    }
    let fields = std::mem::take(headers);
    headers.reserve(fields.len());
    // Further values of a name come without it.
    let mut last = None;
    for (name, value) in fields {
        last = name.or(last);
        if let Some(name) = last.as_ref().filter(|name| is_kept(name)) {
            headers.append(name, value);
        }
    }
}

/// Leaves at most one length, and none beside a transfer coding (RFC 9112, section 6.3). To be called while the fields of
/// the connection are still there.
///
/// The HTTP library reads a body by its transfer coding, but writes it by a length if there is one, which would cut it.
pub(super) fn settle_length(headers: &mut HeaderMap) {
    let without_length = |name: &HeaderName| name != CONTENT_LENGTH;
    if headers.contains_key(TRANSFER_ENCODING) {
        return retain(headers, without_length);
    }
    let mut lengths =
        headers.get_all(CONTENT_LENGTH).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let (first, mut others) = (lengths.next().map(<[u8]>::trim_ascii), lengths);
    let Some(first) = first else { return };
    // Those of a response without a body are not looked at by the library.
    let is_number = !first.is_empty() && first.iter().all(u8::is_ascii_digit);
    let is_one = is_number && others.all(|other| other.trim_ascii() == first);
    match HeaderValue::from_bytes(first) {
        Ok(length) if is_one => {
            headers.insert(CONTENT_LENGTH, length);
        }
        _ => retain(headers, without_length),
    }
}

/// Takes the codings out of `Accept-Encoding` that the recording could not read, such as those that need a dictionary. A field
/// without any passes as it is.
///
/// This is the only header field that the proxy narrows. To leave it alone would mean rows that cannot say how a request ended.
pub(super) fn limit_accept_encoding(headers: &mut HeaderMap) {
    let is_known = |item: &&str| Codings::can_undo(item.split(';').next().unwrap_or_default().trim());
    let values: Vec<&str> = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).collect();
    let items = || values.iter().flat_map(|value| value.split(',')).map(str::trim).filter(|item| !item.is_empty());
    if items().all(|item| is_known(&item)) {
        return;
    }
    let kept: Vec<&str> = items().filter(is_known).collect();
    let value = if kept.is_empty() { "identity".to_owned() } else { kept.join(", ") };
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(ACCEPT_ENCODING, value);
    }
}

/// What the observer is told of a request's head.
pub(super) fn request_head(head: &http::request::Parts) -> RequestHead<'_> {
    RequestHead {
        verb: match head.method {
            Method::POST => Verb::Post,
            Method::DELETE => Verb::Delete,
            _ => Verb::Other,
        },
        session: text(&head.headers, "mcp-session-id"),
        path: head.uri.path(),
        query: head.uri.query(),
        last_event_id: text(&head.headers, "last-event-id"),
        protocol_version: text(&head.headers, "mcp-protocol-version"),
        authorization: text(&head.headers, AUTHORIZATION.as_str()),
        user_agent: text(&head.headers, USER_AGENT.as_str()),
        method: text(&head.headers, "mcp-method"),
        name: text(&head.headers, "mcp-name"),
    }
}

/// What the observer is told of a response's head.
///
/// `cause` is why the response is no answer, if its head says that.
pub(super) fn response_head<'h>(head: &'h http::response::Parts, cause: Option<&'h str>) -> ResponseHead<'h> {
    ResponseHead {
        status: head.status.as_u16(),
        session: text(&head.headers, "mcp-session-id"),
        content_type: text(&head.headers, CONTENT_TYPE.as_str()),
        codings: codings(&head.headers),
        cause,
    }
}

/// How the body is packed.
pub(super) fn codings(headers: &HeaderMap) -> Codings {
    Codings::of(headers.get_all(CONTENT_ENCODING).iter().map(|value| value.to_str().unwrap_or("?")))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn hop_by_hop_fields_and_those_connection_names_end_here() {
        let mut map = headers(&[
            ("connection", "keep-alive, X-Secret-Hop"),
            ("connection", "x-other-hop"),
            ("keep-alive", "timeout=5"),
            ("x-secret-hop", "1"),
            ("x-other-hop", "2"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("proxy-authorization", "Basic x"),
            ("host", "127.0.0.1:3000"),
            ("origin", "http://localhost"),
            ("authorization", "Bearer t"),
            ("trailer", "x-sum"),
            ("x-unknown", "stays"),
        ]);
        strip_hop_by_hop(&mut map);
        let expected = headers(&[
            ("host", "127.0.0.1:3000"),
            ("origin", "http://localhost"),
            ("authorization", "Bearer t"),
            ("trailer", "x-sum"),
            ("x-unknown", "stays"),
        ]);
        assert_eq!(map, expected);
    }

    #[test]
    fn fields_that_stay_keep_their_order() {
        let mut map = headers(&[
            ("b", "1"),
            ("connection", "c"),
            ("content-length", "1"),
            ("a", "1"),
            ("c", "1"),
            ("te", "trailers"),
            ("b", "2"),
            ("transfer-encoding", "chunked"),
            ("d", "1"),
        ]);
        settle_length(&mut map);
        strip_hop_by_hop(&mut map);
        let left: Vec<_> = map.iter().map(|(name, value)| format!("{name}:{}", value.to_str().unwrap())).collect();
        assert_eq!(left, ["b:1", "b:2", "a:1", "te:trailers", "d:1"]);
    }

    #[test]
    fn the_host_is_that_of_the_address_without_the_port_that_goes_without_saying() {
        for (uri, expected) in [
            ("http://h:9000/mcp", "h:9000"),
            ("http://h:80/mcp", "h"),
            ("https://h:80/mcp", "h:80"),
            ("https://h/mcp", "h"),
            ("http://[::1]:9000/", "[::1]:9000"),
        ] {
            let mut map = headers(&[("host", "client"), ("x", "1")]);
            rewrite_host(&mut map, &uri.parse().unwrap());
            let fields: Vec<_> = map.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
            assert_eq!(fields, [("host", expected), ("x", "1")]);
        }
    }

    #[test]
    fn connection_cannot_take_host_or_the_length_away() {
        let mut map = headers(&[("connection", "host, content-length"), ("host", "h"), ("content-length", "3")]);
        strip_hop_by_hop(&mut map);
        assert_eq!(map, headers(&[("host", "h"), ("content-length", "3")]));
    }

    #[test]
    fn a_response_has_one_length_or_none() {
        for (given, expected) in [
            (&[("content-length", "5")][..], &[("content-length", "5")][..]),
            (&[("content-length", "5, 5")], &[("content-length", "5")]),
            (&[("content-length", "5"), ("content-length", " 5 ")], &[("content-length", "5")]),
            (&[("content-length", "5, 6")], &[]),
            (&[("content-length", "5"), ("content-length", "6")], &[]),
            (&[("content-length", "x")], &[]),
            (&[("content-length", "")], &[]),
            (&[("content-length", "5"), ("transfer-encoding", "chunked")], &[("transfer-encoding", "chunked")]),
            (&[], &[]),
        ] {
            let mut map = headers(given);
            settle_length(&mut map);
            assert_eq!(map, headers(expected), "{given:?}");
        }
    }

    #[test]
    fn a_peer_that_takes_trailers_is_still_said_to() {
        let mut map = headers(&[("te", "gzip;q=0.5, Trailers"), ("connection", "te")]);
        strip_hop_by_hop(&mut map);
        assert_eq!(map, headers(&[("te", "trailers")]));
    }

    #[test]
    fn accept_encoding_loses_only_what_cannot_be_read() {
        let cases = [
            ("gzip, deflate", "gzip, deflate"),
            ("gzip,deflate;q=0.5", "gzip,deflate;q=0.5"),
            ("gzip, deflate, br, zstd", "gzip, deflate, br, zstd"),
            ("br;q=1.0, gzip;q=0.8, *;q=0.1", "br;q=1.0, gzip;q=0.8, *;q=0.1"),
            ("gzip, deflate, br, zstd, dcb, dcz", "gzip, deflate, br, zstd"),
            ("compress;q=0.5,x-gzip", "x-gzip"),
            ("compress", "identity"),
            ("*", "*"),
            ("identity", "identity"),
        ];
        for (given, expected) in cases {
            let mut map = headers(&[("accept-encoding", given)]);
            limit_accept_encoding(&mut map);
            assert_eq!(map, headers(&[("accept-encoding", expected)]), "{given}");
        }
        let mut several = headers(&[("accept-encoding", "gzip"), ("accept-encoding", "br")]);
        let as_it_was = several.clone();
        limit_accept_encoding(&mut several);
        assert_eq!(several, as_it_was);
        several.append(ACCEPT_ENCODING, HeaderValue::from_static("dcz"));
        limit_accept_encoding(&mut several);
        assert_eq!(several, headers(&[("accept-encoding", "gzip, br")]));
        let mut none = HeaderMap::new();
        limit_accept_encoding(&mut none);
        assert!(none.is_empty());
    }
}
