//! Numbers for names: many rows name a call, a session, a client or a proxy, and hold the number of the name.
//!
//! Runs on the compactor. The numbers in memory only spare statements. The numbers that a batch gave out are valid if
//! the batch commits; if not, all numbers in memory are forgotten.

use super::used_names::{self, UsedNames};
use crate::event::{self, Code, Direction, OTHER_NAME};
use crate::fold::session_facts::{Announcement, SessionFacts};
use crate::record::request::RequestRecord;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;

/// How many sessions are remembered, at some 100 bytes each. Beyond that all of them are forgotten: active sessions are
/// remembered again with their next request.
const SESSIONS_MAX: usize = 32_768;
/// How many calls, clients and proxies each are remembered.
const NAMES_MAX: usize = 8192;

/// How many names are told apart. Tests reach these limits with few names.
const CALLS_MAX: i64 = if cfg!(test) { 8 } else { event::CALLS_MAX as i64 };
const ENDPOINTS_MAX: i64 = if cfg!(test) { 3 } else { event::ENDPOINTS_MAX as i64 };
const CLIENTS_MAX: i64 = if cfg!(test) { 8 } else { event::CLIENTS_MAX as i64 };
const PROXIES_MAX: i64 = if cfg!(test) { 8 } else { event::PROXIES_MAX as i64 };
const OTHERS_MAX: i64 = if cfg!(test) { 2 } else { event::OTHERS_MAX as i64 };

/// The numbers of names that were looked up lately.
#[derive(Debug, Default)]
pub(super) struct NameNumbers {
    calls: HashMap<CallName, i64>,
    sessions: HashMap<String, i64>,
    clients: HashMap<ClientName, u32>,
    proxies: HashMap<String, u32>,
    /// The call of the latest request and its number: many requests follow one of the same call. No number, no call.
    latest: (CallName, Option<i64>),
    /// The clients and proxies that sessions name, while expiring looks for those that no session names.
    used: Option<UsedNames>,
    /// Whether a batch is under way, or ended without a commit.
    uncommitted: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct CallName {
    proxy: String,
    method: String,
    tool: Option<String>,
    endpoint: Option<String>,
    is_by_server: bool,
}

/// The same, borrowed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct CallNames<'a> {
    proxy: &'a str,
    method: &'a str,
    tool: Option<&'a str>,
    endpoint: Option<&'a str>,
    is_by_server: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct ClientName {
    name: Option<String>,
    version: Option<String>,
    platform: Option<String>,
}

impl NameNumbers {
    /// A batch begins. If the batch before did not commit, all numbers are forgotten.
    pub(super) fn begin(&mut self) {
        if std::mem::replace(&mut self.uncommitted, true) {
            let used = self.used.take();
            *self = Self { uncommitted: true, used, ..Self::default() };
        }
    }

    /// The batch committed.
    pub(super) fn commit(&mut self) {
        self.uncommitted = false;
    }

    /// A session was removed: its number may not be remembered.
    pub(super) fn forget_session(&mut self, session_id: &str) {
        self.sessions.remove(session_id);
    }

    /// Calls were removed: their numbers may not be remembered.
    pub(super) fn forget_calls(&mut self) {
        self.calls.clear();
        self.latest.1 = None;
    }

    /// Whether there are more than half as many clients or proxies as are told apart. Then new names need the places of
    /// names that no session has any more.
    pub(super) fn are_crowded(&mut self, connection: &Connection) -> rusqlite::Result<bool> {
        let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        let clients = count("SELECT count(*) FROM clients")? > CLIENTS_MAX / 2;
        let are_crowded = clients || count("SELECT count(*) FROM proxies")? > PROXIES_MAX / 2;
        self.used = are_crowded.then(UsedNames::default);
        Ok(are_crowded)
    }

    /// Notes the names in at most `max` pages of digests, from `page` on; returns the page that comes next, if there is
    /// one.
    pub(super) fn note_used(
        &mut self,
        connection: &Connection,
        page: i64,
        max: usize,
    ) -> rusqlite::Result<Option<i64>> {
        used_names::note_used(connection, page, max, self.used.get_or_insert_default())
    }

    /// Removes clients and proxies that no session has any more, at most `max`; returns how many. All pages must have
    /// been noted before.
    pub(super) fn remove_unused(&mut self, connection: &Connection, max: usize) -> rusqlite::Result<usize> {
        let Some(used) = &self.used else { return Ok(0) };
        let mut removed = 0;
        for (table, used) in [("clients", &used.clients), ("proxies", &used.proxies)] {
            let mut select = connection.prepare(&format!("SELECT id FROM {table}"))?;
            let all = select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?;
            let mut delete = connection.prepare(&format!("DELETE FROM {table} WHERE id = ?1"))?;
            let unused = all.into_iter().filter(|number| !used.contains(&as_u32(*number)));
            for number in unused.take(max - removed) {
                removed += delete.execute([number])?;
            }
        }
        self.clients.clear();
        self.proxies.clear();
        if removed < max {
            self.used = None;
        }
        Ok(removed)
    }

    /// The number of a request's call. Where there are too many calls, the request gets the names of another call.
    pub(super) fn call(&mut self, connection: &Connection, request: &mut RequestRecord<'_>) -> rusqlite::Result<i64> {
        let RequestRecord { proxy, method, tool, endpoint, .. } = *request;
        let is_by_server = request.direction == Some(Direction::Server);
        let mut names = CallNames { proxy, method, tool, endpoint, is_by_server };
        let (latest, number) = &self.latest;
        if let Some(call) = *number
            && latest.names() == names
        {
            return Ok(call);
        }
        if let Some(call) = self.call_of(connection, names, 0)? {
            return Ok(call);
        }
        if !may_name_endpoint(connection, endpoint)? {
            names.endpoint = Some(OTHER_NAME);
        }
        for calls_max in [CALLS_MAX, CALLS_MAX + OTHERS_MAX, i64::MAX] {
            if let Some(call) = self.call_of(connection, names, calls_max)? {
                (request.proxy, request.method, request.tool) = (names.proxy, names.method, names.tool);
                if names == (CallNames { proxy, method, tool, endpoint: names.endpoint, is_by_server }) {
                    // Found at once the next time, whatever endpoint it goes under.
                    self.latest.0.set(CallNames { endpoint, ..names });
                    remember(&mut self.calls, NAMES_MAX, self.latest.0.clone(), call);
                }
                return Ok(call);
            }
            names = match names.tool {
                Some(tool) if tool != OTHER_NAME => CallNames { tool: Some(OTHER_NAME), ..names },
                _ => CallNames { proxy: OTHER_NAME, method: OTHER_NAME, tool: None, endpoint: None, is_by_server },
            };
        }
        // No count is beyond the last limit.
        Err(rusqlite::Error::QueryReturnedNoRows)
    }

    /// The number of a call of those names; `None` if it is new and there are so many already.
    fn call_of(
        &mut self,
        connection: &Connection,
        names: CallNames<'_>,
        calls_max: i64,
    ) -> rusqlite::Result<Option<i64>> {
        let (latest, number) = &mut self.latest;
        *number = None;
        latest.set(names);
        let call = match self.calls.get(latest) {
            Some(call) => *call,
            None => {
                let call = number_of(
                    connection,
                    "SELECT id FROM calls WHERE proxy = ?1 AND method = ?2 AND tool IS NULL = (?3 IS NULL)
                        AND ifnull(tool, '') = ifnull(?3, '') AND endpoint IS NULL = (?4 IS NULL)
                        AND ifnull(endpoint, '') = ifnull(?4, '') AND direction = ?5",
                    "INSERT INTO calls (proxy, method, tool, endpoint, direction)
                     SELECT ?1, ?2, ?3, ?4, ?5 WHERE (SELECT count(*) FROM calls) < ?6",
                    params![names.proxy, names.method, names.tool, names.endpoint, names.direction().number()],
                    calls_max,
                )?;
                let Some(call) = call else { return Ok(None) };
                remember(&mut self.calls, NAMES_MAX, latest.clone(), call)
            }
        };
        *number = Some(call);
        Ok(Some(call))
    }

    /// Gives an announcement names of its own or, where there are too many clients or proxies, [`OTHER_NAME`].
    pub(super) fn name_session(
        &mut self,
        connection: &Connection,
        announcement: &mut Announcement,
    ) -> rusqlite::Result<()> {
        if self.proxy(connection, &announcement.proxy, PROXIES_MAX)?.is_none() {
            announcement.proxy = OTHER_NAME.to_owned();
        }
        for clients_max in [CLIENTS_MAX, CLIENTS_MAX + OTHERS_MAX] {
            if self.client(connection, ClientName::of(announcement), clients_max)?.is_some() {
                return Ok(());
            }
            announcement.client_version = Some(OTHER_NAME.to_owned());
        }
        announcement.client_name = Some(OTHER_NAME.to_owned());
        (announcement.client_version, announcement.client_platform) = (None, None);
        Ok(())
    }

    /// The number of a session. A new one gets a row that says nothing yet, which the batch must fill or remove when it
    /// ends.
    pub(super) fn session(&mut self, connection: &Connection, session_id: &str) -> rusqlite::Result<i64> {
        if let Some(session) = self.sessions.get(session_id) {
            return Ok(*session);
        }
        let stored = connection
            .prepare_cached("SELECT id FROM session_state WHERE session_id = ?1")?
            .query_row([session_id], |row| row.get(0))
            .optional()?;
        let session = match stored {
            Some(session) => session,
            None => connection
                .prepare_cached(
                    "INSERT INTO session_state (session_id, proxy, started_at, last_seen_at, derived, total_calls,
                                                total_errors, total_tool_errors)
                     VALUES (?1, '', 0, 0, 0, 0, 0, 0)",
                )?
                .insert([session_id])?,
        };
        Ok(remember(&mut self.sessions, SESSIONS_MAX, session_id.to_owned(), session))
    }

    /// The numbers of a session's client and proxy.
    pub(super) fn client_and_proxy(
        &mut self,
        connection: &Connection,
        facts: &SessionFacts,
    ) -> rusqlite::Result<(u32, u32)> {
        let name = facts.announcement.as_ref().map(ClientName::of).unwrap_or_default();
        let client = self.client(connection, name, i64::MAX)?;
        let proxy = self.proxy(connection, facts.proxy(), i64::MAX)?;
        let (client, proxy) = (client.unwrap_or(u32::MAX), proxy.unwrap_or(u32::MAX));
        if let Some(used) = &mut self.used {
            used.add(client, proxy);
        }
        Ok((client, proxy))
    }

    /// The number of a client; `None` if it is new and there are so many already.
    fn client(
        &mut self,
        connection: &Connection,
        client: ClientName,
        clients_max: i64,
    ) -> rusqlite::Result<Option<u32>> {
        if let Some(number) = self.clients.get(&client) {
            return Ok(Some(*number));
        }
        let number = number_of(
            connection,
            "SELECT id FROM clients WHERE client_name IS NULL = (?1 IS NULL)
                AND ifnull(client_name, '') = ifnull(?1, '') AND client_version IS NULL = (?2 IS NULL)
                AND ifnull(client_version, '') = ifnull(?2, '') AND client_platform IS NULL = (?3 IS NULL)
                AND ifnull(client_platform, '') = ifnull(?3, '')",
            "INSERT INTO clients (client_name, client_version, client_platform)
             SELECT ?1, ?2, ?3 WHERE (SELECT count(*) FROM clients) < ?4",
            params![client.name, client.version, client.platform],
            clients_max,
        )?;
        Ok(number.map(|number| remember(&mut self.clients, NAMES_MAX, client, as_u32(number))))
    }

    /// The number of a proxy; `None` if it is new and there are so many already.
    fn proxy(&mut self, connection: &Connection, proxy: &str, proxies_max: i64) -> rusqlite::Result<Option<u32>> {
        if let Some(number) = self.proxies.get(proxy) {
            return Ok(Some(*number));
        }
        let number = number_of(
            connection,
            "SELECT id FROM proxies WHERE proxy = ?1",
            "INSERT INTO proxies (proxy) SELECT ?1 WHERE (SELECT count(*) FROM proxies) < ?2",
            params![proxy],
            proxies_max,
        )?;
        Ok(number.map(|number| remember(&mut self.proxies, NAMES_MAX, proxy.to_owned(), as_u32(number))))
    }
}

impl CallName {
    fn names(&self) -> CallNames<'_> {
        let Self { proxy, method, tool, endpoint, is_by_server } = self;
        let (tool, endpoint) = (tool.as_deref(), endpoint.as_deref());
        CallNames { proxy, method, tool, endpoint, is_by_server: *is_by_server }
    }

    /// Becomes that name and reuses its memory: calls alternate, and none of them is to allocate.
    fn set(&mut self, names: CallNames<'_>) {
        let set = |text: &mut Option<String>, name: Option<&str>| match (text, name) {
            (Some(text), Some(name)) => name.clone_into(text),
            (text, name) => *text = name.map(str::to_owned),
        };
        names.proxy.clone_into(&mut self.proxy);
        names.method.clone_into(&mut self.method);
        set(&mut self.tool, names.tool);
        set(&mut self.endpoint, names.endpoint);
        self.is_by_server = names.is_by_server;
    }
}

impl CallNames<'_> {
    fn direction(&self) -> Direction {
        if self.is_by_server { Direction::Server } else { Direction::Client }
    }
}

impl ClientName {
    fn of(announcement: &Announcement) -> Self {
        Self {
            name: announcement.client_name.clone(),
            version: announcement.client_version.clone(),
            platform: announcement.client_platform.clone(),
        }
    }
}

/// Whether a new call may name that endpoint: another one does already, or there is room for one more.
fn may_name_endpoint(connection: &Connection, endpoint: Option<&str>) -> rusqlite::Result<bool> {
    let Some(endpoint) = endpoint else { return Ok(true) };
    // The count goes by the index, from one endpoint to the next.
    connection
        .prepare_cached(
            "WITH RECURSIVE endpoints (endpoint) AS (
                 SELECT min(endpoint) FROM calls UNION ALL
                 SELECT (SELECT min(calls.endpoint) FROM calls WHERE calls.endpoint > endpoints.endpoint)
                 FROM endpoints WHERE endpoint IS NOT NULL)
             SELECT EXISTS (SELECT 1 FROM calls WHERE endpoint = ?1) OR (SELECT count(endpoint) FROM endpoints) < ?2",
        )?
        .query_row(params![endpoint, ENDPOINTS_MAX], |row| row.get(0))
}

/// The number of the row with those names, which is added if it is not there; `None` if the table has `rows_max` rows
/// already. The limit is the last parameter of `insert`.
fn number_of(
    connection: &Connection,
    select: &str,
    insert: &str,
    names: &[&dyn rusqlite::ToSql],
    rows_max: i64,
) -> rusqlite::Result<Option<i64>> {
    let stored = connection.prepare_cached(select)?.query_row(names, |row| row.get(0)).optional()?;
    if stored.is_some() {
        return Ok(stored);
    }
    let parameters: Vec<_> = names.iter().copied().chain([&rows_max as &dyn rusqlite::ToSql]).collect();
    let added = connection.prepare_cached(insert)?.execute(parameters.as_slice())?;
    Ok((added > 0).then(|| connection.last_insert_rowid()))
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
