//! Numbers for names: calls, sessions, clients and proxies are named in many rows, and the rows hold their numbers.
//!
//! Runs on the compactor. What is in memory only spares statements. Numbers that a batch gave out hold if it commits;
//! one that doesn't takes all memory with it.

use crate::fold::SessionFacts;
use crate::record::RequestRecord;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;

/// How many sessions are remembered, at some 100 bytes each. Beyond it memory starts afresh: active sessions are back
/// with their next request.
const SESSIONS_MAX: usize = 32_768;
/// How many of each other sort of name.
const NAMES_MAX: usize = 4096;

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Names {
    calls: HashMap<CallName, i64>,
    sessions: HashMap<String, i64>,
    clients: HashMap<ClientName, u32>,
    proxies: HashMap<String, u32>,
    /// The call of the latest request: most come in runs of few kinds.
    latest: Option<(CallName, i64)>,
    /// A batch is under way, or was and did not commit.
    unsettled: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct CallName {
    proxy: String,
    method: String,
    tool: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ClientName {
    name: Option<String>,
    version: Option<String>,
    platform: Option<String>,
}

impl Names {
    /// A batch begins. If the one before did not commit, what it added is forgotten.
    pub(super) fn begin(&mut self) {
        if std::mem::replace(&mut self.unsettled, true) {
            *self = Self { unsettled: true, ..Self::default() };
        }
    }

    /// The batch committed.
    pub(super) fn settle(&mut self) {
        self.unsettled = false;
    }

    /// A session turned out to be none: its number may not be remembered.
    pub(super) fn forget_session(&mut self, session_id: &str) {
        self.sessions.remove(session_id);
    }

    /// Calls were removed: their numbers may not be remembered.
    pub(super) fn forget_calls(&mut self) {
        self.calls.clear();
        self.latest = None;
    }

    /// The number of what a request called.
    pub(super) fn call(&mut self, connection: &Connection, request: &RequestRecord<'_>) -> rusqlite::Result<i64> {
        let RequestRecord { proxy, method, tool, .. } = *request;
        if let Some((latest, call)) = &self.latest
            && (latest.proxy.as_str(), latest.method.as_str(), latest.tool.as_deref()) == (proxy, method, tool)
        {
            return Ok(*call);
        }
        let name = CallName { proxy: proxy.to_owned(), method: method.to_owned(), tool: tool.map(str::to_owned) };
        let call = match self.calls.get(&name) {
            Some(call) => *call,
            None => {
                let call = number_of(
                    connection,
                    "SELECT id FROM calls WHERE proxy = ?1 AND method = ?2 AND tool IS NULL = (?3 IS NULL)
                        AND ifnull(tool, '') = ifnull(?3, '')",
                    "INSERT INTO calls (proxy, method, tool) VALUES (?1, ?2, ?3)",
                    params![proxy, method, tool],
                )?;
                remember(&mut self.calls, NAMES_MAX, name.clone(), call)
            }
        };
        self.latest = Some((name, call));
        Ok(call)
    }

    /// The number of a session. A new one gets a row that says nothing yet, which the batch must fill or remove when it
    /// ends.
    pub(super) fn session(&mut self, connection: &Connection, session_id: &str) -> rusqlite::Result<i64> {
        if let Some(session) = self.sessions.get(session_id) {
            return Ok(*session);
        }
        let session = number_of(
            connection,
            "SELECT id FROM session_state WHERE session_id = ?1",
            "INSERT INTO session_state (session_id, proxy, started_at, last_seen_at, derived, total_calls, total_errors,
                                        total_tool_errors)
             VALUES (?1, '', 0, 0, 0, 0, 0, 0)",
            params![session_id],
        )?;
        Ok(remember(&mut self.sessions, SESSIONS_MAX, session_id.to_owned(), session))
    }

    /// The numbers of a session's client and proxy.
    pub(super) fn client_and_proxy(
        &mut self,
        connection: &Connection,
        facts: &SessionFacts,
    ) -> rusqlite::Result<(u32, u32)> {
        let announcement = facts.announcement.as_ref();
        let client = ClientName {
            name: announcement.and_then(|announcement| announcement.client_name.clone()),
            version: announcement.and_then(|announcement| announcement.client_version.clone()),
            platform: announcement.and_then(|announcement| announcement.client_platform.clone()),
        };
        let client = match self.clients.get(&client) {
            Some(number) => *number,
            None => {
                let number = number_of(
                    connection,
                    "SELECT id FROM clients WHERE client_name IS NULL = (?1 IS NULL)
                        AND ifnull(client_name, '') = ifnull(?1, '') AND client_version IS NULL = (?2 IS NULL)
                        AND ifnull(client_version, '') = ifnull(?2, '') AND client_platform IS NULL = (?3 IS NULL)
                        AND ifnull(client_platform, '') = ifnull(?3, '')",
                    "INSERT INTO clients (client_name, client_version, client_platform) VALUES (?1, ?2, ?3)",
                    params![client.name, client.version, client.platform],
                )?;
                remember(&mut self.clients, NAMES_MAX, client, as_u32(number))
            }
        };
        let proxy = facts.proxy();
        let proxy = match self.proxies.get(proxy) {
            Some(number) => *number,
            None => {
                let number = number_of(
                    connection,
                    "SELECT id FROM proxies WHERE proxy = ?1",
                    "INSERT INTO proxies (proxy) VALUES (?1)",
                    params![proxy],
                )?;
                remember(&mut self.proxies, NAMES_MAX, proxy.to_owned(), as_u32(number))
            }
        };
        Ok((client, proxy))
    }
}

/// The number of a row that is found by its names, or is added.
fn number_of(
    connection: &Connection,
    select: &str,
    insert: &str,
    names: &[&dyn rusqlite::ToSql],
) -> rusqlite::Result<i64> {
    let held = connection.prepare_cached(select)?.query_row(names, |row| row.get(0)).optional()?;
    match held {
        Some(number) => Ok(number),
        None => connection.prepare_cached(insert)?.insert(names),
    }
}

fn remember<K: Eq + std::hash::Hash, V: Copy>(names: &mut HashMap<K, V>, max: usize, name: K, number: V) -> V {
    if names.len() >= max {
        names.clear();
    }
    names.insert(name, number);
    number
}

/// SQLite numbers rows from 1 on. Four thousand million distinct clients are no client names any more; their sessions
/// are then counted together.
fn as_u32(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
