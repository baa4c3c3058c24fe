//! What expiring is about to do, as data: since when requests are to be kept, why, and how many rows go.
//!
//! `row_retention.rs` decides. This file reads what the decision depends on, and counts the rows that it concerns. Runs
//! on whichever thread calls it, by any connection, and changes nothing. Counting reads an index entry for each row
//! that goes, so only those who print a plan ask for the counts: the compactor needs the cut alone.

use super::row_retention::{
    CutReason, DatabaseSize, DatabaseState, ExpiryCut, OldestRequests, RetentionTime, RowRetention,
};
use super::{digest_table, quarantine, schema_history};
use crate::fold::rollup::Level;
pub use crate::ground::expired::ExpiryReason;
use crate::ground::position::WriterId;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use std::collections::HashSet;
use std::fmt;

/// What is about to expire.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExpiryPlan {
    /// Requests from before this time go, and everything else of that time with them: Unix time in milliseconds, UTC.
    pub kept_since: i64,
    /// Why.
    pub reason: ExpiryReason,
    /// How many rows of which table, in the order in which they go.
    pub rows: Vec<ExpiringRows>,
}

/// Rows of a table that are about to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExpiringRows {
    /// The table.
    pub table: &'static str,
    /// How many of its rows. Rows that change and stay (roll-ups of cells that lie in both times) are not counted, nor
    /// are names that nobody uses any more, and what only says whose rows those were.
    pub rows: u64,
}

impl ExpiryPlan {
    /// What is about to expire, if anything. Of the `present` writers files may be there.
    pub(crate) fn read(
        connection: &Connection,
        retention: &RowRetention,
        time: RetentionTime,
        present: &HashSet<WriterId>,
    ) -> rusqlite::Result<Option<Self>> {
        let kept_since = kept_since(connection)?;
        let state = database_state(connection, retention, kept_since.unwrap_or(i64::MIN))?;
        let (cut, reason) = match (retention.cut(state, time), kept_since) {
            (Some(ExpiryCut { kept_since, reason: CutReason::Age }), _) => (kept_since, ExpiryReason::Age),
            (Some(ExpiryCut { kept_since, reason: CutReason::Size }), _) => (kept_since, ExpiryReason::Size),
            (Some(ExpiryCut { kept_since, reason: CutReason::Clock }), _) | (None, Some(kept_since)) => {
                (kept_since, ExpiryReason::UnderWay)
            }
            (None, None) => return Ok(None),
        };
        let rows = count(connection, cut, present)?;
        let plan = Self { kept_since: cut, reason, rows };
        Ok(Some(plan).filter(|plan| plan.reason != ExpiryReason::UnderWay || plan.row_count() > 0))
    }

    /// How many rows of all tables.
    pub fn row_count(&self) -> u64 {
        self.rows.iter().map(|expiring| expiring.rows).sum()
    }
}

impl fmt::Display for ExpiryPlan {
    /// A line that says what goes and why, and one for each table that loses rows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kept_since, reason, .. } = self;
        write!(f, "what is from before {kept_since} (Unix milliseconds) expires: {reason}")?;
        for ExpiringRows { table, rows } in self.rows.iter().filter(|expiring| expiring.rows > 0) {
            write!(f, "\n{rows} of {table}")?;
        }
        Ok(())
    }
}

/// Since when requests are kept, in Unix milliseconds; `None`: nothing ever expired.
pub(crate) fn kept_since(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection.query_row("SELECT kept_since FROM retention WHERE id = 1", [], |row| row.get(0)).optional()
}

/// Since when requests are kept, and how many came too late for that; `None`: nothing ever expired.
pub(crate) fn expired(connection: &Connection) -> rusqlite::Result<Option<(i64, u64)>> {
    let sql = "SELECT kept_since, late_requests FROM retention WHERE id = 1";
    connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// The state of the database that retention asks for. `kept_since` says since when requests are kept now.
pub(super) fn database_state(
    connection: &Connection,
    retention: &RowRetention,
    kept_since: i64,
) -> rusqlite::Result<DatabaseState> {
    let size = size(connection)?;
    let surplus = retention.surplus_requests(size);
    let oldest = if surplus > 0 { oldest(connection, surplus)? } else { None };
    Ok(DatabaseState { size, kept_since, oldest })
}

pub(super) fn size(connection: &Connection) -> rusqlite::Result<DatabaseSize> {
    let read = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get(0));
    Ok(DatabaseSize { page_bytes: read("page_size")?, pages: read("page_count")?, free_pages: read("freelist_count")? })
}

/// The times of the `count` oldest requests. Records that wait for a newer build take room like those that became rows.
fn oldest(connection: &Connection, count: u64) -> rusqlite::Result<Option<OldestRequests>> {
    let any_waits = "SELECT EXISTS (SELECT 1 FROM newer_records)";
    let times = if connection.query_row(any_waits, [], |row| row.get(0))? {
        "SELECT ts FROM request_rows UNION ALL SELECT noted_at FROM newer_records"
    } else {
        "SELECT ts FROM request_rows"
    };
    let time = |order: &str, skipped: u64| -> rusqlite::Result<Option<i64>> {
        let sql = format!("{times} ORDER BY 1 {order} LIMIT 1 OFFSET ?1");
        connection.prepare_cached(&sql)?.query_row([skipped], |row| row.get(0)).optional()
    };
    let (Some(first_ts), Some(newest_ts)) = (time("ASC", 0)?, time("DESC", 0)?) else { return Ok(None) };
    let last_ts = time("ASC", count - 1)?.unwrap_or(newest_ts);
    Ok(Some(OldestRequests { first_ts, last_ts, newest_ts }))
}

/// How many rows of each table are from before `kept_since`, stage by stage.
fn count(connection: &Connection, kept_since: i64, present: &HashSet<WriterId>) -> rusqlite::Result<Vec<ExpiringRows>> {
    let count = |sql: &str| connection.query_row(sql, [kept_since], |row| row.get(0));
    let mut rollups = 0;
    for level in Level::ALL {
        let sql = "SELECT count(*) FROM rollups WHERE level = ?1 AND start < ?2";
        let of_level = params![level.number(), level.start_of(kept_since)];
        rollups += connection.query_row(sql, of_level, |row| row.get::<_, u64>(0))?;
    }
    let all = "q.id > ?1 AND q.id <= ?2";
    let is_present = |writer| present.contains(&writer);
    let in_quarantine =
        quarantine::expired(connection, all, params![i64::MIN, i64::MAX, kept_since], is_present)?.len() as u64;
    let rows = [
        ("rollups", rollups),
        ("request_rows", count("SELECT count(*) FROM request_rows WHERE ts < ?1")?),
        ("session_state", digest_table::count_expired(connection, kept_since)?),
        ("schema_sightings", schema_history::count_expired(connection, kept_since)?),
        ("gaps", count("SELECT count(*) FROM gaps WHERE to_ts < ?1")?),
        ("clock_steps", count("SELECT count(*) FROM clock_steps WHERE max(from_ts, to_ts) < ?1")?),
        ("quarantine", in_quarantine),
        ("newer_records", count("SELECT count(*) FROM newer_records WHERE noted_at < ?1")?),
    ];
    Ok(rows.map(|(table, rows)| ExpiringRows { table, rows }).into())
}
