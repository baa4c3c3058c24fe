//! Sessions, and the clients behind them.
//!
//! Runs on the caller's thread.

use super::{Query, SessionFilter};
use crate::error::IndexError;

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
    /// When it was closed. `None` for a session that just fell silent.
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
    /// Of those: status error or timeout.
    pub total_errors: i64,
    /// Of those: a result that said `isError`.
    pub total_tool_errors: i64,
}

/// The sessions of one client, by name, version and platform.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
    /// Of those: status error or timeout.
    pub total_errors: i64,
    /// Of those: a result that said `isError`.
    pub total_tool_errors: i64,
    /// When its first session began: Unix time in milliseconds, UTC.
    pub first_seen_at: i64,
    /// When its latest request arrived: Unix time in milliseconds, UTC.
    pub last_seen_at: i64,
}

impl Query {
    /// The sessions that `filter` keeps, in the order in which they were last seen, the most recent one last. With a
    /// limit: the most recent ones, in the same order.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn sessions(&self, filter: &SessionFilter) -> Result<Vec<SessionRow>, IndexError> {
        let conditions = filter.conditions();
        let sql = format!(
            "SELECT s.session_id, s.proxy, s.started_at, s.last_seen_at, s.ended_at, \
                    (SELECT closed_at FROM session_state state WHERE state.session_id = s.session_id), \
                    s.client_name, s.client_version, s.client_platform, s.protocol_version, s.derived, \
                    s.total_calls, s.total_errors, s.total_tool_errors \
             FROM sessions s{} ORDER BY s.last_seen_at DESC, s.session_id DESC LIMIT ?",
            conditions.sql()
        );
        let mut rows = self.rows(&sql, &conditions.values_with_limit(filter.limit), |row| {
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
            })
        })?;
        rows.reverse();
        Ok(rows)
    }

    /// The ids of at most `limit` sessions that begin with `prefix`, in alphabetical order.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn session_ids(&self, prefix: &str, limit: u64) -> Result<Vec<String>, IndexError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        // Ids are compared by bytes: those with the prefix follow the prefix itself, and stand together.
        self.rows(
            "SELECT session_id FROM session_state \
             WHERE session_id >= ?1 AND substr(session_id, 1, length(?1)) = ?1 ORDER BY session_id LIMIT ?2",
            &[prefix.to_owned().into(), limit.into()],
            |row| row.get(0),
        )
    }

    /// The clients of the sessions that `filter` keeps, in the order in which they were last seen, the most recent one
    /// last. The filter's limit counts clients.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn clients(&self, filter: &SessionFilter) -> Result<Vec<ClientRow>, IndexError> {
        let conditions = filter.conditions();
        let sql = format!(
            "SELECT s.client_name, s.client_version, s.client_platform, count(*), sum(s.ended_at IS NULL), \
                    sum(s.total_calls), sum(s.total_errors), sum(s.total_tool_errors), \
                    min(s.started_at), max(s.last_seen_at) AS last_seen_at \
             FROM sessions s{} GROUP BY 1, 2, 3 ORDER BY last_seen_at DESC, 1 DESC, 2 DESC LIMIT ?",
            conditions.sql()
        );
        let mut rows = self.rows(&sql, &conditions.values_with_limit(filter.limit), |row| {
            Ok(ClientRow {
                client_name: row.get(0)?,
                client_version: row.get(1)?,
                client_platform: row.get(2)?,
                sessions: row.get(3)?,
                open_sessions: row.get(4)?,
                total_calls: row.get(5)?,
                total_errors: row.get(6)?,
                total_tool_errors: row.get(7)?,
                first_seen_at: row.get(8)?,
                last_seen_at: row.get(9)?,
            })
        })?;
        rows.reverse();
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Span;
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
            (SessionFilter { span: Span { since_ts: Some(40), until_ts: None }, ..all() }, &["b_1", "aa1"][..]),
            (SessionFilter { span: Span { since_ts: None, until_ts: Some(15) }, ..all() }, &["aa1"]),
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
        // Far in the future, so that no clock makes it idle.
        store.session("active").set("last_seen_at", 32_503_680_000_000).insert();
        let rows = store.query().sessions(&SessionFilter::default()).unwrap();
        let ends: Vec<_> = rows.iter().map(|row| (row.session_id.as_str(), row.ended_at, row.closed_at)).collect();
        assert_eq!(ends, [("silent", Some(5), None), ("closed", Some(9), Some(9)), ("active", None, None)]);
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
