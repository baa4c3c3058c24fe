//! Merges pages, compares hashes, and records what really changed.
//!
//! Runs on a thread that its owner has for it: parsing and hashing a long list takes milliseconds.

use super::canonical::content_hash;
use super::method::SchemaMethod;
use super::pages::Pages;
use super::result::SchemaResult;
use crate::counts::Counts;
use crate::sink::Sink;
use mcplog::SchemaVersion;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// Knows the last version of what one upstream offers, and records the next.
pub struct SchemaWatch {
    sink: Arc<dyn Sink>,
    counts: Arc<Counts>,
    proxy: Arc<str>,
    upstream_url: Arc<str>,
    /// The content hash of each method's last version.
    known: HashMap<SchemaMethod, String>,
    pages: Pages,
}

impl SchemaWatch {
    /// A watch over one upstream. `known` has the content hash of each method's last version, from the store.
    pub fn new(
        sink: Arc<dyn Sink>,
        counts: Arc<Counts>,
        proxy: Arc<str>,
        upstream_url: Arc<str>,
        known: HashMap<SchemaMethod, String>,
    ) -> Self {
        Self { sink, counts, proxy, upstream_url, known, pages: Pages::default() }
    }

    /// Looks at one result. Takes milliseconds where the list is long.
    pub fn look_at(&mut self, seen: &SchemaResult) {
        let method = seen.method;
        let Some(result) = result_of(&seen.message) else {
            tracing::debug!(method = method.name(), "a schema result that is no JSON object");
            return;
        };
        let page = (result, seen.message.len());
        let cursor = seen.cursor.as_deref();
        let Some(merged) = self.pages.add(&seen.scope, method, cursor, page, seen.ts) else { return };
        let content_hash = content_hash(method, &merged);
        if self.known.get(&method) == Some(&content_hash) {
            return;
        }
        let payload = Value::Object(merged).to_string();
        self.counts.schema_versions.add(1);
        self.sink.record(
            SchemaVersion::new(seen.ts, &self.proxy, &self.upstream_url, method.name(), &payload, &content_hash).into(),
        );
        self.known.insert(method, content_hash);
    }
}

fn result_of(message: &[u8]) -> Option<Map<String, Value>> {
    #[derive(serde::Deserialize)]
    struct Response {
        result: Map<String, Value>,
    }
    serde_json::from_slice::<Response>(message).ok().map(|response| response.result)
}
