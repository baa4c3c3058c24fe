//! The result of a schema method, on its way to whoever looks at it.
//!
//! Pure data. The queue is somebody else's, who must not let it block.

use super::caller::Caller;
use super::method::SchemaMethod;
use super::subject::Subject;
use crate::budget::{Budget, Share};
use std::sync::Arc;
use std::time::Instant;

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
    /// The whole JSON-RPC message.
    pub(super) message: Vec<u8>,
    /// For the message, as long as it waits and is looked at.
    _share: Share,
}

impl SchemaResult {
    /// The answer, seen at that time (in Unix milliseconds, and as an instant). `None` if the budget has no room for a copy of the message: the next list makes up for it.
    pub(crate) fn new(
        budget: &Budget,
        asked: Asked,
        (ts, answered_at): (i64, Instant),
        message: &[u8],
    ) -> Option<Self> {
        let mut share = budget.share(0);
        let has_room = share.resize(message.len());
        has_room.then(|| Self { asked, answered_at, ts, message: message.to_vec(), _share: share })
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

/// Within what cursors belong together: a session, or a client's connection where there is none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    Session(Arc<str>),
    Connection(u64),
}
