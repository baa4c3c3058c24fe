//! Table `request_rows`: rows of requests go in, many to a statement.
//!
//! Runs on the compactor. What an inserted row adds elsewhere is the batch's business.

use crate::event::Status;
use crate::fold::fold::RequestRow;
use crate::fold::rollup::Sample;
use crate::record::id::IdBuffer;
use crate::record::request::RequestRecord;
use rusqlite::types::Null;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, Statement};
use std::borrow::Cow;

/// How many requests one statement inserts at most. Within a transaction, SQLite copies each page that a statement of many
/// rows changes, so that it could undo that statement alone; with 32 rows to a statement folding took 3.8 us of processor
/// time per row, with one 3.7, with 256 3.1. With 1,024 inserting took less still, but parameters and program of such a
/// statement are 1.3 MB, which drives everybody else's data out of the cache.
pub(crate) const REQUESTS_PER_STATEMENT: usize = 256;

/// How many rows the larger statement inserts. Inserting took a quarter less time than with one row to a statement.
/// The thread offers its processor to others between two statements.
const ROWS: usize = if cfg!(test) { 3 } else { REQUESTS_PER_STATEMENT };

const COLUMNS: usize = 15;

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

/// The table, with its statements kept ready, so that none is looked up by its text for each row.
pub(super) struct RequestRows<'c> {
    connection: &'c Connection,
    one: CachedStatement<'c>,
    many: CachedStatement<'c>,
}

/// What stood in the way of a row, and was removed.
pub(super) struct Removed {
    pub(super) ts: i64,
    /// The session's number and id.
    pub(super) session: Option<(i64, String)>,
}

impl<'c> RequestRows<'c> {
    pub(super) fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        let (one, many) = (connection.prepare_cached(&insert(1))?, connection.prepare_cached(&insert(ROWS))?);
        Ok(Self { connection, one, many })
    }

    /// Inserts rows whose request ids are new, and hands each one over that is in the table then; the others go to
    /// `refused`.
    pub(super) fn insert<'r, 'a>(
        &mut self,
        rows: &'r [NewRow<'a>],
        mut inserted: impl FnMut(&'r NewRow<'a>),
    ) -> rusqlite::Result<Vec<&'r NewRow<'a>>> {
        let mut refused = Vec::new();
        let (chunks, rest) = rows.as_chunks::<ROWS>();
        for chunk in chunks {
            for (row, at) in chunk.iter().zip((1..).step_by(COLUMNS)) {
                bind(&mut self.many, at, row)?;
            }
            let all = self.many.raw_execute()? == ROWS;
            for row in chunk {
                if all || self.holds(row.id)? { inserted(row) } else { refused.push(row) }
            }
        }
        for row in rest {
            bind(&mut self.one, 1, row)?;
            if self.one.raw_execute()? == 1 { inserted(row) } else { refused.push(row) }
        }
        Ok(refused)
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

    fn holds(&self, id: i64) -> rusqlite::Result<bool> {
        self.connection.prepare_cached("SELECT 1 FROM request_rows WHERE id = ?1")?.exists([id])
    }
}

fn insert(rows: usize) -> String {
    let row = format!("({})", ["?"; COLUMNS].join(", "));
    format!(
        "INSERT INTO request_rows (id, request_id, ts, call, session, latency_us, status, bytes_in, bytes_out,
                                   tool_error, error_code, error_msg, target, protocol_version, rpc_id)
         VALUES {} ON CONFLICT (request_id) DO NOTHING",
        vec![row; rows].join(", ")
    )
}

/// Binds a row's columns, the first of them to parameter `at`.
fn bind(statement: &mut Statement<'_>, at: usize, row: &NewRow<'_>) -> rusqlite::Result<()> {
    let NewRow { id, call, session, request } = row;
    statement.raw_bind_parameter(at, id)?;
    statement.raw_bind_parameter(at + 1, request.request_id.text_in(&mut IdBuffer::default()))?;
    statement.raw_bind_parameter(at + 2, request.ts)?;
    statement.raw_bind_parameter(at + 3, call)?;
    statement.raw_bind_parameter(at + 4, session)?;
    statement.raw_bind_parameter(at + 5, request.latency_us)?;
    statement.raw_bind_parameter(at + 6, Status::from(request.status).number())?;
    statement.raw_bind_parameter(at + 7, request.bytes_in)?;
    statement.raw_bind_parameter(at + 8, request.bytes_out)?;
    statement.raw_bind_parameter(at + 9, request.tool_error)?;
    let texts = [request.error_code, request.error_msg, request.target, request.protocol_version, request.rpc_id];
    for (text, at) in texts.into_iter().zip(at + 10..) {
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
