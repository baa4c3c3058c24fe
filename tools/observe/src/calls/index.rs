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
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// The open calls whose id is known, and those without one that were left. A call leaves when it ends.
#[derive(Default)]
pub(crate) struct CallIndex {
    open: Mutex<Open>,
    /// How many of them ask what a server offers.
    schema_calls: AtomicUsize,
}

#[derive(Default)]
struct Open {
    calls: HashMap<CallKey, Same>,
    /// Those that have no session or no id and were left, by their places in memory.
    others: HashMap<usize, Arc<Call>>,
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
        self.schema_calls.fetch_add(usize::from(call.is_schema), Ordering::Relaxed);
        match open.calls.entry(key) {
            Entry::Occupied(same) => same.into_mut().push(call.clone()),
            Entry::Vacant(place) => drop(place.insert(Same { newest: call.clone(), older: Vec::new() })),
        }
    }

    /// Holds a call that its exchange leaves, if it has no id.
    pub(crate) fn hold(&self, call: &Arc<Call>) {
        if key_of(call).is_some() {
            return;
        }
        let mut open = self.open.lock();
        if open.others.insert(place_of(call), call.clone()).is_none() {
            open.bytes += call.bytes;
            open.count += 1;
            self.schema_calls.fetch_add(usize::from(call.is_schema), Ordering::Relaxed);
        }
    }

    /// The open call of that owner with that id: of several, the newest. Without a session that the transport names, several
    /// may be those of clients that can't be told apart: then nobody can say which of them is meant.
    pub(crate) fn find(&self, owner: Owner, id: &RpcId) -> Option<Arc<Call>> {
        let open = self.open.lock();
        let same = open.calls.get(&(owner, id.clone()))?;
        let mut found = same.iter().filter(|call| call.is_open());
        let newest = found.next_back()?;
        let may_be_another_s = |call: &Arc<Call>| call.origin.session.is_none();
        if may_be_another_s(newest) && found.next().is_some() { None } else { Some(newest.clone()) }
    }

    /// The open call of that session whose client takes a response with that id for its own: the one with that very id,
    /// else one whose id is the same number. Of several that may be meant, one that was left comes first, the oldest of them.
    /// If there is none, the one that its client took back.
    pub(crate) fn find_answered(
        &self,
        session: &Arc<str>,
        id: &RpcId,
        may_be_meant: impl Fn(&Call) -> bool,
    ) -> Option<Arc<Call>> {
        let find = |id: &RpcId, is_open: bool| {
            let is_it = |call: &Call| may_be_meant(call) && call.is_open() == is_open;
            self.open.lock().calls.get(&(Owner::Session(session.clone()), id.clone()))?.find(is_it)
        };
        // Nearly always it is the very id, and nothing is allocated for others.
        if let Some(call) = find(id, true) {
            return Some(call);
        }
        let spellings = || id.number().map(RpcId::spellings).into_iter().flatten();
        let other_open = spellings().find_map(|id| find(&id, true));
        other_open.or_else(|| find(id, false)).or_else(|| spellings().find_map(|id| find(&id, false)))
    }

    /// Whether one of them asks what a server offers.
    pub(crate) fn has_schema_calls(&self) -> bool {
        self.schema_calls.load(Ordering::Relaxed) > 0
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
        let is_told = |call: &Call| session.is_none() || call.session.as_deref() == session;
        let open = self.open.lock();
        let told: Vec<Arc<Call>> = open
            .calls
            .values()
            .flat_map(Same::iter)
            .chain(open.others.values())
            .filter(|call| is_told(call))
            .cloned()
            .collect();
        drop(open);
        for call in told {
            self.tell(&call, happening, now);
        }
    }

    fn remove(&self, call: &Call) {
        let mut open = self.open.lock();
        let Some(removed) = open.take(call) else { return };
        open.bytes -= call.bytes;
        open.count -= 1;
        self.schema_calls.fetch_sub(usize::from(call.is_schema), Ordering::Relaxed);
        drop(open);
        drop(removed);
    }
}

impl Open {
    fn take(&mut self, call: &Call) -> Option<Arc<Call>> {
        let Some(key) = key_of(call) else { return self.others.remove(&place_of(call)) };
        let Entry::Occupied(mut same) = self.calls.entry(key) else { return None };
        let is_it = |found: &Arc<Call>| std::ptr::eq(&**found, call);
        if let Some(at) = same.get().older.iter().position(is_it) {
            return Some(same.get_mut().older.remove(at));
        }
        if !is_it(&same.get().newest) {
            return None;
        }
        Some(match same.get_mut().older.pop() {
            Some(newest) => std::mem::replace(&mut same.get_mut().newest, newest),
            None => same.remove().newest,
        })
    }
}

impl Same {
    fn push(&mut self, call: Arc<Call>) {
        self.older.push(std::mem::replace(&mut self.newest, call));
    }

    /// The oldest that was left, else the newest, of those that may be meant.
    fn find(&self, may_be_meant: impl Fn(&Call) -> bool) -> Option<Arc<Call>> {
        let mut found = None;
        for call in self.iter().filter(|call| may_be_meant(call)) {
            if call.is_left() {
                return Some(call.clone());
            }
            found = Some(call);
        }
        found.cloned()
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Call>> {
        self.older.iter().chain([&self.newest])
    }
}

fn key_of(call: &Call) -> Option<CallKey> {
    let owner = call.session.clone().map_or(Owner::Peer(call.origin.asker.peer), Owner::Session);
    Some((owner, call.id.clone()?))
}

/// Where it lies: as long as it is held, nothing else does.
fn place_of(call: &Call) -> usize {
    std::ptr::from_ref(call).addr()
}
