//! What is found of a store when everybody is gone: its database, row by row, and what lies beside it.
//!
//! Plain SQL and plain listings; nothing of the library reads here, and nothing here judges.

use mcplog_faults::event;
use rusqlite::{Connection, OpenFlags, Row};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A row of a request.
#[derive(Clone, Debug)]
pub struct RequestFound {
    /// In which order it was folded.
    pub id: u64,
    /// The event's number.
    pub number: u64,
}

/// A row of a writer.
#[derive(Clone, Debug)]
pub struct WriterFound {
    /// Its number in the database.
    pub id: u64,
    /// Its id.
    pub writer: String,
    /// Which process it was.
    pub process_id: u32,
    /// How it ended; `None` if that is not known.
    pub ended: Option<String>,
}

/// A row of records of one writer that were folded one after the other.
#[derive(Clone, Debug)]
pub struct RunFound {
    /// The id of the first one.
    pub first_id: u64,
    /// Whose they are, by its number in the database.
    pub writer: u64,
    /// The number of the first one in its log.
    pub first_sequence: u64,
    /// How many.
    pub count: u64,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Found {
    /// What SQLite says of its file; `ok` if all is well.
    pub integrity: String,
    /// In the order of their ids.
    pub requests: Vec<RequestFound>,
    /// The ids of requests that nobody recorded like that.
    pub strange: Vec<String>,
    /// What the sessions count.
    pub session_calls: u64,
    /// What the roll-ups of each level count, but for those of seconds, which only dense minutes have.
    pub rollup_calls: BTreeMap<u64, u64>,
    /// Who wrote.
    pub writers: Vec<WriterFound>,
    /// Up to which number each one's log is folded.
    pub checkpoints: BTreeMap<u64, u64>,
    /// In the order of their ids.
    pub runs: Vec<RunFound>,
    /// How many events of each writer were dropped, by its own gap records.
    pub dropped: BTreeMap<u64, u64>,
    /// How many records of each writer are missing.
    pub missing: BTreeMap<u64, u64>,
    /// How many rows the quarantine has.
    pub quarantined: u64,
    /// What lies in the folders of the log, and of what was kept or set aside.
    pub left: Vec<PathBuf>,
}

impl Found {
    /// Looks.
    ///
    /// # Panics
    /// The database can't be read, or a directory not be listed.
    pub fn of(store: &Path) -> Self {
        let path = store.join("store.db");
        Self::read(&path, store).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn read(path: &Path, store: &Path) -> rusqlite::Result<Self> {
        let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, u64>(0));
        let mut strange = Vec::new();
        let requests = all(&database, "SELECT id, request_id, ts, session_id FROM requests ORDER BY id", |row| {
            let (id, name, ts, session): (u64, String, i64, Option<String>) =
                (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            let number = event::number(&name).filter(|number| event::is_as_recorded(*number, ts, session.as_deref()));
            if number.is_none() {
                strange.push(name);
            }
            Ok(number.map(|number| RequestFound { id, number }))
        })?;
        Ok(Self {
            integrity: database.query_row("PRAGMA integrity_check", [], |row| row.get(0))?,
            requests: requests.into_iter().flatten().collect(),
            strange,
            session_calls: count("SELECT coalesce(sum(total_calls), 0) FROM sessions")?,
            rollup_calls: pairs(&database, "SELECT level, sum(calls) FROM rollups WHERE level > 0 GROUP BY level")?,
            writers: all(&database, "SELECT id, writer, process_id, ended FROM writers ORDER BY id", |row| {
                let (id, writer) = (row.get(0)?, row.get(1)?);
                Ok(WriterFound { id, writer, process_id: row.get(2)?, ended: row.get(3)? })
            })?,
            checkpoints: pairs(&database, "SELECT writer, sequence FROM checkpoint")?,
            runs: all(
                &database,
                "SELECT first_id, writer, first_sequence, count FROM fold_runs ORDER BY first_id",
                |row| {
                    let (first_id, writer) = (row.get(0)?, row.get(1)?);
                    Ok(RunFound { first_id, writer, first_sequence: row.get(2)?, count: row.get(3)? })
                },
            )?,
            dropped: pairs(&database, "SELECT writer, sum(events) FROM gaps WHERE missing = 0 GROUP BY writer")?,
            missing: pairs(&database, "SELECT writer, sum(events) FROM gaps WHERE missing = 1 GROUP BY writer")?,
            quarantined: count("SELECT count(*) FROM quarantine")?,
            left: ["wal", "kept", "quarantine"].iter().flat_map(|name| entries(&store.join(name))).collect(),
        })
    }
}

/// What lies in a directory; nothing if there is none.
///
/// # Panics
/// It can't be listed.
pub fn entries(dir: &Path) -> Vec<PathBuf> {
    match std::fs::read_dir(dir) {
        Ok(entries) => entries.map(|entry| entry.unwrap_or_else(|error| panic!("{error}")).path()).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => panic!("{}: {error}", dir.display()),
    }
}

/// How many rows of requests there are; `None` as long as there is no table.
pub fn rows(store: &Path) -> Option<u64> {
    // Not made: who folds makes it.
    let opened = Connection::open_with_flags(store.join("store.db"), OpenFlags::SQLITE_OPEN_READ_WRITE);
    let database = opened.ok()?;
    database.query_row("SELECT count(*) FROM requests", [], |row| row.get(0)).ok()
}

fn all<T>(
    database: &Connection,
    sql: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    database.prepare(sql)?.query_map([], read)?.collect()
}

fn pairs(database: &Connection, sql: &str) -> rusqlite::Result<BTreeMap<u64, u64>> {
    Ok(all(database, sql, |row| Ok((row.get(0)?, row.get(1)?)))?.into_iter().collect())
}
