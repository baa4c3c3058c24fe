//! What servers offer, and how it changed.
//!
//! Runs on the caller's thread. Payloads are handed out as the text that was recorded; nothing here parses them.

use super::database::Query;
use super::filter::SchemaFilter;
use crate::ground::database_version::CALLER_SALT_KEY;
use crate::ground::error::IndexError;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// What one server offers to one method's callers at present, or to some of them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct ServerSchemaRow {
    /// The number of the row of the record that first said it of one of these callers: the order of folding.
    pub id: i64,
    /// The proxy that saw it.
    pub proxy: String,
    /// The server.
    pub upstream_url: String,
    /// The method whose result it is, such as `tools/list`.
    pub method: String,
    /// SHA-256 of the canonical payload, in hexadecimal.
    pub schema_hash: String,
    /// Since when it is offered to one of these callers: Unix time in milliseconds, UTC.
    pub captured_at: i64,
    /// The callers that were offered it last, in order: names of clients, or `auth-` and a digest; empty for an unknown one.
    pub callers: Vec<String>,
    /// The merged `result`, as JSON text; `null` where its record was lost.
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
    /// Who saw the new version.
    pub caller: String,
}

/// What one caller was offered last by one server: what a proxy must know when it starts, so that a restart makes no
/// version that is none.
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
    /// Who was offered it.
    pub caller: String,
    /// Since when the caller is offered this version: Unix time in milliseconds, UTC.
    pub since_ts: i64,
    /// When anybody was last seen to be offered this version: Unix time in milliseconds, UTC.
    pub last_ts: i64,
}

/// The sightings since which callers are offered what they were offered last.
const CURRENT: &str = "SELECT sighting.id, proxy, upstream_url, method, content_hash, caller, ts,
           (SELECT max(seen.ts) FROM schema_sightings AS seen
            WHERE seen.proxy = sighting.proxy AND seen.upstream_url = sighting.upstream_url
              AND seen.method = sighting.method AND seen.content_hash = sighting.content_hash)
    FROM schema_sightings AS sighting
    WHERE NOT EXISTS (
        SELECT 1 FROM schema_sightings AS later
        WHERE later.proxy = sighting.proxy AND later.upstream_url = sighting.upstream_url
          AND later.method = sighting.method AND later.caller = sighting.caller
          AND (later.ts, later.arrival) > (sighting.ts, sighting.arrival) AND later.content_hash <> sighting.content_hash
    ) AND content_hash IS NOT (
        SELECT before.content_hash FROM schema_sightings AS before
        WHERE before.proxy = sighting.proxy AND before.upstream_url = sighting.upstream_url
          AND before.method = sighting.method AND before.caller = sighting.caller
          AND (before.ts, before.arrival) < (sighting.ts, sighting.arrival)
        ORDER BY before.ts DESC, before.arrival DESC LIMIT 1
    )";

/// A version that is some caller's last.
struct Variant {
    row: ServerSchemaRow,
    last_ts: i64,
}

impl Query {
    /// What servers offer at present, ordered by proxy, server, method and time: one row for each version that is offered to
    /// somebody. With a limit: the newest ones, in that order.
    ///
    /// A version is offered no more where another one appeared after it was last seen: a caller who is gone may have been
    /// offered it last, but nobody can say what that caller would be offered now.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn server_schema(&self, filter: &SchemaFilter) -> Result<Vec<ServerSchemaRow>, IndexError> {
        self.at_one_time(|| {
            let mut rows = self.present_variants(filter)?;
            if let Some(limit) = filter.limit {
                rows.sort_by_key(|row| std::cmp::Reverse((row.captured_at, row.id)));
                rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            }
            rows.sort_by(|a, b| {
                let key = |row: &ServerSchemaRow| (row.captured_at, row.id);
                let server =
                    |row: &'_ ServerSchemaRow| (row.proxy.clone(), row.upstream_url.clone(), row.method.clone());
                server(a).cmp(&server(b)).then_with(|| key(a).cmp(&key(b)))
            });
            let sql = "SELECT payload FROM schema_versions \
                       WHERE proxy = ? AND upstream_url = ? AND method = ? AND content_hash = ?";
            for row in &mut rows {
                let key = [&row.proxy, &row.upstream_url, &row.method, &row.schema_hash];
                let payload = self.rows(sql, &key.map(|text| text.clone().into()), |row| row.get(0))?.pop();
                row.payload = payload.unwrap_or_else(|| "null".to_owned());
            }
            Ok(rows)
        })
    }

    /// The versions that are offered at present and that the filter keeps, in no order, without their payloads.
    fn present_variants(&self, filter: &SchemaFilter) -> Result<Vec<ServerSchemaRow>, IndexError> {
        let mut servers: BTreeMap<(String, String, String), Vec<Variant>> = BTreeMap::new();
        self.each_row(&format!("{CURRENT} ORDER BY ts, sighting.arrival"), &[], |row| {
            let (proxy, upstream_url, method): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
            if filter.proxy.as_ref().is_some_and(|of| *of != proxy)
                || filter.method.as_ref().is_some_and(|of| *of != method)
            {
                return Ok(ControlFlow::Continue(()));
            }
            let (schema_hash, caller): (String, String) = (row.get(4)?, row.get(5)?);
            let variants = servers.entry((proxy.clone(), upstream_url.clone(), method.clone())).or_default();
            match variants.iter_mut().find(|variant| variant.row.schema_hash == schema_hash) {
                Some(variant) => variant.row.callers.push(caller),
                None => {
                    let (id, captured_at) = (row.get(0)?, row.get(6)?);
                    let callers = vec![caller];
                    let payload = String::new();
                    let row_of =
                        ServerSchemaRow { id, proxy, upstream_url, method, schema_hash, captured_at, callers, payload };
                    variants.push(Variant { row: row_of, last_ts: row.get(7)? });
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let mut present = Vec::new();
        for variants in servers.into_values() {
            let newest = variants.iter().map(|variant| variant.row.captured_at).max();
            let is_present = |variant: &Variant| Some(variant.last_ts) >= newest;
            present.extend(variants.into_iter().filter(is_present).map(|variant| variant.row));
        }
        present.retain(|row| filter.time_range.contains(row.captured_at));
        present.iter_mut().for_each(|row| row.callers.sort_unstable());
        Ok(present)
    }

    /// The changes that `filter` keeps, oldest first, and of one time as they arrived. With a limit: the newest ones, still oldest first.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn schema_changes(&self, filter: &SchemaFilter) -> Result<Vec<SchemaChangeRow>, IndexError> {
        let conditions = filter.conditions("detected_at");
        let sql = format!(
            "SELECT id, detected_at, proxy, upstream_url, method, change_type, item_name, old_hash, new_hash, \
             caller FROM schema_changes{} ORDER BY detected_at DESC, sighting_id DESC, id DESC LIMIT ?",
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
                caller: row.get(9)?,
            })
        })?;
        rows.reverse();
        Ok(rows)
    }

    /// What each caller was offered last, of the versions whose payload is on record: at most `max` callers, those who
    /// are offered something since the shortest time, oldest first.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn schema_hashes(&self, max: u64) -> Result<Vec<SchemaHash>, IndexError> {
        let sql = format!(
            "{CURRENT} AND EXISTS (
                 SELECT 1 FROM schema_versions AS version
                 WHERE version.proxy = sighting.proxy AND version.upstream_url = sighting.upstream_url
                   AND version.method = sighting.method AND version.content_hash = sighting.content_hash)
             ORDER BY ts DESC, sighting.arrival DESC LIMIT ?"
        );
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let mut hashes = self.rows(&sql, &[max.into()], |row| {
            Ok(SchemaHash {
                proxy: row.get(1)?,
                upstream_url: row.get(2)?,
                method: row.get(3)?,
                schema_hash: row.get(4)?,
                caller: row.get(5)?,
                since_ts: row.get(6)?,
                last_ts: row.get(7)?,
            })
        })?;
        hashes.reverse();
        Ok(hashes)
    }

    /// Random text that belongs to the store: who makes keys of callers' credentials hashes it with them.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn caller_salt(&self) -> Result<String, IndexError> {
        self.value("SELECT value FROM meta WHERE key = ?", &[CALLER_SALT_KEY.to_owned().into()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::filter::TimeRange;
    use crate::query::test_store::TestStore;

    fn sighting(store: &TestStore, ts: i64, proxy: &str, method: &str, hash: &str, caller: &str) {
        let row = |table| {
            store
                .row(table)
                .set("proxy", proxy.to_owned())
                .set("upstream_url", "http://up")
                .set("method", method.to_owned())
                .set("content_hash", hash.to_owned())
        };
        let is_new = format!(
            "SELECT count(*) = 0 FROM schema_versions WHERE (proxy, method, content_hash) = ('{proxy}', '{method}', '{hash}')"
        );
        if store.value::<bool>(&is_new) {
            row("schema_versions").set("payload", format!(r#"{{"tools":["{hash}"]}}"#)).insert();
        }
        row("schema_sightings")
            .set("caller", caller.to_owned())
            .set("ts", ts)
            .set("arrival", ts.to_be_bytes().to_vec())
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
            .set("caller", "")
            .set("sighting_id", 1)
            .insert();
    }

    /// What is offered, as `method hash since callers`.
    fn offered(store: &TestStore, filter: &SchemaFilter) -> Vec<String> {
        let rows = store.query().server_schema(filter).unwrap();
        let gist = |row: ServerSchemaRow| {
            assert!(row.payload.contains(&row.schema_hash), "{row:?}");
            let callers = row.callers.join("+");
            format!("{}/{} {} {} {callers}", row.proxy, row.method, row.schema_hash, row.captured_at)
        };
        rows.into_iter().map(gist).collect()
    }

    #[test]
    fn only_the_newest_version_is_current() {
        let store = TestStore::new();
        sighting(&store, 20, "p", "tools/list", "new", "");
        sighting(&store, 10, "p", "tools/list", "old", "");
        sighting(&store, 5, "p", "initialize", "hello", "");
        sighting(&store, 7, "q", "tools/list", "other", "");
        let hashes = store.query().schema_hashes(9).unwrap();
        let found: Vec<_> = hashes.iter().map(|h| (&*h.proxy, &*h.method, &*h.schema_hash)).collect();
        assert_eq!(found, [("p", "initialize", "hello"), ("q", "tools/list", "other"), ("p", "tools/list", "new")]);
        assert_eq!(store.query().schema_hashes(1).unwrap(), hashes[2..]);
        let all = ["p/initialize hello 5 ", "p/tools/list new 20 ", "q/tools/list other 7 "];
        assert_eq!(offered(&store, &SchemaFilter::default()), all);
        let newest = SchemaFilter { limit: Some(2), ..SchemaFilter::default() };
        assert_eq!(offered(&store, &newest), all[1..]);
        let time_range = TimeRange { since_ts: Some(6), until_ts: Some(20) };
        assert_eq!(offered(&store, &SchemaFilter { time_range, ..SchemaFilter::default() }), all[2..]);
        let of_q = SchemaFilter { proxy: Some("q".into()), ..SchemaFilter::default() };
        assert_eq!(offered(&store, &of_q), all[2..]);
        let of_initialize = SchemaFilter { method: Some("initialize".into()), ..SchemaFilter::default() };
        assert_eq!(offered(&store, &of_initialize), all[..1]);
    }

    #[test]
    fn what_different_callers_are_offered_are_variants_once_each_was_seen_beside_the_other() {
        let store = TestStore::new();
        let offered = |filter| offered(&store, filter);
        let all = SchemaFilter::default();
        sighting(&store, 1, "p", "tools/list", "few", "alice");
        sighting(&store, 2, "p", "tools/list", "many", "bob");
        assert_eq!(offered(&all), ["p/tools/list many 2 bob"], "alice may have gone before it changed");
        sighting(&store, 3, "p", "tools/list", "few", "alice");
        assert_eq!(offered(&all), ["p/tools/list few 1 alice", "p/tools/list many 2 bob"]);
        sighting(&store, 4, "p", "tools/list", "few", "carol");
        assert_eq!(offered(&all), ["p/tools/list few 1 alice+carol", "p/tools/list many 2 bob"]);
        sighting(&store, 5, "p", "tools/list", "few", "bob");
        assert_eq!(offered(&all), ["p/tools/list few 1 alice+bob+carol"]);
        // A roll-back.
        for (ts, hash) in [(6, "next"), (7, "few")] {
            for caller in ["alice", "bob", "carol"] {
                sighting(&store, ts, "p", "tools/list", hash, caller);
            }
        }
        assert_eq!(offered(&all), ["p/tools/list few 7 alice+bob+carol"]);
    }

    #[test]
    fn a_version_whose_record_was_lost_says_nothing_and_a_proxy_does_not_take_it_for_known() {
        let store = TestStore::new();
        sighting(&store, 1, "p", "tools/list", "lost", "");
        store.execute("DELETE FROM schema_versions");
        assert_eq!(store.query().server_schema(&SchemaFilter::default()).unwrap()[0].payload, "null");
        assert_eq!(store.query().schema_hashes(9).unwrap(), []);
    }

    #[test]
    fn changes_come_oldest_first_and_every_filter_narrows() {
        let store = TestStore::new();
        sighting(&store, 1, "p", "tools/list", "v1", "");
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
