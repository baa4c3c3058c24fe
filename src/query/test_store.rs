//! A database for tests: the tables of `schema.sql`, and rows written by hand.
//!
//! Test code only. It writes what the index would, without the index, so that queries are tested on their own.

use super::Query;
use rusqlite::Connection;
use rusqlite::types::Value;
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
        connection.execute_batch(include_str!("../schema.sql")).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        Self { connection, dir }
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn query(&self) -> Query {
        Query::open(self.dir()).unwrap()
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

    pub(super) fn insert(self) {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        let marks = vec!["?"; names.len()].join(", ");
        let sql = format!("INSERT INTO {} ({}) VALUES ({marks})", self.table, names.join(", "));
        let values = self.columns.into_iter().map(|(_, value)| value);
        self.store.connection.execute(&sql, rusqlite::params_from_iter(values)).unwrap();
    }
}

/// A value as tests like to write it.
pub(super) struct Cell(Value);

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self(text.to_owned().into())
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
