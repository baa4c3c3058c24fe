//! Which clients and proxies the sessions name: those that none names make room for others.
//!
//! Runs on the compactor, while names are crowded.

use crate::fold::session_digest;
use rusqlite::{Connection, params};
use std::collections::BTreeSet;

/// The numbers of names that sessions have.
#[derive(Debug, Default)]
pub(super) struct UsedNames {
    pub(super) clients: BTreeSet<u32>,
    pub(super) proxies: BTreeSet<u32>,
}

impl UsedNames {
    pub(super) fn add(&mut self, client: u32, proxy: u32) {
        self.clients.insert(client);
        self.proxies.insert(proxy);
    }
}

/// Reads them from at most `max` pages, from that one on; which page is next, if there is one.
pub(super) fn note_used(
    connection: &Connection,
    page: i64,
    max: usize,
    used: &mut UsedNames,
) -> rusqlite::Result<Option<i64>> {
    let mut select =
        connection.prepare_cached("SELECT page, digest FROM session_digest WHERE page >= ?1 ORDER BY page LIMIT ?2")?;
    let mut rows = select.query(params![page, max])?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        last = Some(row.get::<_, i64>(0)?);
        for (_, session) in session_digest::entries(row.get_ref(1)?.as_blob()?) {
            used.add(session.client, session.proxy);
        }
    }
    Ok(last.map(|page| page.saturating_add(1)))
}
