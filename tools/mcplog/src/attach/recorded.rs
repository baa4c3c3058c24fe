//! What is on record of an attached server: its latest session.
//!
//! Runs on the main thread; only reads the store.

use super::client::Client;
use super::state::How;
use mcplog::error::IndexError;
use mcplog::query::{Query, RequestFilter, SessionFilter, SessionRow};
use serde::Serialize;
use std::path::Path;

/// How many sessions of a server are looked at for one of the client's.
const SESSIONS_MAX: u64 = 200;

/// A session, as much as is told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct LastSession {
    pub(super) session_id: String,
    pub(super) started_at: i64,
    pub(super) last_seen_at: i64,
    pub(super) calls: i64,
    /// What its client calls itself.
    pub(super) client_name: Option<String>,
}

/// An open store.
pub(super) struct Recorded(Query);

impl Recorded {
    /// Opens the store in a directory; `None` if there is none.
    pub(super) fn open(dir: &Path) -> Result<Option<Self>, IndexError> {
        // What can't be looked at may be one, and opening it says why not.
        if !dir.join("store.db").try_exists().unwrap_or(true) {
            return Ok(None);
        }
        Ok(Some(Self(Query::open(dir)?)))
    }

    /// The latest session under that name over that transport: one of the client's, if there is any.
    pub(super) fn last_session(&self, client: Client, name: &str, how: How) -> Result<Option<LastSession>, IndexError> {
        let filter =
            SessionFilter { proxy: Some(name.to_owned()), limit: Some(SESSIONS_MAX), ..SessionFilter::default() };
        let mut latest = None;
        for row in self.0.sessions(&filter)?.into_iter().rev() {
            if !self.is_over(&row, how)? {
                continue;
            }
            if is_of(client, row.client_name.as_deref()) {
                return Ok(Some(last(row)));
            }
            latest.get_or_insert_with(|| last(row));
        }
        Ok(latest)
    }

    /// Whether a session went over a pipe, or over HTTP, as its latest request did; one without requests may have.
    fn is_over(&self, row: &SessionRow, how: How) -> Result<bool, IndexError> {
        let session_id = Some(row.session_id.clone());
        let filter = RequestFilter { session_id, limit: Some(1), ..RequestFilter::default() };
        let requests = self.0.requests(&filter)?;
        let transport = requests.first().and_then(|request| request.transport.as_deref());
        Ok(transport.is_none_or(|transport| (transport == "stdio") == (how == How::Wrap)))
    }
}

/// Whether that is how the client calls itself.
pub(super) fn is_of(client: Client, name: Option<&str>) -> bool {
    name.is_some_and(|name| name.to_lowercase().contains(client.facts().session_name))
}

fn last(row: SessionRow) -> LastSession {
    LastSession {
        session_id: row.session_id,
        started_at: row.started_at,
        last_seen_at: row.last_seen_at,
        calls: row.total_calls,
        client_name: row.client_name,
    }
}
