//! Making anew all that is derived from rows: the sums of sessions, the digests, the roll-ups.
//!
//! Runs on the thread that asked for it, in one transaction: readers see the old state or the new one meanwhile.

use super::database::Index;
use super::digest_table::ChangedDigests;
use super::name_numbers::NameNumbers;
use super::{expiry, rollup_table, session_table};
use crate::fold::session_facts::SessionFacts;
use crate::ground::work::{Watch, WorkError};
use rusqlite::{Connection, Transaction, ffi};

/// How much was made anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct RebuildReport {
    /// Rows of table `requests`, which were read.
    pub requests: u64,
    /// Sessions whose sums were counted.
    pub sessions: u64,
    /// Calls (proxy, method and tool) whose roll-ups were made.
    #[serde(rename = "rollups")]
    pub calls: u64,
}

impl Index {
    /// Makes anew all that is derived from rows. Who watches may break that off; nothing is changed then.
    pub(crate) fn rebuild(&mut self, watch: &mut Watch<'_>) -> Result<RebuildReport, WorkError> {
        self.finish_expiring()?;
        let mut is_wanted = true;
        let rebuilt = self.within_transaction(|transaction, held| {
            rebuild(transaction, &mut held.names, &mut |done| {
                is_wanted = watch(done).is_continue();
                let interrupted = || rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_INTERRUPT), None);
                if is_wanted { Ok(()) } else { Err(interrupted()) }
            })
        });
        if !is_wanted {
            return Err(WorkError::Interrupted);
        }
        let report = rebuilt?;
        self.held.names.commit();
        self.checked(expiry::make_shrinkable(&self.connection, &self.held.expiry))?;
        Ok(report)
    }
}

fn rebuild(
    connection: &Transaction<'_>,
    names: &mut NameNumbers,
    progress: &mut dyn FnMut(f64) -> rusqlite::Result<()>,
) -> rusqlite::Result<RebuildReport> {
    // The numbers of clients and proxies are given out anew.
    *names = NameNumbers::default();
    names.begin();
    connection.execute_batch("DELETE FROM session_digest; DELETE FROM clients; DELETE FROM proxies")?;
    let requests: u64 = connection.query_row("SELECT count(*) FROM request_rows", [], |row| row.get(0))?;
    let calls = connection.query_row("SELECT count(*) FROM calls", [], |row| row.get(0))?;
    let sessions = numbers(connection, "SELECT id FROM session_state")?;
    let steps = (requests as f64 + sessions.len() as f64).max(1.0);
    rollup_table::rebuild(connection, &mut |rows| progress(rows as f64 / steps))?;
    let mut done = requests as f64;
    let mut digests = ChangedDigests::default();
    for session in &sessions {
        let session_id: String = connection
            .prepare_cached("SELECT session_id FROM session_state WHERE id = ?1")?
            .query_row([session], |row| row.get(0))?;
        let facts = session_table::merge(connection, *session, &session_id, SessionFacts::default(), true)?;
        digests.set(connection, names, *session, facts.as_ref())?;
        done += 1.0;
        progress(done / steps)?;
    }
    digests.write(connection)?;
    Ok(RebuildReport { requests, sessions: sessions.len() as u64, calls })
}

fn numbers(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<i64>> {
    connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}
