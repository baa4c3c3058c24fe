//! Expiring: requests that are too old or too many go, and everything else of their time with them.
//!
//! Runs on the compactor, one short transaction at a time, so that neither folding nor a reader waits for expiring. The
//! work of a transaction is bounded, and follows the time that the last transaction took; another thread waits for the
//! disk, as `sqlite_wal.rs` says. First the database notes since when requests are kept: from then on whatever is older
//! is expired, and an older request that comes late is not folded any more. Then expiring removes what is expired,
//! stage by stage, page by page. A crash in between changes nothing: the stages begin again, and find what is left.
//!
//! The rows that are left depend on the events and on the cut alone, not on the order in which events came. There are
//! two exceptions, which nothing but keeping everything avoids: a session that was over and speaks again begins anew,
//! and the id of an expired request may come again.
//!
//! The roll-ups go first, so that at no time a cell counts (or names) a request whose row is gone.

use super::digest_table::{self, ChangedDigests};
use super::name_numbers::NameNumbers;
use super::row_retention::RowRetention;
use super::step_size::StepSize;
use super::{expiry_plan, fold_runs, newer_records, quarantine, rollup_table, schema_history, session_table, writers};
use crate::event::Outcome;
use crate::fold::session_facts::RequestFacts;
use crate::ground::expired::{Expired, ExpiredRows, ExpiryReason};
use crate::ground::position::WriterId;
use rusqlite::{Connection, Transaction, params};
use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

/// How much a step removes at most, after quick steps: so much takes a few milliseconds.
const ROLLUP_PAGES_MAX: usize = if cfg!(test) { 3 } else { 128 };
const REQUESTS_MAX: usize = if cfg!(test) { 2 } else { 512 };
const SESSIONS_MAX: usize = if cfg!(test) { 2 } else { 128 };
const SIGHTINGS_MAX: usize = if cfg!(test) { 1 } else { 16 };
const NEWER_RECORDS_MAX: usize = if cfg!(test) { 1 } else { 512 };
const CALLS_MAX: usize = if cfg!(test) { 1 } else { 512 };
/// How many rows a step looks at, and so how many it removes at most, in small tables without an index by time.
const ROWS_MAX: usize = if cfg!(test) { 3 } else { 256 };
/// How many pages of session digests a step reads at most: 14 KiB each.
const DIGESTS_MAX: usize = if cfg!(test) { 1 } else { 256 };
/// How many pages a step gives back to the file system at most. The last page of the file moves into the place of each.
const PAGES_MAX: usize = if cfg!(test) { 8 } else { 64 };

/// How far expiring is.
#[derive(Debug)]
pub(super) struct Expiry {
    /// Requests from before this time (Unix milliseconds) are expired; `i64::MIN` if nothing ever expired.
    pub(super) kept_since: i64,
    pub(super) stage: Stage,
    pub(super) step_size: StepSize,
    pub(super) looked_at: Option<Instant>,
    /// Why what is older expires.
    pub(super) reason: ExpiryReason,
    /// Something of before `kept_since` came since: a session that was over, a gap. It goes the next time.
    pub(super) has_stale: bool,
    /// What expired since the database was opened.
    pub(super) expired: Expired,
    /// The writers of which files may be there, or come back after a power cut. Notes of damage in these stay, because
    /// retiring asks which files are damaged; and so do their checkpoints. `None`: nobody said yet, and all stay.
    pub(super) present: Option<HashSet<WriterId>>,
}

/// What the next step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Looks whether anything is expired.
    Look,
    /// Removes cells of the roll-ups.
    Cells,
    /// Recounts the cells that lie in both times, of the next page of calls.
    CutCells { after_page: Option<i64> },
    /// Removes the rows of requests.
    Requests,
    /// Removes sessions that are over, from that page of digests on.
    Sessions { page: i64 },
    /// Removes sightings of schemas that are no caller's any more, behind that sighting.
    Schemas { after: i64 },
    /// Removes gaps, behind that gap.
    Gaps { after: i64 },
    /// Removes steps of the clock, behind that step.
    ClockSteps { after: i64 },
    /// Removes rows of the quarantine table, behind that row.
    Quarantine { after: i64 },
    /// Removes records of a newer build that wait.
    NewerRecords,
    /// Removes runs of ids of which no row is left, behind that run.
    Runs { after: i64 },
    /// Removes writers of which nothing is left, behind that writer.
    Writers { after: i64 },
    /// Removes calls that no request names any more.
    Calls,
    /// Notes which clients and proxies the sessions name, from that page of digests on.
    UsedNames { page: i64 },
    /// Removes the other clients and proxies.
    UnusedNames,
    /// Gives free pages back to the file system.
    Pages,
}

impl Default for Expiry {
    fn default() -> Self {
        Self {
            kept_since: i64::MIN,
            stage: Stage::Look,
            step_size: StepSize::FIRST,
            looked_at: None,
            reason: ExpiryReason::UnderWay,
            has_stale: false,
            expired: Expired::default(),
            present: None,
        }
    }
}

impl Expiry {
    /// Where expiring goes on: an expiry may have been under way when the database was last closed.
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let kept_since = expiry_plan::kept_since(connection)?;
        let stage = if kept_since.is_some() { Stage::Cells } else { Stage::Look };
        Ok(Self { kept_since: kept_since.unwrap_or(i64::MIN), stage, ..Self::default() })
    }

    fn may_be_present(&self, writer: WriterId) -> bool {
        self.present.as_ref().is_none_or(|present| present.contains(&writer))
    }
}

/// Removes some of what is expired; returns the stage that comes next, and what is gone.
pub(super) fn step(
    transaction: &Transaction<'_>,
    names: &mut NameNumbers,
    expiry: &Expiry,
) -> rusqlite::Result<(Stage, ExpiredRows)> {
    let Expiry { kept_since, stage, step_size, .. } = *expiry;
    let mut gone = ExpiredRows::none(expiry.reason);
    let next = match stage {
        Stage::Cells => {
            let max = step_size.of(ROLLUP_PAGES_MAX);
            if rollup_table::expire(transaction, kept_since, max)? < max {
                Stage::CutCells { after_page: None }
            } else {
                stage
            }
        }
        Stage::CutCells { after_page } => match rollup_table::recount_cut_cells(transaction, after_page, kept_since)? {
            None => Stage::Requests,
            page => Stage::CutCells { after_page: page },
        },
        Stage::Requests => {
            let max = step_size.of(REQUESTS_MAX);
            expire_requests(transaction, kept_since, max, &mut gone)?;
            if gone.requests < max as u64 { Stage::Sessions { page: 0 } } else { stage }
        }
        Stage::Sessions { page } => {
            let place = SessionsPlace { kept_since, page, max: step_size.of(SESSIONS_MAX) };
            expire_sessions(transaction, names, place, &mut gone)?
        }
        Stage::Schemas { after } => match last_row_of_step(transaction, "schema_sightings", after)? {
            None => Stage::Gaps { after: 0 },
            Some(last) => {
                let max = step_size.of(SIGHTINGS_MAX);
                let after = schema_history::expire(transaction, kept_since, (after, last), max)?;
                Stage::Schemas { after }
            }
        },
        Stage::Gaps { after } => match last_row_of_step(transaction, "gaps", after)? {
            None => Stage::ClockSteps { after: i64::MIN },
            Some(last) => {
                let sql = "DELETE FROM gaps WHERE id > ?1 AND id <= ?2 AND to_ts < ?3";
                transaction.prepare_cached(sql)?.execute(params![after, last, kept_since])?;
                Stage::Gaps { after: last }
            }
        },
        Stage::ClockSteps { after } => match last_row_of_step(transaction, "clock_steps", after)? {
            None => Stage::Quarantine { after: 0 },
            Some(last) => {
                // Both times: one of them is wrong, and nobody knows which.
                let sql = "DELETE FROM clock_steps WHERE id > ?1 AND id <= ?2 AND max(from_ts, to_ts) < ?3";
                transaction.prepare_cached(sql)?.execute(params![after, last, kept_since])?;
                Stage::ClockSteps { after: last }
            }
        },
        Stage::Quarantine { after } => match last_row_of_step(transaction, "quarantine", after)? {
            None => Stage::NewerRecords,
            Some(last) => {
                expire_quarantine(transaction, (after, last), expiry)?;
                Stage::Quarantine { after: last }
            }
        },
        Stage::NewerRecords => {
            let max = step_size.of(NEWER_RECORDS_MAX);
            if newer_records::expire(transaction, kept_since, max)? < max { Stage::Runs { after: 0 } } else { stage }
        }
        Stage::Runs { after } => match fold_runs::expire(transaction, after, ROWS_MAX)? {
            None => Stage::Writers { after: 0 },
            Some(last) => Stage::Runs { after: last },
        },
        Stage::Writers { after } => match last_row_of_step(transaction, "writers", after)? {
            None => Stage::Calls,
            Some(last) => {
                writers::expire(transaction, kept_since, (after, last), |writer| expiry.may_be_present(writer))?;
                Stage::Writers { after: last }
            }
        },
        Stage::Calls => {
            let max = step_size.of(CALLS_MAX);
            let removed = expire_calls(transaction, max)?;
            names.forget_calls();
            match removed < max {
                false => stage,
                true if names.are_crowded(transaction)? => Stage::UsedNames { page: 0 },
                true => Stage::Pages,
            }
        }
        Stage::UsedNames { page } => match names.note_used(transaction, page, step_size.of(DIGESTS_MAX))? {
            None => Stage::UnusedNames,
            Some(page) => Stage::UsedNames { page },
        },
        Stage::UnusedNames => {
            let max = step_size.of(CALLS_MAX);
            if names.remove_unused(transaction, max)? < max { Stage::Pages } else { stage }
        }
        Stage::Look | Stage::Pages => stage,
    };
    Ok((next, gone))
}

/// Removes rows of requests, at most `max`. Their sums stay with their sessions.
fn expire_requests(
    transaction: &Transaction<'_>,
    kept_since: i64,
    max: usize,
    gone: &mut ExpiredRows,
) -> rusqlite::Result<()> {
    let mut delete = transaction.prepare_cached(
        "DELETE FROM request_rows WHERE id IN (SELECT id FROM request_rows WHERE ts < ?1 ORDER BY ts LIMIT ?2)
         RETURNING session, ts, (SELECT proxy FROM calls WHERE calls.id = call), outcome",
    )?;
    let mut rows = delete.query(params![kept_since, max])?;
    let mut sessions: BTreeMap<i64, RequestFacts> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let ts = row.get(1)?;
        gone.add_request(ts);
        let Some(session) = row.get::<_, Option<i64>>(0)? else { continue };
        let request = RequestFacts::of(ts, row.get(2)?, Outcome::from_number(row.get(3)?));
        let sum = RequestFacts::of_both(sessions.remove(&session), Some(request));
        sessions.extend(sum.map(|sum| (session, sum)));
    }
    for (session, requests) in sessions {
        session_table::add_expired(transaction, session, requests)?;
    }
    Ok(())
}

/// Removes notes of damage, behind the row `after` and up to `last`.
fn expire_quarantine(
    transaction: &Transaction<'_>,
    (after, last): (i64, i64),
    expiry: &Expiry,
) -> rusqlite::Result<()> {
    let mut delete = transaction.prepare_cached("DELETE FROM quarantine WHERE id = ?1")?;
    let range = "q.id > ?1 AND q.id <= ?2";
    let values = params![after, last, expiry.kept_since];
    for id in quarantine::expired(transaction, range, values, |writer| expiry.may_be_present(writer))? {
        delete.execute([id])?;
    }
    Ok(())
}

/// Which sessions a step removes: those that were over before `kept_since`, from a page of digests on, at most `max`.
struct SessionsPlace {
    kept_since: i64,
    page: i64,
    max: usize,
}

/// Removes sessions of the next page; returns the stage that comes next.
fn expire_sessions(
    transaction: &Transaction<'_>,
    names: &mut NameNumbers,
    SessionsPlace { kept_since, page, max }: SessionsPlace,
    gone: &mut ExpiredRows,
) -> rusqlite::Result<Stage> {
    let next: Option<i64> = transaction
        .prepare_cached("SELECT min(page) FROM session_digest WHERE page >= ?1")?
        .query_row([page], |row| row.get(0))?;
    let Some(page) = next else { return Ok(Stage::Schemas { after: 0 }) };
    let mut digests = ChangedDigests::default();
    let mut expired = digest_table::expired_sessions(transaction, page, kept_since)?;
    let is_through = expired.len() <= max;
    expired.truncate(max);
    for session in expired {
        if let Some(session_id) = session_table::remove(transaction, session)? {
            names.forget_session(&session_id);
        }
        digests.remove(session);
        gone.sessions += 1;
    }
    digests.write(transaction)?;
    Ok(Stage::Sessions { page: if is_through { page + 1 } else { page } })
}

/// The last row that a step looks at, where it begins behind row `after` of a table; `None` if no row is left.
fn last_row_of_step(transaction: &Transaction<'_>, table: &str, after: i64) -> rusqlite::Result<Option<i64>> {
    let sql = format!("SELECT max(id) FROM (SELECT id FROM {table} WHERE id > ?1 ORDER BY id LIMIT ?2)");
    transaction.prepare_cached(&sql)?.query_row(params![after, ROWS_MAX], |row| row.get(0))
}

/// Removes calls without requests, at most `max`; returns how many.
fn expire_calls(transaction: &Transaction<'_>, max: usize) -> rusqlite::Result<usize> {
    let unused = "DELETE FROM calls WHERE id IN (
                      SELECT id FROM calls WHERE NOT EXISTS (SELECT 1 FROM request_rows WHERE call = calls.id) LIMIT ?1)";
    transaction.prepare_cached(unused)?.execute([max])
}

/// Whether SQLite can give free pages back. Otherwise new rows fill them.
fn shrinks(connection: &Connection) -> rusqlite::Result<bool> {
    const INCREMENTAL: i64 = 2;
    Ok(connection.pragma_query_value(None, "auto_vacuum", |row| row.get::<_, i64>(0))? == INCREMENTAL)
}

/// Writes the database anew as one that gives pages back, if requests have expired and it was created without a limit.
/// Nobody can write meanwhile.
pub(super) fn make_shrinkable(connection: &Connection, expiry: &Expiry) -> rusqlite::Result<()> {
    if expiry.kept_since == i64::MIN || shrinks(connection)? {
        return Ok(());
    }
    connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM")
}

/// Gives some free pages back to the file system. The file gets shorter when SQLite's WAL is copied into it.
pub(super) fn give_pages_back(
    connection: &Connection,
    retention: &RowRetention,
    step_size: StepSize,
) -> rusqlite::Result<Stage> {
    let pages = retention.surplus_pages(expiry_plan::size(connection)?).min(step_size.of(PAGES_MAX) as u64);
    if pages == 0 || !shrinks(connection)? {
        return Ok(Stage::Look);
    }
    // Each page is a step of the statement.
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    Ok(Stage::Pages)
}
