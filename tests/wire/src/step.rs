//! What passes on the wire, step by step, in one order.
//!
//! Pure data.

use std::fmt;

/// What a request wants of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// It brings messages.
    Post,
    /// It opens a stream.
    Get,
    /// It ends a session.
    Delete,
}

/// The head of a request, and which way it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What is wanted.
    pub verb: Verb,
    /// The path.
    pub path: String,
    /// What stands behind the question mark.
    pub query: Option<String>,
    /// `Mcp-Session-Id`.
    pub session: Option<String>,
    /// `Mcp-Protocol-Version`.
    pub version: Option<&'static str>,
    /// `Mcp-Method`.
    pub method: Option<String>,
    /// `Last-Event-ID`.
    pub last_event: Option<String>,
    /// `User-Agent`.
    pub agent: &'static str,
    /// The client's address.
    pub address: u128,
    /// The client's connection.
    pub connection: u64,
}

/// The head of a response.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// `Mcp-Session-Id`.
    pub session: Option<String>,
    /// It is an event stream; JSON otherwise.
    pub is_stream: bool,
}

/// How an exchange ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The server completed its response.
    Complete,
    /// The server broke off.
    Broken,
    /// The client went away.
    ClientGone,
    /// The server was silent for longer than the time limit.
    Silent,
}

/// What passes. The number is that of the exchange.
#[derive(Clone, Debug)]
pub enum Step {
    /// A request's head.
    Open(usize, Asked),
    /// Bytes of a request's body.
    Send(usize, Vec<u8>),
    /// A request's body is over: whole, or broken off.
    Sent(usize, bool),
    /// A response's head.
    Answer(usize, Answered),
    /// Bytes of a response's body.
    Reply(usize, Vec<u8>),
    /// An exchange is over.
    End(usize, Ending),
    /// So many milliseconds pass.
    Pass(u64),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match self {
            Self::Open(exchange, asked) => {
                let Asked { verb, path, query, session, version, method, last_event, agent, address, connection } =
                    asked;
                write!(f, "#{exchange} {verb:?} {path}")?;
                if let Some(query) = query {
                    write!(f, "?{query}")?;
                }
                write!(f, " of {agent} at {address} on connection {connection}")?;
                let named = [("session", session.as_deref()), ("version", *version)];
                let also = [("method", method.as_deref()), ("last event", last_event.as_deref())];
                for (what, value) in named.into_iter().chain(also) {
                    if let Some(value) = value {
                        write!(f, ", {what} {value}")?;
                    }
                }
                Ok(())
            }
            Self::Send(exchange, bytes) => write!(f, "#{exchange}   client: {:?}", text(bytes)),
            Self::Sent(exchange, true) => write!(f, "#{exchange}   client: that is all"),
            Self::Sent(exchange, false) => write!(f, "#{exchange}   client breaks its request off"),
            Self::Answer(exchange, Answered { status, session, is_stream }) => {
                let kind = if *is_stream { "events" } else { "json" };
                write!(f, "#{exchange}   server: {status}, {kind}")?;
                session.as_ref().map_or(Ok(()), |session| write!(f, ", session {session}"))
            }
            Self::Reply(exchange, bytes) => write!(f, "#{exchange}   server: {:?}", text(bytes)),
            Self::End(exchange, ending) => write!(f, "#{exchange}   over: {ending:?}"),
            Self::Pass(ms) => write!(f, "{ms} ms pass"),
        }
    }
}
