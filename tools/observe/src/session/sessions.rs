//! Which sessions there are: announced ones, and those made up for clients of the sessionless era.
//!
//! Called from the tasks that pass bytes on; short critical sections, no I/O, bounded memory. It decides, and calls record.

use super::announced::AnnouncedStreams;
use super::identity::ClientIdentity;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use uuid::Uuid;

/// How many sessions are remembered. A forgotten one costs a close that is not noticed, nothing else: the store closes
/// idle sessions by itself.
const SESSIONS_MAX: usize = 16 * 1024;
/// The longest session id that is remembered, in bytes. SDKs use 32 to 36; the header could hold hundreds of thousands.
const SESSION_ID_BYTES_MAX: usize = 512;

/// A derived session, and whether it has just been made up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Derived {
    pub(crate) session_id: Arc<str>,
    pub(crate) is_new: bool,
}

/// What is known of one announced session.
#[derive(Default)]
struct Known {
    protocol_version: Option<Arc<str>>,
    /// The client's name.
    client: Option<Box<str>>,
    /// The path where it was last heard of: the endpoint of its server.
    endpoint: Option<Arc<str>>,
    /// It lives on a stream of the 2024-11-05 transport: responses arrive there and not in the POST's body.
    has_stream: bool,
}

struct DerivedSession {
    session_id: Arc<str>,
    last_seen_ms: i64,
}

#[derive(Default)]
struct State {
    known: HashMap<Arc<str>, Known>,
    /// The known ones, oldest first. May name some that are gone.
    order: VecDeque<Arc<str>>,
    /// By the client and its address: two hosts that run the same client are two sessions.
    derived: HashMap<(ClientIdentity, Option<u128>), DerivedSession>,
}

/// The sessions of one proxy.
pub(crate) struct Sessions {
    /// After how long without a request a derived session is over, in milliseconds; 0 means never.
    idle_ms: i64,
    /// Where the streams of the 2024-11-05 transport want their messages.
    pub(crate) announced: AnnouncedStreams,
    state: Mutex<State>,
}

impl Sessions {
    pub(crate) fn new(idle_ms: i64) -> Self {
        Self { idle_ms, announced: AnnouncedStreams::default(), state: Mutex::default() }
    }

    /// The session's id, shared with what is stored of it.
    pub(crate) fn intern(&self, session_id: &str) -> Arc<str> {
        match self.state.lock().known.get_key_value(session_id) {
            Some((known, _)) => known.clone(),
            None => Arc::from(session_id),
        }
    }

    /// The server has confirmed, at that path, that this session exists.
    pub(crate) fn confirm(&self, session_id: &Arc<str>, endpoint: Option<&Arc<str>>) {
        let mut state = self.state.lock();
        match state.known.get_mut(session_id) {
            Some(known) if known.endpoint.as_ref() == endpoint => {}
            Some(known) => known.endpoint = endpoint.cloned(),
            None => state.insert(session_id.clone(), Known { endpoint: endpoint.cloned(), ..Known::default() }),
        }
    }

    /// The handshake of a session is done, with that client and at that path.
    pub(crate) fn agree(
        &self,
        session_id: &Arc<str>,
        client: &ClientIdentity,
        endpoint: Option<&Arc<str>>,
        protocol_version: Option<&str>,
    ) {
        let mut state = self.state.lock();
        let has_stream = state.known.get(session_id).is_some_and(|known| known.has_stream);
        let (protocol_version, client) = (protocol_version.map(Arc::from), client.name.clone());
        state.insert(session_id.clone(), Known { protocol_version, client, endpoint: endpoint.cloned(), has_stream });
    }

    /// A stream of the 2024-11-05 transport has announced its session.
    pub(crate) fn open_stream(&self, session_id: &Arc<str>) {
        self.state.lock().insert(session_id.clone(), Known { has_stream: true, ..Known::default() });
    }

    /// Whether the session was last heard of at another path.
    pub(crate) fn is_elsewhere(&self, session_id: &str, endpoint: Option<&Arc<str>>) -> bool {
        let state = self.state.lock();
        state.known.get(session_id).is_some_and(|known| known.endpoint.is_some() && known.endpoint.as_ref() != endpoint)
    }

    /// Whether responses of this session arrive on a stream of their own.
    pub(crate) fn has_stream(&self, session_id: &str) -> bool {
        self.state.lock().known.get(session_id).is_some_and(|known| known.has_stream)
    }

    /// The revision that was agreed on in this session.
    pub(crate) fn protocol_version(&self, session_id: &str) -> Option<Arc<str>> {
        self.state.lock().known.get(session_id)?.protocol_version.clone()
    }

    /// The name of the client of this session.
    pub(crate) fn client_name(&self, session_id: &str) -> Option<Box<str>> {
        self.state.lock().known.get(session_id)?.client.clone()
    }

    /// The session is over. Says whether it was known.
    pub(crate) fn close(&self, session_id: &str) -> bool {
        self.state.lock().known.remove(session_id).is_some()
    }

    /// The session of a client that has none, at this time.
    ///
    /// `proven` says that the server answered in the way of the sessionless era. Without that, a session is found but not
    /// made up: newer clients try that era first, and a server that does not know it gives no session.
    pub(crate) fn derive(
        &self,
        client: &ClientIdentity,
        address: Option<u128>,
        now_ms: i64,
        proven: bool,
    ) -> Option<Derived> {
        let mut state = self.state.lock();
        let key = (client.clone(), address);
        if let Some(session) = state.derived.get_mut(&key)
            && (self.idle_ms == 0 || now_ms.saturating_sub(session.last_seen_ms) <= self.idle_ms)
        {
            session.last_seen_ms = session.last_seen_ms.max(now_ms);
            return Some(Derived { session_id: session.session_id.clone(), is_new: false });
        }
        if !proven {
            return None;
        }
        if state.derived.len() >= SESSIONS_MAX {
            state.forget_idle_derived(now_ms, self.idle_ms);
        }
        let session_id: Arc<str> = format!("derived-{}", Uuid::now_v7()).into();
        state.derived.insert(key, DerivedSession { session_id: session_id.clone(), last_seen_ms: now_ms });
        Some(Derived { session_id, is_new: true })
    }
}

impl State {
    fn insert(&mut self, session_id: Arc<str>, known: Known) {
        if session_id.len() > SESSION_ID_BYTES_MAX {
            return;
        }
        if self.known.insert(session_id.clone(), known).is_some() {
            return;
        }
        self.order.push_back(session_id);
        // The order also holds ids that are gone; a bound on it bounds both.
        while self.order.len() > SESSIONS_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
        if self.order.len() > 2 * self.known.len() + 64 {
            let alive: HashSet<Arc<str>> = self.known.keys().cloned().collect();
            self.order.retain(|session_id| alive.contains(session_id));
        }
    }

    /// Makes room: first what is over anyway, else the one that was silent longest.
    fn forget_idle_derived(&mut self, now_ms: i64, idle_ms: i64) {
        if idle_ms > 0 {
            self.derived.retain(|_, session| now_ms.saturating_sub(session.last_seen_ms) <= idle_ms);
        }
        if self.derived.len() >= SESSIONS_MAX {
            let oldest =
                self.derived.iter().min_by_key(|(_, session)| session.last_seen_ms).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.derived.remove(&oldest);
            }
        }
    }
}

/// The session id in the URL of the 2024-11-05 transport's endpoint, such as `/messages/?session_id=0a1b`.
pub(crate) fn session_in_query(query: Option<&str>) -> Option<&str> {
    query?.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (["sessionId", "session_id", "sessionid"].contains(&name) && !value.is_empty()).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Option<u128> = Some(1);
    const OTHER_ADDRESS: Option<u128> = Some(2);

    fn client(name: &str) -> ClientIdentity {
        ClientIdentity::new(Some(name), Some("1"))
    }

    #[test]
    fn only_a_known_session_can_be_closed_and_only_once() {
        let sessions = Sessions::new(0);
        assert!(!sessions.close("s"));
        sessions.confirm(&sessions.intern("s"), None);
        assert!(sessions.close("s"));
        assert!(!sessions.close("s"));
    }

    #[test]
    fn a_session_remembers_its_revision_and_whether_it_has_a_stream() {
        let sessions = Sessions::new(0);
        let id = sessions.intern("s");
        sessions.open_stream(&id);
        sessions.agree(&id, &client("c"), None, Some("2024-11-05"));
        sessions.confirm(&id, None);
        assert_eq!(sessions.protocol_version("s").as_deref(), Some("2024-11-05"));
        assert_eq!(sessions.client_name("s").as_deref(), Some("c"));
        assert!(sessions.has_stream("s"));
        assert!(!sessions.has_stream("t"));
    }

    #[test]
    fn a_session_is_where_it_was_last_heard_of() {
        let sessions = Sessions::new(0);
        let (id, [mcp, other]) = (sessions.intern("s"), ["/mcp", "/other"].map(Arc::from));
        assert!(!sessions.is_elsewhere("s", Some(&mcp)), "nothing is known of it");
        sessions.open_stream(&id);
        assert!(!sessions.is_elsewhere("s", Some(&mcp)), "it has not spoken yet");
        sessions.agree(&id, &client("c"), Some(&mcp), Some("2025-11-25"));
        assert!(!sessions.is_elsewhere("s", Some(&mcp)) && sessions.is_elsewhere("s", Some(&other)));
        sessions.confirm(&id, Some(&other));
        assert!(sessions.is_elsewhere("s", Some(&mcp)) && !sessions.is_elsewhere("s", Some(&other)));
        assert_eq!(sessions.protocol_version("s").as_deref(), Some("2025-11-25"));
    }

    #[test]
    fn a_client_without_sessions_has_one_until_it_is_idle() {
        let sessions = Sessions::new(1000);
        assert_eq!(sessions.derive(&client("c"), ADDRESS, 0, false), None, "nothing proves the era yet");
        let first = sessions.derive(&client("c"), ADDRESS, 0, true).unwrap();
        assert!(first.is_new);
        let same = sessions.derive(&client("c"), ADDRESS, 1000, false).unwrap();
        assert_eq!(same, Derived { session_id: first.session_id.clone(), is_new: false });
        assert!(sessions.derive(&client("d"), ADDRESS, 1000, true).unwrap().is_new);
        assert!(sessions.derive(&client("c"), OTHER_ADDRESS, 1000, true).unwrap().is_new);
        assert_eq!(sessions.derive(&client("c"), ADDRESS, 2001, false), None, "idle for too long");
        let second = sessions.derive(&client("c"), ADDRESS, 2001, true).unwrap();
        assert!(second.is_new);
        assert_ne!(second.session_id, first.session_id);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let sessions = Sessions::new(0);
        for number in 0..=SESSIONS_MAX {
            sessions.confirm(&sessions.intern(&number.to_string()), None);
            let now_ms = i64::try_from(number).unwrap();
            assert!(sessions.derive(&client(&number.to_string()), ADDRESS, now_ms, true).unwrap().is_new);
        }
        assert!(!sessions.close("0"));
        assert!(sessions.close("1"));
        assert_eq!(sessions.derive(&client("0"), ADDRESS, 0, false), None);
        assert!(sessions.derive(&client("1"), ADDRESS, 0, false).is_some());
    }

    #[test]
    fn what_is_remembered_of_one_session_is_bounded_too() {
        let sessions = Sessions::new(0);
        let long = "x".repeat(SESSION_ID_BYTES_MAX + 1);
        sessions.confirm(&sessions.intern(&long), None);
        assert!(!sessions.close(&long));
    }

    #[test]
    fn sessions_that_come_and_go_leave_nothing_behind() {
        let sessions = Sessions::new(0);
        for number in 0..1000 {
            let id = sessions.intern(&number.to_string());
            sessions.confirm(&id, None);
            sessions.close(&id);
        }
        assert!(sessions.state.lock().order.len() < 100);
    }

    #[test]
    fn the_endpoints_of_both_sdks_name_their_session() {
        let cases = [
            (Some("sessionId=abc"), Some("abc")),
            (Some("session_id=0a1b"), Some("0a1b")),
            (Some("x=1&sessionId=abc"), Some("abc")),
            (Some("sessionId="), None),
            (Some("id=1"), None),
            (None, None),
        ];
        for (query, expected) in cases {
            assert_eq!(session_in_query(query), expected, "{query:?}");
        }
    }
}
