//! One transaction: rows, what is derived from the rows, schema versions, and the checkpoint that vouches for all of
//! them.
//!
//! Runs on the compactor. A batch collects session facts, roll-up cells and digests in memory and merges them into
//! their tables once, because the requests of a session and of a minute come in bunches.

use super::checkpoint::Checkpoint;
use super::digest_table::ChangedDigests;
use super::expiry::Expiry;
use super::fence::Fence;
use super::fold_runs::{FoldId, FoldRuns};
use super::held::Held;
use super::missing_records::{self, MissingRun};
use super::name_numbers::NameNumbers;
use super::newer_records::{self, NewerRecord};
use super::quarantine::{self, Quarantined};
use super::request_rows::{NewRow, RequestRows};
use super::rollup_table::RollupChanges;
use super::sqlite_wal::note_doubt;
use super::writers::{self, WriterRow};
use super::{schema_history, session_table};
use crate::fold::fold::{Mutation, SchemaSighting};
use crate::fold::session_facts::{RequestFacts, SessionFacts};
use crate::ground::clock::now_ms;
use crate::ground::error::IndexError;
use crate::ground::position::{Offset, SegmentId, Sequence, WriterId};
use crate::record::id::{Id, IdBuffer};
use crate::record::record::{ClockStepRecord, GapRecord};
use crate::record::request::RequestRecord;
use crate::segment::reader::FrameAt;
use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, params, params_from_iter};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Where a row of another database has what is another number here.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowPlaces {
    /// The column of its id.
    pub(super) id: Option<usize>,
    /// The column of its writer.
    pub(super) writer: Option<usize>,
}

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
    /// Whose records it folds.
    writers: HashMap<WriterId, WriterRow>,
    /// Which ids they get; `None` before the first.
    runs: Option<FoldRuns>,
    fence: &'c mut Fence,
    wal_in_doubt: &'c AtomicBool,
}

/// A record that has its place in the order of folding.
#[derive(Clone, Copy, Debug)]
pub(super) struct FoldedRecord {
    pub(super) id: FoldId,
    pub(super) writer: WriterId,
    /// Its writer's number in table `writers`.
    pub(super) writer_number: i64,
    pub(super) sequence: Sequence,
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
    /// A batch of that transaction, which has passed the fence.
    pub(super) fn new(
        transaction: Transaction<'c>,
        connection: &'c Connection,
        path: &'c Path,
        fence: &'c mut Fence,
        held: &'c mut Held,
        wal_in_doubt: &'c AtomicBool,
    ) -> Self {
        let Held { names, expiry, .. } = held;
        names.begin();
        Self {
            transaction,
            connection,
            rows: RequestRows::new(connection),
            path,
            names,
            sessions: HashMap::new(),
            rollups: RollupChanges::default(),
            expiry,
            noted_at: now_ms(),
            late_requests: 0,
            late_sightings: 0,
            has_stale: false,
            writers: HashMap::new(),
            runs: None,
            fence,
            wal_in_doubt,
        }
    }

    /// Records of which nobody knows the time were recorded by then (Unix milliseconds), if not just now. They age from
    /// there, so that a log that is folded anew does not make them young again.
    pub(crate) fn note_as_of(&mut self, recorded_by: i64) {
        self.noted_at = recorded_by.min(now_ms());
    }

    /// Applies what the records of a writer with those sequence numbers change. Each takes the next id, in their order.
    pub(crate) fn apply(
        &mut self,
        writer: WriterId,
        mutations: Vec<(Sequence, Mutation<'_>)>,
    ) -> Result<(), IndexError> {
        let applied = self.take_ids(writer, mutations).and_then(|mut records| self.apply_all(&mut records));
        self.checked(applied)
    }

    /// Applies what records change that waited for a build that knows them. They keep the ids that they had.
    pub(crate) fn apply_kept(&mut self, records: Vec<(&NewerRecord, Mutation<'_>)>) -> Result<(), IndexError> {
        let mut numbered = Vec::with_capacity(records.len());
        for (record, mutation) in records {
            let NewerRecord { id, writer, sequence, .. } = *record;
            let writer_number = self.number(writer);
            let writer_number = self.checked(writer_number)?;
            numbered.push((FoldedRecord { id, writer, writer_number, sequence }, mutation));
        }
        let applied = self.apply_all(&mut numbered);
        self.checked(applied)
    }

    fn take_ids<'a>(
        &mut self,
        writer: WriterId,
        mutations: Vec<(Sequence, Mutation<'a>)>,
    ) -> rusqlite::Result<Vec<(FoldedRecord, Mutation<'a>)>> {
        if mutations.is_empty() {
            return Ok(Vec::new());
        }
        let writer_number = self.number(writer)?;
        let mut records = Vec::with_capacity(mutations.len());
        for (sequence, mutation) in mutations {
            let id = self.take_id(writer_number, sequence)?;
            records.push((FoldedRecord { id, writer, writer_number, sequence }, mutation));
        }
        Ok(records)
    }

    fn apply_all(&mut self, records: &mut [(FoldedRecord, Mutation<'_>)]) -> rusqlite::Result<()> {
        let kept_since = self.expiry.kept_since;
        let mut requests = Vec::with_capacity(records.len());
        let mut newest: Option<(WriterId, i64)> = None;
        for (record, mutation) in records {
            if let Some(ts) = happened_at(mutation) {
                newest = match newest {
                    Some((writer, newest_ts)) if writer == record.writer => Some((writer, newest_ts.max(ts))),
                    other => {
                        self.see(other)?;
                        Some((record.writer, ts))
                    }
                };
            }
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
                    schema_history::add(&self.transaction, *record, sighting, kept_since)?;
                    continue;
                }
                Mutation::Gap(gap) => {
                    self.has_stale |= gap.to_ts < kept_since;
                    self.add_gap(*record, *gap)?;
                    continue;
                }
                Mutation::ClockStep(step) => {
                    self.has_stale |= step.from_ts.max(step.to_ts) < kept_since;
                    self.add_clock_step(record.id, *step)?;
                    continue;
                }
                // Who writes is not in the tables yet.
                Mutation::WriterBegan(began) => {
                    writers::note_began(&self.transaction, record.writer_number, began)?;
                    continue;
                }
                Mutation::WriterEnded(ended) => {
                    writers::note_ended(&self.transaction, record.writer_number, ended.ended_at)?;
                    continue;
                }
            };
            if request.ts < kept_since {
                self.late_requests += 1;
            } else {
                requests.push(self.new_row(record.id, request)?);
            }
        }
        self.see(newest)?;
        self.add_requests(&requests)
    }

    /// Adds what another database has on record of a session.
    pub(super) fn restore_session(&mut self, session_id: &str, facts: SessionFacts) -> rusqlite::Result<()> {
        self.has_stale |= facts.started_at().max(facts.last_seen_at()) < self.expiry.kept_since;
        self.add_facts(Id::new(session_id), facts)
    }

    /// Adds a sighting that another database has on record: also one from before everything is kept, which says what was
    /// current then.
    pub(super) fn restore_sighting(
        &mut self,
        writer: WriterId,
        sequence: Sequence,
        seen: &SchemaSighting<'_>,
    ) -> rusqlite::Result<()> {
        let writer_number = self.number(writer)?;
        let id = self.take_id(writer_number, sequence)?;
        let record = FoldedRecord { id, writer, writer_number, sequence };
        schema_history::restore(&self.transaction, record, seen, self.expiry.kept_since)
    }

    /// Inserts a row that another database has. With `sequence` it is that record's, and takes the next id; otherwise its
    /// table numbers it anew. Its writer's number is the one of this database.
    pub(super) fn restore_row(
        &mut self,
        insert: &str,
        values: &mut [Value],
        places: RowPlaces,
        writer: WriterId,
        sequence: Option<Sequence>,
    ) -> rusqlite::Result<()> {
        if let Some(value) = places.writer.and_then(|at| values.get_mut(at)) {
            *value = Value::Integer(self.number(writer)?);
        }
        if let Some(value) = places.id.and_then(|at| values.get_mut(at)) {
            *value = match sequence {
                Some(sequence) => {
                    let number = self.number(writer)?;
                    Value::Integer(self.take_id(number, sequence)?.0)
                }
                None => Value::Null,
            };
        }
        self.transaction.prepare_cached(insert)?.execute(params_from_iter(values.iter())).map(|_| ())
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

    /// Puts an intact record of a writer that can't be decoded into the quarantine table. It takes the next id.
    pub(crate) fn quarantine_record(
        &mut self,
        writer: WriterId,
        segment: SegmentId,
        frame: &FrameAt<'_>,
        reason: &str,
    ) -> Result<(), IndexError> {
        let added = self.number(writer).and_then(|number| {
            self.take_id(number, frame.sequence)?;
            quarantine::add(&self.transaction, &self.undecodable(number, segment, frame, reason))
        });
        self.checked(added)
    }

    /// The same for a record that waited for a build that knows it, and has its id.
    pub(crate) fn quarantine_kept(&mut self, record: &NewerRecord, reason: &str) -> Result<(), IndexError> {
        let added = self.number(record.writer).and_then(|number| {
            quarantine::add(&self.transaction, &self.undecodable(number, record.segment, &record.frame(), reason))
        });
        self.checked(added)
    }

    /// Keeps an intact record of that kind and version, which a newer build wrote, for a build that knows it. It takes the
    /// next id.
    pub(crate) fn keep_newer(
        &mut self,
        writer: WriterId,
        segment: SegmentId,
        frame: &FrameAt<'_>,
        kind: (u8, u8),
    ) -> Result<(), IndexError> {
        let added = self.number(writer).and_then(|number| {
            let id = self.take_id(number, frame.sequence)?;
            newer_records::add(&self.transaction, (id, number), segment, frame, kind, self.noted_at)
        });
        self.checked(added)
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

    /// Notes bytes of a writer's log that can't be read in the quarantine table.
    pub(crate) fn quarantine_bytes(
        &mut self,
        writer: WriterId,
        segment: SegmentId,
        offset: Offset,
        bytes: u32,
        reason: &str,
    ) -> Result<(), IndexError> {
        let added = self.number(writer).and_then(|number| {
            let place = Quarantined {
                writer: number,
                segment: segment.0,
                offset: offset.0,
                bytes: bytes.into(),
                record: None,
                reason,
                noted_at: self.noted_at,
            };
            quarantine::add(&self.transaction, &place)
        });
        self.checked(added)
    }

    /// Up to where a writer's log is folded, in this batch too; [`Checkpoint::START`] if nothing of it is.
    pub(crate) fn checkpoint(&mut self, writer: WriterId) -> Result<Checkpoint, IndexError> {
        let row = self.writer(writer).map(|row| row.checkpoint.unwrap_or(Checkpoint::START));
        self.checked(row)
    }

    /// The last record of a writer so far happened then (Unix milliseconds).
    pub(crate) fn note_last(&mut self, writer: WriterId, ts: i64) -> Result<(), IndexError> {
        let noted = self.writer(writer).map(|row| row.last_ts = Some(ts));
        self.checked(noted)
    }

    /// Of what time the last record of a writer is that was folded, in this batch or before; `None` where nobody knows.
    pub(crate) fn last_ts(&mut self, writer: WriterId) -> Result<Option<i64>, IndexError> {
        let last = self.writer(writer).map(|row| row.last_ts);
        self.checked(last)
    }

    /// The first number of the missing records of a writer that end with that number, if the table has any that do.
    pub(crate) fn missing_up_to(&mut self, writer: WriterId, last: Sequence) -> Result<Option<Sequence>, IndexError> {
        let first =
            self.number(writer).and_then(|number| missing_records::first_up_to(&self.transaction, number, last.0));
        self.checked(first.map(|first| first.map(Sequence)))
    }

    /// Notes that the records of a writer with the numbers from `first` to `last` are lost; together they take an id.
    /// `before` and `behind` are the times of the records next to them, as far as these are known. What was noted of
    /// records from `first` on gives way.
    pub(crate) fn note_missing(
        &mut self,
        writer: WriterId,
        (first, last): (u64, u64),
        before: Option<i64>,
        behind: Option<i64>,
    ) -> Result<(), IndexError> {
        // Of what nobody knows the time was recorded by then.
        let behind = behind.unwrap_or(self.noted_at);
        let before = before.unwrap_or(behind);
        let (from_ts, to_ts) = (before.min(behind), before.max(behind));
        self.has_stale |= to_ts < self.expiry.kept_since;
        let noted = self.number(writer).and_then(|number| {
            let run = MissingRun { writer: number, first, last, from_ts, to_ts };
            if missing_records::update(&self.transaction, run)? {
                return Ok(());
            }
            let id = self.take_id(number, Sequence(first))?;
            missing_records::add(&self.transaction, id, run)
        });
        self.checked(noted)
    }

    /// Notes that a writer is dead: whoever folds took the lock of its folder. Unless its log says that it ended, it died,
    /// at `died_at` (Unix milliseconds) at the latest.
    pub(crate) fn end_writer(&mut self, writer: WriterId, died_at: i64) -> Result<(), IndexError> {
        let ended = self.number(writer).and_then(|number| writers::note_dead(&self.transaction, number, died_at));
        self.checked(ended)
    }

    /// Says that the log of a writer, which was folded up to `from`, is folded up to `to` with this batch.
    ///
    /// # Errors
    /// [`IndexError::Moved`]: it is folded up to another place. Somebody else folded meanwhile, and what this batch has of
    /// that writer may be in the tables already: the batch must be dropped, and the checkpoints read again.
    pub(crate) fn reached(&mut self, writer: WriterId, from: Checkpoint, to: Checkpoint) -> Result<(), IndexError> {
        let found = self.checkpoint(writer)?;
        #[cfg(test)]
        let found = if self.fence.planted == Some(super::fence::Planted::OldCheckpoint) { from } else { found };
        if found != from || to.sequence < from.sequence {
            return Err(IndexError::Moved {
                path: self.path.to_owned(),
                writer,
                expected: from.sequence,
                found: found.sequence,
            });
        }
        let set = self.writer(writer).map(|row| row.set_checkpoint(to));
        self.checked(set)
    }

    /// Commits everything, the checkpoints with the rows.
    pub(crate) fn commit(self) -> Result<(), IndexError> {
        let (path, wal_in_doubt) = (self.path, self.wal_in_doubt);
        let finished = self.finish();
        note_doubt(&finished, wal_in_doubt);
        finished.map_err(|source| IndexError::Sqlite { path: path.to_owned(), source })
    }

    fn finish(self) -> rusqlite::Result<()> {
        let Self { transaction, connection, rows, names, sessions, rollups, expiry, writers, runs, .. } = self;
        let Self { late_requests, late_sightings, has_stale, fence, .. } = self;
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
        if let Some(runs) = runs {
            runs.write(connection)?;
        }
        writers.values().try_for_each(|row| row.write(connection))?;
        // A commit that failed may have been made.
        transaction.commit().inspect_err(|_| fence.forget())?;
        expiry.expired.late_events += late_requests + late_sightings;
        expiry.has_stale |= has_stale;
        names.commit();
        Ok(())
    }

    /// The row of a writer, which this transaction reads once.
    fn writer(&mut self, writer: WriterId) -> rusqlite::Result<&mut WriterRow> {
        Ok(match self.writers.entry(writer) {
            Entry::Occupied(row) => row.into_mut(),
            Entry::Vacant(place) => place.insert(WriterRow::of(self.connection, writer)?),
        })
    }

    /// The number of a writer in table `writers`.
    fn number(&mut self, writer: WriterId) -> rusqlite::Result<i64> {
        self.writer(writer).map(|row| row.number)
    }

    /// The next id, for a record of that writer, by its number in the table.
    fn take_id(&mut self, writer: i64, sequence: Sequence) -> rusqlite::Result<FoldId> {
        let runs = match &mut self.runs {
            Some(runs) => runs,
            none => none.insert(FoldRuns::read(self.connection)?),
        };
        Ok(runs.take(writer, sequence))
    }

    /// An event of that writer happened then.
    fn see(&mut self, event: Option<(WriterId, i64)>) -> rusqlite::Result<()> {
        event.map_or(Ok(()), |(writer, ts)| self.writer(writer).map(|row| row.see(ts)))
    }

    /// The request with numbers for its names.
    fn new_row<'a>(&mut self, id: FoldId, mut request: RequestRecord<'a>) -> rusqlite::Result<NewRow<'a>> {
        let session = match &request.session_id {
            Some(id) => Some(self.names.session(self.connection, id.text_in(&mut IdBuffer::default()))?),
            None => None,
        };
        let call = self.names.call(self.connection, &mut request)?;
        Ok(NewRow { id: id.0, call, session, request })
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

    fn add_gap(&self, record: FoldedRecord, gap: GapRecord) -> rusqlite::Result<()> {
        let events = i64::try_from(gap.events).unwrap_or(i64::MAX);
        let FoldedRecord { id, writer_number, sequence, .. } = record;
        self.transaction
            .prepare_cached(
                "INSERT INTO gaps (id, from_ts, to_ts, events, writer, sequence) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![id.0, gap.from_ts, gap.to_ts, events, writer_number, sequence.0])
            .map(|_| ())
    }

    fn add_clock_step(&self, id: FoldId, step: ClockStepRecord) -> rusqlite::Result<()> {
        let sql = "INSERT INTO clock_steps (id, from_ts, to_ts, step_ms, between_runs) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.transaction
            .prepare_cached(sql)?
            .execute(params![id.0, step.from_ts, step.to_ts, step.step_ms(), step.between_runs])
            .map(|_| ())
    }

    fn undecodable<'a>(
        &self,
        writer: i64,
        segment: SegmentId,
        frame: &FrameAt<'a>,
        reason: &'a str,
    ) -> Quarantined<'a> {
        Quarantined {
            writer,
            segment: segment.0,
            offset: frame.offset.0,
            bytes: frame.payload.len() as u64,
            record: Some((frame.sequence.0, frame.payload)),
            reason,
            noted_at: self.noted_at,
        }
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

/// When an event happened, in Unix milliseconds; `None` for what is no event.
fn happened_at(mutation: &Mutation<'_>) -> Option<i64> {
    match mutation {
        Mutation::Request(request) => Some(request.ts),
        Mutation::CutRequest(cut) => Some(cut.record().ts),
        Mutation::Session(_, facts) => {
            let announced_at = facts.announcement.as_ref().map(|announcement| announcement.started_at);
            announced_at.max(facts.closes.map(|closes| closes.last_at))
        }
        Mutation::SchemaSighting(sighting) => Some(sighting.ts),
        Mutation::Gap(_) | Mutation::ClockStep(_) | Mutation::WriterBegan(_) | Mutation::WriterEnded(_) => None,
    }
}
