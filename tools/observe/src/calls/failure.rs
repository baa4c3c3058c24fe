//! Why a request has no response, and what its row then says.
//!
//! Pure data.

use mcplog::event::Direction;
use std::borrow::Cow;

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End<'a> {
    /// The upstream completed its response.
    Complete,
    /// The upstream broke off, before its response or within. With the cause, as for [`End::Unreachable`].
    Broken(&'a str),
    /// No connection to the upstream. With the cause, in the words of whoever noticed, such as `connection refused`: it is
    /// recorded, so it must hold no payload, no credential, and of a URL no query. What is too long of it is cut.
    Unreachable(&'a str),
    /// The upstream was silent for longer than its time limit. With the cause: what was waited for.
    Silent(&'a str),
    /// The upstream leads back to this proxy. With the cause.
    Loop(&'a str),
    /// The client went away, or was sent away.
    ClientGone,
    /// The client did not send the rest of its request in time.
    ClientSilent,
    /// The proxy failed. With the cause.
    ProxyFailed(&'a str),
}

impl<'a> End<'a> {
    /// Why the upstream, or the proxy, failed, if it did.
    pub(super) fn cause(self) -> Option<&'a str> {
        match self {
            Self::Broken(cause)
            | Self::Unreachable(cause)
            | Self::Silent(cause)
            | Self::Loop(cause)
            | Self::ProxyFailed(cause) => Some(cause),
            Self::Complete | Self::ClientGone | Self::ClientSilent => None,
        }
    }
}

/// Why a request has no response. The names are stored and must stay what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection to the upstream.
    UpstreamUnreachable,
    /// The connection to the upstream broke before the response was complete.
    StreamBroken,
    /// The upstream's response ended in good order without an answer to this request.
    NoResponse,
    /// The upstream answered with this HTTP status and no JSON-RPC message.
    Http(u16),
    /// The response, or a part of it, was passed on unread: its coding is unknown or broken, or there was no memory to read it.
    /// Nothing is known of the answer.
    UnreadableResponse,
    /// The client went away before the answer.
    ClientGone,
    /// The client took the request back (`notifications/cancelled`).
    Cancelled,
    /// The proxy was stopped before the answer.
    ProxyShutdown,
    /// The upstream stayed silent for longer than its time limit.
    Timeout,
    /// The upstream leads back to this proxy.
    UpstreamLoop,
    /// The client did not send the rest of its request in time.
    ClientTimeout,
    /// The client did not answer what the server asked within its time limit.
    AnswerTimeout,
    /// The server asked so much that this request had to be given up before its client answered.
    Displaced,
    /// The proxy itself failed.
    ProxyError,
    /// The process that the server was ended before the answer.
    ServerExited,
}

impl Failure {
    /// Why a call has no answer, of an exchange that ended in that way.
    ///
    /// `status` is that of the response, if its head came. `is_unread` says that its body passed unread, `is_stopping`
    /// that the proxy is cutting connections, so that who goes away was sent away.
    pub(crate) fn of(end: End<'_>, status: Option<u16>, is_unread: bool, is_stopping: bool) -> Self {
        match (end, status) {
            (End::ClientGone, _) if is_stopping => Self::ProxyShutdown,
            (End::ClientGone, _) => Self::ClientGone,
            (End::Broken(_), _) => Self::StreamBroken,
            (End::Unreachable(_), _) => Self::UpstreamUnreachable,
            (End::Silent(_), _) => Self::Timeout,
            (End::Loop(_), _) => Self::UpstreamLoop,
            (End::ClientSilent, _) => Self::ClientTimeout,
            (End::ProxyFailed(_), _) => Self::ProxyError,
            (End::Complete, Some(status @ 300..=599)) => Self::Http(status),
            (End::Complete, _) if is_unread => Self::UnreadableResponse,
            (End::Complete, _) => Self::NoResponse,
        }
    }

    /// The `error_code`.
    pub fn code(self) -> Cow<'static, str> {
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
            Self::UpstreamLoop => "upstream_loop",
            Self::ClientTimeout => "client_timeout",
            Self::AnswerTimeout => "answer_timeout",
            Self::Displaced => "displaced",
            Self::ProxyError => "proxy_error",
            Self::ServerExited => "server_exited",
        })
    }

    /// The `error_msg`: one sentence for people.
    pub fn message(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::UpstreamUnreachable => "the upstream could not be reached",
            Self::StreamBroken => "the connection to the upstream broke before the response was complete",
            Self::NoResponse => "the upstream's response ended without an answer to this request",
            Self::Http(status) => return Cow::Owned(format!("the upstream answered HTTP {status} without JSON-RPC")),
            Self::UnreadableResponse => "the response was passed on, but could not be read",
            Self::ClientGone => "the client went away before the answer",
            Self::Cancelled => "the client cancelled the request",
            Self::ProxyShutdown => "the proxy was stopped before the answer",
            Self::Timeout => "the upstream did not answer within its time limit",
            Self::UpstreamLoop => "the upstream leads back to this proxy",
            Self::ClientTimeout => "the client did not send the rest of its request in time",
            Self::AnswerTimeout => "the client did not answer within its time limit",
            Self::Displaced => "the server asked more than is remembered before the client answered",
            Self::ProxyError => "the proxy itself failed on this request",
            Self::ServerExited => "the server's process ended before the answer",
        })
    }
}

impl Failure {
    /// The same sentence, for a row of that direction.
    pub(super) fn message_of(self, direction: Direction) -> Cow<'static, str> {
        let of_server = match self {
            Self::NoResponse => "the stream or the session ended before the client answered",
            Self::StreamBroken => "the connection to the upstream broke before the client answered",
            Self::ClientGone => "the client went away before it answered",
            Self::Cancelled => "the server cancelled the request",
            Self::ProxyShutdown => "the proxy was stopped before the client answered",
            _ => return self.message(),
        };
        if direction == Direction::Server { Cow::Borrowed(of_server) } else { self.message() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_an_exchange_has_its_failure() {
        use Failure::{ClientGone, Http, NoResponse, ProxyShutdown, StreamBroken, Timeout, UnreadableResponse};
        // What is asked for is the same for all of a response's states but where the upstream completed it.
        let statuses = [None, Some(199), Some(200), Some(302), Some(400), Some(599), Some(600)];
        for status in statuses {
            for is_unread in [false, true] {
                for is_stopping in [false, true] {
                    let of = |end| Failure::of(end, status, is_unread, is_stopping);
                    assert_eq!(of(End::Broken("reset")), StreamBroken);
                    assert_eq!(of(End::Unreachable("refused")), Failure::UpstreamUnreachable);
                    assert_eq!(of(End::Silent("waiting")), Timeout);
                    assert_eq!(of(End::Loop("back")), Failure::UpstreamLoop);
                    assert_eq!(of(End::ClientSilent), Failure::ClientTimeout);
                    assert_eq!(of(End::ProxyFailed("panic")), Failure::ProxyError);
                    assert_eq!(of(End::ClientGone), if is_stopping { ProxyShutdown } else { ClientGone });
                    let completed = match status {
                        Some(302) => Http(302),
                        Some(400) => Http(400),
                        Some(599) => Http(599),
                        _ if is_unread => UnreadableResponse,
                        _ => NoResponse,
                    };
                    assert_eq!(of(End::Complete), completed, "{status:?}");
                }
            }
        }
    }
}
