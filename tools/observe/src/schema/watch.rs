//! Merges pages, compares hashes, and records what was offered to whom.
//!
//! Runs on a thread that its owner has for it: parsing and hashing a long list takes milliseconds.

use super::caller::Caller;
use super::pages::{Added, Pages};
use super::result::SchemaResult;
use super::sightings::{Due, Known, Sightings};
use crate::counts::Counts;
use crate::sink::{Sink, Taken};
use mcplog::SchemaVersion;
use mcplog::burst::Burst;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// After so long without another one, lists are too long no more, as the diagnostics tell it.
const TOO_LONG_QUIET: Duration = Duration::from_secs(600);

/// Knows what one upstream offered to each caller last, and records what is new.
pub struct SchemaWatch {
    sink: Arc<dyn Sink>,
    counts: Arc<Counts>,
    proxy: Arc<str>,
    upstream_url: Arc<str>,
    /// What callers' keys are salted with: random, until a store says what it has always been.
    salt: String,
    sightings: Sightings,
    pages: Pages,
    /// Lists are too long, as the diagnostics tell it.
    too_long: Burst,
}

impl SchemaWatch {
    /// A watch over one upstream that has seen nothing.
    pub fn new(sink: Arc<dyn Sink>, counts: Arc<Counts>, proxy: Arc<str>, upstream_url: Arc<str>) -> Self {
        let (sightings, pages) = (Sightings::default(), Pages::default());
        let (salt, too_long) = (Uuid::new_v4().to_string(), Burst::new(TOO_LONG_QUIET));
        Self { sink, counts, proxy, upstream_url, salt, sightings, pages, too_long }
    }

    /// Takes over what the store knows of this upstream, whenever that is there: a restart then makes no version that is
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
        let merged = match self.pages.add(seen) {
            Added::Whole(merged) => merged,
            Added::TooLong => return self.note_too_long(seen),
            Added::Nothing => return,
        };
        self.note_over(seen);
        let Ok(content_hash) = merged.content_hash() else {
            tracing::debug!(method = method.name(), "a schema result that cannot be read");
            return;
        };
        let caller = seen.asked.caller.key(&self.salt);
        match self.sightings.due(method, &caller, &content_hash, ts) {
            Due::Nothing => self.sightings.pass(method, &caller, &content_hash, ts),
            Due::Sighting => self.record_sighting(seen, &caller, &content_hash),
            Due::Whole => {
                let Ok(payload) = merged.payload() else { return };
                let mut version =
                    SchemaVersion::new(ts, &self.proxy, &self.upstream_url, method.name(), &payload, &content_hash);
                version.caller = &caller;
                match self.sink.offer(version.into()) {
                    Taken::Yes => {
                        self.counts.schema_versions.add(1);
                        self.sightings.recorded_whole(method, &caller, &content_hash, ts);
                    }
                    // It is new to the record when it is seen the next time.
                    Taken::NotNow => {}
                    Taken::TooLarge => {
                        let bytes = payload.len();
                        tracing::warn!(method = method.name(), bytes, "the list is too long for the log's segments");
                        self.sightings.too_large(method, &content_hash);
                        self.record_sighting(seen, &caller, &content_hash);
                    }
                }
            }
        }
    }

    fn note_too_long(&mut self, seen: &SchemaResult) {
        let method = seen.method().name();
        match self.too_long.note(1, seen.answered_at) {
            true => tracing::warn!(method, "the list is too long to be recorded"),
            false => tracing::debug!(method, "the list is too long to be recorded, again"),
        }
    }

    fn note_over(&mut self, seen: &SchemaResult) {
        if let Some(over) = self.too_long.over(seen.answered_at) {
            let (times, lasted_ms) = (over.times, over.lasted_ms());
            tracing::warn!(times, lasted_ms, "no more lists are too long to be recorded");
        }
    }

    /// Records who was offered it, without what it says.
    fn record_sighting(&mut self, seen: &SchemaResult, caller: &str, content_hash: &str) {
        let (method, ts) = (seen.asked.method, seen.ts);
        let mut version = SchemaVersion::seen_again(ts, &self.proxy, &self.upstream_url, method.name(), content_hash);
        version.caller = caller;
        if self.sink.record(version.into()) {
            self.sightings.recorded_sighting(method, caller, content_hash, ts);
        }
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
