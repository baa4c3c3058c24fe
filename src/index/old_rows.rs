//! The rows of a database that may be damaged, as what they say: requests, sessions, versions and sightings of schemas.
//!
//! Names that rows have numbers for are looked up in the tables, and in the tables' indexes where a table's page can't be
//! read: an index has the names too. Runs on the thread that rebuilds, by a connection that only reads.

use super::request_columns::RowDetails;
use super::salvage::{Fate, Outcome, Source, is_damage, is_no_value, is_unknown, read};
use super::session_table;
use crate::event::{Code, Status};
use crate::fold::fold::SchemaSighting;
use crate::fold::session_facts::SessionFacts;
use crate::ground::error::IndexError;
use crate::ground::work::{Watch, WorkError};
use crate::record::id::Id;
use crate::record::request::RequestRecord;
use rusqlite::{Connection, OptionalExtension, Row};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

/// What a call is named of which no page that can be read has the name.
pub(crate) const UNREADABLE_NAME: &str = "(unreadable)";
/// How many sessions are remembered.
const SESSIONS_MAX: usize = 32_768;

/// The rows.
pub(super) struct OldRows<'c> {
    pub(super) connection: &'c Connection,
    path: &'c Path,
    /// The last record's number that a row may have.
    last_possible: i64,
    calls: HashMap<i64, (String, String, Option<String>)>,
    sessions: HashMap<i64, Option<String>>,
}

/// A version of a schema: proxy, address, method and hash, and its payload.
pub(super) type VersionKey<'a> = [&'a str; 4];

impl<'c> OldRows<'c> {
    /// The rows of the database at `path`. No record's number is higher than `last_possible`; 0 if nobody knows.
    pub(super) fn new(connection: &'c Connection, path: &'c Path, last_possible: i64) -> Result<Self, WorkError> {
        let mut rows = Self { connection, path, last_possible, calls: HashMap::new(), sessions: HashMap::new() };
        rows.read_calls()?;
        Ok(rows)
    }

    /// The same for tables that name nothing by numbers.
    pub(super) fn plain(connection: &'c Connection, path: &'c Path) -> Self {
        Self { connection, path, last_possible: 0, calls: HashMap::new(), sessions: HashMap::new() }
    }

    /// Every request. What comes of it is told as by [`read`], as by all of these.
    pub(super) fn each_request(
        &mut self,
        watch: &mut Watch<'_>,
        each: &mut dyn FnMut(i64, RequestRecord<'_>) -> Result<(), WorkError>,
    ) -> Result<Outcome, WorkError> {
        let select = format!(
            "SELECT id, request_id, ts, call, session, latency_us, status, {} FROM request_rows",
            RequestRecord::DETAILS.join(", ")
        );
        let source = Source {
            select: &select,
            key: "id",
            table: "request_rows",
            index: Some("request_rows_by_ts"),
            last_possible: self.last_possible,
        };
        let Self { connection, path, calls, sessions, .. } = self;
        let (connection, path) = (*connection, *path);
        read(
            connection,
            source,
            watch,
            &mut |row| {
                let mut read = || {
                    let session = match row.get::<_, Option<i64>>(4)? {
                        Some(session) => session_id(connection, sessions, session)?,
                        None => None,
                    };
                    let call = calls.get(&row.get(3)?);
                    let (proxy, method, tool) = call
                        .map_or((UNREADABLE_NAME, UNREADABLE_NAME, None), |(proxy, method, tool)| {
                            (proxy.as_str(), method.as_str(), tool.as_deref())
                        });
                    let mut request =
                        RequestRecord::with_id(Id::new(row.get_ref(1)?.as_str()?), row.get(2)?, proxy, method);
                    request.tool = tool;
                    request.latency_us = row.get(5)?;
                    let status: i64 = row.get(6)?;
                    request.status = Status::from_number(status);
                    let mut details = RowDetails::new(row, 7);
                    request.take_details(&mut details);
                    details.finish()?;
                    if i64::from(request.status.number()) != status {
                        return Ok(None);
                    }
                    Ok(Some((row.get::<_, i64>(0)?, request, session)))
                };
                match fate(read(), path)? {
                    Some((id, request, session)) => {
                        let session_id = session.as_deref().map(Id::new);
                        each(id, RequestRecord { session_id, ..request })?;
                        Ok(Fate::Read)
                    }
                    None => Ok(Fate::Damaged),
                }
            },
            &failed_at(path),
        )
    }

    /// Every session: its number, its id, and what is known about it.
    pub(super) fn each_session(
        &self,
        watch: &mut Watch<'_>,
        each: &mut dyn FnMut(&str, SessionFacts) -> Result<(), WorkError>,
    ) -> Result<Outcome, WorkError> {
        let select = format!("SELECT id, session_id, {} FROM session_state", session_table::FACTS);
        self.each_row("session_state", "id", &select, 0, watch, &mut |row| {
            let read = || Ok(Some((row.get::<_, String>(1)?, session_table::read_facts(row, 2)?)));
            self.hand_over(read(), |(session_id, facts)| each(&session_id, facts))
        })
    }

    /// Every version of a schema, and its payload.
    pub(super) fn each_version(
        &self,
        watch: &mut Watch<'_>,
        each: &mut dyn FnMut(VersionKey<'_>, &str) -> Result<(), WorkError>,
    ) -> Result<Outcome, WorkError> {
        let select = "SELECT id, proxy, upstream_url, method, content_hash, payload FROM schema_versions";
        self.each_row("schema_versions", "id", select, 0, watch, &mut |row| {
            let text = |at| row.get_ref(at)?.as_str().map_err(rusqlite::Error::from);
            let read = || Ok(Some(([text(1)?, text(2)?, text(3)?, text(4)?], text(5)?)));
            self.hand_over(read(), |(key, payload)| each(key, payload))
        })
    }

    /// Every sighting of a version, by its record's number.
    pub(super) fn each_sighting(
        &self,
        watch: &mut Watch<'_>,
        each: &mut dyn FnMut(i64, SchemaSighting<'_>) -> Result<(), WorkError>,
    ) -> Result<Outcome, WorkError> {
        let select = "SELECT id, proxy, upstream_url, method, caller, ts, content_hash FROM schema_sightings";
        self.each_row("schema_sightings", "id", select, self.last_possible, watch, &mut |row| {
            let text = |at| row.get_ref(at)?.as_str().map(Cow::Borrowed).map_err(rusqlite::Error::from);
            let read = || {
                let sighting = SchemaSighting {
                    ts: row.get(5)?,
                    proxy: text(1)?,
                    upstream_url: text(2)?,
                    method: text(3)?,
                    payload: None,
                    content_hash: text(6)?,
                    caller: text(4)?,
                };
                Ok(Some((row.get(0)?, sighting)))
            };
            self.hand_over(read(), |(id, sighting)| each(id, sighting))
        })
    }

    /// Every row of a table by its number, as it is.
    pub(super) fn each_row(
        &self,
        table: &str,
        key: &str,
        select: &str,
        last_possible: i64,
        watch: &mut Watch<'_>,
        each: &mut dyn FnMut(&Row<'_>) -> Result<Fate, WorkError>,
    ) -> Result<Outcome, WorkError> {
        let index = match table {
            "calls" => Some("calls_by_name"),
            "session_state" => Some("sqlite_autoindex_session_state_1"),
            "schema_versions" => Some("sqlite_autoindex_schema_versions_1"),
            "quarantine" => Some("sqlite_autoindex_quarantine_1"),
            _ => None,
        };
        let source = Source { select, key, table, index, last_possible };
        read(self.connection, source, watch, each, &failed_at(self.path))
    }

    /// The last record's number that a row may have; 0 if nobody knows.
    pub(super) fn last_possible(&self) -> i64 {
        self.last_possible
    }

    /// Hands over what a row says, if it says something.
    pub(super) fn hand_over<T>(
        &self,
        read: rusqlite::Result<Option<T>>,
        each: impl FnOnce(T) -> Result<(), WorkError>,
    ) -> Result<Fate, WorkError> {
        match fate(read, self.path)? {
            Some(value) => each(value).map(|()| Fate::Read),
            None => Ok(Fate::Damaged),
        }
    }

    /// Reads an index that has all that is asked for, so that the table's pages are not needed; `None`: it can't be read
    /// either.
    pub(super) fn index_rows<T>(
        &self,
        sql: &str,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<Vec<T>>, WorkError> {
        let rows =
            || self.connection.prepare(sql)?.query_map([], |row| read(row))?.collect::<rusqlite::Result<Vec<T>>>();
        match rows() {
            Ok(rows) => Ok(Some(rows)),
            // Prepared statements can fail for want of the index itself.
            Err(error) if is_damage(&error) || is_unknown(&error) => Ok(None),
            Err(error) => Err(failed_at(self.path)(error)),
        }
    }

    fn read_calls(&mut self) -> Result<(), WorkError> {
        let mut calls = HashMap::new();
        let select = "SELECT id, proxy, method, tool FROM calls";
        let outcome =
            self.each_row("calls", "id", select, 0, &mut |_| std::ops::ControlFlow::Continue(()), &mut |row| {
                let read = || Ok(Some((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?))));
                self.hand_over(read(), |(id, call)| {
                    calls.insert(id, call);
                    Ok(())
                })
            })?;
        if !outcome.is_sound {
            let sql = "SELECT id, proxy, method, tool IS NULL, ifnull(tool, '') FROM calls INDEXED BY calls_by_name";
            let read = |row: &Row<'_>| {
                let tool: String = row.get(4)?;
                Ok((row.get(0)?, (row.get(1)?, row.get(2)?, (!row.get::<_, bool>(3)?).then_some(tool))))
            };
            for (id, call) in self.index_rows(sql, read)?.unwrap_or_default() {
                calls.entry(id).or_insert(call);
            }
        }
        self.calls = calls;
        Ok(())
    }
}

/// The id of a session, by the table or by the index over the ids; `None` if neither can be read.
fn session_id(
    connection: &Connection,
    known: &mut HashMap<i64, Option<String>>,
    session: i64,
) -> rusqlite::Result<Option<String>> {
    if let Some(id) = known.get(&session) {
        return Ok(id.clone());
    }
    let mut found = None;
    for from in ["session_state", "session_state INDEXED BY sqlite_autoindex_session_state_1"] {
        let read = connection
            .prepare_cached(&format!("SELECT session_id FROM {from} WHERE id = ?1"))
            .and_then(|mut select| select.query_row([session], |row| row.get(0)).optional());
        match read {
            Ok(id) => found = id,
            Err(error) if is_damage(&error) || is_unknown(&error) => {}
            Err(error) => return Err(error),
        }
        if found.is_some() {
            break;
        }
    }
    if known.len() >= SESSIONS_MAX {
        known.clear();
    }
    known.insert(session, found.clone());
    Ok(found)
}

/// What a row says; `None` if its bytes are damaged.
fn fate<T>(read: rusqlite::Result<Option<T>>, path: &Path) -> Result<Option<T>, WorkError> {
    match read {
        Ok(value) => Ok(value),
        Err(error) if is_no_value(&error) => Ok(None),
        Err(error) => Err(failed_at(path)(error)),
    }
}

pub(super) fn failed_at(path: &Path) -> impl Fn(rusqlite::Error) -> WorkError {
    move |source| IndexError::Sqlite { path: path.to_owned(), source }.into()
}
