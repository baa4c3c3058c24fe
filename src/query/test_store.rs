//! A database for tests: the tables of `schema.sql`, and rows written by hand.
//!
//! Test code only. It writes what the index would, without the index, so that queries are tested on their own; what is
//! derived from rows is derived afresh, in the plainest way, before a query is opened.

use super::database::Query;
use crate::event::{Code, Outcome, Status};
use crate::fold::cell_scope::CellScope;
use crate::fold::rollup::{Cell as RollUp, DENSE_CALLS, Level, Sample};
use crate::fold::rollup_page;
use crate::fold::session_digest::{self, SessionDigest};
use crate::ground::database_version::DATABASE_VERSION;
use crate::ground::position::WriterId;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;
use std::path::Path;

/// A store's directory with a database in it; removed when dropped.
pub(super) struct TestStore {
    connection: Connection,
    dir: tempfile::TempDir,
}

impl TestStore {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let connection = Connection::open(dir.path().join("store.db")).unwrap();
        connection.pragma_update(None, "journal_mode", "wal").unwrap();
        connection.execute_batch(include_str!("../index/schema.sql")).unwrap();
        connection.pragma_update(None, "user_version", DATABASE_VERSION).unwrap();
        Self { connection, dir }
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn query(&self) -> Query {
        self.derive();
        Query::open(self.dir()).unwrap()
    }

    /// Makes roll-ups and digests from rows.
    pub(super) fn derive(&self) {
        let transaction = self.connection.unchecked_transaction().unwrap();
        for table in ["rollups", "session_digest", "clients", "proxies"] {
            transaction.execute(&format!("DELETE FROM {table}"), []).unwrap();
        }
        derive_rollups(&transaction);
        derive_digests(&transaction);
        transaction.commit().unwrap();
    }

    /// A version of what server `http://up` offers as tools, and the change that it was.
    pub(super) fn schema_version(&self, ts: i64, proxy: &str, payload: &str) {
        let row = |table| {
            self.row(table).set("proxy", proxy.to_owned()).set("upstream_url", "http://up").set("method", "tools/list")
        };
        row("schema_versions").set("content_hash", "h").set("payload", payload.to_owned()).insert();
        row("schema_sightings")
            .set("caller", "")
            .set("ts", ts)
            .set("content_hash", "h")
            .set("arrival", Vec::new())
            .insert();
        let change = row("schema_changes").set("change_type", "initial").set("detected_at", ts);
        change.set("caller", "").set("sighting_id", 1).insert();
    }

    /// The value that a statement gives.
    pub(super) fn value<T: rusqlite::types::FromSql>(&self, sql: &str) -> T {
        self.connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Says that nothing of that writer's log is folded yet. Its number is the next one, from 1 on.
    pub(super) fn writer(&self, writer: WriterId) {
        self.connection.execute("INSERT INTO writers (writer) VALUES (?1)", [writer.to_string()]).unwrap();
        let number = self.connection.last_insert_rowid();
        let sql = "INSERT INTO checkpoint (writer, segment, offset, sequence) VALUES (?1, 1, 1, 0)";
        self.connection.execute(sql, [number]).unwrap();
    }

    /// Says that the log of the writer with that number is folded up to that record. These records take the next ids.
    pub(super) fn fold_up_to(&self, writer: i64, sequence: i64) {
        let folded = self.value::<i64>(&format!("SELECT sequence FROM checkpoint WHERE writer = {writer}"));
        if folded < sequence {
            self.execute(&format!(
                "INSERT INTO fold_runs SELECT coalesce(max(first_id + count), 1), {writer}, {folded} + 1, {sequence} - {folded} FROM fold_runs"
            ));
        }
        self.execute(&format!("UPDATE checkpoint SET sequence = {sequence} WHERE writer = {writer}"));
    }

    /// How many frames of SQLite's WAL stay uncopied because somebody reads.
    pub(super) fn frames_pinned(&self) -> i64 {
        let read = |row: &rusqlite::Row<'_>| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?);
        self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], read).unwrap()
    }

    pub(super) fn execute(&self, sql: &str) {
        self.connection.execute_batch(sql).unwrap();
    }

    /// A request with status ok and a latency of 100 us.
    pub(super) fn request(&self, request_id: &str, ts: i64, method: &str) -> Row<'_> {
        self.row("requests")
            .set("request_id", request_id.to_owned())
            .set("ts", ts)
            .set("method", method.to_owned())
            .set("proxy", "p")
            .set("latency_us", 100)
            .set("status", "ok")
    }

    /// A session that was announced at 1 and not closed.
    pub(super) fn session(&self, session_id: &str) -> Row<'_> {
        self.row("session_state")
            .set("session_id", session_id.to_owned())
            .set("proxy", "p")
            .set("started_at", 1)
            .set("last_seen_at", 1)
            .set("derived", 0)
            .set("total_calls", 0)
            .set("total_errors", 0)
            .set("total_tool_errors", 0)
    }

    /// A row of any table.
    pub(super) fn row(&self, table: &'static str) -> Row<'_> {
        Row { store: self, table, columns: Vec::new() }
    }
}

/// A row to be.
pub(super) struct Row<'a> {
    store: &'a TestStore,
    table: &'static str,
    columns: Vec<(&'static str, Value)>,
}

impl Row<'_> {
    /// Sets a column; the last word counts.
    pub(super) fn set(mut self, column: &'static str, value: impl Into<Cell>) -> Self {
        self.columns.retain(|(name, _)| *name != column);
        self.columns.push((column, value.into().0));
        self
    }

    pub(super) fn insert(mut self) {
        if self.table == "requests" {
            self.number_names();
        }
        let names: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        let marks = vec!["?"; names.len()].join(", ");
        let sql = format!("INSERT INTO {} ({}) VALUES ({marks})", self.table, names.join(", "));
        let values = self.columns.into_iter().map(|(_, value)| value);
        self.store.connection.execute(&sql, rusqlite::params_from_iter(values)).unwrap();
    }
}

impl Row<'_> {
    /// Rows of view `requests` go to the table beneath it.
    fn number_names(&mut self) {
        self.table = "request_rows";
        let endpoint = self
            .columns
            .iter()
            .find(|(column, _)| *column == "endpoint")
            .map_or(Value::Null, |(_, value)| value.clone());
        let direction = if self.columns.contains(&("direction", Value::from(2))) { 2 } else { 1 };
        let mut take = |name: &str| {
            let at = self.columns.iter().position(|(column, _)| *column == name);
            at.map_or(Value::Null, |at| self.columns.remove(at).1)
        };
        let (proxy, method, tool) = (take("proxy"), take("method"), take("tool"));
        let (session, status, outcome) = (take("session_id"), take("status"), take("outcome"));
        let connection = &self.store.connection;
        // Numbers far apart, so that few calls lie in several pages of roll-ups.
        let sql = "INSERT OR IGNORE INTO calls SELECT 1 + 20 * count(*), ?, ?, ?, ?, ? FROM calls";
        let names = params![proxy, method, tool, endpoint, direction];
        connection.execute(sql, names).unwrap();
        let sql =
            "SELECT id FROM calls WHERE proxy = ? AND method = ? AND tool IS ? AND endpoint IS ? AND direction = ?";
        let call: i64 = connection.query_row(sql, names, |row| row.get(0)).unwrap();
        self.columns.push(("call", call.into()));
        if session != Value::Null {
            let id = || {
                let sql = "SELECT id FROM session_state WHERE session_id = ?";
                connection.query_row(sql, [&session], |row| row.get::<_, i64>(0)).optional().unwrap()
            };
            if id().is_none() {
                self.store.session("").set("session_id", Cell(session.clone())).insert();
            }
            self.columns.push(("session", id().unwrap().into()));
        }
        let has_flag = self.columns.contains(&("tool_error", Value::from(1)));
        let outcome = match (outcome, status) {
            (Value::Text(name), _) => Outcome::with_name(&name).unwrap(),
            (_, Value::Text(name)) => Outcome::of(Status::with_name(&name).unwrap(), None, Some(has_flag), "", None),
            other => panic!("{other:?}"),
        };
        self.columns.push(("outcome", i64::from(outcome.number()).into()));
        self.columns.push(("status", i64::from(outcome.status().number()).into()));
    }
}

fn derive_rollups(connection: &Connection) {
    let mut cells: BTreeMap<(i64, i64, CellScope), Vec<Sample>> = BTreeMap::new();
    let sql = "SELECT id, ts, latency_us, outcome, bytes_in, bytes_out, call FROM request_rows";
    let mut rows = connection.prepare(sql).unwrap();
    let samples = rows.query_map([], |row| {
        let sample = Sample {
            id: row.get(0)?,
            ts: row.get(1)?,
            latency_us: row.get(2)?,
            outcome: Outcome::from_number(row.get(3)?),
            bytes_in: row.get(4)?,
            bytes_out: row.get(5)?,
        };
        Ok((row.get(6)?, sample))
    });
    for (call, sample) in samples.unwrap().map(Result::unwrap) {
        for level in Level::ALL {
            for scope in [CellScope::Call(call), CellScope::All] {
                cells.entry((level.number(), level.start_of(sample.ts), scope)).or_default().push(sample);
            }
        }
    }
    let is_dense = |start| cells[&(1, Level::Minute.start_of(start), CellScope::All)].len() as i64 >= DENSE_CALLS;
    let mut pages: BTreeMap<_, (i64, BTreeMap<CellScope, Vec<u8>>)> = BTreeMap::new();
    for ((level, start, scope), samples) in &cells {
        if *level > 0 || is_dense(*start) {
            let mut bytes = Vec::new();
            RollUp::of(samples).encode(*start, &mut bytes);
            let (calls, cells) = pages.entry((level, start, rollup_page::page_of(*scope))).or_default();
            *calls += if *scope == CellScope::All { 0 } else { samples.len() as i64 };
            cells.insert(*scope, bytes);
        }
    }
    for ((level, start, page), (calls, cells)) in pages {
        let bytes = rollup_page::replace_cells(page, &[], &cells).unwrap();
        connection
            .prepare_cached("INSERT INTO rollups (level, start, page, calls, cells) VALUES (?, ?, ?, ?, ?)")
            .unwrap()
            .execute(params![level, start, page, calls, bytes])
            .unwrap();
    }
}

fn derive_digests(connection: &Connection) {
    connection
        .execute_batch(
            "INSERT INTO clients (client_name, client_version, client_platform)
                 SELECT DISTINCT client_name, client_version, client_platform FROM session_state;
             INSERT INTO proxies (proxy) SELECT DISTINCT proxy FROM session_state;",
        )
        .unwrap();
    let sql =
        "SELECT s.id, c.id, p.id, started_at, last_seen_at, closed_at, total_calls, total_errors, total_tool_errors
               FROM session_state s JOIN proxies p USING (proxy) JOIN clients c
                 ON c.client_name IS s.client_name AND c.client_version IS s.client_version
                    AND c.client_platform IS s.client_platform";
    let mut pages: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
    let mut rows = connection.prepare(sql).unwrap();
    let digests = rows.query_map([], |row| {
        let digest = SessionDigest {
            client: row.get(1)?,
            proxy: row.get(2)?,
            started_at: row.get(3)?,
            last_seen_at: row.get(4)?,
            closed_at: row.get(5)?,
            calls: row.get(6)?,
            errors: row.get(7)?,
            tool_errors: row.get(8)?,
        };
        Ok((row.get(0)?, digest))
    });
    for (session, digest) in digests.unwrap().map(Result::unwrap) {
        let (page, index) = session_digest::place_of(session);
        session_digest::put(pages.entry(page).or_default(), index, Some(&digest));
    }
    for (page, digest) in pages {
        connection.execute("INSERT INTO session_digest VALUES (?, ?)", params![page, digest]).unwrap();
    }
}

/// A value as tests like to write it.
pub(super) struct Cell(Value);

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self(text.to_owned().into())
    }
}

impl From<Vec<u8>> for Cell {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self(number.into())
    }
}
