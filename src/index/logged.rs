//! What the log holds, as far as the rows of a database matter: which of them could be made from it again.
//!
//! Pure. Ids are kept as hashes, eight bytes each: a log may name millions of sessions.

use crate::fold::fold::Mutation;
use crate::ground::position::Sequence;
use crate::segment::number_set::NumberSet;
use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};

/// What the log holds.
#[derive(Debug, Default)]
pub(crate) struct Logged {
    /// The numbers of the records that this build can fold.
    pub(crate) numbers: NumberSet,
    /// The numbers of all records, whether or not this build can fold them: one that it can't comes into the new database
    /// as one that waits for a newer build, or as a note of damage.
    pub(crate) frames: NumberSet,
    /// The segments that are there, readable or not: damage in them is found again.
    pub(crate) segments: HashSet<u64>,
    /// The numbers of records that the new database notes as lost.
    pub(crate) lost: NumberSet,
    /// The first number and the last of the log. What the old database says is lost outside of it, is taken over.
    pub(crate) outside: Option<(u64, u64)>,
    /// The sessions that a record announces, that one closes, and that any record names.
    announced: HashSet<u64>,
    closed: HashSet<u64>,
    named: HashSet<u64>,
    /// The versions of schemas whose payload is there.
    versions: HashSet<u64>,
    hasher: RandomState,
}

impl Logged {
    /// Notes what a record says.
    pub(crate) fn note(&mut self, sequence: Sequence, mutation: &Mutation<'_>) {
        self.numbers.insert(sequence.0);
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

    /// Whether the log has what the row of a record says. A record that this build can't fold is in the two tables for
    /// those; what another table has of it is of a build that could.
    pub(crate) fn has_record(&self, table: &str, number: u64) -> bool {
        self.of_table(table).contains(number)
    }

    /// The numbers of the records that come into that table, if they belong there.
    pub(crate) fn of_table(&self, table: &str) -> &NumberSet {
        if matches!(table, "newer_records" | "quarantine") { &self.frames } else { &self.numbers }
    }

    /// Whether the log has what a note of damage is about: the record that can't be decoded, or the damaged segment.
    pub(crate) fn has_note(&self, sequence: Option<u64>, segment: u64) -> bool {
        sequence.map_or_else(|| self.segments.contains(&segment), |number| self.has_record("quarantine", number))
    }

    /// Whether all that a session's row says, but for the sums over its requests, can be had from the log.
    pub(crate) fn has_session(&self, session_id: &str, was_announced: bool, was_closed: bool) -> bool {
        let id = self.hash(session_id);
        self.named.contains(&id)
            && (!was_announced || self.announced.contains(&id))
            && (!was_closed || self.closed.contains(&id))
    }

    /// Whether the payload of a version is in the log: proxy, address, method and hash name it.
    pub(crate) fn has_version(&self, key: [&str; 4]) -> bool {
        self.versions.contains(&self.hash(&key))
    }

    /// Whether the new database says again that records from that number on are lost.
    pub(crate) fn tells_lost(&self, number: u64) -> bool {
        self.lost.contains(number) || self.is_outside(number)
    }

    /// Whether the number lies before the log, or behind it.
    pub(crate) fn is_outside(&self, number: u64) -> bool {
        self.outside.is_some_and(|(first, last)| number < first || number > last)
    }

    fn hash<T: Hash + ?Sized>(&self, value: &T) -> u64 {
        self.hasher.hash_one(value)
    }
}
