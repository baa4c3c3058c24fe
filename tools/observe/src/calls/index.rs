//! The open calls that belong to a session, so that a response on another stream finds its request.
//!
//! Called from the tasks that pass bytes on, and by whoever gives up on responses that stayed away. One short critical
//! section a request; nothing is recorded, and no call dropped, while it holds the lock.

use super::call::Call;
use super::happening::Happening;
use crate::read::RpcId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
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
}

#[derive(Default)]
struct Open {
    calls: HashMap<CallKey, Same>,
    /// How many there are.
    count: usize,
    /// What they hold together.
    bytes: usize,
}

/// The open calls with one key: clients may use an id again while another call with it is open.
struct Same {
    newest: Arc<Call>,
    /// Oldest first.
    older: Vec<Arc<Call>>,
}

impl CallIndex {
    pub(crate) fn insert(&self, call: &Arc<Call>) {
        let Some(key) = key_of(call) else { return };
        let mut open = self.open.lock();
        open.bytes += call.bytes;
        open.count += 1;
        match open.calls.entry(key) {
            Entry::Occupied(same) => same.into_mut().push(call.clone()),
            Entry::Vacant(place) => drop(place.insert(Same { newest: call.clone(), older: Vec::new() })),
        }
    }

    /// The open call of that session with that id: of several, the newest.
    pub(crate) fn find(&self, session: &Arc<str>, id: &RpcId) -> Option<Arc<Call>> {
        self.open.lock().calls.get(&(session.clone(), id.clone())).map(|same| same.newest.clone())
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
        open.count > CALLS_MAX || open.bytes > INDEX_BYTES_MAX
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
        let open = self.open.lock();
        let told: Vec<Arc<Call>> =
            open.calls.values().flat_map(Same::iter).filter(|call| is_told(call)).cloned().collect();
        drop(open);
        for call in told {
            self.tell(&call, happening, now);
        }
    }

    fn remove(&self, call: &Call) {
        let Some(key) = key_of(call) else { return };
        let mut open = self.open.lock();
        let Entry::Occupied(mut same) = open.calls.entry(key) else { return };
        let is_it = |found: &Arc<Call>| std::ptr::eq(&**found, call);
        let removed = if let Some(at) = same.get().older.iter().position(is_it) {
            same.get_mut().older.remove(at)
        } else if !is_it(&same.get().newest) {
            return;
        } else if let Some(newest) = same.get_mut().older.pop() {
            std::mem::replace(&mut same.get_mut().newest, newest)
        } else {
            same.remove().newest
        };
        open.bytes -= call.bytes;
        open.count -= 1;
        drop(open);
        drop(removed);
    }
}

impl Same {
    fn push(&mut self, call: Arc<Call>) {
        self.older.push(std::mem::replace(&mut self.newest, call));
    }

    fn iter(&self) -> impl Iterator<Item = &Arc<Call>> {
        self.older.iter().chain([&self.newest])
    }
}

fn key_of(call: &Call) -> Option<CallKey> {
    Some((call.origin.session.clone()?, call.id.clone()?))
}
