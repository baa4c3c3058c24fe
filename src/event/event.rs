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

/// What a recorder takes: an [`Event`], or one of the structs that events are made of.
pub trait Observation<'a>: Copy + Into<Event<'a>> {
    /// The request, if this is one: it is recorded from where it lies, and not copied into an event first.
    fn as_request(&self) -> Option<&Request<'a>> {
        None
    }
}

impl<'a> Observation<'a> for Event<'a> {
    fn as_request(&self) -> Option<&Request<'a>> {
        match self {
            Self::Request(request) => Some(request),
            _ => None,
        }
    }
}

impl<'a> Observation<'a> for Request<'a> {
    fn as_request(&self) -> Option<&Request<'a>> {
        Some(self)
    }
}

impl<'a> Observation<'a> for Session<'a> {}
impl<'a> Observation<'a> for SessionClosed<'a> {}
impl<'a> Observation<'a> for SchemaVersion<'a> {}

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
