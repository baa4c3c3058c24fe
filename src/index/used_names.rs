//! Which clients and proxies the sessions name. A name that no session names any more makes room for another.
//!
//! Runs on the compactor, once there are nearly as many names as the database tells apart.

use crate::fold::session_digest;
use rusqlite::{Connection, params};
use std::collections::BTreeSet;

/// The numbers of the clients and proxies that sessions name.
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

/// Adds the names in at most `max` pages, from `page` on, to `used`; returns the page that comes next, if there is one.
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
