//! Finds the open calls of a session, so that a response on another stream meets its request.
//!
//! Called from the forwarding tasks, and by the task that gives up on responses that stayed away. One short critical
//! section a request; it must not record while it holds the lock.

use super::call::Call;
use super::failure::Failure;
use super::rpc::RpcId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// The session, and the id within it.
type CallKey = (Arc<str>, RpcId);

/// The open calls that belong to a session, so that a response on another stream finds its request.
///
/// The index and its calls refer to each other through the [`Journal`]; a call leaves when it ends, and
/// [`CallIndex::end_all`] empties it at shutdown.
#[derive(Default)]
pub(super) struct CallIndex {
    calls: Mutex<HashMap<CallKey, Arc<Call>>>,
}

impl CallIndex {
    pub(super) fn insert(&self, call: &Arc<Call>) {
        if let (Some(session), Some(id)) = (&call.session, &call.id) {
            self.calls.lock().insert((session.clone(), id.clone()), call.clone());
        }
    }

    pub(super) fn remove(&self, call: &Call) {
        let (Some(session), Some(id)) = (&call.session, &call.id) else { return };
        let key = (session.clone(), id.clone());
        let mut calls = self.calls.lock();
        // A client that uses an id twice has put another call in this one's place.
        if calls.get(&key).is_some_and(|found| std::ptr::eq(&**found, call)) {
            let removed = calls.remove(&key);
            drop(calls);
            drop(removed);
        }
    }

    /// The open call of that session with that id.
    pub(super) fn find(&self, session: &Arc<str>, id: &RpcId) -> Option<Arc<Call>> {
        self.calls.lock().get(&(session.clone(), id.clone())).cloned()
    }

    /// Ends the parked calls whose time is over.
    pub(super) fn give_up_overdue(&self, now: Instant) {
        for call in self.matching(|_| true) {
            call.give_up(now, |parked| parked.deadline <= now);
        }
    }

    /// Ends the parked calls of a session that is over.
    pub(super) fn give_up_session(&self, session: &str) {
        let now = Instant::now();
        for call in self.matching(|call| call.session.as_deref() == Some(session)) {
            call.give_up(now, |_| true);
        }
    }

    /// Ends the parked calls that wait for their client to come back. Those whose answer is due on a stream that is open
    /// go on waiting.
    pub(super) fn give_up_resumable(&self) {
        let now = Instant::now();
        for call in self.matching(|_| true) {
            call.give_up(now, |parked| parked.failure != Failure::Timeout);
        }
    }

    /// Ends every call of that session, or of all sessions.
    pub(super) fn end_all(&self, session: Option<&str>, failure: Failure) {
        for call in self.matching(|call| session.is_none() || call.session.as_deref() == session) {
            call.fail(failure);
        }
    }

    fn matching(&self, wanted: impl Fn(&Call) -> bool) -> Vec<Arc<Call>> {
        self.calls.lock().values().filter(|call| wanted(call)).cloned().collect()
    }
}
