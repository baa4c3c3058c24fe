//! What a database holds, by record numbers.

use crate::ranges::Ranges;
use mcplog::position::WriterId;
use mcplog_fixture::Holdings;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A database's rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The request of each number.
    pub requests: BTreeMap<u64, String>,
    /// The numbers of schema versions and clock steps.
    pub others: BTreeSet<u64>,
    /// The numbers of gap records.
    pub gaps: BTreeSet<u64>,
    /// The sessions that were announced or closed by a record, by id.
    pub sessions: BTreeSet<String>,
    /// The numbers of records that wait for a newer build.
    pub newer: BTreeSet<u64>,
    /// The numbers of records that can't be decoded.
    pub undecodable: BTreeSet<u64>,
    /// Numbers that are known to be lost.
    pub lost: Ranges,
    /// The last number that is folded.
    pub folded: u64,
    /// Whose log it has folded, if it says so.
    pub writer_id: Option<WriterId>,
}

impl Contents {
    /// Reads a database that nobody has open.
    ///
    /// # Errors
    /// What is wrong with it, whoever is asked: SQLite, or what the rows say.
    pub fn read(dir: &Path) -> Result<Self, String> {
        Holdings::try_read(dir)?;
        let path = dir.join("store.db");
        Self::query(&path).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn query(path: &Path) -> rusqlite::Result<Self> {
        let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let numbers = |sql: &str| -> rusqlite::Result<BTreeSet<u64>> {
            database.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
        };
        let requests = database
            .prepare("SELECT id, request_id FROM request_rows")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let has_missing: bool = database.query_row(
            "SELECT count(*) > 0 FROM pragma_table_info('gaps') WHERE name = 'missing'",
            [],
            |row| row.get(0),
        )?;
        let (told, lost) = if has_missing {
            ("SELECT id FROM gaps WHERE missing = 0", "SELECT id, events FROM gaps WHERE missing = 1")
        } else {
            ("SELECT id FROM gaps", "SELECT 1, 1 WHERE 0")
        };
        let others = numbers("SELECT id FROM schema_sightings UNION ALL SELECT id FROM clock_steps")?;
        let lost: Vec<(u64, u64)> = database
            .prepare(lost)?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let sessions =
            "SELECT session_id FROM session_state WHERE announced_at IS NOT NULL OR first_closed_at IS NOT NULL";
        Ok(Self {
            requests,
            others,
            gaps: numbers(told)?,
            sessions: database.prepare(sessions)?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?,
            newer: numbers("SELECT sequence FROM newer_records")?,
            undecodable: numbers("SELECT sequence FROM quarantine WHERE sequence IS NOT NULL")?,
            lost: lost.iter().flat_map(|(first, count)| *first..first + count).collect(),
            writer_id: database
                .query_row("SELECT writer_id FROM checkpoint", [], |row| row.get::<_, [u8; 16]>(0))
                .optional()?
                .map(WriterId),
            folded: database.query_row("SELECT coalesce(max(sequence), 0) FROM checkpoint", [], |row| row.get(0))?,
        })
    }

    /// The numbers of all records that have a row of their own.
    pub fn numbered(&self) -> Ranges {
        let sets = [&self.others, &self.gaps, &self.newer, &self.undecodable];
        self.requests.keys().chain(sets.into_iter().flatten()).copied().collect()
    }
}
