//! What a store knows of sessions that go on, for the proxy that records into it next.
//!
//! On the keeper's thread. It must not write. Another process may have the store, and record into it.

use mcplog::error::IndexError;
use mcplog::query::{Query, SessionFilter};
use mcplog_observe::{KNOWN_SESSIONS_MAX, KnownSession, KnownSessions};
use std::path::Path;

/// What the store in that directory knows of the sessions of a proxy of that name: of those seen last,
/// [`KNOWN_SESSIONS_MAX`], those that nobody closed. One that fell silent may go on; whether one that was made up does is for
/// the observer to say.
pub(super) fn known_sessions(dir: &Path, proxy: &str) -> Result<KnownSessions, IndexError> {
    let query = Query::open(dir)?;
    let mut filter = SessionFilter::default();
    (filter.proxy, filter.limit) = (Some(proxy.to_owned()), Some(KNOWN_SESSIONS_MAX as u64));
    let rows = query.sessions(&filter)?;
    let open = rows.into_iter().filter(|row| row.closed_at.is_none());
    let sessions = open.map(|row| KnownSession {
        session_id: row.session_id,
        client_name: row.client_name,
        client_version: row.client_version,
        protocol_version: row.protocol_version,
        derived: row.derived,
        last_seen_at: row.last_seen_at,
    });
    Ok(KnownSessions { salt: query.caller_salt()?, sessions: sessions.collect() })
}
