//! Tools that servers offer and nobody calls.
//!
//! Runs on the caller's thread. Which tools a server offers stands in the payload of its current `tools/list`; a call
//! of an endpoint belongs to the server with that path. One of which no list is on record may be any server's, so it
//! counts for all behind its proxy: one without an endpoint, or by an address that redirects.

use super::database::Query;
use super::filter::{SchemaFilter, TimeRange};
use super::interval::ClosedInterval;
use crate::ground::error::IndexError;
use rusqlite::types::Value;
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

const TOOLS_LIST: &str = "tools/list";

/// A tool that a server offers and that nobody called in a range of time.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct UnusedToolRow {
    /// The proxy in front of the server.
    pub proxy: String,
    /// The server.
    pub upstream_url: String,
    /// The tool's name.
    pub tool: String,
    /// Since when the server has offered it without a break: Unix time in milliseconds, UTC.
    #[serde(rename = "first_seen_at")]
    pub known_since: i64,
    /// When it was called last, before or after the range: Unix time in milliseconds, UTC. `None`: never.
    pub last_called_at: Option<i64>,
}

/// What is needed of a current `tools/list`.
#[derive(serde::Deserialize)]
struct ToolsList {
    #[serde(default)]
    tools: Vec<NamedTool>,
}

#[derive(serde::Deserialize)]
struct NamedTool {
    name: String,
}

/// Since when a server offers its tools: Unix time in milliseconds, UTC.
#[derive(Default)]
struct OfferHistory {
    /// When the server's first list was seen: since then it offers every tool that was not added later.
    first_ts: Option<i64>,
    /// When each tool was added last.
    added_at: HashMap<String, i64>,
}

impl Query {
    /// The tools that servers offer now and that nobody called in `time_range`, ordered by proxy, server and name. With
    /// a proxy's name: only those behind that proxy. A payload that lists no tools by name offers none.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn unused_tools(&self, time_range: TimeRange, proxy: Option<&str>) -> Result<Vec<UnusedToolRow>, IndexError> {
        self.at_one_time(|| {
            let lists = self.server_schema(&SchemaFilter {
                proxy: proxy.map(str::to_owned),
                method: Some(TOOLS_LIST.to_owned()),
                ..SchemaFilter::default()
            })?;
            let known = self.offer_histories()?;
            // Of what is offered to some callers only, everything counts as offered.
            let mut offered: BTreeMap<_, BTreeMap<String, i64>> = BTreeMap::new();
            for list in lists {
                let tools = serde_json::from_str::<ToolsList>(&list.payload).map(|list| list.tools);
                let of_server = offered.entry((list.proxy, list.upstream_url)).or_default();
                for tool in tools.unwrap_or_default() {
                    let since = of_server.entry(tool.name).or_insert(list.captured_at);
                    *since = list.captured_at.min(*since);
                }
            }
            let mut unused = Vec::new();
            let servers: Vec<_> = offered.keys().cloned().collect();
            for (server, tools) in offered {
                let others = servers.iter().filter(|other| other.0 == server.0 && other.1 != server.1);
                let mut others: Vec<_> = others.map(|other| path_of(&other.1)).collect();
                others.retain(|path| *path != path_of(&server.1));
                for (tool, captured_at) in tools {
                    let (is_called, last_called_at) = self.last_call(&server.0, &others, &tool, time_range)?;
                    if is_called {
                        continue;
                    }
                    let added =
                        known.get(&server).and_then(|known| known.added_at.get(&tool).copied().or(known.first_ts));
                    unused.push(UnusedToolRow {
                        proxy: server.0.clone(),
                        upstream_url: server.1.clone(),
                        tool,
                        known_since: added.unwrap_or(captured_at),
                        last_called_at,
                    });
                }
            }
            Ok(unused)
        })
    }

    /// Whether the tool was called in the range, and when it was called last at all, but at the endpoints of `others`.
    /// Both take one look into an index for each endpoint.
    fn last_call(
        &self,
        proxy: &str,
        others: &[&str],
        tool: &str,
        time_range: TimeRange,
    ) -> Result<(bool, Option<i64>), IndexError> {
        let names = [proxy.to_owned().into(), tool.to_owned().into()];
        let sql =
            "SELECT id, endpoint FROM calls WHERE proxy = ? AND method = 'tools/call' AND tool = ? AND direction = 1";
        let calls = self.rows(sql, &names, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?)))?;
        let is_other_s = |endpoint: &Option<String>| endpoint.as_deref().is_some_and(|path| others.contains(&path));
        let (mut is_called, mut last) = (false, None);
        for (call, _) in calls.iter().filter(|(_, endpoint)| !is_other_s(endpoint)) {
            last = last.max(self.value("SELECT max(ts) FROM request_rows WHERE call = ?", &[(*call).into()])?);
            if let Some(ClosedInterval { first_ts, last_ts }) = ClosedInterval::of(time_range) {
                let sql = "SELECT EXISTS (SELECT 1 FROM request_rows WHERE call = ? AND ts BETWEEN ? AND ?)";
                is_called |= self.value::<bool>(sql, &[(*call).into(), first_ts.into(), last_ts.into()])?;
            }
        }
        Ok((is_called, last))
    }

    /// The histories by proxy and server.
    fn offer_histories(&self) -> Result<HashMap<(String, String), OfferHistory>, IndexError> {
        let mut known: HashMap<_, OfferHistory> = HashMap::new();
        let sql = "SELECT proxy, upstream_url, change_type, item_name, detected_at FROM schema_changes \
                   WHERE method = ? AND change_type IN ('initial', 'tool_added') ORDER BY detected_at, sighting_id, id";
        self.each_row(sql, &[Value::from(TOOLS_LIST.to_owned())], |row| {
            let (change_type, item): (String, Option<String>) = (row.get(2)?, row.get(3)?);
            let known = known.entry((row.get(0)?, row.get(1)?)).or_default();
            let detected_at = row.get(4)?;
            match item {
                Some(tool) if change_type == "tool_added" => _ = known.added_at.insert(tool, detected_at),
                _ => _ = known.first_ts.get_or_insert(detected_at),
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(known)
    }
}

/// The path of a server's URL.
fn path_of(url: &str) -> &str {
    let within = url.split_once("://").map_or(url, |(_, rest)| rest);
    within.find('/').map_or("/", |start| &within[start..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::test_store::TestStore;

    fn change(store: &TestStore, ts: i64, change_type: &str, tool: &str) {
        store
            .row("schema_changes")
            .set("proxy", "p")
            .set("upstream_url", "http://up")
            .set("method", TOOLS_LIST)
            .set("change_type", change_type)
            .set("item_name", tool)
            .set("detected_at", ts)
            .set("caller", "")
            .set("sighting_id", 1)
            .insert();
    }

    fn unused(store: &TestStore, time_range: TimeRange) -> Vec<(String, i64, Option<i64>)> {
        let rows = store.query().unused_tools(time_range, None).unwrap();
        rows.into_iter().map(|row| (row.tool, row.known_since, row.last_called_at)).collect()
    }

    #[test]
    fn a_tool_is_known_since_the_first_list_or_since_it_was_added_last() {
        let store = TestStore::new();
        store.schema_version(10, "p", r#"{"tools":[{"name":"old"},{"name":"new"},{"name":"back"}]}"#);
        for (ts, change_type, tool) in [
            (20, "tool_added", "new"),
            (20, "tool_added", "back"),
            (30, "tool_removed", "back"),
            (40, "tool_added", "back"),
        ] {
            change(&store, ts, change_type, tool);
        }
        let expected = [("back", 40, None), ("new", 20, None), ("old", 10, None)];
        assert_eq!(
            unused(&store, TimeRange::default()),
            expected.map(|(tool, since, call)| (tool.to_owned(), since, call))
        );
    }

    #[test]
    fn a_call_in_the_range_uses_a_tool_and_one_outside_is_its_last() {
        let store = TestStore::new();
        store.schema_version(10, "p", r#"{"tools":[{"name":"a"},{"name":"b"},{"name":"b"}]}"#);
        store.request("1", 100, "tools/call").set("tool", "a").insert();
        store.request("2", 200, "tools/call").set("tool", "b").insert();
        store.request("3", 300, "prompts/get").set("tool", "a").insert();
        store.request("4", 300, "tools/call").set("tool", "a").set("proxy", "other").insert();
        let time_range = TimeRange { since_ts: Some(101), until_ts: Some(301) };
        assert_eq!(unused(&store, time_range), [("a".to_owned(), 10, Some(100))]);
        assert_eq!(unused(&store, TimeRange::default()), []);
        let never = TimeRange { since_ts: Some(5), until_ts: Some(5) };
        assert_eq!(unused(&store, never).len(), 2);
        assert_eq!(store.query().unused_tools(never, Some("other")).unwrap(), []);
    }

    #[test]
    fn a_call_uses_the_tool_of_the_server_that_was_asked() {
        let store = TestStore::new();
        let offers = |proxy: &str, url: &str, ts: i64| {
            let row = |table| {
                store
                    .row(table)
                    .set("proxy", proxy.to_owned())
                    .set("upstream_url", url.to_owned())
                    .set("method", TOOLS_LIST)
            };
            row("schema_versions").set("content_hash", "h").set("payload", r#"{"tools":[{"name":"t"}]}"#).insert();
            row("schema_sightings")
                .set("content_hash", "h")
                .set("caller", "")
                .set("ts", ts)
                .set("arrival", Vec::new())
                .insert();
        };
        let unused = |since_ts| -> Vec<(String, Option<i64>)> {
            let time_range = TimeRange { since_ts, until_ts: None };
            let rows = store.query().unused_tools(time_range, Some("p")).unwrap();
            rows.into_iter().map(|row| (row.upstream_url, row.last_called_at)).collect()
        };
        let called = |id: &str, ts, endpoint: Option<&str>| {
            let row = store.request(id, ts, "tools/call").set("tool", "t");
            match endpoint {
                Some(endpoint) => row.set("endpoint", endpoint.to_owned()).insert(),
                None => row.insert(),
            }
        };
        let [a, b] = ["http://h:9/servers/a", "http://h:9/servers/b"];
        offers("p", a, 1);
        offers("p", b, 2);
        offers("q", "http://h:9/elsewhere", 3);
        let all = |last_of_a, last_of_b| vec![(a.to_owned(), last_of_a), (b.to_owned(), last_of_b)];
        assert_eq!(unused(None), all(None, None));
        called("1", 100, Some("/servers/a"));
        assert_eq!(unused(None), all(None, None)[1..]);
        assert_eq!(unused(Some(101)), all(Some(100), None));
        // An endpoint that offers nothing by itself may be any server's.
        called("2", 200, Some("/elsewhere"));
        assert_eq!(unused(Some(150)), []);
        called("3", 300, Some("/servers/b"));
        called("4", 250, None);
        assert_eq!(unused(Some(400)), all(Some(250), Some(300)));
    }

    #[test]
    fn a_payload_that_lists_no_tools_by_name_offers_none() {
        for payload in ["", "[]", r#"{"tools":null}"#, r#"{"tools":[{"title":"x"}]}"#, r#"{"other":1}"#] {
            let store = TestStore::new();
            store.schema_version(10, "p", payload);
            assert_eq!(unused(&store, TimeRange::default()), [], "{payload}");
        }
    }
}
