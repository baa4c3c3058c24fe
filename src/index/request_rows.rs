//! Table `request_rows`: rows of requests go in.
//!
//! Runs on the compactor. What an inserted row adds elsewhere is the batch's business.

use crate::event::Status;
use crate::fold::RequestRow;
use crate::record::{IdBuffer, RequestRecord};
use crate::rollup::Sample;
use rusqlite::types::Null;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, Statement};
use std::borrow::Cow;

/// One row to a statement. SQLite keeps a copy of each page that a statement of many rows changes, so that it could undo
/// that statement alone: with sessions and tools as they come, that cost more than it saved, for 4, 32 and 256 rows alike.
const INSERT: &str = "
    INSERT INTO request_rows (id, request_id, ts, call, session, latency_us, status, bytes_in, bytes_out,
                              tool_error, error_code, error_msg, target, protocol_version, rpc_id)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
    ON CONFLICT (request_id) DO NOTHING";

const SELECT_REQUEST: &str = "
    SELECT ts, status, latency_us, request_id, proxy, session_id, method, tool, error_code, error_msg,
           bytes_in, bytes_out, tool_error, target, protocol_version, rpc_id
    FROM requests WHERE request_id = ?1";

/// A request on its way into the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewRow<'a> {
    /// The record's sequence number.
    pub(super) id: i64,
    pub(super) call: i64,
    pub(super) session: Option<i64>,
    pub(super) request: RequestRecord<'a>,
}

impl NewRow<'_> {
    /// What the roll-ups need of it.
    pub(super) fn sample(&self) -> Sample {
        Sample {
            id: self.id,
            ts: self.request.ts,
            latency_us: self.request.latency_us,
            status: self.request.status.into(),
            tool_error: self.request.tool_error == Some(true),
            bytes_in: self.request.bytes_in,
            bytes_out: self.request.bytes_out,
        }
    }
}

/// The table, with its statement kept ready, so that it is not looked up by its text for each row.
pub(super) struct RequestRows<'c> {
    connection: &'c Connection,
    insert: CachedStatement<'c>,
}

/// What stood in the way of a row, and was removed.
pub(super) struct Removed {
    pub(super) ts: i64,
    /// The session's number and id.
    pub(super) session: Option<(i64, String)>,
}

impl<'c> RequestRows<'c> {
    pub(super) fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self { connection, insert: connection.prepare_cached(INSERT)? })
    }

    /// Inserts a row; `false` if its request id is there already.
    pub(super) fn insert(&mut self, row: &NewRow<'_>) -> rusqlite::Result<bool> {
        bind(&mut self.insert, row)?;
        Ok(self.insert.raw_execute()? == 1)
    }

    /// Removes the row that has the request id of `row`, if `row` is less; `None` if the one that is there stays.
    pub(super) fn give_way(&mut self, row: &NewRow<'_>) -> rusqlite::Result<Option<Removed>> {
        let request_id = row.request.request_id.text();
        let held = self.connection.prepare_cached(SELECT_REQUEST)?.query_row([&request_id], held_row).optional()?;
        let Some(held) = held.filter(|held| RequestRow::from(row.request) < *held) else { return Ok(None) };
        let (ts, session): (i64, Option<i64>) = self
            .connection
            .prepare_cached("DELETE FROM request_rows WHERE request_id = ?1 RETURNING ts, session")?
            .query_row([&request_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Some(Removed { ts, session: session.zip(held.session_id.map(Cow::into_owned)) }))
    }
}

/// Binds a row's columns.
fn bind(statement: &mut Statement<'_>, row: &NewRow<'_>) -> rusqlite::Result<()> {
    let NewRow { id, call, session, request } = row;
    statement.raw_bind_parameter(1, id)?;
    statement.raw_bind_parameter(2, request.request_id.text_in(&mut IdBuffer::default()))?;
    statement.raw_bind_parameter(3, request.ts)?;
    statement.raw_bind_parameter(4, call)?;
    statement.raw_bind_parameter(5, session)?;
    statement.raw_bind_parameter(6, request.latency_us)?;
    statement.raw_bind_parameter(7, Status::from(request.status).number())?;
    statement.raw_bind_parameter(8, request.bytes_in)?;
    statement.raw_bind_parameter(9, request.bytes_out)?;
    statement.raw_bind_parameter(10, request.tool_error)?;
    let texts = [request.error_code, request.error_msg, request.target, request.protocol_version, request.rpc_id];
    for (text, at) in texts.into_iter().zip(11..) {
        match text {
            Some(text) => statement.raw_bind_parameter(at, text)?,
            None => statement.raw_bind_parameter(at, Null)?,
        }
    }
    Ok(())
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
