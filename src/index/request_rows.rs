//! Table `request_rows`: inserting the rows of requests, many with one statement.
//!
//! Runs on the compactor. What an inserted row adds to other tables is the batch's business.

use super::request_columns::{Binder, RowDetails, last_detail};
use crate::event::{Code, Status};
use crate::fold::precedence::Precedence;
use crate::fold::rollup::Sample;
use crate::record::id::{Id, IdBuffer};
use crate::record::request::RequestRecord;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, Statement};

/// How many requests one statement inserts at most. Within a transaction, SQLite copies each page that a statement of
/// many rows changes, so that it could undo that statement alone; with 32 rows to a statement folding took 3.8 us of
/// processor time per row, with one 3.7, with 256 3.1. With 1,024 inserting took less still, but parameters and program
/// of such a statement are 1.3 MB, which drives everybody else's data out of the cache.
pub(crate) const REQUESTS_PER_STATEMENT: usize = 256;

/// How many rows the larger statement inserts. Inserting took a quarter less time than with one row to a statement. The
/// thread offers its processor to others between two statements.
const ROWS: usize = if cfg!(test) { 3 } else { REQUESTS_PER_STATEMENT };

/// The columns that are not details, in the order of the table.
const KEY_COLUMNS: [&str; 7] = ["id", "request_id", "ts", "call", "session", "latency_us", "status"];
/// Statements insert that many of the details, which are all that their rows have: up to `rpc_id`, up to `target`, all.
/// A column that is bound to NULL costs nearly as much as any other: with one width for all, folding was 8 % slower.
const WIDTHS: [usize; 3] = [6, 12, RequestRecord::DETAILS.len()];

/// A request on its way into the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewRow<'a> {
    /// The record's place in the order of folding.
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
            outcome: self.request.counts_as(),
            bytes_in: self.request.bytes_in,
            bytes_out: self.request.bytes_out,
        }
    }
}

/// The table, with its statements kept ready, so that none is looked up by its text for each row.
pub(super) struct RequestRows<'c> {
    connection: &'c Connection,
    /// A statement for one row and a statement for many rows, each for every one of [`WIDTHS`], once it was needed.
    insert_one: [Option<Insert<'c>>; WIDTHS.len()],
    insert_many: [Option<Insert<'c>>; WIDTHS.len()],
}

/// A statement that inserts rows.
struct Insert<'c> {
    statement: CachedStatement<'c>,
    /// How many columns a row has.
    columns: usize,
    /// Which of the parameters are bound to NULL. A column that is absent in a row was mostly absent in the row before,
    /// and binding it again takes longer than looking here.
    nulls: Vec<bool>,
}

/// A row that was removed, because a lesser one has the same request id.
pub(super) struct RemovedRow {
    pub(super) ts: i64,
    /// The session's number and id.
    pub(super) session: Option<(i64, String)>,
}

impl<'c> RequestRows<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self { connection, insert_one: Default::default(), insert_many: Default::default() }
    }

    /// Inserts the rows whose request ids are new, and hands each of them to `inserted`; returns the others.
    pub(super) fn insert<'r, 'a>(
        &mut self,
        rows: &'r [NewRow<'a>],
        mut inserted: impl FnMut(&'r NewRow<'a>),
    ) -> rusqlite::Result<Vec<&'r NewRow<'a>>> {
        let mut duplicates = Vec::new();
        let (chunks, rest) = rows.as_chunks::<ROWS>();
        for chunk in chunks {
            let all = self.execute(chunk)? == ROWS;
            for row in chunk {
                if all || self.has_row(row.id)? { inserted(row) } else { duplicates.push(row) }
            }
        }
        for row in rest {
            if self.execute(std::slice::from_ref(row))? == 1 { inserted(row) } else { duplicates.push(row) }
        }
        Ok(duplicates)
    }

    /// Inserts one row, or [`ROWS`] rows; returns how many had new request ids.
    fn execute(&mut self, rows: &[NewRow<'_>]) -> rusqlite::Result<usize> {
        let details = rows.iter().map(|row| last_detail(&row.request)).max().unwrap_or(0);
        let width = WIDTHS.iter().position(|width| *width >= details).unwrap_or(WIDTHS.len() - 1);
        let inserts = if rows.len() == 1 { &mut self.insert_one } else { &mut self.insert_many };
        let insert = match &mut inserts[width] {
            Some(insert) => insert,
            absent => absent.insert(Insert::new(self.connection, rows.len(), WIDTHS[width])?),
        };
        insert.execute(rows)
    }

    /// Removes the stored row with the request id of `row`, if the stored row is greater; `None` if the stored row
    /// stays.
    pub(super) fn remove_if_greater(&mut self, row: &NewRow<'_>) -> rusqlite::Result<Option<RemovedRow>> {
        let request_id = row.request.request_id.text();
        let read = |stored_row: &Row<'_>| {
            let stored_request = read_request(stored_row)?;
            let is_greater = Precedence::of(&row.request) < Precedence::of(&stored_request);
            Ok(is_greater.then(|| stored_request.session_id.map(|id| id.text().into_owned())))
        };
        let greater =
            self.connection.prepare_cached(&select_request())?.query_row([&request_id], read).optional()?.flatten();
        let Some(session_id) = greater else { return Ok(None) };
        let (ts, session): (i64, Option<i64>) = self
            .connection
            .prepare_cached("DELETE FROM request_rows WHERE request_id = ?1 RETURNING ts, session")?
            .query_row([&request_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Some(RemovedRow { ts, session: session.zip(session_id) }))
    }

    fn has_row(&self, id: i64) -> rusqlite::Result<bool> {
        self.connection.prepare_cached("SELECT 1 FROM request_rows WHERE id = ?1")?.exists([id])
    }
}

impl<'c> Insert<'c> {
    /// Prepares a statement that inserts so many rows at once, with the first `details` details of each.
    fn new(connection: &'c Connection, rows: usize, details: usize) -> rusqlite::Result<Self> {
        let names = [&KEY_COLUMNS, &RequestRecord::DETAILS[..details]].concat();
        let columns = names.len();
        let row = format!("({})", vec!["?"; columns].join(", "));
        let sql = format!(
            "INSERT INTO request_rows ({}) VALUES {} ON CONFLICT (request_id) DO NOTHING",
            names.join(", "),
            vec![row; rows].join(", ")
        );
        let mut statement = connection.prepare_cached(&sql)?;
        // The cache may give back a statement that was used before.
        statement.clear_bindings();
        Ok(Self { statement, columns, nulls: vec![true; rows * columns] })
    }

    /// Inserts as many rows as the statement takes; returns how many had new request ids.
    fn execute(&mut self, rows: &[NewRow<'_>]) -> rusqlite::Result<usize> {
        for (index, row) in rows.iter().enumerate() {
            let first = index * self.columns;
            bind(&mut self.statement, first + 1, &mut self.nulls[first..first + self.columns], row)?;
        }
        self.statement.raw_execute()
    }
}

/// Binds a row's columns, as many as `nulls` has places for, the first of them to parameter `at`.
fn bind(statement: &mut Statement<'_>, at: usize, nulls: &mut [bool], row: &NewRow<'_>) -> rusqlite::Result<()> {
    let NewRow { id, call, session, request } = row;
    let mut binder = Binder::new(statement, at, nulls);
    binder.bind(Some(id));
    binder.bind(Some(request.request_id.text_in(&mut IdBuffer::default())));
    binder.bind(Some(request.ts));
    binder.bind(Some(call));
    binder.bind(*session);
    binder.bind(Some(request.latency_us));
    binder.bind(Some(request.status.number()));
    request.put_details(&mut binder);
    binder.finish()
}

/// Selects a request by its id, in the order of [`read_request`].
fn select_request() -> String {
    let details: Vec<_> = RequestRecord::DETAILS.iter().map(|name| format!("r.{name}")).collect();
    format!(
        "SELECT r.request_id, r.ts, c.proxy, c.method, c.tool, s.session_id, r.latency_us, r.status, {}
         FROM request_rows AS r JOIN calls AS c ON c.id = r.call LEFT JOIN session_state AS s ON s.id = r.session
         WHERE r.request_id = ?1",
        details.join(", ")
    )
}

/// The request in a row, borrowing from it.
fn read_request<'r>(row: &'r Row<'_>) -> rusqlite::Result<RequestRecord<'r>> {
    let text = |index| row.get_ref(index)?.as_str_or_null().map_err(rusqlite::Error::from);
    let required = |index| text(index).map(Option::unwrap_or_default);
    let mut request = RequestRecord::with_id(Id::new(required(0)?), row.get(1)?, required(2)?, required(3)?);
    (request.tool, request.session_id) = (text(4)?, text(5)?.map(Id::new));
    (request.latency_us, request.status) = (row.get(6)?, Status::from_number(row.get(7)?));
    let mut details = RowDetails::new(row, 8);
    request.take_details(&mut details);
    details.finish()?;
    Ok(request)
}
