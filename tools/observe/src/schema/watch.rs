//! Merges pages, compares hashes, and records what was offered to whom.
//!
//! Runs on a thread that its owner has for it: parsing and hashing a long list takes milliseconds.

use super::caller::Caller;
use super::canonical::content_hash;
use super::pages::Pages;
use super::result::SchemaResult;
use super::sightings::{Due, Known, Sightings};
use crate::counts::Counts;
use crate::sink::{Sink, Taken};
use mcplog::SchemaVersion;
use serde_json::{Map, Value};
use std::sync::Arc;
use uuid::Uuid;

/// Knows what the servers behind one upstream offered to each caller last, and records what is new.
pub struct SchemaWatch {
    sink: Arc<dyn Sink>,
    counts: Arc<Counts>,
    proxy: Arc<str>,
    /// Scheme and authority of the upstream, before the path that was asked.
    origin: Arc<str>,
    /// What callers' keys are salted with: random, until a store says what it has always been.
    salt: String,
    sightings: Sightings,
    pages: Pages,
}

impl SchemaWatch {
    /// A watch over the servers of one origin, such as `http://127.0.0.1:9000`, that has seen nothing. The path that was asked
    /// says which server it was, and makes its URL whole.
    pub fn new(sink: Arc<dyn Sink>, counts: Arc<Counts>, proxy: Arc<str>, origin: Arc<str>) -> Self {
        let (sightings, pages) = (Sightings::default(), Pages::default());
        Self { sink, counts, proxy, origin, salt: Uuid::new_v4().to_string(), sightings, pages }
    }

    /// Takes over what the store knows of these servers, whenever that is there: a restart then makes no version that is
    /// none. What was seen before counts as newer.
    pub fn learn(&mut self, known: Known) {
        if self.salt != known.salt {
            // Their keys change. Who comes again is known by the new one.
            self.sightings.forget_callers(Caller::is_salted);
            self.salt = known.salt;
        }
        self.sightings.learn(known.versions);
    }

    /// Looks at one result. Takes milliseconds where the list is long.
    pub fn look_at(&mut self, seen: &SchemaResult) {
        let (method, ts) = (seen.asked.method, seen.ts);
        let Some(result) = result_of(&seen.message) else {
            tracing::debug!(method = method.name(), "a schema result that is no JSON object");
            return;
        };
        let Some(merged) = self.pages.add(seen, result) else { return };
        let content_hash = content_hash(method, &merged);
        let caller = seen.asked.caller.key(&self.salt);
        let (subject, upstream_url) = (seen.subject(), self.upstream_url(seen));
        match self.sightings.due(&subject, &caller, &content_hash, ts) {
            Due::Nothing => self.sightings.pass(&subject, &caller, &content_hash, ts),
            Due::Sighting => self.record_sighting(seen, &caller, &content_hash),
            Due::Whole => {
                let payload = Value::Object(merged).to_string();
                let mut version =
                    SchemaVersion::new(ts, &self.proxy, &upstream_url, method.name(), &payload, &content_hash);
                version.caller = &caller;
                match self.sink.offer(version.into()) {
                    Taken::Yes => {
                        self.counts.schema_versions.add(1);
                        self.sightings.recorded_whole(&subject, &caller, &content_hash, ts);
                    }
                    // It is new to the record when it is seen the next time.
                    Taken::NotNow => {}
                    Taken::TooLarge => {
                        let bytes = payload.len();
                        tracing::warn!(method = method.name(), bytes, "the list is too long for the log's segments");
                        self.sightings.too_large(&subject, &content_hash);
                        self.record_sighting(seen, &caller, &content_hash);
                    }
                }
            }
        }
    }

    /// The URL that was asked.
    fn upstream_url(&self, seen: &SchemaResult) -> String {
        [&self.origin, seen.asked.endpoint.as_deref().unwrap_or_default()].concat()
    }

    /// Records who was offered it, without what it says.
    fn record_sighting(&mut self, seen: &SchemaResult, caller: &str, content_hash: &str) {
        let (method, ts) = (seen.asked.method, seen.ts);
        let upstream_url = self.upstream_url(seen);
        let mut version = SchemaVersion::seen_again(ts, &self.proxy, &upstream_url, method.name(), content_hash);
        version.caller = caller;
        if self.sink.record(version.into()) {
            self.sightings.recorded_sighting(&seen.subject(), caller, content_hash, ts);
        }
    }
}

fn result_of(message: &[u8]) -> Option<Map<String, Value>> {
    #[derive(serde::Deserialize)]
    struct Response {
        result: Map<String, Value>,
    }
    serde_json::from_slice::<Response>(message).ok().map(|response| response.result)
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
