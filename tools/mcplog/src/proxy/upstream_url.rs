//! The upstream's URL, and where a request goes.
//!
//! Pure; used by the forwarding tasks.

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use std::borrow::Cow;

/// A URL that cannot be an upstream's.
#[derive(Debug, thiserror::Error)]
#[error("upstream {url:?}: {expected}")]
pub(crate) struct UpstreamError {
    /// The URL, without what may be a secret.
    url: String,
    expected: &'static str,
}

/// An upstream's URL, taken apart.
///
/// The proxy stands for the upstream's whole origin: a request keeps its path and query, so that an authorization
/// server's `/.well-known/` and the endpoints of the 2024-11-05 transport are found where the server says they are. The
/// one exception is the path `/`, which stands for the URL's own path.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamUrl {
    scheme: Scheme,
    authority: Authority,
    endpoint: PathAndQuery,
}

impl UpstreamUrl {
    /// Takes a URL apart. It must be `http` or `https`, without credentials.
    pub(crate) fn parse(url: &str) -> Result<Self, UpstreamError> {
        let refuse = |expected| UpstreamError { url: without_secrets(url), expected };
        let uri: Uri = url.parse().map_err(|_| refuse("expected a URL such as http://127.0.0.1:9000/mcp"))?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(refuse("expected a whole URL, such as http://127.0.0.1:9000/mcp"));
        };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(refuse("expected http or https"));
        }
        if authority.as_str().contains('@') {
            return Err(refuse("expected no user or password: the clients' Authorization header goes through"));
        }
        let endpoint = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Self { scheme, authority, endpoint })
    }

    /// The path of the MCP endpoint.
    pub(crate) fn path(&self) -> &str {
        self.endpoint.path()
    }

    /// The host, and the port if it is not the scheme's own.
    pub(crate) fn authority(&self) -> &str {
        self.authority.as_str()
    }

    /// Scheme and authority: what all servers behind it have in common.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// The endpoint that a request for that path is for, by which its server is known. A slash at the end makes no other one:
    /// servers redirect from one to the other, or take both.
    pub(crate) fn server_of<'p>(&'p self, path: &'p str) -> &'p str {
        let bare = |path: &'p str| path.strip_suffix('/').filter(|bare| !bare.is_empty()).unwrap_or(path);
        if bare(path) == bare(self.path()) { self.path() } else { bare(path) }
    }

    /// The URL as it is recorded and shown: without the query, which may hold a key.
    pub(crate) fn recorded(&self) -> String {
        format!("{}://{}{}", self.scheme, self.authority, self.endpoint.path())
    }

    /// Where a request for that URI goes.
    pub(crate) fn uri_for(&self, uri: &Uri) -> Result<Uri, http::Error> {
        let target = match uri.path_and_query() {
            None => self.endpoint.clone(),
            Some(target) if target.path() != "/" || self.endpoint.path() == "/" && target.query().is_some() => {
                target.clone()
            }
            Some(target) => match target.query() {
                None => self.endpoint.clone(),
                Some(query) => PathAndQuery::try_from(format!("{}?{query}", self.endpoint.path()))?,
            },
        };
        Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone()).path_and_query(target).build()
    }

    /// What a reference to the upstream's origin is within that origin: its path, query and fragment. `None` if it names no
    /// origin, or another one.
    pub(crate) fn within<'r>(&self, reference: &'r str) -> Option<Cow<'r, str>> {
        let (scheme, rest) = reference.split_once("//")?;
        let is_own_scheme = match scheme.strip_suffix(':') {
            Some(scheme) => scheme.eq_ignore_ascii_case(self.scheme.as_str()),
            None => scheme.is_empty(),
        };
        let (authority, within) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let authority: Authority = authority.parse().ok().filter(|_| is_own_scheme)?;
        let is_own = authority.host().eq_ignore_ascii_case(self.authority.host())
            && !authority.as_str().contains('@')
            && self.port_of(&authority) == self.port_of(&self.authority);
        is_own.then(|| match within {
            // Two slashes would begin a host.
            within if within.starts_with("//") => Cow::Owned(format!("/.{within}")),
            within if within.starts_with('/') => Cow::Borrowed(within),
            within => Cow::Owned(format!("/{within}")),
        })
    }

    fn port_of(&self, authority: &Authority) -> u16 {
        authority.port_u16().unwrap_or(if self.is_tls() { 443 } else { 80 })
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }
}

/// A URL that could not be parsed may still hold a password; errors are shown and logged.
fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}://...{}", &url[..scheme], &url[at..]),
        (None, Some(at)) => format!("...{}", &url[at..]),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_keeps_its_path_and_the_root_stands_for_the_endpoint() {
        let cases = [
            ("http://h:9/mcp", "/mcp", "http://h:9/mcp"),
            ("http://h:9/mcp", "/", "http://h:9/mcp"),
            ("http://h:9/mcp?key=1", "/", "http://h:9/mcp?key=1"),
            ("http://h:9/mcp?key=1", "/?a=b", "http://h:9/mcp?a=b"),
            ("http://h:9/mcp", "/mcp?a=b", "http://h:9/mcp?a=b"),
            (
                "http://h:9/mcp",
                "/.well-known/oauth-protected-resource",
                "http://h:9/.well-known/oauth-protected-resource",
            ),
            ("http://h:9/sse", "/messages/?session_id=1", "http://h:9/messages/?session_id=1"),
            ("http://h:9", "/mcp", "http://h:9/mcp"),
            ("http://h:9", "/", "http://h:9/"),
            ("http://h:9", "/?a=b", "http://h:9/?a=b"),
            ("http://h:9/mcp", "http://proxy:3000/mcp", "http://h:9/mcp"),
            ("https://h/a/b", "/a/b/c%20d", "https://h/a/b/c%20d"),
        ];
        for (upstream, request, expected) in cases {
            let upstream = UpstreamUrl::parse(upstream).unwrap();
            assert_eq!(upstream.uri_for(&request.parse().unwrap()).unwrap(), expected, "{upstream:?} {request}");
        }
    }

    #[test]
    fn a_server_is_known_by_its_path_whatever_slash_ends_it() {
        let cases = [
            ("http://h/mcp", [("/mcp", "/mcp"), ("/mcp/", "/mcp"), ("/servers/a/mcp/", "/servers/a/mcp"), ("/", "/")]),
            ("http://h/mcp/", [("/mcp", "/mcp/"), ("/mcp/", "/mcp/"), ("/sse", "/sse"), ("/mcp//", "/mcp/")]),
            ("http://h", [("/", "/"), ("/mcp", "/mcp"), ("/mcp/", "/mcp"), ("//", "/")]),
        ];
        for (url, paths) in cases {
            let url = UpstreamUrl::parse(url).unwrap();
            for (path, expected) in paths {
                assert_eq!(url.server_of(path), expected, "{url:?} {path}");
            }
        }
        assert_eq!(UpstreamUrl::parse("https://h:8443/mcp").unwrap().origin(), "https://h:8443");
    }

    #[test]
    fn a_url_that_cannot_be_an_upstream_is_refused_without_its_secrets() {
        for url in
            ["", "/mcp", "h:9", "ftp://h/", "http://user:hunter2@h/mcp", "user:hunter2@h", "http://h /?k=hunter2"]
        {
            let error = UpstreamUrl::parse(url).unwrap_err().to_string();
            assert!(error.starts_with("upstream \"") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_recorded_url_has_no_query() {
        let url = UpstreamUrl::parse("https://h:8443/mcp?api_key=hunter2").unwrap();
        assert_eq!(url.recorded(), "https://h:8443/mcp");
        assert_eq!(UpstreamUrl::parse("http://h").unwrap().recorded(), "http://h/");
    }
}
