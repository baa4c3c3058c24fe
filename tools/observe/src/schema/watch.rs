//! Merges pages, compares hashes, and records what was offered to whom.
//!
//! Runs on a thread that its owner has for it: parsing and hashing a long list takes milliseconds.

use super::caller::Caller;
use super::merged::hexadecimal;
use super::pages::{Added, Pages};
use super::result::{Content, SCHEMA_BYTES_MAX, SchemaResult};
use super::sightings::{Due, Known, Sightings};
use crate::counts::Counts;
use crate::sink::{Sink, Taken};
use mcplog::SchemaVersion;
use mcplog::abridged::{abridge, more_than};
use mcplog::burst::Burst;
use mcplog::event::SCHEMA_PAYLOAD_BYTES_MAX;
use mcplog::event::canonical::Unreadable;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// After so long without another one, no results are missed any more, as the diagnostics tell it.
const MISSED_QUIET: Duration = Duration::from_secs(600);

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
    /// Results are not looked at, as the diagnostics tell it.
    missed: Burst,
}

impl SchemaWatch {
    /// A watch over the servers of one origin, such as `http://127.0.0.1:9000`, that has seen nothing. The path that was asked
    /// says which server it was, and makes its URL whole.
    pub fn new(sink: Arc<dyn Sink>, counts: Arc<Counts>, proxy: Arc<str>, origin: Arc<str>) -> Self {
        let (sightings, pages) = (Sightings::default(), Pages::default());
        let (salt, missed) = (Uuid::new_v4().to_string(), Burst::new(MISSED_QUIET));
        Self { sink, counts, proxy, origin, salt, sightings, pages, missed }
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
        self.note_missed(seen);
        let method = seen.method();
        let added = match &seen.content {
            Content::Message { text, .. } => self.pages.add(&seen.asked, seen.answered_at, text),
            Content::TooLong => Added::TooLong,
            Content::Missed => return,
        };
        let compared = match added {
            Added::Whole(merged) => {
                merged.content_hash().and_then(|hash| self.compare(seen, &hash, false, || merged.payload()))
            }
            Added::TooLong => {
                let payload = more_than(SCHEMA_BYTES_MAX);
                self.compare(seen, &hexadecimal(&Sha256::digest(&payload)), true, || Ok(payload))
            }
            Added::Nothing => Ok(()),
        };
        if let Err(error) = compared {
            self.counts.schema_results_missed.add(1);
            tracing::debug!(method = method.name(), %error, "a schema result is not looked at");
        }
    }

    /// Records what is new of a version. `is_cut` says that its payload says less than the result.
    fn compare(
        &mut self,
        seen: &SchemaResult,
        content_hash: &str,
        is_cut: bool,
        payload: impl FnOnce() -> Result<String, Unreadable>,
    ) -> Result<(), Unreadable> {
        let (subject, ts) = (seen.subject(), seen.ts);
        let caller = seen.asked.caller.key(&self.salt);
        match self.sightings.due(&subject, &caller, content_hash, ts) {
            Due::Nothing => self.sightings.pass(&subject, &caller, content_hash, ts),
            Due::Sighting => self.record_sighting(seen, &caller, content_hash),
            Due::Whole => match self.record_whole(seen, &caller, content_hash, is_cut, &payload()?) {
                Taken::Yes => self.sightings.recorded_whole(&subject, &caller, content_hash, ts),
                // It is new to the record when it is seen the next time.
                Taken::NotNow => {}
                Taken::TooLarge => {
                    self.sightings.too_large(&subject, content_hash);
                    self.record_sighting(seen, &caller, content_hash);
                }
            },
        }
        Ok(())
    }

    /// Records a version, or as much of it as the log takes: what each item is called, or at least how much there was.
    fn record_whole(
        &self,
        seen: &SchemaResult,
        caller: &str,
        content_hash: &str,
        mut is_cut: bool,
        payload: &str,
    ) -> Taken {
        let (method, upstream_url) = (seen.method().name(), self.upstream_url(seen));
        let offer = |payload: &str| {
            let mut version = SchemaVersion::new(seen.ts, &self.proxy, &upstream_url, method, payload, content_hash);
            version.caller = caller;
            self.sink.offer(version.into())
        };
        let mut taken = offer(payload);
        is_cut |= payload.len() > SCHEMA_PAYLOAD_BYTES_MAX;
        for bytes_max in [SCHEMA_PAYLOAD_BYTES_MAX, 0] {
            if taken == Taken::TooLarge {
                is_cut = true;
                taken = offer(&abridge(method, payload, bytes_max));
            }
        }
        if is_cut && taken != Taken::NotNow {
            self.counts.schema_versions_cut.add(1);
            tracing::warn!(method, "a list is too long to be kept whole");
        }
        if taken == Taken::Yes {
            self.counts.schema_versions.add(1);
        }
        taken
    }

    /// Tells of results that are not looked at, and that this is over.
    fn note_missed(&mut self, seen: &SchemaResult) {
        let method = seen.method().name();
        if matches!(seen.content, Content::Missed) {
            self.counts.schema_results_missed.add(1);
            match self.missed.note(1, seen.answered_at) {
                true => tracing::warn!(method, "no memory to look at a schema result"),
                false => tracing::debug!(method, "no memory to look at a schema result, again"),
            }
        } else if let Some(over) = self.missed.over(seen.answered_at) {
            let (times, lasted_ms) = (over.times, over.lasted_ms());
            tracing::warn!(times, lasted_ms, "schema results are looked at again");
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

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
