//! The open calls that belong to a session, so that a response on another stream finds its request.
//!
//! Called from the tasks that pass bytes on, and by whoever gives up on responses that stayed away. One short critical
//! section a request; nothing is recorded, and no call dropped, while it holds the lock.

use super::call::Call;
use super::happening::Happening;
use crate::read::RpcId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// How many calls may be open before none may wait for an answer on another stream any more: a bound on memory, since
/// waiting ones hold no connection that would bound them.
const CALLS_MAX: usize = 64 * 1024;
/// What they may hold together before that, in bytes: as many as 20,000, unless their names are long.
pub(crate) const INDEX_BYTES_MAX: usize = 12 * 1024 * 1024;

/// The session, and the id within it.
type CallKey = (Arc<str>, RpcId);

/// The open calls that belong to a session. A call leaves when it ends.
#[derive(Default)]
pub(crate) struct CallIndex {
    open: Mutex<Open>,
    /// How many of the open calls ask what a server offers.
    schema_calls: AtomicUsize,
}

#[derive(Default)]
struct Open {
    calls: HashMap<CallKey, Arc<Call>>,
    /// What they hold together.
    bytes: usize,
}

impl CallIndex {
    pub(crate) fn insert(&self, call: &Arc<Call>) {
        let Some(key) = key_of(call) else { return };
        let mut open = self.open.lock();
        open.bytes += call.bytes;
        let replaced = open.calls.insert(key, call.clone());
        open.bytes -= replaced.as_ref().map_or(0, |replaced| replaced.bytes);
        self.schema_calls.fetch_add(usize::from(call.is_schema), Ordering::Relaxed);
        let replaced_schema = replaced.as_ref().is_some_and(|replaced| replaced.is_schema);
        self.schema_calls.fetch_sub(usize::from(replaced_schema), Ordering::Relaxed);
        drop(open);
        // If nobody else holds it, it is recorded now.
        drop(replaced);
    }

    /// The open call of that session with that id.
    pub(crate) fn find(&self, session: &Arc<str>, id: &RpcId) -> Option<Arc<Call>> {
        self.open.lock().calls.get(&(session.clone(), id.clone())).cloned()
    }

    /// The open call of that session whose client takes a response with that id for its own: the one with that very id,
    /// else one whose id is the same number.
    pub(crate) fn find_answered(&self, session: &Arc<str>, id: &RpcId) -> Option<Arc<Call>> {
        let same_number = || RpcId::spellings(id.number()?).iter().find_map(|id| self.find(session, id));
        self.find(session, id).or_else(same_number)
    }

    /// Whether one of them asks what a server offers.
    pub(crate) fn has_schema_calls(&self) -> bool {
        self.schema_calls.load(Ordering::Relaxed) > 0
    }

    /// Whether there are too many open calls to let more of them wait.
    pub(crate) fn is_full(&self) -> bool {
        let open = self.open.lock();
        open.calls.len() > CALLS_MAX || open.bytes > INDEX_BYTES_MAX
    }

    /// Tells a call what happened; it leaves if that ends it.
    pub(crate) fn tell(&self, call: &Call, happening: &Happening<'_>, now: Instant) {
        if call.tell(happening, now) {
            self.remove(call);
        }
    }

    /// Tells the calls of that session, or of all sessions.
    pub(crate) fn tell_all(&self, session: Option<&str>, happening: &Happening<'_>, now: Instant) {
        let is_told = |call: &Call| session.is_none() || call.origin.session.as_deref() == session;
        let told: Vec<Arc<Call>> = self.open.lock().calls.values().filter(|call| is_told(call)).cloned().collect();
        for call in told {
            self.tell(&call, happening, now);
        }
    }

    fn remove(&self, call: &Call) {
        let Some(key) = key_of(call) else { return };
        let mut open = self.open.lock();
        // A client that uses an id twice has put another call in this one's place.
        if open.calls.get(&key).is_some_and(|found| std::ptr::eq(&**found, call)) {
            open.bytes -= call.bytes;
            self.schema_calls.fetch_sub(usize::from(call.is_schema), Ordering::Relaxed);
            let removed = open.calls.remove(&key);
            drop(open);
            drop(removed);
        }
    }
}

fn key_of(call: &Call) -> Option<CallKey> {
    Some((call.origin.session.clone()?, call.id.clone()?))
}
