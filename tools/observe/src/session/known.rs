//! What a store knows of sessions, for an observer that begins where another one ended.
//!
//! Pure data.

/// How many sessions an observer makes use of when it begins, those seen last: more than are alive at once in front of one
/// proxy, and read in some 30 ms.
pub const KNOWN_SESSIONS_MAX: usize = 4096;

/// What a store knows of the sessions of one proxy.
#[derive(Clone, Debug, Default)]
pub struct KnownSessions {
    /// Random text that belongs to the store.
    pub salt: String,
    /// Those that nobody closed, in any order.
    pub sessions: Vec<KnownSession>,
}

/// A session on record.
#[derive(Clone, Debug)]
pub struct KnownSession {
    /// Its id.
    pub session_id: String,
    /// `clientInfo.name`.
    pub client_name: Option<String>,
    /// `clientInfo.version`.
    pub client_version: Option<String>,
    /// The revision that was agreed on; of a session of 2026-07-28, the one that its client speaks.
    pub protocol_version: Option<String>,
    /// It was made up.
    pub derived: bool,
    /// When its latest request arrived, in Unix milliseconds.
    pub last_seen_at: i64,
}

impl KnownSession {
    /// Whether its beginning is on record, and not only requests that name it.
    pub(super) fn was_announced(&self) -> bool {
        self.client_name.is_some() || self.protocol_version.is_some()
    }
}
