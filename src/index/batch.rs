//! One transaction: rows, what is derived from the rows, schema versions, and the checkpoint that vouches for all of
//! them.
//!
//! Runs on the compactor. A batch collects session facts, roll-up cells and digests in memory and merges them into
//! their tables once, because the requests of a session and of a minute come in bunches.

use super::checkpoint::Checkpoint;
use super::digest_table::ChangedDigests;
use super::expiry::Expiry;
use super::name_numbers::NameNumbers;
use super::newer_records::{self, NewerRecord};
use super::request_rows::{NewRow, RequestRows};
use super::rollup_table::RollupChanges;
use super::sqlite_wal::note_doubt;
use super::{schema_history, session_table};
use crate::fold::fold::{Mutation, SchemaSighting};
use crate::fold::session_facts::{RequestFacts, SessionFacts};
use crate::ground::clock::now_ms;
use crate::ground::error::IndexError;
use crate::ground::position::{Offset, SegmentId, Sequence, WriterId};
use crate::record::id::{Id, IdBuffer};
use crate::record::record::{ClockStepRecord, GapRecord};
use crate::record::request::RequestRecord;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// A batch under way.
pub(crate) struct Batch<'c> {
    transaction: Transaction<'c>,
    connection: &'c Connection,
    rows: RequestRows<'c>,
    path: &'c Path,
    names: &'c mut NameNumbers,
    sessions: HashMap<i64, TouchedSession>,
    rollups: RollupChanges,
    /// What is expired, and what is done about it.
    expiry: &'c mut Expiry,
    /// What time rows without a time of their own get: Unix milliseconds.
    noted_at: i64,
    /// How many requests of the batch came too late, because they are from before `kept_since`.
    late_requests: u64,
    /// How many sightings of schemas did.
    late_sightings: u64,
    /// Whether anything else did, which expiring has to look for.
    has_stale: bool,
    /// Of what time the last record of the batch is.
    last_ts: Option<i64>,
    wal_in_doubt: &'c AtomicBool,
}

/// A session that the batch says something about.
#[derive(Debug, Default)]
struct TouchedSession {
    session_id: String,
    facts: SessionFacts,
    /// Whether one of its requests was removed, so that the sums are counted again.
    recount: bool,
}

impl<'c> Batch<'c> {
    pub(super) fn new(
        connection: &'c Connection,
        path: &'c Path,
        names: &'c mut NameNumbers,
        expiry: &'c mut Expiry,
        wal_in_doubt: &'c AtomicBool,
    ) -> rusqlite::Result<Self> {
        names.begin();
        let transaction = Transaction::new_unchecked(connection, rusqlite::TransactionBehavior::Immediate)?;
        let rows = RequestRows::new(connection);
        let (sessions, rollups) = (HashMap::new(), RollupChanges::default());
        Ok(Self {
            transaction,
            connection,
            rows,
            path,
            names,
            sessions,
            rollups,
            expiry,
            noted_at: now_ms(),
            late_requests: 0,
            late_sightings: 0,
            has_stale: false,
            last_ts: None,
            wal_in_doubt,
        })
    }

    /// Records of which nobody knows the time were recorded by then (Unix milliseconds), if not just now. They age from
    /// there, so that a log that is folded anew does not make them young again.
    pub(crate) fn note_as_of(&mut self, recorded_by: i64) {
        self.noted_at = recorded_by.min(now_ms());
    }

    /// Applies what the records with those sequence numbers change.
    pub(crate) fn apply(&mut self, mut mutations: Vec<(Sequence, Mutation<'_>)>) -> Result<(), IndexError> {
        let applied = self.apply_all(&mut mutations);
        self.checked(applied)
    }

    fn apply_all(&mut self, mutations: &mut [(Sequence, Mutation<'_>)]) -> rusqlite::Result<()> {
        let kept_since = self.expiry.kept_since;
        let mut requests = Vec::with_capacity(mutations.len());
        for (sequence, mutation) in mutations {
            let request = match mutation {
                Mutation::Request(request) => *request,
                Mutation::CutRequest(cut) => cut.record(),
                Mutation::Session(id, facts) => {
                    self.has_stale |= facts.started_at().max(facts.last_seen_at()) < kept_since;
                    self.add_facts(Id::new(id), std::mem::take(facts))?;
                    continue;
                }
                Mutation::SchemaSighting(sighting) => {
                    self.late_sightings += u64::from(sighting.ts < kept_since);
                    schema_history::add(&self.transaction, *sequence, sighting, kept_since)?;
                    continue;
                }
                Mutation::Gap(gap) => {
                    self.has_stale |= gap.to_ts < kept_since;
                    self.add_gap(*sequence, *gap)?;
                    continue;
                }
                Mutation::ClockStep(step) => {
                    self.has_stale |= step.from_ts.max(step.to_ts) < kept_since;
                    self.add_clock_step(*sequence, *step)?;
                    continue;
                }
                // Who writes is not in the tables yet.
                Mutation::WriterBegan(_) | Mutation::WriterEnded(_) => continue,
            };
            if request.ts < kept_since {
                self.late_requests += 1;
            } else {
                requests.push(self.new_row(*sequence, request)?);
            }
        }
        self.add_requests(&requests)
    }

    /// Adds a sighting that another database has on record: also one from before everything is kept, which says what was
    /// current then.
    pub(super) fn restore_sighting(&mut self, sequence: Sequence, seen: &SchemaSighting<'_>) -> rusqlite::Result<()> {
        schema_history::restore(&self.transaction, sequence, seen, self.expiry.kept_since)
    }

    /// Adds a version that another database has on record.
    pub(super) fn restore_version(&mut self, key: [&str; 4], payload: &str) -> rusqlite::Result<()> {
        schema_history::restore_version(&self.transaction, key, payload, self.expiry.kept_since)
    }

    /// Whether anything named a session of that id.
    pub(super) fn has_session(&self, session_id: &str) -> rusqlite::Result<bool> {
        self.connection.prepare_cached("SELECT 1 FROM session_state WHERE session_id = ?1")?.exists([session_id])
    }

    /// Keeps what a session's requests added up to in another database, as far as they are not here.
    pub(super) fn keep_sums(&mut self, session_id: &str, told: &RequestFacts) -> rusqlite::Result<()> {
        let session = self.names.session(self.connection, session_id)?;
        touch(&mut self.sessions, session, Id::new(session_id)).recount = true;
        session_table::keep_sums(self.connection, session, told)
    }

    /// Puts an intact record that can't be decoded into the quarantine table.
    pub(crate) fn quarantine_record(
        &mut self,
        segment: SegmentId,
        frame: &crate::segment::reader::FrameAt<'_>,
        reason: &str,
    ) -> Result<(), IndexError> {
        self.checked(self.quarantine(
            segment,
            frame.offset.0,
            frame.payload.len(),
            Some(frame.sequence.0),
            reason,
            Some(frame.payload),
        ))
    }

    /// Keeps an intact record of that kind and version, which a newer build wrote, for a build that knows it.
    pub(crate) fn keep_newer(
        &mut self,
        segment: SegmentId,
        frame: &crate::segment::reader::FrameAt<'_>,
        kind: (u8, u8),
    ) -> Result<(), IndexError> {
        self.checked(newer_records::add(&self.transaction, segment, frame, kind, self.noted_at))
    }

    /// Takes records of that kind and version out of those that wait, by [`newer_records::take`].
    pub(crate) fn take_newer(
        &mut self,
        kind: (u8, u8),
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<NewerRecord>, IndexError> {
        self.checked(newer_records::take(&self.transaction, kind, records_max, bytes_max))
    }

    /// Notes bytes that can't be read in the quarantine table.
    pub(crate) fn quarantine_bytes(
        &mut self,
        segment: SegmentId,
        offset: Offset,
        bytes: u32,
        reason: &str,
    ) -> Result<(), IndexError> {
        self.checked(self.quarantine(segment, offset.0, bytes as usize, None, reason, None))
    }

    /// The last record of the batch so far happened then (Unix milliseconds).
    pub(crate) fn note_last(&mut self, ts: i64) {
        self.last_ts = Some(ts);
    }

    /// Of what time the last record is that was folded, in this batch or before; `None` where nobody knows.
    pub(crate) fn last_ts(&self) -> Result<Option<i64>, IndexError> {
        if self.last_ts.is_some() {
            return Ok(self.last_ts);
        }
        let read = |row: &rusqlite::Row<'_>| row.get(0);
        let told = self.connection.query_row("SELECT last_ts FROM checkpoint", [], read).optional();
        self.checked(told).map(Option::flatten)
    }

    /// The first number of the missing records that end with that number, if the table has any that do.
    pub(crate) fn missing_up_to(&self, last: Sequence) -> Result<Option<Sequence>, IndexError> {
        let told = || {
            self.connection
                .prepare_cached("SELECT id, events FROM gaps WHERE missing = 1 AND id <= ?1 ORDER BY id DESC LIMIT 1")?
                .query_row([last.0], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?)))
                .optional()
        };
        let told = self.checked(told())?;
        Ok(told.filter(|(first, records)| first + records == last.0 + 1).map(|(first, _)| Sequence(first)))
    }

    /// Notes that the records with the numbers from `first` to `last` are lost. `before` and `behind` are the times of the
    /// records next to them, as far as these are known. What was noted of records from `first` on gives way.
    pub(crate) fn note_missing(
        &mut self,
        (first, last): (u64, u64),
        before: Option<i64>,
        behind: Option<i64>,
    ) -> Result<(), IndexError> {
        // Of what nobody knows the time was recorded by then.
        let behind = behind.unwrap_or(self.noted_at);
        let before = before.unwrap_or(behind);
        let (from_ts, to_ts) = (before.min(behind), before.max(behind));
        self.has_stale |= to_ts < self.expiry.kept_since;
        let note = || {
            self.transaction
                .prepare_cached(
                    "INSERT INTO gaps (id, from_ts, to_ts, events, missing) VALUES (?1, ?2, ?3, ?4, 1)
                     ON CONFLICT (id) DO UPDATE SET from_ts = ?2, to_ts = ?3, events = ?4 WHERE missing = 1",
                )?
                .execute(params![first, from_ts, to_ts, last - first + 1])
                .map(|_| ())
        };
        self.checked(note())
    }

    /// Commits everything together with the checkpoint.
    pub(crate) fn commit(self, writer_id: WriterId, checkpoint: Checkpoint) -> Result<(), IndexError> {
        let (path, wal_in_doubt) = (self.path, self.wal_in_doubt);
        let finished = self.finish(writer_id, checkpoint);
        note_doubt(&finished, wal_in_doubt);
        finished.map_err(|source| IndexError::Sqlite { path: path.to_owned(), source })
    }

    fn finish(self, writer_id: WriterId, checkpoint: Checkpoint) -> rusqlite::Result<()> {
        let Self { transaction, connection, rows, names, sessions, rollups, expiry, .. } = self;
        let Self { late_requests, late_sightings, has_stale, last_ts, .. } = self;
        drop(rows);
        let mut digests = ChangedDigests::default();
        for (session, TouchedSession { session_id, facts, recount }) in sessions {
            let facts = session_table::merge(connection, session, &session_id, facts, recount)?;
            if facts.is_none() {
                names.forget_session(&session_id);
            }
            digests.set(connection, names, session, facts.as_ref())?;
        }
        digests.write(connection)?;
        rollups.write(connection, expiry.kept_since)?;
        if late_requests > 0 {
            connection
                .prepare_cached("UPDATE retention SET late_requests = late_requests + ?1")?
                .execute([late_requests])?;
        }
        connection
            .prepare_cached(
                "INSERT INTO checkpoint (id, writer_id, segment, offset, sequence, last_ts) VALUES (1, ?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (id) DO UPDATE
                 SET writer_id = ?1, segment = ?2, offset = ?3, sequence = ?4, last_ts = coalesce(?5, last_ts)",
            )?
            .execute(params![writer_id.0, checkpoint.segment.0, checkpoint.offset.0, checkpoint.sequence.0, last_ts])?;
        transaction.commit()?;
        expiry.expired.late_events += late_requests + late_sightings;
        expiry.has_stale |= has_stale;
        names.commit();
        Ok(())
    }

    /// The request with numbers for its names.
    fn new_row<'a>(&mut self, sequence: Sequence, mut request: RequestRecord<'a>) -> rusqlite::Result<NewRow<'a>> {
        let session = match &request.session_id {
            Some(id) => Some(self.names.session(self.connection, id.text_in(&mut IdBuffer::default()))?),
            None => None,
        };
        let call = self.names.call(self.connection, &mut request)?;
        Ok(NewRow { id: i64::try_from(sequence.0).unwrap_or(i64::MAX), call, session, request })
    }

    fn add_requests(&mut self, new: &[NewRow<'_>]) -> rusqlite::Result<()> {
        let Self { rows, sessions, rollups, .. } = self;
        let duplicates = rows.insert(new, |row| note(row, sessions, rollups))?;
        // The table has their request ids already. An event handed over twice is ignored whole; of different requests
        // with one id the least is kept.
        for row in duplicates {
            if let (Some(session), Some(id)) = (row.session, row.request.session_id) {
                // Looking up the session's number may have added a session that nothing else names: such a session must
                // be written or removed when the batch ends.
                touch(sessions, session, id);
            }
            if let Some(removed) = rows.remove_if_greater(row)? {
                rollups.note_removed(removed.ts);
                if let Some((session, session_id)) = &removed.session {
                    touch(sessions, *session, Id::new(session_id)).recount = true;
                }
                rows.insert(std::slice::from_ref(row), |row| note(row, sessions, rollups))?;
            }
        }
        Ok(())
    }

    fn add_facts(&mut self, id: Id<'_>, mut facts: SessionFacts) -> rusqlite::Result<()> {
        if let Some(announcement) = &mut facts.announcement {
            self.names.name_session(self.connection, announcement)?;
        }
        let session = self.names.session(self.connection, id.text_in(&mut IdBuffer::default()))?;
        let touched = touch(&mut self.sessions, session, id);
        touched.facts = std::mem::take(&mut touched.facts).merge(facts);
        Ok(())
    }

    fn add_gap(&self, sequence: Sequence, gap: GapRecord) -> rusqlite::Result<()> {
        let events = i64::try_from(gap.events).unwrap_or(i64::MAX);
        self.transaction
            .prepare_cached("INSERT INTO gaps (id, from_ts, to_ts, events) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![sequence.0, gap.from_ts, gap.to_ts, events])
            .map(|_| ())
    }

    fn add_clock_step(&self, sequence: Sequence, step: ClockStepRecord) -> rusqlite::Result<()> {
        let sql = "INSERT INTO clock_steps (id, from_ts, to_ts, step_ms, between_runs) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.transaction
            .prepare_cached(sql)?
            .execute(params![sequence.0, step.from_ts, step.to_ts, step.step_ms(), step.between_runs])
            .map(|_| ())
    }

    fn quarantine(
        &self,
        segment: SegmentId,
        offset: u32,
        bytes: usize,
        sequence: Option<u64>,
        reason: &str,
        payload: Option<&[u8]>,
    ) -> rusqlite::Result<()> {
        self.transaction
            .prepare_cached(
                "INSERT INTO quarantine (segment, offset, bytes, sequence, reason, payload, noted_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (segment, offset) DO NOTHING",
            )?
            .execute(params![segment.0, offset, bytes, sequence, reason, payload, self.noted_at])
            .map(|_| ())
    }

    fn checked<T>(&self, result: rusqlite::Result<T>) -> Result<T, IndexError> {
        result.map_err(|source| IndexError::Sqlite { path: self.path.to_owned(), source })
    }
}

/// Notes what an inserted row adds to its session and its roll-ups.
fn note(row: &NewRow<'_>, sessions: &mut HashMap<i64, TouchedSession>, rollups: &mut RollupChanges) {
    if let (Some(session), Some(id)) = (row.session, row.request.session_id) {
        touch(sessions, session, id).facts.add_request(&row.request);
    }
    rollups.add(row.call, row.sample());
}

fn touch<'s>(sessions: &'s mut HashMap<i64, TouchedSession>, session: i64, id: Id<'_>) -> &'s mut TouchedSession {
    sessions
        .entry(session)
        .or_insert_with(|| TouchedSession { session_id: id.text().into_owned(), ..TouchedSession::default() })
}
