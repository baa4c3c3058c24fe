//! What the logs hold, as far as the rows of a database matter: which of them could be made from them again.
//!
//! Pure. A row is known by its id in the old database; which record that is, `old_runs.rs` tells. Ids of sessions are kept
//! as hashes, eight bytes each: a log may name millions of them.

use super::old_runs::OldRuns;
use crate::fold::fold::Mutation;
use crate::ground::position::{Sequence, WriterId};
use crate::segment::number_set::NumberSet;
use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash};

/// What the logs hold.
#[derive(Debug, Default)]
pub(crate) struct Logged {
    /// Of each log.
    pub(crate) logs: HashMap<WriterId, LoggedRecords>,
    /// The ids in the old database of the records that this build can fold.
    known: NumberSet,
    /// The ids of all records that are there, whether or not this build can fold them: one that it can't comes into the new
    /// database as one that waits for a newer build, or as a note of damage.
    all: NumberSet,
    /// The ids of those that are folded again by somebody else, once the new database is there.
    left: NumberSet,
    /// The sessions that a record announces, that one closes, and that any record names.
    announced: HashSet<u64>,
    closed: HashSet<u64>,
    named: HashSet<u64>,
    /// The versions of schemas whose payload is there.
    versions: HashSet<u64>,
    hasher: RandomState,
}

/// The records of one log.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoggedRecords {
    /// The numbers of those that this build can fold.
    pub(crate) known: NumberSet,
    /// The numbers of all.
    pub(crate) all: NumberSet,
    /// The segments that are there, readable or not: damage in them is found again.
    pub(crate) segments: HashSet<u64>,
}

impl Logged {
    /// Notes what a record says.
    pub(crate) fn note(&mut self, writer: WriterId, sequence: Sequence, mutation: &Mutation<'_>) {
        self.logs.entry(writer).or_default().known.insert(sequence.0);
        let session_id = match mutation {
            Mutation::Request(request) => request.session_id,
            Mutation::CutRequest(cut) => cut.record().session_id,
            Mutation::Session(id, facts) => {
                let id = self.hash(id.as_ref());
                self.named.insert(id);
                if facts.announcement.is_some() {
                    self.announced.insert(id);
                }
                if facts.closes.is_some() {
                    self.closed.insert(id);
                }
                None
            }
            Mutation::SchemaSighting(seen) => {
                if seen.payload.is_some() {
                    let key = [&seen.proxy, &seen.upstream_url, &seen.method, &seen.content_hash].map(AsRef::as_ref);
                    self.versions.insert(self.hash(&key));
                }
                None
            }
            Mutation::Gap(_) | Mutation::ClockStep(_) | Mutation::WriterBegan(_) | Mutation::WriterEnded(_) => None,
        };
        if let Some(id) = session_id {
            self.named.insert(self.hash(id.text().as_ref()));
        }
    }

    /// Notes which rows of the old database these records are.
    pub(crate) fn identify(&mut self, runs: &OldRuns) {
        let Self { logs, known, all, .. } = self;
        runs.add_ids(|writer| logs.get(&writer).map(|log| &log.known), known);
        runs.add_ids(|writer| logs.get(&writer).map(|log| &log.all), all);
    }

    /// Notes which rows of the old database are records that somebody else folds again.
    pub(crate) fn leave(&mut self, runs: &OldRuns, numbers: &HashMap<WriterId, NumberSet>) {
        runs.add_ids(|writer| numbers.get(&writer), &mut self.left);
    }

    /// Whether the record of a row is folded again by somebody else.
    pub(crate) fn is_left(&self, id: u64) -> bool {
        self.left.contains(id)
    }

    /// Whether the logs have what the row of a record says. A record that this build can't fold is in the two tables for
    /// those; what another table has of it is of a build that could.
    pub(crate) fn has_record(&self, table: &str, id: u64) -> bool {
        self.of_table(table).contains(id)
    }

    /// The ids of the records that come into that table, if they belong there.
    pub(crate) fn of_table(&self, table: &str) -> &NumberSet {
        if table == "newer_records" { &self.all } else { &self.known }
    }

    /// Whether the log of that writer has what a note of damage is about: the record that can't be decoded, or the damaged
    /// segment.
    pub(crate) fn has_note(&self, writer: WriterId, sequence: Option<u64>, segment: u64) -> bool {
        self.logs.get(&writer).is_some_and(|log| {
            sequence.map_or_else(|| log.segments.contains(&segment), |number| log.all.contains(number))
        })
    }

    /// Whether all that a session's row says, but for the sums over its requests, can be had from the logs.
    pub(crate) fn has_session(&self, session_id: &str, was_announced: bool, was_closed: bool) -> bool {
        let id = self.hash(session_id);
        self.named.contains(&id)
            && (!was_announced || self.announced.contains(&id))
            && (!was_closed || self.closed.contains(&id))
    }

    /// Whether the payload of a version is in a log: proxy, address, method and hash name it.
    pub(crate) fn has_version(&self, key: [&str; 4]) -> bool {
        self.versions.contains(&self.hash(&key))
    }

    fn hash<T: Hash + ?Sized>(&self, value: &T) -> u64 {
        self.hasher.hash_one(value)
    }
}
