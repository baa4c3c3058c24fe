//! Sessions, and the clients behind them.
//!
//! Runs on the caller's thread. Queries find both in the digests that the index keeps of all sessions, 56 bytes each:
//! scanning 100,000 digests takes a few milliseconds. Only sessions that are shown are read as rows, page by page, each
//! page in a transaction of its own: nothing of SQLite's WAL is held while the caller takes its time.

use super::database::Query;
use super::filter::{SessionFilter, TimeRange};
use super::page_size::HANDED_OVER_MAX;
use crate::fold::session_digest::{SessionDigest, entries, place_of, session_at};
use crate::ground::error::IndexError;
use rusqlite::Row;
use std::collections::HashMap;
use std::ops::ControlFlow;

/// One MCP session, as view `sessions` has it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct SessionRow {
    /// The session's id.
    pub session_id: String,
    /// The proxy that saw it.
    pub proxy: String,
    /// When it began: Unix time in milliseconds, UTC. Without a handshake on record, the earliest time known of it.
    pub started_at: i64,
    /// When its latest request arrived: Unix time in milliseconds, UTC.
    pub last_seen_at: i64,
    /// When it ended: closed, or silent for so long that it counts as ended. `None` while it is open.
    pub ended_at: Option<i64>,
    /// When it was closed. `None` for a session that just fell silent, or that spoke again after its last close.
    pub closed_at: Option<i64>,
    /// `clientInfo.name`.
    pub client_name: Option<String>,
    /// `clientInfo.version`.
    pub client_version: Option<String>,
    /// The platform, such as `claude` or `cursor`.
    pub client_platform: Option<String>,
    /// The MCP revision agreed on.
    pub protocol_version: Option<String>,
    /// Whether the proxy made this session up, because the protocol revision has none.
    pub derived: bool,
    /// Requests in this session.
    pub total_calls: i64,
    /// Of those: failed, outcome error or timeout.
    pub total_errors: i64,
    /// Of those: a result that said `isError`, outcome tool_error.
    pub total_tool_errors: i64,
    /// How many lines the server wrote on its standard output that are no messages. `None`: nobody counted, as over HTTP.
    pub noise_lines: Option<i64>,
}

/// The sessions of one client, by name, version and platform.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct ClientRow {
    /// `clientInfo.name`; `None` stands for sessions whose handshake is not on record.
    pub client_name: Option<String>,
    /// `clientInfo.version`.
    pub client_version: Option<String>,
    /// The platform, such as `claude` or `cursor`.
    pub client_platform: Option<String>,
    /// How many sessions it had.
    pub sessions: i64,
    /// Of those: not ended.
    pub open_sessions: i64,
    /// Requests in those sessions.
    pub total_calls: i64,
    /// Of those: failed, outcome error or timeout.
    pub total_errors: i64,
    /// Of those: a result that said `isError`, outcome tool_error.
    pub total_tool_errors: i64,
    /// When its first session began: Unix time in milliseconds, UTC.
    pub first_seen_at: i64,
    /// When its latest request arrived: Unix time in milliseconds, UTC.
    pub last_seen_at: i64,
}

/// A [`SessionFilter`] with the numbers that stand for its names in the digests.
struct ResolvedSessionFilter {
    proxy: Option<u32>,
    clients: Option<Vec<u32>>,
    session: Option<i64>,
    time_range: TimeRange,
    errors_only: bool,
}

impl ResolvedSessionFilter {
    fn keeps(&self, session: i64, digest: &SessionDigest) -> bool {
        self.session.is_none_or(|wanted| session == wanted)
            && self.time_range.since_ts.is_none_or(|since_ts| digest.last_seen_at >= since_ts)
            && self.time_range.until_ts.is_none_or(|until_ts| digest.started_at < until_ts)
            && self.proxy.is_none_or(|proxy| digest.proxy == proxy)
            && self.clients.as_ref().is_none_or(|clients| clients.contains(&digest.client))
            && (!self.errors_only || digest.errors > 0 || digest.tool_errors > 0)
    }
}

/// Until when a session that was not closed counts as open.
struct Idleness {
    now_ts: i64,
    /// Positive; `None` where sessions don't end by themselves.
    idle_ms: Option<i64>,
}

impl Idleness {
    /// Whether the session is open, as view `sessions` defines it.
    fn is_open(&self, digest: &SessionDigest) -> bool {
        let silent = |idle_ms| i128::from(digest.last_seen_at) + i128::from(idle_ms) <= i128::from(self.now_ts);
        digest.closed_at.is_none() && !self.idle_ms.is_some_and(silent)
    }
}

impl Query {
    /// The sessions that `filter` keeps, in the order in which they were last seen, the most recent one last. With a
    /// limit: the most recent ones, in the same order.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn sessions(&self, filter: &SessionFilter) -> Result<Vec<SessionRow>, IndexError> {
        let mut rows = Vec::new();
        self.each_session(filter, |row| {
            rows.push(row);
            ControlFlow::Continue(())
        })?;
        Ok(rows)
    }

    /// Hands the rows of [`Query::sessions`] over one by one, until `each` breaks off. Of a session that waits for its
    /// turn, 16 bytes are held; of those last seen in the same millisecond, the ids too.
    ///
    /// Which sessions they are, and their order, is settled at the start. What a row says of its session is from when
    /// its turn comes; one that expired meanwhile is left out.
    ///
    /// # Errors What SQLite said; [`IndexError::Replaced`] if the database was made anew meanwhile. Rows may have been
    /// handed over before.
    pub fn each_session(
        &self,
        filter: &SessionFilter,
        mut each: impl FnMut(SessionRow) -> ControlFlow<()>,
    ) -> Result<(), IndexError> {
        let limit = filter.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let mut found: Vec<(i64, i64)> = Vec::new();
        let made_at = self.at_one_time(|| {
            self.each_digest(filter, |session, digest| found.push((digest.last_seen_at, session)))?;
            self.made_at()
        })?;
        found.sort_unstable();
        let mut older = found.len().saturating_sub(limit);
        let mut page = Vec::new();
        for group in found.chunk_by(|one, other| one.0 == other.0) {
            let skipped = older.min(group.len());
            older -= skipped;
            if skipped == group.len() {
                continue;
            }
            page.extend(self.at_one_time(|| self.in_order_of_ids(group))?.into_iter().skip(skipped));
            if page.len() >= HANDED_OVER_MAX && self.hand_sessions_over(&made_at, &mut page, &mut each)?.is_break() {
                return Ok(());
            }
        }
        self.hand_sessions_over(&made_at, &mut page, &mut each).map(drop)
    }

    /// Hands the sessions with those numbers over, as far as they are still there, until `each` breaks off.
    fn hand_sessions_over(
        &self,
        made_at: &str,
        sessions: &mut Vec<i64>,
        each: &mut impl FnMut(SessionRow) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, IndexError> {
        let sessions = std::mem::take(sessions);
        for page in sessions.chunks(HANDED_OVER_MAX) {
            let rows = self.at_one_time(|| {
                // One made anew gives its sessions other numbers.
                if self.made_at()? != made_at {
                    return Err(IndexError::Replaced { path: self.path().to_owned() });
                }
                let found = page.iter().map(|session| self.rows(SELECT_SESSION, &[(*session).into()], read_session));
                found.collect::<Result<Vec<_>, _>>()
            })?;
            for row in rows.into_iter().flatten() {
                if each(row).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// When the database was made, as it says.
    fn made_at(&self) -> Result<String, IndexError> {
        self.value("SELECT coalesce(max(value), '') FROM meta WHERE key = 'created_at'", &[])
    }

    /// How many sessions `filter` keeps, whatever its limit.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn count_sessions(&self, filter: &SessionFilter) -> Result<u64, IndexError> {
        let mut counted = 0;
        self.at_one_time(|| self.each_digest(filter, |_, _| counted += 1))?;
        Ok(counted)
    }

    /// The numbers of sessions that were last seen at one time, in the order of their ids.
    fn in_order_of_ids(&self, sessions: &[(i64, i64)]) -> Result<Vec<i64>, IndexError> {
        if let [(_, session)] = sessions {
            return Ok(vec![*session]);
        }
        let mut ids: Vec<(String, i64)> = Vec::with_capacity(sessions.len());
        for (_, session) in sessions {
            let sql = "SELECT session_id, id FROM session_state WHERE id = ?";
            ids.extend(self.rows(sql, &[(*session).into()], |row| Ok((row.get(0)?, row.get(1)?)))?);
        }
        ids.sort_unstable();
        Ok(ids.into_iter().map(|(_, session)| session).collect())
    }

    /// The ids of at most `limit` sessions that begin with `prefix`, in alphabetical order.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn session_ids(&self, prefix: &str, limit: u64) -> Result<Vec<String>, IndexError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        // Ids are compared by bytes: those with the prefix follow the prefix itself, and stand together.
        let sql = "SELECT session_id FROM session_state WHERE session_id >= ? ORDER BY session_id";
        self.each_row(sql, &[prefix.to_owned().into()], |row| {
            let id = row.get_ref(0)?.as_str()?;
            if found.len() == limit || !id.starts_with(prefix) {
                return Ok(ControlFlow::Break(()));
            }
            found.push(id.to_owned());
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// The clients of the sessions that `filter` keeps, in the order in which they were last seen, the most recent one
    /// last. The filter's limit counts clients.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn clients(&self, filter: &SessionFilter) -> Result<Vec<ClientRow>, IndexError> {
        self.at_one_time(|| {
            let idleness = self.idleness()?;
            let mut sums: HashMap<u32, ClientRow> = HashMap::new();
            self.each_digest(filter, |_, digest| {
                let sum = sums.entry(digest.client).or_insert_with(|| ClientRow {
                    first_seen_at: i64::MAX,
                    last_seen_at: i64::MIN,
                    ..ClientRow::default()
                });
                sum.sessions += 1;
                sum.open_sessions += i64::from(idleness.is_open(digest));
                sum.total_calls = sum.total_calls.saturating_add(digest.calls);
                sum.total_errors = sum.total_errors.saturating_add(digest.errors);
                sum.total_tool_errors = sum.total_tool_errors.saturating_add(digest.tool_errors);
                sum.first_seen_at = sum.first_seen_at.min(digest.started_at);
                sum.last_seen_at = sum.last_seen_at.max(digest.last_seen_at);
            })?;
            let mut rows = Vec::new();
            for (client, sum) in sums {
                let sql = "SELECT client_name, client_version, client_platform FROM clients WHERE id = ?";
                rows.push(self.row(sql, &[client.into()], |row| {
                    let (name, version, platform) = (row.get(0)?, row.get(1)?, row.get(2)?);
                    Ok(ClientRow { client_name: name, client_version: version, client_platform: platform, ..sum })
                })?);
            }
            let names =
                |row: &ClientRow| (row.client_name.clone(), row.client_version.clone(), row.client_platform.clone());
            rows.sort_by_cached_key(|row| (row.last_seen_at, names(row)));
            let limit = filter.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
            rows.drain(..rows.len().saturating_sub(limit));
            Ok(rows)
        })
    }

    /// Hands over the sessions that a filter keeps, by number and digest.
    fn each_digest(&self, filter: &SessionFilter, mut each: impl FnMut(i64, &SessionDigest)) -> Result<(), IndexError> {
        let Some(wanted) = self.resolve_sessions(filter)? else { return Ok(()) };
        // The page of the one session, or all pages.
        let page = wanted.session.map(|session| place_of(session).0);
        let sql = "SELECT page, digest FROM session_digest WHERE page BETWEEN ? AND ?";
        let pages = [page.unwrap_or(i64::MIN).into(), page.unwrap_or(i64::MAX).into()];
        self.each_row(sql, &pages, |row| {
            let page = row.get(0)?;
            for (index, digest) in entries(row.get_ref(1)?.as_blob()?) {
                let session = session_at(page, index);
                if wanted.keeps(session, &digest) {
                    each(session, &digest);
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Looks up the numbers of a filter's names; `None` if one of the names is on no record, so that no session can be
    /// wanted.
    fn resolve_sessions(&self, filter: &SessionFilter) -> Result<Option<ResolvedSessionFilter>, IndexError> {
        let number = |sql: &str, name: &Option<String>| match name {
            None => Ok(None),
            Some(name) => self.rows(sql, &[name.clone().into()], |row| row.get::<_, i64>(0)).map(Some),
        };
        let proxies = number("SELECT id FROM proxies WHERE proxy = ?", &filter.proxy)?;
        let clients = number("SELECT id FROM clients WHERE client_name = ?", &filter.client_name)?;
        let sessions = number("SELECT id FROM session_state WHERE session_id = ?", &filter.session_id)?;
        if [&proxies, &clients, &sessions].iter().any(|found| found.as_ref().is_some_and(Vec::is_empty)) {
            return Ok(None);
        }
        let as_u32 = |id: i64| u32::try_from(id).ok();
        Ok(Some(ResolvedSessionFilter {
            proxy: proxies.and_then(|proxies| as_u32(*proxies.first()?)),
            clients: clients.map(|clients| clients.into_iter().filter_map(as_u32).collect()),
            session: sessions.and_then(|sessions| sessions.first().copied()),
            time_range: filter.time_range,
            errors_only: filter.errors_only,
        }))
    }

    fn idleness(&self) -> Result<Idleness, IndexError> {
        let sql = "SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), \
                          (SELECT nullif(CAST(value AS INTEGER), 0) FROM meta WHERE key = 'session_idle_ms')";
        self.row(sql, &[], |row| Ok(Idleness { now_ts: row.get(0)?, idle_ms: row.get(1)? }))
    }
}

/// Selects a session by its number. The columns come from the view, so that one place says when a session has ended.
const SELECT_SESSION: &str = "
    SELECT s.session_id, s.proxy, s.started_at, s.last_seen_at, s.ended_at, state.closed_at,
           s.client_name, s.client_version, s.client_platform, s.protocol_version, s.derived,
           s.total_calls, s.total_errors, s.total_tool_errors, s.noise_lines
    FROM session_state state JOIN sessions s ON s.session_id = state.session_id WHERE state.id = ?";

pub(super) fn read_session(row: &Row<'_>) -> rusqlite::Result<SessionRow> {
    Ok(SessionRow {
        session_id: row.get(0)?,
        proxy: row.get(1)?,
        started_at: row.get(2)?,
        last_seen_at: row.get(3)?,
        ended_at: row.get(4)?,
        closed_at: row.get(5)?,
        client_name: row.get(6)?,
        client_version: row.get(7)?,
        client_platform: row.get(8)?,
        protocol_version: row.get(9)?,
        derived: row.get(10)?,
        total_calls: row.get(11)?,
        total_errors: row.get(12)?,
        total_tool_errors: row.get(13)?,
        noise_lines: row.get(14)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::clock::now_ms;
    use crate::query::filter::TimeRange;
    use crate::query::test_store::TestStore;

    fn store_with_three() -> TestStore {
        let store = TestStore::new();
        store.execute("INSERT INTO meta VALUES ('session_idle_ms', '0')");
        let row = |id, client: &str, started: i64, seen: i64| {
            store
                .session(id)
                .set("client_name", client)
                .set("client_version", "1.0")
                .set("started_at", started)
                .set("last_seen_at", seen)
        };
        row("aa1", "claude-ai", 10, 50).set("total_calls", 4).set("total_errors", 1).insert();
        row("aa2", "claude-ai", 20, 30).set("total_calls", 2).set("closed_at", 31).insert();
        row("b_1", "cursor", 15, 40).set("total_tool_errors", 3).set("proxy", "second").insert();
        store
    }

    fn ids(store: &TestStore, filter: &SessionFilter) -> Vec<String> {
        store.query().sessions(filter).unwrap().into_iter().map(|row| row.session_id).collect()
    }

    #[test]
    fn the_session_that_was_last_seen_comes_last_and_a_limit_keeps_it() {
        let store = store_with_three();
        assert_eq!(ids(&store, &SessionFilter::default()), ["aa2", "b_1", "aa1"]);
        assert_eq!(ids(&store, &SessionFilter { limit: Some(1), ..SessionFilter::default() }), ["aa1"]);
    }

    #[test]
    fn every_filter_narrows() {
        let store = store_with_three();
        let all = SessionFilter::default;
        let text = |text: &str| Some(text.to_owned());
        let cases = [
            (
                SessionFilter { time_range: TimeRange { since_ts: Some(40), until_ts: None }, ..all() },
                &["b_1", "aa1"][..],
            ),
            (SessionFilter { time_range: TimeRange { since_ts: None, until_ts: Some(15) }, ..all() }, &["aa1"]),
            (SessionFilter { proxy: text("second"), ..all() }, &["b_1"]),
            (SessionFilter { client_name: text("claude-ai"), ..all() }, &["aa2", "aa1"]),
            (SessionFilter { session_id: text("aa2"), ..all() }, &["aa2"]),
            (SessionFilter { errors_only: true, ..all() }, &["b_1", "aa1"]),
        ];
        for (filter, expected) in cases {
            assert_eq!(ids(&store, &filter), expected, "{filter:?}");
        }
    }

    #[test]
    fn a_silent_session_ends_when_it_was_last_seen_and_an_active_one_is_open() {
        let store = TestStore::new();
        store.execute("INSERT INTO meta VALUES ('session_idle_ms', '1800000')");
        store.session("silent").set("last_seen_at", 5).insert();
        store.session("closed").set("last_seen_at", 6).set("closed_at", 9).insert();
        store.session("active").set("last_seen_at", now_ms()).insert();
        // Far in the future, so that no clock makes it idle.
        store.session("future").set("last_seen_at", 32_503_680_000_000).insert();
        let query = store.query();
        let rows = query.sessions(&SessionFilter::default()).unwrap();
        let ends: Vec<_> = rows.iter().map(|row| (row.session_id.as_str(), row.ended_at, row.closed_at)).collect();
        let open = |session| (session, None, None);
        assert_eq!(ends, [("silent", Some(5), None), ("closed", Some(9), Some(9)), open("active"), open("future")]);
        let clients = query.clients(&SessionFilter::default()).unwrap();
        assert_eq!(clients.iter().map(|client| (client.sessions, client.open_sessions)).collect::<Vec<_>>(), [(4, 2)]);
    }

    #[test]
    fn a_prefix_finds_its_sessions_and_is_taken_literally() {
        let query = store_with_three().query();
        assert_eq!(query.session_ids("aa", 9).unwrap(), ["aa1", "aa2"]);
        assert_eq!(query.session_ids("aa", 1).unwrap(), ["aa1"]);
        assert_eq!(query.session_ids("b_", 9).unwrap(), ["b_1"]);
        assert_eq!(query.session_ids("b%", 9).unwrap(), [] as [&str; 0]);
        assert_eq!(query.session_ids("", 9).unwrap().len(), 3);
    }

    #[test]
    fn clients_sum_up_their_sessions() {
        let clients = store_with_three().query().clients(&SessionFilter::default()).unwrap();
        let expected = ClientRow {
            client_name: Some("claude-ai".into()),
            client_version: Some("1.0".into()),
            client_platform: None,
            sessions: 2,
            open_sessions: 1,
            total_calls: 6,
            total_errors: 1,
            total_tool_errors: 0,
            first_seen_at: 10,
            last_seen_at: 50,
        };
        assert_eq!(clients.len(), 2);
        assert_eq!(clients[1], expected);
    }
}
