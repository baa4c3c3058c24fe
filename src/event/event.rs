//! One observation, of whichever kind. Plain data, on the caller's thread.

use super::request::Request;
use super::schema_version::SchemaVersion;
use super::session::{Session, SessionClosed};

/// One observation, ready to be handed to [`Recorder::record`](crate::Recorder::record).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all are requests; a box would be an allocation for each")]
pub enum Event<'a> {
    /// A JSON-RPC request and how it ended.
    Request(Request<'a>),
    /// An MCP session that began.
    Session(Session<'a>),
    /// An MCP session that ended.
    SessionClosed(SessionClosed<'a>),
    /// A new version of what a server says it offers.
    SchemaVersion(SchemaVersion<'a>),
}

impl<'a> From<Request<'a>> for Event<'a> {
    fn from(request: Request<'a>) -> Self {
        Self::Request(request)
    }
}

impl<'a> From<Session<'a>> for Event<'a> {
    fn from(session: Session<'a>) -> Self {
        Self::Session(session)
    }
}

impl<'a> From<SessionClosed<'a>> for Event<'a> {
    fn from(closed: SessionClosed<'a>) -> Self {
        Self::SessionClosed(closed)
    }
}

impl<'a> From<SchemaVersion<'a>> for Event<'a> {
    fn from(version: SchemaVersion<'a>) -> Self {
        Self::SchemaVersion(version)
    }
}
