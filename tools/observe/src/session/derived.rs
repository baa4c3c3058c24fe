//! Sessions that are made up, where the protocol or the server has none: one for a client, at its address, with one server,
//! until it is idle.
//!
//! Called from the tasks that pass bytes on; short critical sections, no I/O, bounded memory. It decides, and calls record.
//!
//! A client of 2026-07-28 says in each request who it is. One of an earlier revision says it in its handshake only; where the
//! server began no session then, whatever comes from the same address, for the same endpoint and by the same `User-Agent`
//! is that client's. Where several clients are alike in that, the credential decides, then the connection that the handshake
//! came on; where that leaves more than one, nobody can say whose the request is, and it has no session: a wrong name is
//! worse than none.
//!
//! An id ends in a mark of the address and endpoint that it was made up for, so that an observer that finds the session in a
//! store gives it to the same client again: the store knows no addresses.
//!
//! A session is made up when a client asks for something, so that what takes it back is found, and counts once the server
//! has answered in the way of that era: newer clients try the newest era first, and a server that does not know it gives none.

use super::asker::{Asker, MARK_BYTES, Place};
use super::identity::ClientIdentity;
use super::known::KnownSession;
use super::revision::is_sessionless;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use uuid::{Builder, Uuid};

/// How many are remembered. A forgotten one costs a session that is split, nothing else.
pub(super) const DERIVED_MAX: usize = 16 * 1024;
/// How an id begins.
const PREFIX: &str = "derived-";
/// How many handshakes are remembered of one address and endpoint; of more, the oldest goes first.
const HANDSHAKES_MAX: usize = 64;

/// The sessions that one proxy made up.
pub(crate) struct DerivedSessions {
    /// After how long without a request one is over, in milliseconds; 0 means never.
    idle_ms: i64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sessions: HashMap<Arc<str>, Derived>,
    by_client: HashMap<(Arc<ClientIdentity>, Place), Arc<str>>,
    /// Those of clients that say who they are once. The newest last.
    handshakes: HashMap<Place, Vec<Handshake>>,
    /// What marks of places are made with, once a store says that.
    salt: Option<String>,
    /// Those on record whose clients were not heard of yet, by the marks in their ids.
    on_record: HashMap<[u8; MARK_BYTES], Vec<KnownSession>>,
}

struct Derived {
    client: Arc<ClientIdentity>,
    place: Place,
    last_seen_ms: i64,
    /// The server has answered in the way of a server without sessions.
    is_proven: bool,
    protocol_version: Option<Arc<str>>,
}

/// By what requests are known that don't say who asks.
struct Handshake {
    session_id: Arc<str>,
    /// `None` of one that an earlier observer saw.
    from: Option<Asker>,
}

impl DerivedSessions {
    pub(super) fn new(idle_ms: i64) -> Self {
        Self { idle_ms, state: Mutex::default() }
    }

    /// Takes over what the store knows. What was seen meanwhile is newer.
    pub(super) fn learn(&self, salt: String, sessions: Vec<KnownSession>) {
        let mut on_record: HashMap<_, Vec<KnownSession>> = HashMap::new();
        let mut state = self.state.lock();
        for session in sessions {
            if let Some(mark) = mark_in(&session.session_id)
                && !state.sessions.contains_key(&*session.session_id)
            {
                on_record.entry(mark).or_default().push(session);
            }
        }
        (state.salt, state.on_record) = (Some(salt), on_record);
    }

    /// The session of a client that says who it is, at this time. It is none before it is [settled](Self::settle).
    pub(crate) fn seek(&self, client: &ClientIdentity, asker: &Asker, now_ms: i64) -> Arc<str> {
        let key = (Arc::new(client.clone()), asker.peer.place);
        let mut state = self.state.lock();
        state.recall(asker.peer.place);
        if let Some(session_id) = state.by_client.get(&key).cloned() {
            if state.touch(&session_id, now_ms, self.idle_ms) {
                return session_id;
            }
            state.forget(&session_id);
        }
        if state.sessions.len() >= DERIVED_MAX {
            state.make_room(now_ms, self.idle_ms);
        }
        let (client, place) = key;
        let session_id: Arc<str> = state.new_id(place, now_ms).into();
        let derived = Derived { client, place, last_seen_ms: now_ms, is_proven: false, protocol_version: None };
        state.insert(session_id.clone(), derived);
        session_id
    }

    /// The session of a request that does not say who asks, at this time, if there is one that it must belong to.
    pub(crate) fn seek_nameless(&self, asker: &Asker, now_ms: i64) -> Option<Arc<str>> {
        let mut state = self.state.lock();
        state.recall(asker.peer.place);
        let handshakes = state.handshakes.get(&asker.peer.place)?;
        let is_alive = |handshake: &&Handshake| {
            state.sessions.get(&handshake.session_id).is_some_and(|derived| derived.is_alive(now_ms, self.idle_ms))
        };
        let is_like = |handshake: &&Handshake| handshake.is_so(|from| from.peer.agent == asker.peer.agent);
        let mut left: Vec<_> = handshakes.iter().filter(is_like).filter(is_alive).collect();
        narrow(&mut left, |from| from.peer == asker.peer);
        if !are_of_one_session(&left) {
            narrow(&mut left, |from| from.connection == asker.connection);
        }
        if !are_of_one_session(&left) {
            return None;
        }
        let session_id = left.first()?.session_id.clone();
        state.touch(&session_id, now_ms, self.idle_ms);
        Some(session_id)
    }

    /// A call of that session has ended. `proves` says that the server answered as one without sessions does.
    ///
    /// Says whether the session began with that; `None` if there is none, since nothing proved it yet.
    pub(crate) fn settle(&self, session_id: &str, proves: bool) -> Option<bool> {
        let mut state = self.state.lock();
        match state.sessions.get_mut(session_id) {
            Some(derived) if derived.is_proven => Some(false),
            Some(derived) => {
                derived.is_proven = proves;
                proves.then_some(true)
            }
            // It was forgotten meanwhile: what was announced may be announced again, and nothing else.
            None => proves.then_some(true),
        }
    }

    /// A handshake with a server without sessions has succeeded: requests that don't say who asks may be of this session.
    pub(crate) fn shake_hands(&self, session_id: &Arc<str>, asker: &Asker, protocol_version: Option<&str>) {
        let mut state = self.state.lock();
        let Some(derived) = state.sessions.get_mut(session_id) else { return };
        derived.protocol_version = protocol_version.map(Arc::from);
        let handshakes = state.handshakes.entry(asker.peer.place).or_default();
        handshakes.retain(|other| other.session_id != *session_id || !other.is_so(|from| from.peer == asker.peer));
        if handshakes.len() >= HANDSHAKES_MAX {
            handshakes.remove(0);
        }
        handshakes.push(Handshake { session_id: session_id.clone(), from: Some(*asker) });
    }

    /// The revision that was agreed on in this session.
    pub(super) fn protocol_version(&self, session_id: &str) -> Option<Arc<str>> {
        self.state.lock().sessions.get(session_id)?.protocol_version.clone()
    }

    /// The name of the client of this session.
    pub(super) fn client_name(&self, session_id: &str) -> Option<Box<str>> {
        self.state.lock().sessions.get(session_id)?.client.name.clone()
    }
}

impl Derived {
    fn is_alive(&self, now_ms: i64, idle_ms: i64) -> bool {
        idle_ms == 0 || now_ms.saturating_sub(self.last_seen_ms) <= idle_ms
    }
}

impl Handshake {
    /// Whether that is so of where it came from, as far as that is known.
    fn is_so(&self, is_so: impl Fn(&Asker) -> bool) -> bool {
        self.from.as_ref().is_none_or(is_so)
    }
}

impl State {
    fn insert(&mut self, session_id: Arc<str>, derived: Derived) {
        self.by_client.insert((derived.client.clone(), derived.place), session_id.clone());
        self.sessions.insert(session_id, derived);
    }

    /// An id for a session of that place.
    fn new_id(&self, place: Place, now_ms: i64) -> String {
        let (Some(salt), Ok(now_ms)) = (&self.salt, u64::try_from(now_ms)) else {
            return format!("{PREFIX}{}", Uuid::now_v7());
        };
        let mut random = [0; 10];
        random.copy_from_slice(&Uuid::new_v4().into_bytes()[6..]);
        random[10 - MARK_BYTES..].copy_from_slice(&place.mark(salt));
        format!("{PREFIX}{}", Builder::from_unix_timestamp_millis(now_ms, &random).into_uuid())
    }

    /// Takes the sessions of that place out of those on record. A client that was heard of has another one.
    fn recall(&mut self, place: Place) {
        if self.on_record.is_empty() {
            return;
        }
        let Some(mark) = self.salt.as_deref().map(|salt| place.mark(salt)) else { return };
        for known in self.on_record.remove(&mark).unwrap_or_default() {
            let client = ClientIdentity::new(known.client_name.as_deref(), known.client_version.as_deref());
            let client = Arc::new(client);
            if self.sessions.len() >= DERIVED_MAX || self.by_client.contains_key(&(client.clone(), place)) {
                continue;
            }
            let session_id: Arc<str> = known.session_id.into();
            let protocol_version: Option<Arc<str>> = known.protocol_version.map(Arc::from);
            if protocol_version.as_deref().is_some_and(|version| !is_sessionless(version)) {
                let handshake = Handshake { session_id: session_id.clone(), from: None };
                self.handshakes.entry(place).or_default().push(handshake);
            }
            let last_seen_ms = known.last_seen_at;
            self.insert(session_id, Derived { client, place, last_seen_ms, is_proven: true, protocol_version });
        }
    }

    /// Says whether that session is still alive; then it was seen now.
    fn touch(&mut self, session_id: &str, now_ms: i64, idle_ms: i64) -> bool {
        let derived = self.sessions.get_mut(session_id).filter(|derived| derived.is_alive(now_ms, idle_ms));
        let Some(derived) = derived else { return false };
        derived.last_seen_ms = derived.last_seen_ms.max(now_ms);
        true
    }

    fn forget(&mut self, session_id: &str) {
        let Some(Derived { client, place, .. }) = self.sessions.remove(session_id) else { return };
        self.by_client.remove(&(client, place));
        if let Some(handshakes) = self.handshakes.get_mut(&place) {
            handshakes.retain(|handshake| &*handshake.session_id != session_id);
            if handshakes.is_empty() {
                self.handshakes.remove(&place);
            }
        }
    }

    /// Makes room: what is over anyway goes, else the older half of those that nothing proves, so that who is refused pushes
    /// nobody out, else the one that was silent longest.
    fn make_room(&mut self, now_ms: i64, idle_ms: i64) {
        let over = self.sessions.iter().filter(|(_, derived)| !derived.is_alive(now_ms, idle_ms));
        let mut gone: Vec<_> = over.map(|(session_id, _)| session_id.clone()).collect();
        if gone.is_empty() {
            let unproven = self.sessions.iter().filter(|(_, derived)| !derived.is_proven);
            let mut unproven: Vec<_> =
                unproven.map(|(session_id, derived)| (derived.last_seen_ms, session_id)).collect();
            unproven.sort_unstable();
            let older = unproven.len().div_ceil(2);
            gone.extend(unproven.into_iter().take(older).map(|(_, session_id)| session_id.clone()));
        }
        if gone.is_empty() {
            let oldest = self.sessions.iter().min_by_key(|(_, derived)| derived.last_seen_ms);
            gone.extend(oldest.map(|(session_id, _)| session_id.clone()));
        }
        gone.iter().for_each(|session_id| self.forget(session_id));
    }
}

/// Keeps those that are so, if there are any.
fn narrow(handshakes: &mut Vec<&Handshake>, is_so: impl Fn(&Asker) -> bool) {
    if handshakes.iter().any(|handshake| handshake.from.as_ref().is_some_and(&is_so)) {
        handshakes.retain(|handshake| handshake.is_so(&is_so));
    }
}

/// The mark at the end of an id.
fn mark_in(session_id: &str) -> Option<[u8; MARK_BYTES]> {
    let bytes = session_id.strip_prefix(PREFIX)?.parse::<Uuid>().ok()?.into_bytes();
    bytes[16 - MARK_BYTES..].try_into().ok()
}

fn are_of_one_session(handshakes: &[&Handshake]) -> bool {
    handshakes.iter().map(|handshake| &handshake.session_id).collect::<HashSet<_>>().len() == 1
}

#[cfg(test)]
#[path = "derived_tests.rs"]
mod tests;
