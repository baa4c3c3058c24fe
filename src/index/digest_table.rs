//! Table `session_digest`: sessions packed for those who filter and sum over all of them.
//!
//! Runs on the compactor, when a batch ends.

use super::name_numbers::NameNumbers;
use crate::fold::session_digest::{self, SessionDigest};
use crate::fold::session_facts::SessionFacts;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;

/// The entries that changed, by page: each with its index in the page; `None` for a session that was removed.
#[derive(Debug, Default)]
pub(super) struct ChangedDigests(BTreeMap<i64, Vec<(usize, Option<SessionDigest>)>>);

impl ChangedDigests {
    /// Notes that a session's row was written, or with `None` removed.
    pub(super) fn set(
        &mut self,
        connection: &Connection,
        names: &mut NameNumbers,
        session: i64,
        facts: Option<&SessionFacts>,
    ) -> rusqlite::Result<()> {
        let digest = match facts {
            Some(facts) => Some(digest_of(facts, names.client_and_proxy(connection, facts)?)),
            None => None,
        };
        let (page, index) = session_digest::place_of(session);
        self.0.entry(page).or_default().push((index, digest));
        Ok(())
    }

    /// Notes that a session's row was removed.
    pub(super) fn remove(&mut self, session: i64) {
        let (page, index) = session_digest::place_of(session);
        self.0.entry(page).or_default().push((index, None));
    }

    /// Writes the pages that changed. A page without sessions has no row.
    pub(super) fn write(self, connection: &Connection) -> rusqlite::Result<()> {
        let mut select = connection.prepare_cached("SELECT digest FROM session_digest WHERE page = ?1")?;
        let mut insert =
            connection.prepare_cached("INSERT OR REPLACE INTO session_digest (page, digest) VALUES (?1, ?2)")?;
        for (page, changes) in self.0 {
            let mut digest: Vec<u8> = select.query_row([page], |row| row.get(0)).optional()?.unwrap_or_default();
            for (index, entry) in &changes {
                session_digest::put(&mut digest, *index, entry.as_ref());
            }
            if digest.is_empty() {
                connection.prepare_cached("DELETE FROM session_digest WHERE page = ?1")?.execute([page])?;
            } else {
                insert.execute(params![page, digest])?;
            }
        }
        Ok(())
    }
}

/// The sessions of a page that were over before `kept_since` (Unix milliseconds).
pub(super) fn expired_sessions(connection: &Connection, page: i64, kept_since: i64) -> rusqlite::Result<Vec<i64>> {
    let digest: Option<Vec<u8>> = connection
        .prepare_cached("SELECT digest FROM session_digest WHERE page = ?1")?
        .query_row([page], |row| row.get(0))
        .optional()?;
    let digest = digest.unwrap_or_default();
    let is_over = |session: &SessionDigest| {
        session.started_at.max(session.last_seen_at).max(session.closed_at.unwrap_or(i64::MIN)) < kept_since
    };
    let over = session_digest::entries(&digest).filter(|(_, session)| is_over(session));
    Ok(over.map(|(index, _)| session_digest::session_at(page, index)).collect())
}

/// How many sessions were over before `kept_since`.
pub(super) fn count_expired(connection: &Connection, kept_since: i64) -> rusqlite::Result<u64> {
    let mut pages = connection.prepare("SELECT page FROM session_digest")?;
    let mut count = 0;
    for page in pages.query_map([], |row| row.get(0))? {
        count += expired_sessions(connection, page?, kept_since)?.len() as u64;
    }
    Ok(count)
}

fn digest_of(facts: &SessionFacts, (client, proxy): (u32, u32)) -> SessionDigest {
    let requests = facts.requests.as_ref();
    SessionDigest {
        client,
        proxy,
        started_at: facts.started_at(),
        last_seen_at: facts.last_seen_at(),
        closed_at: facts.closed_at(),
        calls: requests.map_or(0, |requests| requests.calls),
        errors: requests.map_or(0, |requests| requests.errors),
        tool_errors: requests.map_or(0, |requests| requests.tool_errors),
    }
}
