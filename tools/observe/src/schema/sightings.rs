//! Which caller was offered which version last by which server, and what of that is on record.
//!
//! Pure, bounded memory; runs where [`super::watch`] does. Only what was taken for the record is remembered as recorded.
//!
//! | the caller | the version | then |
//! |---|---|---|
//! | any | is not on record | is recorded whole |
//! | was offered another one last | is on record | is recorded without its payload |
//! | is new, and few callers of the version are known | is on record | is recorded without its payload |
//! | is new, and many are known | is on record | nothing is recorded |
//! | was offered the same last | another one appeared since anybody was seen to be offered this | is recorded without its payload |
//! | was offered the same last | nothing new appeared since | nothing is recorded |
//!
//! So callers who are offered different things make nothing by taking turns, but for one record that says that the older
//! version is still offered beside the newer one: without that, nobody can tell it from a version that was replaced while
//! its caller stayed away for ever. Callers whose credential changes all the time make a bounded number of small records.
//!
//! A payload counts as on record for an hour: the store may let a version go that no caller is offered any more, and one
//! more record of a version that it still has costs it no row.

use super::method::SchemaMethod;
use super::subject::Subject;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// How many callers are remembered, those of each method for themselves, of all servers together. One that was forgotten counts as new.
const CALLERS_MAX: usize = if cfg!(test) { 8 } else { 4096 };
/// How many versions are remembered to be on record. One that was forgotten is recorded whole again.
const VERSIONS_MAX: usize = if cfg!(test) { 6 } else { 1024 };
/// How many callers of a version are recorded who are offered nothing else: it was about to say who they are, not to count
/// them.
const NAMED_MAX: usize = if cfg!(test) { 4 } else { 64 };
/// How long a payload counts as on record, in milliseconds.
const PAYLOAD_MS_MAX: u64 = 60 * 60 * 1000;

/// How many versions a watch can make use of when it starts: as many as it remembers callers.
pub const KNOWN_MAX: usize = CALLERS_MAX;

/// What a store knows of what the servers behind one proxy offer.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Random text that belongs to the store.
    pub salt: String,
    /// What each caller was offered last, where that is on record. At most [`KNOWN_MAX`], the newest last.
    pub versions: Vec<KnownVersion>,
}

/// What a caller was offered last.
#[derive(Clone, Debug)]
pub struct KnownVersion {
    /// The path of the server, where the transport has paths.
    pub endpoint: Option<String>,
    /// The method whose result it is.
    pub method: SchemaMethod,
    /// The version's content hash.
    pub content_hash: String,
    /// The caller's key.
    pub caller: String,
    /// Since when the caller is offered it, in Unix milliseconds.
    pub since_ts: i64,
    /// When anybody was last seen to be offered it, in Unix milliseconds.
    pub last_ts: i64,
}

/// What is to be recorded of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing.
    Nothing,
    /// Who was offered it.
    Sighting,
    /// All of it.
    Whole,
}

struct Seen {
    content_hash: Arc<str>,
    used: u64,
}

struct Version {
    /// When it appeared: somebody was offered it, and nobody had been.
    since_ts: i64,
    /// When it was last on record that somebody was offered it.
    last_ts: i64,
    payload: Payload,
    used: u64,
}

/// Whether a version's payload is on record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Payload {
    /// The store had it when the watch started.
    InStore,
    /// It was recorded then, in Unix milliseconds.
    Since(i64),
    /// It never will be.
    TooLarge,
}

/// Who was offered what.
#[derive(Default)]
pub(super) struct Sightings {
    callers: HashMap<(Subject, Box<str>), Seen>,
    versions: HashMap<(Subject, Arc<str>), Version>,
    /// Grows with each use, so that what was not used for longest is forgotten first.
    uses: u64,
}

impl Sightings {
    /// What is to be recorded of that caller's being offered that version at that time.
    pub(super) fn due(&mut self, subject: &Subject, caller: &str, content_hash: &str, ts: i64) -> Due {
        self.uses += 1;
        let uses = self.uses;
        let is_outdated = || self.is_outdated(subject, content_hash);
        let known = self.callers.get(&(subject.clone(), Box::from(caller)));
        let is_same = known.is_some_and(|seen| &*seen.content_hash == content_hash);
        let is_new_and_one_of_many = known.is_none() && self.callers_of(subject, content_hash) >= NAMED_MAX;
        let is_due = !(is_same || is_new_and_one_of_many) || is_outdated();
        if let Some(seen) = self.callers.get_mut(&(subject.clone(), Box::from(caller))) {
            seen.used = uses;
        }
        match self.versions.get_mut(&(subject.clone(), Arc::from(content_hash))) {
            // The caller's own version was forgotten, because there are so many: it is on record, whatever it is.
            None if is_same => Due::Nothing,
            None => Due::Whole,
            Some(version) => {
                version.used = uses;
                if version.payload == Payload::InStore {
                    version.payload = Payload::Since(ts);
                }
                let is_on_record = match version.payload {
                    Payload::Since(since) => ts.abs_diff(since) <= PAYLOAD_MS_MAX,
                    Payload::InStore | Payload::TooLarge => true,
                };
                match (is_due, is_on_record) {
                    (false, _) => Due::Nothing,
                    (true, true) => Due::Sighting,
                    (true, false) => Due::Whole,
                }
            }
        }
    }

    /// Nothing is to be recorded, but the caller was offered it.
    pub(super) fn pass(&mut self, subject: &Subject, caller: &str, content_hash: &str, ts: i64) {
        if !self.callers.contains_key(&(subject.clone(), Box::from(caller))) {
            self.remember(subject, caller, content_hash, ts);
        }
    }

    /// The version was recorded whole.
    pub(super) fn recorded_whole(&mut self, subject: &Subject, caller: &str, content_hash: &str, ts: i64) {
        self.note_version(subject, content_hash, ts, Payload::Since(ts));
        self.remember(subject, caller, content_hash, ts);
    }

    /// That the caller was offered it was recorded.
    pub(super) fn recorded_sighting(&mut self, subject: &Subject, caller: &str, content_hash: &str, ts: i64) {
        if let Some(version) = self.versions.get_mut(&(subject.clone(), Arc::from(content_hash))) {
            version.last_ts = version.last_ts.max(ts);
        }
        self.remember(subject, caller, content_hash, ts);
    }

    /// The version's payload will never be recorded.
    pub(super) fn too_large(&mut self, subject: &Subject, content_hash: &str) {
        self.note_version(subject, content_hash, i64::MIN, Payload::TooLarge);
    }

    /// Takes over what a store knows. What was seen meanwhile is newer.
    pub(super) fn learn(&mut self, versions: Vec<KnownVersion>) {
        for KnownVersion { endpoint, method, content_hash, caller, since_ts, last_ts } in versions {
            self.uses += 1;
            let subject = &Subject { endpoint: endpoint.map(Arc::from), method };
            if !self.versions.contains_key(&(subject.clone(), Arc::from(&*content_hash))) {
                self.note_version(subject, &content_hash, last_ts, Payload::InStore);
            }
            self.pass(subject, &caller, &content_hash, since_ts);
        }
    }

    /// Forgets what callers with such keys were offered.
    pub(super) fn forget_callers(&mut self, are_meant: impl Fn(&str) -> bool) {
        self.callers.retain(|(_, caller), _| !are_meant(caller));
    }

    /// Whether another version, which some caller was offered last, appeared after this one was last seen.
    fn is_outdated(&self, subject: &Subject, content_hash: &str) -> bool {
        let Some(version) = self.versions.get(&(subject.clone(), Arc::from(content_hash))) else { return false };
        let others: HashSet<_> = self
            .callers
            .iter()
            .filter(|((of, _), seen)| *of == *subject && &*seen.content_hash != content_hash)
            .map(|(_, seen)| &seen.content_hash)
            .collect();
        let appeared = |other: &Arc<str>| Some(self.versions.get(&(subject.clone(), other.clone()))?.since_ts);
        others.into_iter().filter_map(appeared).any(|since_ts| since_ts > version.last_ts)
    }

    fn callers_of(&self, subject: &Subject, content_hash: &str) -> usize {
        self.callers.iter().filter(|((of, _), seen)| *of == *subject && &*seen.content_hash == content_hash).count()
    }

    fn remember(&mut self, subject: &Subject, caller: &str, content_hash: &str, ts: i64) {
        let used = self.uses;
        if self.callers_of(subject, content_hash) == 0
            && let Some(version) = self.versions.get_mut(&(subject.clone(), Arc::from(content_hash)))
        {
            version.since_ts = ts;
        }
        let key = (subject.clone(), Box::from(caller));
        if let Some(seen) = self.callers.get_mut(&key) {
            seen.content_hash = content_hash.into();
            return;
        }
        if self.callers.keys().filter(|(of, _)| of.method == subject.method).count() >= CALLERS_MAX {
            let of_method = self.callers.iter().filter(|((of, _), _)| of.method == subject.method);
            let oldest = of_method.min_by_key(|(_, seen)| seen.used).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| self.callers.remove(&oldest));
        }
        self.callers.insert(key, Seen { content_hash: content_hash.into(), used });
    }

    fn note_version(&mut self, subject: &Subject, content_hash: &str, ts: i64, payload: Payload) {
        let used = self.uses;
        let key = (subject.clone(), Arc::from(content_hash));
        if let Some(version) = self.versions.get_mut(&key) {
            (version.last_ts, version.payload) = (version.last_ts.max(ts), payload);
            return;
        }
        if self.versions.len() >= VERSIONS_MAX {
            let oldest = self.versions.iter().min_by_key(|(_, version)| version.used).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| self.versions.remove(&oldest));
        }
        self.versions.insert(key, Version { since_ts: ts, last_ts: ts, payload, used });
    }
}

#[cfg(test)]
#[path = "sightings_tests.rs"]
mod tests;
