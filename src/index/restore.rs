//! The rows of an old database, brought into a new one by the rules of folding: each request id once, facts about a session
//! merged, each sighting between its neighbours.
//!
//! The log was folded into the new database before, and has the say where both have a record: its bytes are checked, those
//! of a row are not. Runs on the thread that rebuilds.

use super::database::Index;
use super::fence;
use super::logged::Logged;
use super::old_rows::{OldRows, failed_at};
use super::request_rows::REQUESTS_PER_STATEMENT;
use super::salvage::Fate;
use crate::fold::fold::Mutation;
use crate::fold::session_facts::SessionFacts;
use crate::ground::database_version::OLDEST_READER_KEY;
use crate::ground::error::IndexError;
use crate::ground::limits::Limit;
use crate::ground::position::{Sequence, WriterId};
use crate::ground::work::{Watch, WorkError};
use crate::record::record::Record;
use crate::record::request::RequestRecord;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, Transaction, TransactionBehavior, params_from_iter};
use std::path::Path;

/// How many rows one transaction brings at most.
const BATCH_ROWS: usize = 20_000;

/// Tables whose rows are copied as they are; the column of their numbers, and whether a row comes without its number.
const COPIED: [(&str, &str, bool); 4] =
    [("gaps", "id", false), ("clock_steps", "id", false), ("newer_records", "id", false), ("quarantine", "id", true)];

/// An old database.
pub(crate) struct Old<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) path: &'a Path,
    /// No record's number is higher; 0 if nobody knows.
    pub(crate) last_possible: i64,
    /// Whose log it has folded, or is taken to have.
    pub(crate) owner: WriterId,
}

impl Index {
    /// Brings every row of an old database that can be read, unless `logged` has its record.
    pub(crate) fn restore(&mut self, old: &Old<'_>, logged: &Logged, watch: &mut Watch<'_>) -> Result<(), WorkError> {
        let mut rows = OldRows::new(old.connection, old.path, old.last_possible)?;
        let mut waiting = Waiting::new(old.owner);
        let in_log = |number: i64| u64::try_from(number).is_ok_and(|number| logged.numbers.contains(number));
        rows.each_request(watch, &mut |id, request| {
            if in_log(id) { Ok(()) } else { Ok(waiting.add(self, id, request)?) }
        })?;
        waiting.write(self)?;
        self.restore_sessions(&rows, true, watch)?;
        self.restore_schemas(&rows, old.owner, &in_log, watch)?;
        for (table, key, is_renumbered) in COPIED {
            let has = |row: &Row<'_>| match table {
                // Its number is one of its own, and no record's.
                "quarantine" => Ok(logged.has_note(row.get("sequence")?, row.get("segment")?)),
                _ => Ok(u64::try_from(row.get::<_, i64>(0)?).is_ok_and(|number| logged.has_record(table, number))),
            };
            self.copy_table(&rows, table, key, is_renumbered, &has, watch)?;
        }
        self.copy_table(&rows, "age_clock", "id", false, &|_| Ok(false), watch)
    }

    /// Brings what the old database says was lost before the log, or behind it.
    pub(crate) fn restore_gaps_outside(
        &mut self,
        old: &Old<'_>,
        logged: &Logged,
        watch: &mut Watch<'_>,
    ) -> Result<(), WorkError> {
        let rows = OldRows::new(old.connection, old.path, old.last_possible)?;
        let stays =
            |row: &Row<'_>| Ok(!u64::try_from(row.get::<_, i64>(0)?).is_ok_and(|number| logged.is_outside(number)));
        self.copy_table(&rows, "gaps", "id", false, &stays, watch)
    }

    /// Brings what the log can't say again although nothing of it is lost: what was current for whom when everything of that
    /// time expired, and what the expired requests of sessions that go on add up to.
    pub(crate) fn restore_expired(&mut self, old: &Old<'_>, watch: &mut Watch<'_>) -> Result<(), WorkError> {
        let rows = OldRows::new(old.connection, old.path, old.last_possible)?;
        let kept_since = self.kept_since();
        let mut current = Vec::new();
        rows.each_sighting(watch, &mut |id, seen| {
            if seen.ts < kept_since {
                current.push(id);
            }
            Ok(())
        })?;
        self.restore_schemas(&rows, old.owner, &|id| current.binary_search(&id).is_err(), watch)?;
        self.restore_sessions(&rows, false, watch)
    }

    /// Takes over what table `meta` of the old database says, but for versions and limits, which have their own rules.
    pub(crate) fn restore_meta(&self, told: &[(String, String)]) -> Result<(), IndexError> {
        let is_taken = |key: &str| {
            key != "schema_version"
                && key != fence::KEY
                && key != OLDEST_READER_KEY
                && Limit::EACH.iter().all(|limit| limit.key() != key)
        };
        let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2";
        told.iter()
            .filter(|(key, _)| is_taken(key))
            .try_for_each(|(key, value)| self.checked(self.connection.execute(sql, [key, value])).map(|_| ()))
    }

    /// With `all`, each session; otherwise only what the requests of those add up to that are there.
    fn restore_sessions(&mut self, rows: &OldRows<'_>, all: bool, watch: &mut Watch<'_>) -> Result<(), WorkError> {
        let mut sessions: Vec<(String, SessionFacts)> = Vec::new();
        let write = |index: &mut Self, sessions: &mut Vec<(String, SessionFacts)>| {
            let path = index.path().to_owned();
            let mut batch = index.begin()?;
            for (session_id, facts) in sessions.drain(..) {
                if !all && !batch.has_session(&session_id).map_err(failed_at(&path))? {
                    continue;
                }
                let requests = facts.requests;
                if all {
                    let facts = SessionFacts { requests: None, ..facts };
                    batch.restore_session(&session_id, facts).map_err(failed_at(&path))?;
                }
                if let Some(requests) = &requests {
                    batch.keep_sums(&session_id, requests).map_err(failed_at(&path))?;
                }
            }
            batch.commit()?;
            Ok::<_, WorkError>(())
        };
        rows.each_session(watch, &mut |session_id, facts| {
            sessions.push((session_id.to_owned(), facts));
            if sessions.len() >= BATCH_ROWS { write(self, &mut sessions) } else { Ok(()) }
        })?;
        write(self, &mut sessions)
    }

    /// Versions of schemas, and who saw them, but for those sightings that are to be `left_out` by their records' numbers.
    fn restore_schemas(
        &mut self,
        rows: &OldRows<'_>,
        owner: WriterId,
        left_out: &dyn Fn(i64) -> bool,
        watch: &mut Watch<'_>,
    ) -> Result<(), WorkError> {
        let path = self.path().to_owned();
        let mut batch = self.begin()?;
        rows.each_sighting(watch, &mut |id, seen| {
            if left_out(id) {
                return Ok(());
            }
            let sequence = Sequence(u64::try_from(id).unwrap_or(0));
            batch.restore_sighting(owner, sequence, &seen).map_err(failed_at(&path))
        })?;
        rows.each_version(watch, &mut |key, payload| batch.restore_version(key, payload).map_err(failed_at(&path)))?;
        Ok(batch.commit()?)
    }

    /// Copies rows as they are, but for those that are to be left out. One that is there already stays, and one that the
    /// table can't have is left out, too.
    fn copy_table(
        &mut self,
        rows: &OldRows<'_>,
        table: &str,
        key: &str,
        is_renumbered: bool,
        is_left_out: &dyn Fn(&Row<'_>) -> rusqlite::Result<bool>,
        watch: &mut Watch<'_>,
    ) -> Result<(), WorkError> {
        let path = self.path().to_owned();
        let failed = failed_at(&path);
        let columns = columns(&self.connection, table).map_err(&failed)?;
        let taken: Vec<_> = columns.iter().filter(|column| !is_renumbered || *column != key).collect();
        let names = taken.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        let places = vec!["?"; taken.len()].join(", ");
        let insert = format!("INSERT OR IGNORE INTO {table} ({names}) VALUES ({places})");
        let select = format!("SELECT {key}, {names} FROM {table}");
        let last_possible = if is_renumbered { 0 } else { rows.last_possible() };
        let transaction =
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate).map_err(&failed)?;
        rows.each_row(table, key, &select, last_possible, watch, &mut |row| {
            match is_left_out(row) {
                Ok(true) => return Ok(Fate::Read),
                Ok(false) => {}
                Err(_) => return Ok(Fate::Damaged),
            }
            let values = (1..=taken.len()).map(|at| row.get(at)).collect::<rusqlite::Result<Vec<Value>>>();
            let Ok(values) = values else { return Ok(Fate::Damaged) };
            match transaction.prepare_cached(&insert).and_then(|mut insert| insert.execute(params_from_iter(values))) {
                Ok(_) => Ok(Fate::Read),
                Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                    Ok(Fate::Damaged)
                }
                Err(error) => Err(failed(error)),
            }
        })?;
        transaction.commit().map_err(&failed)?;
        Ok(())
    }
}

/// Requests on their way, a transaction's worth of them, as records: a row that is read lends its texts only for a moment.
struct Waiting {
    owner: WriterId,
    payloads: Vec<u8>,
    /// The number of each, and where its payload ends.
    ends: Vec<(Sequence, usize)>,
}

impl Waiting {
    fn new(owner: WriterId) -> Self {
        Self { owner, payloads: Vec::new(), ends: Vec::new() }
    }

    fn add(&mut self, index: &mut Index, id: i64, request: RequestRecord<'_>) -> Result<(), IndexError> {
        Record::Request(request).encode(&mut self.payloads);
        self.ends.push((Sequence(u64::try_from(id).unwrap_or(0)), self.payloads.len()));
        if self.ends.len() >= BATCH_ROWS { self.write(index) } else { Ok(()) }
    }

    fn write(&mut self, index: &mut Index) -> Result<(), IndexError> {
        let mut batch = index.begin()?;
        let mut start = 0;
        for chunk in self.ends.chunks(REQUESTS_PER_STATEMENT) {
            let mut mutations = Vec::with_capacity(chunk.len());
            for (sequence, end) in chunk {
                let payload = &self.payloads[std::mem::replace(&mut start, *end)..*end];
                // As it is: what was cut once is not cut again.
                if let Ok(Record::Request(request)) = Record::decode(payload) {
                    mutations.push((*sequence, Mutation::Request(request)));
                }
            }
            batch.apply(self.owner, mutations)?;
        }
        batch.commit()?;
        self.payloads.clear();
        self.ends.clear();
        Ok(())
    }
}

/// The columns of a table, in their order.
fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let sql = format!("SELECT name FROM pragma_table_info('{table}')");
    connection.prepare(&sql)?.query_map([], |row| row.get(0))?.collect()
}

/// What table `meta` says, as far as it can be read.
pub(crate) fn read_meta(connection: &Connection) -> Vec<(String, String)> {
    let Ok(mut select) = connection.prepare("SELECT key, value FROM meta") else { return Vec::new() };
    let Ok(rows) = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))) else { return Vec::new() };
    rows.map_while(Result::ok).collect()
}
