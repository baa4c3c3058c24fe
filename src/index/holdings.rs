//! What a database holds, table by table: how many rows, from when to when, which of them can't be read, and which of all
//! these the log does not have.
//!
//! Runs on the thread that rebuilds, by a connection that only reads; the database may be damaged.

use super::logged::Logged;
use super::old_rows::OldRows;
use super::old_runs::OldRuns;
use super::salvage::{Outcome, is_damage};
use crate::ground::error::IndexError;
use crate::ground::work::{Watch, WorkError};
use rusqlite::{Connection, Row};
use serde::Serialize;
use std::collections::HashSet;
use std::path::Path;

/// So many rows, from when to when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RowSum {
    /// How many.
    pub rows: u64,
    /// Nobody can say exactly how many: these at most.
    pub at_most: bool,
    /// Of what time the first one is, in Unix milliseconds; `None` where the rows have no time, or it can't be read.
    pub from_ts: Option<i64>,
    /// Of what time the last one is.
    pub to_ts: Option<i64>,
}

impl RowSum {
    pub(crate) fn add(&mut self, ts: Option<i64>) {
        self.rows += 1;
        if let Some(ts) = ts {
            self.from_ts = Some(self.from_ts.map_or(ts, |from| from.min(ts)));
            self.to_ts = Some(self.to_ts.map_or(ts, |to| to.max(ts)));
        }
    }

    fn add_at_most(&mut self, rows: u64) {
        self.rows += rows;
        self.at_most |= rows > 0;
    }
}

/// What a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TableHoldings {
    /// The table.
    pub table: &'static str,
    /// What its rows are called, of one and of many.
    #[serde(skip)]
    pub names: (&'static str, &'static str),
    /// Those that can be read.
    #[serde(flatten)]
    pub rows: RowSum,
    /// Those that can't.
    pub unreadable: RowSum,
    /// Those that can be read and that the log does not have. Not counted where nothing depends on it.
    pub only_here: RowSum,
    /// Those that can't be read and that the log does not have.
    pub unreadable_only_here: RowSum,
}

impl TableHoldings {
    fn new(table: &Table) -> Self {
        let none = RowSum::default();
        Self {
            table: table.name,
            names: table.rows,
            rows: none,
            unreadable: none,
            only_here: none,
            unreadable_only_here: none,
        }
    }

    fn add(&mut self, ts: Option<i64>, is_logged: bool) {
        self.rows.add(ts);
        if !is_logged {
            self.only_here.add(ts);
        }
    }
}

/// A table whose rows are more than what others add up to.
struct Table {
    name: &'static str,
    rows: (&'static str, &'static str),
    /// The column of its numbers, and whether these are the ids of records.
    key: &'static str,
    is_by_record: bool,
    /// The time of a row.
    time: &'static str,
    /// What an index alone tells of each row: its number, its time, and up to four names.
    index: &'static str,
}

/// The tables, in the order in which they are told.
const TABLES: [Table; 8] = [
    Table {
        name: "request_rows",
        rows: ("request", "requests"),
        key: "id",
        is_by_record: true,
        time: "ts",
        index: "SELECT id, ts FROM request_rows INDEXED BY request_rows_by_ts",
    },
    Table {
        name: "session_state",
        rows: ("session", "sessions"),
        key: "id",
        is_by_record: false,
        time: "started_at",
        index: "SELECT id, NULL, session_id FROM session_state INDEXED BY sqlite_autoindex_session_state_1",
    },
    Table {
        name: "schema_versions",
        rows: ("schema version", "schema versions"),
        key: "id",
        is_by_record: false,
        time: "NULL",
        index: "SELECT id, NULL, proxy, upstream_url, method, content_hash
                FROM schema_versions INDEXED BY sqlite_autoindex_schema_versions_1",
    },
    Table {
        name: "schema_sightings",
        rows: ("sighting of a schema", "sightings of schemas"),
        key: "id",
        is_by_record: true,
        time: "ts",
        index: "SELECT id, ts FROM schema_sightings INDEXED BY sqlite_autoindex_schema_sightings_1",
    },
    Table { name: "gaps", rows: ("gap", "gaps"), key: "id", is_by_record: true, time: "to_ts", index: "" },
    Table {
        name: "clock_steps",
        rows: ("step of the clock", "steps of the clock"),
        key: "id",
        is_by_record: true,
        time: "to_ts",
        index: "",
    },
    Table {
        name: "newer_records",
        rows: ("record of a newer mcplog", "records of a newer mcplog"),
        key: "id",
        is_by_record: true,
        time: "noted_at",
        index: "SELECT id, noted_at FROM newer_records INDEXED BY newer_records_by_time",
    },
    Table {
        name: "quarantine",
        rows: ("note of damage", "notes of damage"),
        key: "id",
        is_by_record: false,
        time: "noted_at",
        index: "",
    },
];

/// What the logs hold, and which records rows are.
struct Known<'a> {
    logged: &'a Logged,
    runs: &'a OldRuns,
}

/// How many rows each table has, and of what time they are. The database is sound.
pub(crate) fn count(connection: &Connection) -> rusqlite::Result<Vec<TableHoldings>> {
    let count = |table: &Table| {
        let sql = format!("SELECT count(*), min({0}), max({0}) FROM {1}", table.time, table.name);
        connection.query_row(&sql, [], |row| {
            let rows = RowSum { rows: row.get(0)?, at_most: false, from_ts: row.get(1)?, to_ts: row.get(2)? };
            Ok(TableHoldings { rows, ..TableHoldings::new(table) })
        })
    };
    TABLES.iter().map(count).collect()
}

/// What of each table can be read, what can't, and what the log does not have of both. Rows from before `kept_since` are
/// about to expire: nothing depends on them. No row of a record has a higher id than `last_possible`; 0 if nobody knows.
pub(crate) fn compare(
    connection: &Connection,
    path: &Path,
    runs: &OldRuns,
    logged: &Logged,
    kept_since: i64,
    last_possible: i64,
    watch: &mut Watch<'_>,
) -> Result<Vec<TableHoldings>, WorkError> {
    let mut rows = OldRows::new(connection, path, last_possible)?;
    let logged = &Known { logged, runs };
    let mut all = Vec::with_capacity(TABLES.len());
    for table in &TABLES {
        let mut found = TableHoldings::new(table);
        let outcome = read_table(&mut rows, table, &mut found, logged, kept_since, watch)?;
        if !outcome.is_sound {
            add_unreadable(&rows, table, &outcome, &mut found, logged, kept_since)?;
        }
        all.push(found);
    }
    Ok(all)
}

fn read_table(
    rows: &mut OldRows<'_>,
    table: &Table,
    found: &mut TableHoldings,
    logged: &Known<'_>,
    kept_since: i64,
    watch: &mut Watch<'_>,
) -> Result<Outcome, WorkError> {
    match table.name {
        "request_rows" => rows.each_request(watch, &mut |id, request| {
            found.add(Some(request.ts), request.ts < kept_since || has(logged.logged, table, id));
            Ok(())
        }),
        "session_state" => rows.each_session(watch, &mut |session_id, facts| {
            let is_logged = facts.last_seen_at() < kept_since
                || logged.logged.has_session(session_id, facts.announcement.is_some(), facts.closes.is_some());
            found.add(Some(facts.started_at()), is_logged);
            Ok(())
        }),
        "schema_versions" => rows.each_version(watch, &mut |key, _| {
            found.add(None, logged.logged.has_version(key));
            Ok(())
        }),
        _ => {
            // All the rest, too, so that a row that can't be read whole is told.
            let select = format!("SELECT {}, {}, * FROM {}", table.key, table.time, table.name);
            let last_possible = if table.is_by_record { rows.last_possible() } else { 0 };
            rows.each_row(table.name, table.key, &select, last_possible, watch, &mut |row| {
                let read = || {
                    let is_logged = match table.name {
                        "quarantine" => {
                            let writer = logged.runs.writer(row.get("writer")?);
                            logged.logged.has_note(writer, row.get("sequence")?, row.get("segment")?)
                        }
                        // They come into each new database, whatever it is made of.
                        "gaps" => true,
                        name => logged.logged.has_record(name, unsigned(row.get(0)?)),
                    };
                    Ok(Some((row.get(1)?, is_logged)))
                };
                rows.hand_over(read(), |(ts, is_logged): (Option<i64>, bool)| {
                    found.add(ts, is_logged || ts.is_some_and(|ts| ts < kept_since));
                    Ok(())
                })
            })
        }
    }
}

/// Counts the rows that can't be read: exactly where an index has them, and otherwise as many as may have been.
fn add_unreadable(
    rows: &OldRows<'_>,
    table: &Table,
    outcome: &Outcome,
    found: &mut TableHoldings,
    logged: &Known<'_>,
    kept_since: i64,
) -> Result<(), WorkError> {
    let read = |row: &Row<'_>| {
        let names =
            (2..row.as_ref().column_count()).map(|at| row.get(at)).collect::<rusqlite::Result<Vec<String>>>()?;
        Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?, names))
    };
    let from_index = if table.index.is_empty() { None } else { rows.index_rows(table.index, read)? };
    let Some(from_index) = from_index else {
        for span in &outcome.unreadable {
            let (first, last) = (unsigned(span.first), unsigned(span.last));
            let count = last - first + 1;
            found.unreadable.add_at_most(count);
            let in_log =
                if table.is_by_record { logged.logged.of_table(table.name).count_within(first, last) } else { 0 };
            found.unreadable_only_here.add_at_most(count - in_log);
        }
        return Ok(());
    };
    let mut seen = HashSet::new();
    for (number, ts, names) in from_index {
        if outcome.numbers.contains(unsigned(number)) || !seen.insert(number) {
            continue;
        }
        found.unreadable.add(ts);
        let is_logged = match names.as_slice() {
            // Whether it was announced or closed is not known: what the log announces is the same.
            [session_id] => logged.logged.has_session(session_id, true, false),
            [proxy, upstream_url, method, hash] => logged.logged.has_version([proxy, upstream_url, method, hash]),
            _ => has(logged.logged, table, number) || ts.is_some_and(|ts| ts < kept_since),
        };
        if !is_logged {
            found.unreadable_only_here.add(ts);
        }
    }
    Ok(())
}

/// The highest id that a row of a record is said to have: by each table that tells it.
pub(crate) fn last_id(connection: &Connection) -> i64 {
    let mut last = 0;
    let questions = [
        "SELECT max(first_id + count - 1) FROM fold_runs",
        "SELECT max(id) FROM request_rows",
        "SELECT max(id) FROM (SELECT id FROM request_rows INDEXED BY request_rows_by_ts)",
        "SELECT max(id) FROM schema_sightings",
        "SELECT max(id) FROM gaps",
        "SELECT max(id) FROM clock_steps",
        "SELECT max(id) FROM newer_records",
    ];
    for sql in questions {
        // One may be damaged, and another one sound.
        let told = connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
        // An id that no database reaches is a damaged one.
        let told = told.ok().flatten().filter(|last| *last <= 1 << 62);
        last = last.max(told.unwrap_or(0));
    }
    last
}

/// Whether an error while the database was looked at says that it is damaged.
pub(crate) fn says_damage(error: &IndexError) -> bool {
    match error {
        IndexError::Sqlite { source, .. } => is_damage(source),
        _ => false,
    }
}

fn has(logged: &Logged, table: &Table, number: i64) -> bool {
    logged.has_record(table.name, unsigned(number))
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
