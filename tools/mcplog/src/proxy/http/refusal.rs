//! Requests that are not forwarded: nobody can say for sure what they ask for, or whom, they want a tunnel, or the proxy sent
//! them itself.
//!
//! Pure. They are refused before their bodies are read, and have no rows: what they would have been is not known.

use super::via::Via;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{Method, StatusCode, Version};

/// How many header fields a head may have: what the HTTP library reads without allocating.
pub(super) const FIELDS_MAX: usize = 100;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// CONNECT, which asks for a tunnel.
    Tunnel,
    /// HTTP/1.1 without a Host field.
    NoHost,
    /// More than one Host field.
    SeveralHosts,
    /// A Host that is none.
    BadHost,
    /// A target in none of the forms that the method may have.
    BadTarget,
    /// A body in a transfer coding other than chunked.
    TransferCoding,
    /// The proxy's own request came back.
    Loop,
}

impl Refusal {
    /// Why that request is refused; `None` if nothing is wrong.
    pub(super) fn of(head: &Parts, via: &Via) -> Option<Self> {
        if head.method == Method::CONNECT {
            return Some(Self::Tunnel);
        }
        if let Some(refusal) = of_host(head) {
            return Some(refusal);
        }
        if !has_usable_target(head) {
            return Some(Self::BadTarget);
        }
        if !is_chunked_only(&head.headers) {
            return Some(Self::TransferCoding);
        }
        via.is_in(&head.headers).then_some(Self::Loop)
    }

    /// The status that the client gets.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Tunnel => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoHost | Self::SeveralHosts | Self::BadHost | Self::BadTarget => StatusCode::BAD_REQUEST,
            Self::TransferCoding => StatusCode::NOT_IMPLEMENTED,
            Self::Loop => StatusCode::LOOP_DETECTED,
        }
    }

    /// Why, in words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Tunnel => "CONNECT is not served: this is no forward proxy",
            Self::NoHost => "the request has no Host field",
            Self::SeveralHosts => "the request has more than one Host field",
            Self::BadHost => "the request's Host field is not valid",
            Self::BadTarget => "the request target is not valid",
            Self::TransferCoding => "no transfer coding is served but chunked",
            Self::Loop => "the upstream leads back to this proxy",
        }
    }

    /// The fields of the response.
    pub(super) fn fields(self, headers: &mut HeaderMap, via: &Via) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        // What follows on the connection may be the rest of an attack.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        match self {
            Self::Tunnel => {
                headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, DELETE, OPTIONS"));
            }
            Self::Loop => via.mark_loop(headers),
            _ => {}
        }
    }
}

/// A whole response as bytes, for where there is no HTTP library. `fields` are whole lines.
pub(super) fn text_response(status: StatusCode, fields: &str, words: &str) -> Vec<u8> {
    let body = format!("mcplog proxy: {words}\n");
    let reason = status.canonical_reason().unwrap_or("Refused");
    format!(
        "HTTP/1.1 {} {reason}\r\n{fields}connection: close\r\ncontent-type: text/plain; charset=utf-8\r\n\
         content-length: {}\r\n\r\n{body}",
        status.as_u16(),
        body.len()
    )
    .into_bytes()
}

/// The Host that an absolute target names takes the place of the field (RFC 9112, section 3.2.2).
pub(super) fn take_host_of_target(head: &mut Parts) {
    let of_target = head.uri.scheme().and(head.uri.authority());
    if let Some(host) = of_target.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()) {
        head.headers.insert(HOST, host);
    }
}

fn of_host(head: &Parts) -> Option<Refusal> {
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if head.version == Version::HTTP_11 => Some(Refusal::NoHost),
        (None, _) => None,
        (Some(_), Some(_)) => Some(Refusal::SeveralHosts),
        (Some(host), None) => (!is_host(host.as_bytes())).then_some(Refusal::BadHost),
    }
}

/// `uri-host [ ":" port ]`, and a host at all. A comma, which a name may have by the letter, would be a list to others.
fn is_host(host: &[u8]) -> bool {
    if host.contains(&b',') {
        return false;
    }
    let Ok(authority) = Authority::try_from(host) else { return false };
    let name = authority.host();
    let Some(rest) = authority.as_str().strip_prefix(name) else { return false };
    let is_port =
        |port: &str| port.is_empty() || (port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok());
    !name.is_empty() && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

fn has_usable_target(head: &Parts) -> bool {
    let uri = &head.uri;
    match (uri.scheme(), uri.authority()) {
        (None, None) => uri.path().starts_with('/') || (uri.path() == "*" && head.method == Method::OPTIONS),
        (Some(scheme), Some(authority)) => {
            (*scheme == Scheme::HTTP || *scheme == Scheme::HTTPS) && is_host(authority.as_str().as_bytes())
        }
        _ => false,
    }
}

/// Whether the body has no transfer coding, or only the one that is always taken off.
pub(super) fn is_chunked_only(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_chunked = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    codings.next().is_none_or(is_chunked) && codings.next().is_none()
}

#[cfg(test)]
#[path = "refusal_tests.rs"]
mod tests;
