//! Table `session_state`, which is behind view `sessions`: a session's facts are read, merged and written back.
//!
//! Runs on the compactor, within a batch.

use crate::fold::session_facts::{Announcement, Closes, RequestFacts, SessionFacts};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// The columns that [`read_facts`] reads, in this order.
pub(super) const FACTS: &str =
    "announced_at, proxy, client_name, client_version, client_platform, protocol_version, derived,
    first_request_at, last_request_at, request_proxy, total_calls, total_errors, total_tool_errors, first_closed_at,
    last_closed_at, noise_lines";

/// Merges facts into a session's row; returns all facts that are known now. With `recount`, the sums are counted from
/// the session's requests, because one of them was removed. `None`: no event names the session any more, and its row is
/// gone.
pub(super) fn merge(
    connection: &Connection,
    session: i64,
    session_id: &str,
    facts: SessionFacts,
    recount: bool,
) -> rusqlite::Result<Option<SessionFacts>> {
    let stored = connection
        .prepare_cached(&format!("SELECT {FACTS} FROM session_state WHERE id = ?1"))?
        .query_row([session], |row| read_facts(row, 0))
        .optional()?;
    let mut merged = stored.unwrap_or_default().merge(facts);
    if recount {
        merged.requests = count_requests(connection, session)?;
    }
    if merged == SessionFacts::default() {
        // The session's only request was ignored, or belongs to another session.
        connection.prepare_cached("DELETE FROM session_state WHERE id = ?1")?.execute([session])?;
        return Ok(None);
    }
    write(connection, session, session_id, &merged)?;
    Ok(Some(merged))
}

fn write(connection: &Connection, session: i64, session_id: &str, facts: &SessionFacts) -> rusqlite::Result<()> {
    let announcement = facts.announcement.as_ref();
    let requests = facts.requests.as_ref();
    connection
        .prepare_cached(
            "INSERT INTO session_state
                 (id, session_id, proxy, started_at, last_seen_at, closed_at, client_name, client_version,
                  client_platform, protocol_version, derived, total_calls, total_errors, total_tool_errors,
                  announced_at, first_request_at, last_request_at, request_proxy, first_closed_at, last_closed_at,
                  noise_lines)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)
             ON CONFLICT (id) DO UPDATE SET
                 proxy = ?3, started_at = ?4, last_seen_at = ?5, closed_at = ?6, client_name = ?7, client_version = ?8,
                 client_platform = ?9, protocol_version = ?10, derived = ?11, total_calls = ?12, total_errors = ?13,
                 total_tool_errors = ?14, announced_at = ?15, first_request_at = ?16, last_request_at = ?17,
                 request_proxy = ?18, first_closed_at = ?19, last_closed_at = ?20,
                 noise_lines = ?21",
        )?
        .execute(params![
            session,
            session_id,
            facts.proxy(),
            facts.started_at(),
            facts.last_seen_at(),
            facts.closed_at(),
            announcement.and_then(|announcement| announcement.client_name.as_deref()),
            announcement.and_then(|announcement| announcement.client_version.as_deref()),
            announcement.and_then(|announcement| announcement.client_platform.as_deref()),
            announcement.and_then(|announcement| announcement.protocol_version.as_deref()),
            announcement.is_some_and(|announcement| announcement.derived),
            requests.map_or(0, |requests| requests.calls),
            requests.map_or(0, |requests| requests.errors),
            requests.map_or(0, |requests| requests.tool_errors),
            announcement.map(|announcement| announcement.started_at),
            requests.map(|requests| requests.first_at),
            requests.map(|requests| requests.last_at),
            requests.map(|requests| requests.proxy.as_str()),
            facts.closes.map(|closes| closes.first_at),
            facts.closes.map(|closes| closes.last_at),
            facts.noise_lines,
        ])
        .map(|_| ())
}

/// What a row says whose columns, from `at` on, are [`FACTS`].
pub(super) fn read_facts(row: &Row<'_>, at: usize) -> rusqlite::Result<SessionFacts> {
    let announcement = match row.get(at)? {
        None => None,
        Some(started_at) => Some(Announcement {
            started_at,
            proxy: row.get(at + 1)?,
            client_name: row.get(at + 2)?,
            client_version: row.get(at + 3)?,
            client_platform: row.get(at + 4)?,
            protocol_version: row.get(at + 5)?,
            derived: row.get(at + 6)?,
        }),
    };
    let requests = match row.get(at + 7)? {
        None => None,
        Some(first_at) => Some(RequestFacts {
            first_at,
            last_at: row.get(at + 8)?,
            proxy: row.get(at + 9)?,
            calls: row.get(at + 10)?,
            errors: row.get(at + 11)?,
            tool_errors: row.get(at + 12)?,
        }),
    };
    let closes = match row.get(at + 13)? {
        None => None,
        Some(first_at) => Some(Closes { first_at, last_at: row.get(at + 14)? }),
    };
    Ok(SessionFacts { announcement, requests, closes, noise_lines: row.get(at + 15)? })
}

/// The sums over a session's requests: those in the table, and those that are expired.
fn count_requests(connection: &Connection, session: i64) -> rusqlite::Result<Option<RequestFacts>> {
    let present = connection
        .prepare_cached(
            "SELECT min(ts), max(ts), min(proxy), count(*), coalesce(sum(outcome IN (3, 4)), 0), coalesce(sum(outcome = 2), 0)
             FROM request_rows JOIN calls ON calls.id = request_rows.call WHERE session = ?1",
        )?
        .query_row([session], |row| {
            if row.get_ref(0)?.data_type() == Type::Null { Ok(None) } else { facts(row).map(Some) }
        })?;
    Ok(RequestFacts::of_both(present, expired(connection, session)?))
}

/// Adds requests that expire to the sums that are kept for their session.
pub(super) fn add_expired(connection: &Connection, session: i64, requests: RequestFacts) -> rusqlite::Result<()> {
    let Some(sum) = RequestFacts::of_both(expired(connection, session)?, Some(requests)) else { return Ok(()) };
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO expired_requests (session, first_at, last_at, proxy, calls, errors, tool_errors)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![session, sum.first_at, sum.last_at, sum.proxy, sum.calls, sum.errors, sum.tool_errors])
        .map(|_| ())
}

/// Keeps what a session's requests added up to by `told`, as far as those in the table don't: as of requests that are
/// expired.
pub(super) fn keep_sums(connection: &Connection, session: i64, told: &RequestFacts) -> rusqlite::Result<()> {
    let present = count_requests(connection, session)?;
    let more = |sum: fn(&RequestFacts) -> i64| (sum(told) - present.as_ref().map_or(0, sum)).max(0);
    let calls = more(|facts| facts.calls);
    if calls == 0 {
        return Ok(());
    }
    let (errors, tool_errors) = (more(|facts| facts.errors), more(|facts| facts.tool_errors));
    add_expired(connection, session, RequestFacts { calls, errors, tool_errors, ..told.clone() })
}

/// Removes a session that is over, and returns its id. Its requests are gone already.
pub(super) fn remove(connection: &Connection, session: i64) -> rusqlite::Result<Option<String>> {
    connection.prepare_cached("DELETE FROM expired_requests WHERE session = ?1")?.execute([session])?;
    connection
        .prepare_cached("DELETE FROM session_state WHERE id = ?1 RETURNING session_id")?
        .query_row([session], |row| row.get(0))
        .optional()
}

fn expired(connection: &Connection, session: i64) -> rusqlite::Result<Option<RequestFacts>> {
    connection
        .prepare_cached(
            "SELECT first_at, last_at, proxy, calls, errors, tool_errors FROM expired_requests WHERE session = ?1",
        )?
        .query_row([session], facts)
        .optional()
}

fn facts(row: &Row<'_>) -> rusqlite::Result<RequestFacts> {
    Ok(RequestFacts {
        first_at: row.get(0)?,
        last_at: row.get(1)?,
        proxy: row.get(2)?,
        calls: row.get(3)?,
        errors: row.get(4)?,
        tool_errors: row.get(5)?,
    })
}
