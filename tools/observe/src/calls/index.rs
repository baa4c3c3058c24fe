//! The open calls, by whose they are, so that a response on another stream finds its request, and so does who takes one back.
//!
//! Called from the tasks that pass bytes on, and by whoever gives up on responses that stayed away. One short critical
//! section a request; nothing is recorded, and no call dropped, while it holds the lock.

use super::call::Call;
use super::happening::Happening;
use crate::read::RpcId;
use crate::session::Peer;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// How many calls may be open before none may wait for an answer on another stream any more: a bound on memory, since
/// waiting ones hold no connection that would bound them.
const CALLS_MAX: usize = 64 * 1024;
/// What they may hold together before that, in bytes: as many as 20,000, unless their names are long.
pub(crate) const INDEX_BYTES_MAX: usize = 12 * 1024 * 1024;

/// Within what the ids of calls belong together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// One session, announced or made up.
    Session(Arc<str>),
    /// Of calls without any, those whose clients can't be told apart.
    Peer(Peer),
}

/// Whose it is, and the id.
type CallKey = (Owner, RpcId);

/// The open calls whose id is known. A call leaves when it ends.
#[derive(Default)]
pub(crate) struct CallIndex {
    open: Mutex<Open>,
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
        // Two clients that can't be told apart may use the same id: then nobody can say which of the two calls is meant.
        let may_be_another_s = call.origin.session.is_none();
        let mut open = self.open.lock();
        let replaced = open.calls.remove(&key);
        open.bytes -= replaced.as_ref().map_or(0, |replaced| replaced.bytes);
        if replaced.is_none() || !may_be_another_s {
            open.bytes += call.bytes;
            open.calls.insert(key, call.clone());
        }
        drop(open);
        // If nobody else holds it, it is recorded now.
        drop(replaced);
    }

    /// The open call of that session with that id.
    pub(crate) fn find(&self, session: &Arc<str>, id: &RpcId) -> Option<Arc<Call>> {
        self.find_of(Owner::Session(session.clone()), id)
    }

    /// The open call of that owner with that id.
    pub(crate) fn find_of(&self, owner: Owner, id: &RpcId) -> Option<Arc<Call>> {
        self.open.lock().calls.get(&(owner, id.clone())).cloned()
    }

    /// The open call of that session whose client takes a response with that id for its own: the one with that very id,
    /// else one whose id is the same number.
    pub(crate) fn find_answered(&self, session: &Arc<str>, id: &RpcId) -> Option<Arc<Call>> {
        let same_number = || RpcId::spellings(id.number()?).iter().find_map(|id| self.find(session, id));
        self.find(session, id).or_else(same_number)
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
        let is_told = |call: &Call| session.is_none() || call.session.as_deref() == session;
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
            let removed = open.calls.remove(&key);
            drop(open);
            drop(removed);
        }
    }
}

fn key_of(call: &Call) -> Option<CallKey> {
    let owner = call.session.clone().map_or(Owner::Peer(call.origin.asker.peer), Owner::Session);
    Some((owner, call.id.clone()?))
}
