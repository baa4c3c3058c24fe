//! Which sessions there are: announced ones, and those that are made up.
//!
//! Called from the tasks that pass bytes on; short critical sections, no I/O, bounded memory. It decides, and calls record.

use super::announced::AnnouncedStreams;
use super::derived::DerivedSessions;
use super::identity::ClientIdentity;
use super::known::{KNOWN_SESSIONS_MAX, KnownSessions};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// How many sessions are remembered. A forgotten one costs a close that is not noticed, nothing else: the store closes
/// idle sessions by itself.
const SESSIONS_MAX: usize = 16 * 1024;
/// The longest session id that is remembered, in bytes. SDKs use 32 to 36; the header could hold hundreds of thousands.
const SESSION_ID_BYTES_MAX: usize = 512;

/// What is known of one announced session.
#[derive(Default)]
struct Known {
    protocol_version: Option<Arc<str>>,
    /// The client's name.
    client: Option<Box<str>>,
    /// A handshake agreed on it, or a stream announced it.
    is_agreed: bool,
    /// The path where it was last heard of: the endpoint of its server.
    endpoint: Option<Arc<str>>,
    /// It lives on a stream of the 2024-11-05 transport: responses arrive there and not in the POST's body.
    has_stream: bool,
}

#[derive(Default)]
struct State {
    known: HashMap<Arc<str>, Known>,
    /// The known ones, oldest first. May name some that are gone.
    order: VecDeque<Arc<str>>,
}

/// The sessions of one proxy.
pub(crate) struct Sessions {
    /// Where the streams of the 2024-11-05 transport want their messages.
    pub(crate) announced: AnnouncedStreams,
    /// Those that are made up.
    pub(crate) derived: DerivedSessions,
    state: Mutex<State>,
}

impl Sessions {
    /// No sessions. After so long without a request one that is made up is over, in milliseconds; 0 means never.
    pub(crate) fn new(idle_ms: i64) -> Self {
        Self { announced: AnnouncedStreams::default(), derived: DerivedSessions::new(idle_ms), state: Mutex::default() }
    }

    /// Takes over what the store knows. What was seen meanwhile is newer.
    pub(crate) fn learn(&self, known: KnownSessions) {
        let KnownSessions { salt, mut sessions } = known;
        // Where there are too many, the newest stay.
        sessions.sort_by_key(|session| session.last_seen_at);
        sessions.drain(..sessions.len().saturating_sub(KNOWN_SESSIONS_MAX));
        let (derived, announced): (Vec<_>, Vec<_>) = sessions.into_iter().partition(|session| session.derived);
        let mut state = self.state.lock();
        for session in announced {
            if !state.known.contains_key(&*session.session_id) {
                let is_agreed = session.was_announced();
                let client = ClientIdentity::new(session.client_name.as_deref(), None).name;
                let protocol_version = session.protocol_version.map(Arc::from);
                let known = Known { protocol_version, client, is_agreed, ..Known::default() };
                state.insert(session.session_id.into(), known);
            }
        }
        drop(state);
        self.derived.learn(salt, derived);
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
        state.insert(
            session_id.clone(),
            Known { protocol_version, client, is_agreed: true, endpoint: endpoint.cloned(), has_stream },
        );
    }

    /// A stream of the 2024-11-05 transport, at that path, has announced its session. That is the path by which clients know
    /// the server; the one that the stream announces may be another one for each session.
    pub(crate) fn open_stream(&self, session_id: &Arc<str>, endpoint: Option<&Arc<str>>) {
        let endpoint = endpoint.cloned();
        let known = Known { is_agreed: true, has_stream: true, endpoint, ..Known::default() };
        self.state.lock().insert(session_id.clone(), known);
    }

    /// The path where the session was last heard of.
    pub(crate) fn endpoint(&self, session_id: &str) -> Option<Arc<str>> {
        self.state.lock().known.get(session_id)?.endpoint.clone()
    }

    /// Whether the session was last heard of at another path.
    pub(crate) fn is_elsewhere(&self, session_id: &str, endpoint: Option<&Arc<str>>) -> bool {
        let state = self.state.lock();
        state.known.get(session_id).is_some_and(|known| known.endpoint.is_some() && known.endpoint.as_ref() != endpoint)
    }

    /// Whether a handshake agreed on this session, or a stream announced it.
    pub(crate) fn is_agreed(&self, session_id: &str) -> bool {
        self.state.lock().known.get(session_id).is_some_and(|known| known.is_agreed)
    }

    /// Whether responses of this session arrive on a stream of their own.
    pub(crate) fn has_stream(&self, session_id: &str) -> bool {
        self.state.lock().known.get(session_id).is_some_and(|known| known.has_stream)
    }

    /// The revision that was agreed on in this session.
    pub(crate) fn protocol_version(&self, session_id: &str) -> Option<Arc<str>> {
        let known = self.state.lock().known.get(session_id).map(|known| known.protocol_version.clone());
        known.unwrap_or_else(|| self.derived.protocol_version(session_id))
    }

    /// The name of the client of this session.
    pub(crate) fn client_name(&self, session_id: &str) -> Option<Box<str>> {
        let known = self.state.lock().known.get(session_id).map(|known| known.client.clone());
        known.unwrap_or_else(|| self.derived.client_name(session_id))
    }

    /// The session is over. Says whether it was known.
    pub(crate) fn close(&self, session_id: &str) -> bool {
        self.state.lock().known.remove(session_id).is_some()
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
    use crate::session::known::KnownSession;

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
        sessions.open_stream(&id, None);
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
        sessions.open_stream(&id, Some(&mcp));
        assert!(!sessions.is_elsewhere("s", Some(&mcp)) && sessions.is_elsewhere("s", Some(&other)));
        sessions.agree(&id, &client("c"), Some(&mcp), Some("2025-11-25"));
        assert!(!sessions.is_elsewhere("s", Some(&mcp)) && sessions.is_elsewhere("s", Some(&other)));
        sessions.confirm(&id, Some(&other));
        assert!(sessions.is_elsewhere("s", Some(&mcp)) && !sessions.is_elsewhere("s", Some(&other)));
        assert_eq!(sessions.protocol_version("s").as_deref(), Some("2025-11-25"));
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let sessions = Sessions::new(0);
        for number in 0..=SESSIONS_MAX {
            sessions.confirm(&sessions.intern(&number.to_string()), None);
        }
        assert!(!sessions.close("0"));
        assert!(sessions.close("1"));
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
    fn what_a_store_knows_is_known_but_what_was_seen_is_newer() {
        let on_record = |id: &str, client: Option<&str>, last_seen_at| KnownSession {
            session_id: id.to_owned(),
            client_name: client.map(str::to_owned),
            client_version: None,
            protocol_version: client.map(|_| "2025-06-18".to_owned()),
            derived: false,
            last_seen_at,
        };
        let sessions = Sessions::new(0);
        sessions.agree(&sessions.intern("seen"), &client("new"), None, Some("2025-11-25"));
        let known = [on_record("seen", Some("old"), 1), on_record("s", Some("c"), 2), on_record("named", None, 3)];
        for _ in 0..2 {
            sessions.learn(KnownSessions { salt: String::new(), sessions: known.to_vec() });
        }
        let version = |id| sessions.protocol_version(id);
        assert_eq!([version("seen").as_deref(), version("s").as_deref()], [Some("2025-11-25"), Some("2025-06-18")]);
        assert_eq!(sessions.client_name("s").as_deref(), Some("c"));
        assert_eq!(["seen", "s", "named", "t"].map(|id| sessions.is_agreed(id)), [true, true, false, false]);
        assert!(!sessions.is_elsewhere("s", Some(&"/mcp".into())), "it may be anywhere");
        assert_eq!(["s", "s", "named", "t"].map(|id| sessions.close(id)), [true, false, true, false]);
        let many = (0..10_000).map(|number| on_record(&number.to_string(), None, number)).collect();
        sessions.learn(KnownSessions { salt: String::new(), sessions: many });
        let oldest = 10_000 - KNOWN_SESSIONS_MAX;
        assert_eq!([oldest - 1, oldest].map(|number| sessions.close(&number.to_string())), [false, true]);
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
