//! What servers offer, and how it changed.
//!
//! Runs on the caller's thread. Payloads are handed out as the text that was recorded; nothing here parses them.

use super::database::Query;
use super::filter::SchemaFilter;
use crate::ground::error::IndexError;

/// The current version of what one server answers to one method.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct ServerSchemaRow {
    /// The record's sequence number in the log.
    pub id: i64,
    /// The proxy that saw it.
    pub proxy: String,
    /// The server.
    pub upstream_url: String,
    /// The method whose result it is, such as `tools/list`.
    pub method: String,
    /// SHA-256 of the canonical payload, in hexadecimal.
    pub schema_hash: String,
    /// When this version was first seen: Unix time in milliseconds, UTC.
    pub captured_at: i64,
    /// The merged `result`, as JSON text.
    pub payload: String,
}

/// One change between two versions.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct SchemaChangeRow {
    /// The change's number in table `schema_changes`.
    pub id: i64,
    /// When the new version was seen: Unix time in milliseconds, UTC.
    pub detected_at: i64,
    /// The proxy that saw it.
    pub proxy: String,
    /// The server.
    pub upstream_url: String,
    /// The method whose result changed.
    pub method: String,
    /// `initial`, `updated`, or such as `tool_added`, `resource_removed`, `prompt_modified`.
    pub change_type: String,
    /// The tool, resource, template or prompt; `None` for `initial` and `updated`.
    pub item_name: Option<String>,
    /// The version before; `None` for `initial`.
    pub old_hash: Option<String>,
    /// The new version.
    pub new_hash: Option<String>,
}

/// The hash of the current version of what one server answers to one method: what a proxy must know when it starts, so
/// that a restart makes no version that is none.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct SchemaHash {
    /// The proxy that saw it.
    pub proxy: String,
    /// The server.
    pub upstream_url: String,
    /// The method whose result it is.
    pub method: String,
    /// SHA-256 of the canonical payload, in hexadecimal.
    pub schema_hash: String,
}

impl Query {
    /// The current versions, ordered by proxy, server and method. With a limit: the newest ones, in that order.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn server_schema(&self, filter: &SchemaFilter) -> Result<Vec<ServerSchemaRow>, IndexError> {
        let conditions = filter.conditions("captured_at");
        let sql = format!(
            "SELECT * FROM (SELECT id, proxy, upstream_url, method, schema_hash, captured_at, payload \
                            FROM server_schema{} ORDER BY captured_at DESC, id DESC LIMIT ?) \
             ORDER BY proxy, upstream_url, method",
            conditions.sql()
        );
        self.rows(&sql, &conditions.values_with_limit(filter.limit), |row| {
            Ok(ServerSchemaRow {
                id: row.get(0)?,
                proxy: row.get(1)?,
                upstream_url: row.get(2)?,
                method: row.get(3)?,
                schema_hash: row.get(4)?,
                captured_at: row.get(5)?,
                payload: row.get(6)?,
            })
        })
    }

    /// The changes that `filter` keeps, oldest first. With a limit: the newest ones, still oldest first.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn schema_changes(&self, filter: &SchemaFilter) -> Result<Vec<SchemaChangeRow>, IndexError> {
        let conditions = filter.conditions("detected_at");
        let sql = format!(
            "SELECT id, detected_at, proxy, upstream_url, method, change_type, item_name, old_hash, new_hash \
             FROM schema_changes{} ORDER BY detected_at DESC, id DESC LIMIT ?",
            conditions.sql()
        );
        let mut rows = self.rows(&sql, &conditions.values_with_limit(filter.limit), |row| {
            Ok(SchemaChangeRow {
                id: row.get(0)?,
                detected_at: row.get(1)?,
                proxy: row.get(2)?,
                upstream_url: row.get(3)?,
                method: row.get(4)?,
                change_type: row.get(5)?,
                item_name: row.get(6)?,
                old_hash: row.get(7)?,
                new_hash: row.get(8)?,
            })
        })?;
        rows.reverse();
        Ok(rows)
    }

    /// The hashes of all current versions, ordered by proxy, server and method.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn schema_hashes(&self) -> Result<Vec<SchemaHash>, IndexError> {
        let sql = "SELECT proxy, upstream_url, method, schema_hash FROM server_schema ORDER BY 1, 2, 3";
        self.rows(sql, &[], |row| {
            Ok(SchemaHash {
                proxy: row.get(0)?,
                upstream_url: row.get(1)?,
                method: row.get(2)?,
                schema_hash: row.get(3)?,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::filter::TimeRange;
    use crate::query::test_store::TestStore;

    fn version(store: &TestStore, ts: i64, proxy: &str, method: &str, hash: &str) {
        store
            .row("schema_versions")
            .set("proxy", proxy)
            .set("upstream_url", "http://up")
            .set("method", method)
            .set("ts", ts)
            .set("content_hash", hash)
            .set("payload", r#"{"tools":[]}"#)
            .insert();
    }

    fn change(store: &TestStore, ts: i64, method: &str, change_type: &str, item: &str) {
        store
            .row("schema_changes")
            .set("proxy", "p")
            .set("upstream_url", "http://up")
            .set("method", method)
            .set("change_type", change_type)
            .set("item_name", item)
            .set("detected_at", ts)
            .set("version_id", 1)
            .insert();
    }

    #[test]
    fn only_the_newest_version_is_current() {
        let store = TestStore::new();
        version(&store, 20, "p", "tools/list", "new");
        version(&store, 10, "p", "tools/list", "old");
        version(&store, 5, "p", "initialize", "hello");
        version(&store, 7, "q", "tools/list", "other");
        let hashes = store.query().schema_hashes().unwrap();
        let found: Vec<_> = hashes.iter().map(|h| (&*h.proxy, &*h.method, &*h.schema_hash)).collect();
        assert_eq!(found, [("p", "initialize", "hello"), ("p", "tools/list", "new"), ("q", "tools/list", "other")]);

        let rows = store.query().server_schema(&SchemaFilter::default()).unwrap();
        let of_rows: Vec<_> = rows.iter().map(|r| (&*r.proxy, &*r.method, &*r.schema_hash)).collect();
        assert_eq!(of_rows, found);
        assert_eq!((rows[1].captured_at, &*rows[1].payload), (20, r#"{"tools":[]}"#));

        let newest = SchemaFilter { limit: Some(2), ..SchemaFilter::default() };
        let methods: Vec<_> = store.query().server_schema(&newest).unwrap().into_iter().map(|r| r.proxy).collect();
        assert_eq!(methods, ["p", "q"]);
    }

    #[test]
    fn changes_come_oldest_first_and_every_filter_narrows() {
        let store = TestStore::new();
        version(&store, 1, "p", "tools/list", "v1");
        change(&store, 30, "tools/list", "tool_added", "c");
        change(&store, 10, "tools/list", "tool_removed", "a");
        change(&store, 20, "prompts/list", "prompt_modified", "b");
        let items = |filter: &SchemaFilter| -> Vec<String> {
            let rows = store.query().schema_changes(filter).unwrap();
            rows.into_iter().map(|row| row.item_name.unwrap()).collect()
        };
        let all = SchemaFilter::default;
        assert_eq!(items(&all()), ["a", "b", "c"]);
        assert_eq!(items(&SchemaFilter { limit: Some(2), ..all() }), ["b", "c"]);
        assert_eq!(items(&SchemaFilter { method: Some("prompts/list".into()), ..all() }), ["b"]);
        assert_eq!(items(&SchemaFilter { proxy: Some("nobody".into()), ..all() }), [] as [&str; 0]);
        let time_range = TimeRange { since_ts: Some(11), until_ts: Some(30) };
        assert_eq!(items(&SchemaFilter { time_range, ..all() }), ["b"]);
    }
}
