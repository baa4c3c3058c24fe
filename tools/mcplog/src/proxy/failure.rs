//! Why a request has no response, and what its row then says.
//!
//! Pure data.

use mcplog::Status;
use std::borrow::Cow;

/// Why a request has no response. The names are stored and must stay what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No connection to the upstream.
    UpstreamUnreachable,
    /// The connection to the upstream broke before the response was complete.
    StreamBroken,
    /// The upstream's response ended in good order without an answer to this request.
    NoResponse,
    /// The upstream answered with this HTTP status and no JSON-RPC message.
    Http(u16),
    /// The response has a coding that the proxy cannot read; it was passed on as it came.
    UnreadableResponse,
    /// The client went away before the answer.
    ClientGone,
    /// The client took the request back (`notifications/cancelled`).
    Cancelled,
    /// The proxy was stopped before the answer.
    ProxyShutdown,
    /// The upstream stayed silent for longer than its time limit.
    Timeout,
}

impl Failure {
    /// The `error_code`.
    pub(super) fn code(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::StreamBroken => "stream_broken",
            Self::NoResponse => "no_response",
            Self::Http(status) => return Cow::Owned(format!("http_{status}")),
            Self::UnreadableResponse => "unreadable_response",
            Self::ClientGone => "client_gone",
            Self::Cancelled => "cancelled",
            Self::ProxyShutdown => "proxy_shutdown",
            Self::Timeout => "upstream_timeout",
        })
    }

    /// The `error_msg`: one sentence for people.
    pub(super) fn message(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::UpstreamUnreachable => "the upstream could not be reached",
            Self::StreamBroken => "the connection to the upstream broke before the response was complete",
            Self::NoResponse => "the upstream's response ended without an answer to this request",
            Self::Http(status) => return Cow::Owned(format!("the upstream answered HTTP {status} without JSON-RPC")),
            Self::UnreadableResponse => "the response has a content coding that the proxy cannot read",
            Self::ClientGone => "the client went away before the answer",
            Self::Cancelled => "the client cancelled the request",
            Self::ProxyShutdown => "the proxy was stopped before the answer",
            Self::Timeout => "the upstream did not answer within its time limit",
        })
    }

    /// The `status`.
    pub(super) fn status(self) -> Status {
        if self == Self::Timeout { Status::Timeout } else { Status::Error }
    }
}
