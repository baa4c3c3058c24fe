//! One transaction: rows, session facts, schema versions, and the checkpoint that vouches for them.
//!
//! Runs on the compactor. Session facts gather in memory and are merged into the table once a batch, because a
//! session's requests come in bunches.

use super::{Checkpoint, schema_history, session_table};
use crate::error::IndexError;
use crate::event::Status;
use crate::fold::{Mutation, RequestRow, SessionFacts};
use crate::format::{Offset, SegmentId, Sequence, WriterId};
use crate::record::GapRecord;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::Path;

const INSERT_REQUEST: &str = "
    INSERT INTO requests (id, request_id, ts, proxy, session_id, method, tool, latency_us, status, error_code, error_msg,
                          bytes_in, bytes_out, tool_error, target, protocol_version, rpc_id)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
    ON CONFLICT (request_id) DO NOTHING";

const SELECT_REQUEST: &str = "
    SELECT ts, status, latency_us, request_id, proxy, session_id, method, tool, error_code, error_msg,
           bytes_in, bytes_out, tool_error, target, protocol_version, rpc_id
    FROM requests WHERE request_id = ?1";

/// A batch under way.
pub(crate) struct Batch<'c> {
    transaction: Transaction<'c>,
    path: &'c Path,
    sessions: HashMap<String, SessionFacts>,
    /// Sessions of which a request was replaced: their sums are counted again.
    recount: HashSet<String>,
}

impl<'c> Batch<'c> {
    pub(super) fn new(transaction: Transaction<'c>, path: &'c Path) -> Self {
        Self { transaction, path, sessions: HashMap::new(), recount: HashSet::new() }
    }

    /// Applies what the record with that sequence number changes.
    pub(crate) fn apply(&mut self, sequence: Sequence, mutation: Mutation<'_>) -> Result<(), IndexError> {
        let applied = match mutation {
            Mutation::Request(row) => self.add_request(sequence, &row),
            Mutation::Session(id, facts) => {
                self.add_facts(id, facts);
                Ok(())
            }
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

    fn finish(mut self, writer_id: WriterId, checkpoint: Checkpoint) -> rusqlite::Result<()> {
        for (id, facts) in std::mem::take(&mut self.sessions) {
            let recount = self.recount.remove(&id);
            session_table::merge(&self.transaction, &id, facts, recount)?;
        }
        for id in std::mem::take(&mut self.recount) {
            session_table::merge(&self.transaction, &id, SessionFacts::default(), true)?;
        }
        self.transaction
            .prepare_cached(
                "INSERT INTO checkpoint (id, writer_id, segment, offset, sequence) VALUES (1, ?1, ?2, ?3, ?4)
                 ON CONFLICT (id) DO UPDATE SET writer_id = ?1, segment = ?2, offset = ?3, sequence = ?4",
            )?
            .execute(params![writer_id.0, checkpoint.segment.0, checkpoint.offset.0, checkpoint.sequence.0])?;
        self.transaction.commit()
    }

    fn add_request(&mut self, sequence: Sequence, row: &RequestRow<'_>) -> rusqlite::Result<()> {
        if self.insert(sequence, row)? {
            if let Some(id) = &row.session_id {
                self.add_facts(Cow::Borrowed(id), row.facts());
            }
            return Ok(());
        }
        // The id is there already. Events handed over twice are ignored whole; of different ones the least is kept.
        let held =
            self.transaction.prepare_cached(SELECT_REQUEST)?.query_row([&row.request_id], held_row).optional()?;
        if let Some(held) = held.filter(|held| row < held) {
            self.transaction
                .prepare_cached("DELETE FROM requests WHERE request_id = ?1")?
                .execute([&row.request_id])?;
            self.insert(sequence, row)?;
            self.recount.extend([&held.session_id, &row.session_id].into_iter().flatten().map(|id| id.to_string()));
        }
        Ok(())
    }

    fn insert(&self, sequence: Sequence, row: &RequestRow<'_>) -> rusqlite::Result<bool> {
        let changed = self.transaction.prepare_cached(INSERT_REQUEST)?.execute(params![
            sequence.0,
            row.request_id,
            row.ts,
            row.proxy,
            row.session_id,
            row.method,
            row.tool,
            row.latency_us,
            row.status.as_str(),
            row.error_code,
            row.error_msg,
            row.bytes_in,
            row.bytes_out,
            row.tool_error,
            row.target,
            row.protocol_version,
            row.rpc_id,
        ])?;
        Ok(changed == 1)
    }

    fn add_facts(&mut self, id: Cow<'_, str>, facts: SessionFacts) {
        match self.sessions.get_mut(id.as_ref()) {
            Some(held) => *held = std::mem::take(held).merge(facts),
            None => {
                self.sessions.insert(id.into_owned(), facts);
            }
        }
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
