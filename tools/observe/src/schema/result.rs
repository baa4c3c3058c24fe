//! The result of a schema method, on its way to whoever looks at it.
//!
//! Pure data. The queue is somebody else's, who must not let it block.

use super::caller::Caller;
use super::method::SchemaMethod;
use std::sync::Arc;
use std::time::Instant;

/// The result of a schema method, as it passed by.
#[derive(Debug)]
pub struct SchemaResult {
    pub(crate) scope: Scope,
    pub(crate) method: SchemaMethod,
    pub(crate) cursor: Option<Box<str>>,
    pub(crate) caller: Caller,
    /// When it was asked for, and when it was answered.
    pub(crate) asked_at: Instant,
    pub(crate) answered_at: Instant,
    /// When it was seen, in Unix milliseconds.
    pub(crate) ts: i64,
    /// The whole JSON-RPC message.
    pub(crate) message: Vec<u8>,
}

impl SchemaResult {
    /// Which method it answers.
    pub fn method(&self) -> SchemaMethod {
        self.method
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
