//! One transaction: rows, what is derived from the rows, schema versions, and the checkpoint that vouches for all of
//! them.
//!
//! Runs on the compactor. A batch collects session facts, roll-up cells and digests in memory and merges them into
//! their tables once, because the requests of a session and of a minute come in bunches.

use super::checkpoint::Checkpoint;
use super::digest_table::ChangedDigests;
use super::event_time::happened_at;
use super::expiry::Expiry;
use super::fence::Fence;
use super::fold_runs::{FoldId, FoldRuns, FoldedRecord};
use super::held::Held;
use super::missing_records;
use super::name_numbers::NameNumbers;
use super::newer_records::NewerRecord;
use super::request_rows::{NewRow, RequestRows};
use super::rollup_table::RollupChanges;
use super::sqlite_wal::note_doubt;
use super::writers::{self, WriterRow};
use super::{schema_history, session_table};
use crate::fold::fold::Mutation;
use crate::fold::session_facts::SessionFacts;
use crate::ground::clock::now_ms;
use crate::ground::error::IndexError;
use crate::ground::position::{Sequence, WriterId};
use crate::record::id::{Id, IdBuffer};
use crate::record::record::ClockStepRecord;
use crate::record::request::RequestRecord;
use rusqlite::{Connection, Transaction, params};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// A batch under way.
pub(crate) struct Batch<'c> {
    pub(super) transaction: Transaction<'c>,
    pub(super) connection: &'c Connection,
    rows: RequestRows<'c>,
    path: &'c Path,
    pub(super) names: &'c mut NameNumbers,
    sessions: HashMap<i64, TouchedSession>,
    rollups: RollupChanges,
    /// What is expired, and what is done about it.
    pub(super) expiry: &'c mut Expiry,
    /// What time rows without a time of their own get: Unix milliseconds.
    pub(super) noted_at: i64,
    /// How many requests of the batch came too late, because they are from before `kept_since`.
    late_requests: u64,
    /// How many sightings of schemas did.
    late_sightings: u64,
    /// Whether anything else did, which expiring has to look for.
    pub(super) has_stale: bool,
    /// Whose records it folds.
    writers: HashMap<WriterId, WriterRow>,
    /// Which ids they get; `None` before the first.
    runs: Option<FoldRuns>,
    fence: &'c mut Fence,
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
                    missing_records::add_dropped(&self.transaction, *record, *gap)?;
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

    /// Has the sums of a session counted again when the batch ends.
    pub(super) fn recount(&mut self, session: i64, session_id: &str) {
        touch(&mut self.sessions, session, Id::new(session_id)).recount = true;
    }

    /// The row of a writer, which this transaction reads once.
    pub(super) fn writer(&mut self, writer: WriterId) -> rusqlite::Result<&mut WriterRow> {
        Ok(match self.writers.entry(writer) {
            Entry::Occupied(row) => row.into_mut(),
            Entry::Vacant(place) => place.insert(WriterRow::of(self.connection, writer)?),
        })
    }

    /// The number of a writer in table `writers`.
    pub(super) fn number(&mut self, writer: WriterId) -> rusqlite::Result<i64> {
        self.writer(writer).map(|row| row.number)
    }

    /// The next id, for a record of that writer, by its number in the table.
    pub(super) fn take_id(&mut self, writer: i64, sequence: Sequence) -> rusqlite::Result<FoldId> {
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

    pub(super) fn add_facts(&mut self, id: Id<'_>, mut facts: SessionFacts) -> rusqlite::Result<()> {
        if let Some(announcement) = &mut facts.announcement {
            self.names.name_session(self.connection, announcement)?;
        }
        let session = self.names.session(self.connection, id.text_in(&mut IdBuffer::default()))?;
        let touched = touch(&mut self.sessions, session, id);
        touched.facts = std::mem::take(&mut touched.facts).merge(facts);
        Ok(())
    }

    fn add_clock_step(&self, id: FoldId, step: ClockStepRecord) -> rusqlite::Result<()> {
        let sql = "INSERT INTO clock_steps (id, from_ts, to_ts, step_ms, between_runs) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.transaction
            .prepare_cached(sql)?
            .execute(params![id.0, step.from_ts, step.to_ts, step.step_ms(), step.between_runs])
            .map(|_| ())
    }

    pub(super) fn checked<T>(&self, result: rusqlite::Result<T>) -> Result<T, IndexError> {
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
