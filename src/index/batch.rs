//! One transaction: rows, what is derived from them, schema versions, and the checkpoint that vouches for all of it.
//!
//! Runs on the compactor. Session facts, roll-up cells and digests gather in memory and are merged into their tables
//! once a batch, because the requests of a session and of a minute come in bunches.

use super::digest_table::ChangedDigests;
use super::names::Names;
use super::rollup_table::Gathered;
use super::{Checkpoint, schema_history, session_table};
use crate::error::IndexError;
use crate::event::Status;
use crate::fold::{Mutation, RequestRow, SessionFacts};
use crate::format::{Offset, SegmentId, Sequence, WriterId};
use crate::record::{GapRecord, Id, IdBuffer, RequestRecord, StatusCode};
use crate::rollup::{Outcome, Sample};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, Transaction, params};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

const INSERT_REQUEST: &str = "
    INSERT INTO request_rows (id, request_id, ts, call, session, latency_us, status, bytes_in, bytes_out, tool_error,
                              error_code, error_msg, target, protocol_version, rpc_id)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
    ON CONFLICT (request_id) DO NOTHING";

const SELECT_REQUEST: &str = "
    SELECT ts, status, latency_us, request_id, proxy, session_id, method, tool, error_code, error_msg,
           bytes_in, bytes_out, tool_error, target, protocol_version, rpc_id
    FROM requests WHERE request_id = ?1";

/// A batch under way.
pub(crate) struct Batch<'c> {
    transaction: Transaction<'c>,
    connection: &'c Connection,
    /// Kept ready, so that it is not looked up by its text for each row.
    insert: CachedStatement<'c>,
    path: &'c Path,
    names: &'c mut Names,
    sessions: HashMap<i64, TouchedSession>,
    rollups: Gathered,
}

/// A session that the batch says something about.
#[derive(Debug, Default)]
struct TouchedSession {
    session_id: String,
    facts: SessionFacts,
    /// A request of it was replaced: its sums are counted again.
    recount: bool,
}

impl<'c> Batch<'c> {
    pub(super) fn new(connection: &'c Connection, path: &'c Path, names: &'c mut Names) -> rusqlite::Result<Self> {
        names.begin();
        let transaction = Transaction::new_unchecked(connection, rusqlite::TransactionBehavior::Immediate)?;
        let insert = connection.prepare_cached(INSERT_REQUEST)?;
        let (sessions, rollups) = (HashMap::new(), Gathered::default());
        Ok(Self { transaction, connection, insert, path, names, sessions, rollups })
    }

    /// Applies what the record with that sequence number changes.
    pub(crate) fn apply(&mut self, sequence: Sequence, mutation: Mutation<'_>) -> Result<(), IndexError> {
        let applied = match mutation {
            Mutation::Request(request) => self.add_request(sequence, &request),
            Mutation::Session(id, facts) => self.add_facts(&id, facts),
            Mutation::SchemaVersion(version) => schema_history::add(&self.transaction, sequence, &version),
            Mutation::Gap(gap) => self.add_gap(sequence, gap),
        };
        self.checked(applied)
    }

    /// Keeps an intact record that can't be decoded.
    pub(crate) fn quarantine_record(
        &mut self,
        segment: SegmentId,
        frame: &crate::segment::FrameAt<'_>,
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

    /// Notes bytes that can't be read.
    pub(crate) fn quarantine_bytes(
        &mut self,
        segment: SegmentId,
        offset: Offset,
        bytes: u32,
        reason: &str,
    ) -> Result<(), IndexError> {
        self.checked(self.quarantine(segment, offset.0, bytes as usize, None, reason, None))
    }

    /// Commits everything together with the checkpoint.
    pub(crate) fn commit(self, writer_id: WriterId, checkpoint: Checkpoint) -> Result<(), IndexError> {
        let path = self.path;
        self.finish(writer_id, checkpoint).map_err(|source| IndexError::Sqlite { path: path.to_owned(), source })
    }

    fn finish(self, writer_id: WriterId, checkpoint: Checkpoint) -> rusqlite::Result<()> {
        let Self { transaction, connection, insert, names, sessions, rollups, .. } = self;
        drop(insert);
        let mut digests = ChangedDigests::default();
        for (session, TouchedSession { session_id, facts, recount }) in sessions {
            let facts = session_table::merge(connection, session, &session_id, facts, recount)?;
            if facts.is_none() {
                names.forget_session(&session_id);
            }
            digests.set(connection, names, session, facts.as_ref())?;
        }
        digests.write(connection)?;
        rollups.write(connection)?;
        connection
            .prepare_cached(
                "INSERT INTO checkpoint (id, writer_id, segment, offset, sequence) VALUES (1, ?1, ?2, ?3, ?4)
                 ON CONFLICT (id) DO UPDATE SET writer_id = ?1, segment = ?2, offset = ?3, sequence = ?4",
            )?
            .execute(params![writer_id.0, checkpoint.segment.0, checkpoint.offset.0, checkpoint.sequence.0])?;
        transaction.commit()?;
        names.settle();
        Ok(())
    }

    fn add_request(&mut self, sequence: Sequence, request: &RequestRecord<'_>) -> rusqlite::Result<()> {
        if self.insert(sequence, request)? {
            return Ok(());
        }
        // The id is there already. Events handed over twice are ignored whole; of different ones the least is kept.
        let request_id = request.request_id.text();
        let held = self.connection.prepare_cached(SELECT_REQUEST)?.query_row([&request_id], held_row).optional()?;
        if let Some(held) = held.filter(|held| RequestRow::from(*request) < *held) {
            let (call, ts, session): (i64, i64, Option<i64>) = self
                .connection
                .prepare_cached("DELETE FROM request_rows WHERE request_id = ?1 RETURNING call, ts, session")?
                .query_row([&request_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            self.rollups.removed(call, ts);
            if let (Some(session), Some(session_id)) = (session, &held.session_id) {
                self.touch(session, session_id).recount = true;
            }
            self.insert(sequence, request)?;
        }
        Ok(())
    }

    /// Inserts the row, and notes what it adds to its session and its roll-ups. `false`: the id is there already.
    fn insert(&mut self, sequence: Sequence, request: &RequestRecord<'_>) -> rusqlite::Result<bool> {
        let (mut id_buffer, mut session_buffer) = (IdBuffer::default(), IdBuffer::default());
        let session_id = request.session_id.as_ref().map(|id| id.text_in(&mut session_buffer));
        let session = session_id.map(|id| self.names.session(self.connection, id)).transpose()?;
        let call = self.names.call(self.connection, request)?;
        let outcome = match request.status {
            StatusCode::Ok => Outcome::Ok,
            StatusCode::Error => Outcome::Error,
            StatusCode::Timeout => Outcome::Timeout,
        };
        let id = i64::try_from(sequence.0).unwrap_or(i64::MAX);
        let inserted = self.insert.execute(params![
            id,
            request.request_id.text_in(&mut id_buffer),
            request.ts,
            call,
            session,
            request.latency_us,
            outcome as i64,
            request.bytes_in,
            request.bytes_out,
            request.tool_error,
            request.error_code,
            request.error_msg,
            request.target,
            request.protocol_version,
            request.rpc_id,
        ])?;
        if inserted == 0 {
            if let (Some(session), Some(session_id)) = (session, session_id) {
                // Looking up its number may have made a session that nothing else names.
                self.touch(session, session_id).recount = true;
            }
            return Ok(false);
        }
        if let (Some(session), Some(session_id)) = (session, session_id) {
            self.touch(session, session_id).facts.add_request(request);
        }
        self.rollups.add(
            call,
            Sample {
                id,
                ts: request.ts,
                latency_us: request.latency_us,
                outcome,
                tool_error: request.tool_error == Some(true),
                bytes_in: request.bytes_in,
                bytes_out: request.bytes_out,
            },
        );
        Ok(true)
    }

    fn add_facts(&mut self, id: &Id<'_>, facts: SessionFacts) -> rusqlite::Result<()> {
        let mut buffer = IdBuffer::default();
        let session_id = id.text_in(&mut buffer);
        let session = self.names.session(self.connection, session_id)?;
        let touched = self.touch(session, session_id);
        touched.facts = std::mem::take(&mut touched.facts).merge(facts);
        Ok(())
    }

    fn touch(&mut self, session: i64, session_id: &str) -> &mut TouchedSession {
        self.sessions
            .entry(session)
            .or_insert_with(|| TouchedSession { session_id: session_id.to_owned(), ..TouchedSession::default() })
    }

    fn add_gap(&self, sequence: Sequence, gap: GapRecord) -> rusqlite::Result<()> {
        let events = i64::try_from(gap.events).unwrap_or(i64::MAX);
        self.transaction
            .prepare_cached("INSERT INTO gaps (id, from_ts, to_ts, events) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![sequence.0, gap.from_ts, gap.to_ts, events])
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
                "INSERT INTO quarantine (segment, offset, bytes, sequence, reason, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (segment, offset) DO NOTHING",
            )?
            .execute(params![segment.0, offset, bytes, sequence, reason, payload])
            .map(|_| ())
    }

    fn checked<T>(&self, result: rusqlite::Result<T>) -> Result<T, IndexError> {
        result.map_err(|source| IndexError::Sqlite { path: self.path.to_owned(), source })
    }
}

fn held_row(row: &Row<'_>) -> rusqlite::Result<RequestRow<'static>> {
    let text = |index| row.get::<_, Option<String>>(index).map(|text| text.map(Cow::Owned));
    // The table's CHECK allows no other status.
    let status = Status::from_name(&row.get::<_, String>(1)?).unwrap_or(Status::Error);
    Ok(RequestRow {
        ts: row.get(0)?,
        status,
        latency_us: row.get(2)?,
        request_id: Cow::Owned(row.get(3)?),
        proxy: Cow::Owned(row.get(4)?),
        session_id: text(5)?,
        method: Cow::Owned(row.get(6)?),
        tool: text(7)?,
        error_code: text(8)?,
        error_msg: text(9)?,
        bytes_in: row.get(10)?,
        bytes_out: row.get(11)?,
        tool_error: row.get(12)?,
        target: text(13)?,
        protocol_version: text(14)?,
        rpc_id: text(15)?,
    })
}
