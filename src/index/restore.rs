//! The rows of an old database, brought into a new one by the rules of folding: each request id once, facts about a session
//! merged, each sighting between its neighbours.
//!
//! The log was folded into the new database before, and has the say where both have a record: its bytes are checked, those
//! of a row are not. Runs on the thread that rebuilds.

use super::database::Index;
use super::fence;
use super::logged::Logged;
use super::old_rows::{OldRows, failed_at};
use super::old_runs::OldRuns;
use super::request_rows::REQUESTS_PER_STATEMENT;
use super::restoring::RowPlaces;
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
use rusqlite::{Connection, Row};
use std::path::Path;

/// How many rows one transaction brings at most.
const BATCH_ROWS: usize = 20_000;

/// An old database.
#[derive(Clone, Copy)]
pub(crate) struct Old<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) path: &'a Path,
    /// Which records its rows are.
    pub(crate) runs: &'a OldRuns,
    /// No row of a record has a higher id; 0 if nobody knows.
    pub(crate) last_possible: i64,
}

impl<'a> Old<'a> {
    fn rows(&self) -> Result<OldRows<'a>, WorkError> {
        OldRows::new(self.connection, self.path, self.last_possible)
    }
}

impl Index {
    /// Brings every row of an old database that can be read, unless `logged` has its record.
    pub(crate) fn restore(&mut self, old: &Old<'_>, logged: &Logged, watch: &mut Watch<'_>) -> Result<(), WorkError> {
        let mut rows = old.rows()?;
        let mut waiting = Waiting::new(old.runs);
        let in_log = |table: &str, id: i64| u64::try_from(id).is_ok_and(|id| logged.has_record(table, id));
        rows.each_request(watch, &mut |id, request| {
            if in_log("request_rows", id) { Ok(()) } else { Ok(waiting.add(self, id, request)?) }
        })?;
        waiting.write(self)?;
        self.restore_sessions(&rows, true, watch)?;
        self.restore_schemas(&rows, old, &|id| in_log("schema_sightings", id), watch)?;
        for table in ["clock_steps", "newer_records"] {
            self.copy_table(&rows, old, table, &|row| Ok(in_log(table, row.get(0)?)), watch)?;
        }
        let has_note = |row: &Row<'_>| {
            Ok(logged.has_note(old.runs.writer(row.get("writer")?), row.get("sequence")?, row.get("segment")?))
        };
        self.copy_table(&rows, old, "quarantine", &has_note, watch)?;
        self.copy_table(&rows, old, "age_clock", &|_| Ok(false), watch)
    }

    /// Brings what stays true whatever the database is made of: who recorded, and how many events were dropped before they
    /// were recorded. The records that are missing are counted anew.
    pub(crate) fn restore_writers(
        &mut self,
        old: &Old<'_>,
        logged: &Logged,
        watch: &mut Watch<'_>,
    ) -> Result<(), WorkError> {
        let restored = self
            .within_transaction(|transaction, _| old.runs.writers().try_for_each(|writer| writer.restore(transaction)));
        restored?;
        let is_left_out = |row: &Row<'_>| {
            let id = u64::try_from(row.get::<_, i64>(0)?);
            let comes_again = id.is_ok_and(|id| logged.has_record("gaps", id) || logged.is_left(id));
            Ok(comes_again || row.get("missing")?)
        };
        self.copy_table(&old.rows()?, old, "gaps", &is_left_out, watch)
    }

    /// Brings what the log can't say again although nothing of it is lost: what was current for whom when everything of that
    /// time expired, and what the expired requests of sessions that go on add up to.
    pub(crate) fn restore_expired(&mut self, old: &Old<'_>, watch: &mut Watch<'_>) -> Result<(), WorkError> {
        let rows = old.rows()?;
        let kept_since = self.kept_since();
        let mut current = Vec::new();
        rows.each_sighting(watch, &mut |id, seen| {
            if seen.ts < kept_since {
                current.push(id);
            }
            Ok(())
        })?;
        self.restore_schemas(&rows, old, &|id| current.binary_search(&id).is_err(), watch)?;
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

    /// Versions of schemas, and who saw them, but for those sightings that are to be `left_out` by their ids.
    fn restore_schemas(
        &mut self,
        rows: &OldRows<'_>,
        old: &Old<'_>,
        left_out: &dyn Fn(i64) -> bool,
        watch: &mut Watch<'_>,
    ) -> Result<(), WorkError> {
        let path = self.path().to_owned();
        let mut batch = self.begin()?;
        rows.each_sighting(watch, &mut |id, seen| {
            if left_out(id) {
                return Ok(());
            }
            let (writer, sequence) = old.runs.record(id);
            batch.restore_sighting(writer, sequence, &seen).map_err(failed_at(&path))
        })?;
        rows.each_version(watch, &mut |key, payload| batch.restore_version(key, payload).map_err(failed_at(&path)))?;
        Ok(batch.commit()?)
    }

    /// Copies rows, but for those that are to be left out. Those of records get new ids, and all the new numbers of their
    /// writers; the rest stays as it is. One that the table can't have is left out, too.
    fn copy_table(
        &mut self,
        rows: &OldRows<'_>,
        old: &Old<'_>,
        table: &str,
        is_left_out: &dyn Fn(&Row<'_>) -> rusqlite::Result<bool>,
        watch: &mut Watch<'_>,
    ) -> Result<(), WorkError> {
        let path = self.path().to_owned();
        let failed = failed_at(&path);
        let columns = columns(&self.connection, table).map_err(&failed)?;
        let names = columns.join(", ");
        let places = vec!["?"; columns.len()].join(", ");
        let insert = format!("INSERT OR IGNORE INTO {table} ({names}) VALUES ({places})");
        let select = format!("SELECT id, {names} FROM {table}");
        let is_of_records = !matches!(table, "quarantine" | "age_clock");
        let last_possible = if is_of_records { old.last_possible } else { 0 };
        let column = |name: &str| columns.iter().position(|column| column == name);
        let (id_at, writer_at, sequence_at) = (column("id"), column("writer"), column("sequence"));
        let mut batch = self.begin()?;
        rows.each_row(table, "id", &select, last_possible, watch, &mut |row| {
            match is_left_out(row) {
                Ok(true) => return Ok(Fate::Read),
                Ok(false) => {}
                Err(_) => return Ok(Fate::Damaged),
            }
            let values = (1..=columns.len()).map(|at| row.get(at)).collect::<rusqlite::Result<Vec<Value>>>();
            let (Ok(mut values), Ok(id)) = (values, row.get::<_, i64>(0)) else { return Ok(Fate::Damaged) };
            let number = |at: Option<usize>| match at.and_then(|at| values.get(at)) {
                Some(Value::Integer(number)) => Some(*number),
                _ => None,
            };
            // Where the row says itself whose record it is of, nobody else is asked.
            let told = number(writer_at).map(|writer| old.runs.writer(writer));
            let sequence = number(sequence_at).and_then(|sequence| u64::try_from(sequence).ok()).map(Sequence);
            let (writer, sequence) = match (told, sequence) {
                (Some(writer), sequence) if !is_of_records || sequence.is_some() => (writer, sequence),
                _ => {
                    let (writer, sequence) = old.runs.record(id);
                    (writer, Some(sequence))
                }
            };
            let sequence = sequence.filter(|_| is_of_records);
            let places = RowPlaces { id: id_at.filter(|_| table != "age_clock"), writer: writer_at };
            match batch.restore_row(&insert, &mut values, places, writer, sequence) {
                Ok(()) => Ok(Fate::Read),
                Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                    Ok(Fate::Damaged)
                }
                Err(error) => Err(failed(error)),
            }
        })?;
        Ok(batch.commit()?)
    }
}

/// Requests on their way, a transaction's worth of them, as records: a row that is read lends its texts only for a moment.
struct Waiting<'r> {
    runs: &'r OldRuns,
    payloads: Vec<u8>,
    /// Which record each is, and where its payload ends.
    ends: Vec<(WriterId, Sequence, usize)>,
}

impl<'r> Waiting<'r> {
    fn new(runs: &'r OldRuns) -> Self {
        Self { runs, payloads: Vec::new(), ends: Vec::new() }
    }

    fn add(&mut self, index: &mut Index, id: i64, request: RequestRecord<'_>) -> Result<(), IndexError> {
        Record::Request(request).encode(&mut self.payloads);
        let (writer, sequence) = self.runs.record(id);
        self.ends.push((writer, sequence, self.payloads.len()));
        if self.ends.len() >= BATCH_ROWS { self.write(index) } else { Ok(()) }
    }

    fn write(&mut self, index: &mut Index) -> Result<(), IndexError> {
        let mut batch = index.begin()?;
        let mut start = 0;
        for of_writer in self.ends.chunk_by(|(one, ..), (other, ..)| one == other) {
            for chunk in of_writer.chunks(REQUESTS_PER_STATEMENT) {
                let mut mutations = Vec::with_capacity(chunk.len());
                for (_, sequence, end) in chunk {
                    let payload = &self.payloads[std::mem::replace(&mut start, *end)..*end];
                    // As it is: what was cut once is not cut again.
                    if let Ok(Record::Request(request)) = Record::decode(payload) {
                        mutations.push((*sequence, Mutation::Request(request)));
                    }
                }
                let Some((writer, ..)) = chunk.first() else { continue };
                batch.apply(*writer, mutations)?;
            }
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
