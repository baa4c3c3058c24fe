//! The result of a schema method, on its way to whoever looks at it.
//!
//! Pure data. The queue is somebody else's, who must not let it block.

use super::caller::Caller;
use super::method::SchemaMethod;
use super::subject::Subject;
use crate::budget::{BUDGET_BYTES, Budget, Share};
use std::sync::Arc;
use std::time::Instant;

/// The largest result that is looked at, in bytes: of a message as it passes, and of a list put together of its pages. A
/// quarter of what all exchanges may hold together, where the text of a message is held while it passes; what is longer is
/// told, as [`mcplog::abridged::more_than`]. The longest lists that are known have some megabytes.
pub const SCHEMA_BYTES_MAX: usize = BUDGET_BYTES / 4;

/// What was asked for, by whom and when.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) scope: Scope,
    /// The path that was asked: several servers may be behind one origin.
    pub(crate) endpoint: Option<Arc<str>>,
    pub(crate) method: SchemaMethod,
    pub(crate) cursor: Option<Box<str>>,
    pub(crate) caller: Caller,
    pub(crate) asked_at: Instant,
}

/// The result of a schema method, as it passed by.
#[derive(Debug)]
pub struct SchemaResult {
    pub(super) asked: Asked,
    pub(super) answered_at: Instant,
    /// When it was seen, in Unix milliseconds.
    pub(super) ts: i64,
    pub(super) content: Content,
}

/// What is there of a result.
#[derive(Debug)]
pub(super) enum Content {
    /// The whole JSON-RPC message.
    Message {
        text: Vec<u8>,
        /// For the text, as long as it waits and is looked at.
        _share: Share,
    },
    /// It is longer than what is looked at.
    TooLong,
    /// There was no room for it.
    Missed,
}

impl SchemaResult {
    /// The answer to that, seen at that time (in Unix milliseconds, and as an instant), of that many bytes. `text` is that
    /// of the message, if it was kept; where the budget has no room for a copy, the next list makes up for it.
    pub(crate) fn new(
        budget: &Budget,
        asked: Asked,
        (ts, answered_at): (i64, Instant),
        bytes: i64,
        text: Option<&[u8]>,
    ) -> Self {
        let mut share = budget.share(0);
        let content = match text.filter(|text| share.resize(text.len())) {
            Some(text) => Content::Message { text: text.to_vec(), _share: share },
            None if usize::try_from(bytes).is_ok_and(|bytes| bytes > SCHEMA_BYTES_MAX) => Content::TooLong,
            None => Content::Missed,
        };
        Self { asked, answered_at, ts, content }
    }

    /// What it says something about.
    pub(super) fn subject(&self) -> Subject {
        Subject { endpoint: self.asked.endpoint.clone(), method: self.asked.method }
    }

    /// Which method it answers.
    pub fn method(&self) -> SchemaMethod {
        self.asked.method
    }
}

/// Takes results away from the tasks that pass bytes on, to where there is time to look at them.
pub trait SchemaQueue: Send + Sync + 'static {
    /// Hands a result over. Must not wait: what finds no room is not looked at, and the next list makes up for it.
    fn offer(&self, result: SchemaResult);
}

/// Within what cursors belong together: a session, be it one that was made up, or a client's connection where there is none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    Session(Arc<str>),
    Connection(u64),
}
