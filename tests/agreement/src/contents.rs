//! What a database holds, by writer and number.

use crate::bytes::Id;
use crate::ranges::Ranges;
use mcplog_fixture::Holdings;
use rusqlite::{Connection, OpenFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A record's name: whose it is, and its number.
pub type Name = (String, u64);

/// How a writer ended, as table `writers` has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriterRow {
    /// The process id that its first record says.
    pub process_id: Option<u64>,
    /// `closed`, `died`, or neither yet.
    pub ended: Option<String>,
}

/// A database's rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The request of each record.
    pub requests: BTreeMap<Name, String>,
    /// Schema versions and clock steps.
    pub others: BTreeSet<Name>,
    /// The events of gap records.
    pub gaps: BTreeMap<Name, u64>,
    /// The sessions that were announced or closed by a record, by id.
    pub sessions: BTreeSet<String>,
    /// Records that wait for a newer build.
    pub newer: BTreeSet<Name>,
    /// Records that can't be decoded.
    pub undecodable: BTreeSet<Name>,
    /// Damaged places: whose, in which segment, and where.
    pub damages: BTreeSet<(String, u64, u32)>,
    /// The numbers of each writer that are known to be lost.
    pub lost: BTreeMap<String, Ranges>,
    /// The last number of each writer that is folded.
    pub folded: BTreeMap<String, u64>,
    /// The segment at which folding goes on, for each writer.
    pub places: BTreeMap<String, u64>,
    /// The numbers of each writer that took an id when they were folded, those of a hole by its first one.
    pub runs: BTreeMap<String, Ranges>,
    /// Who wrote.
    pub writers: BTreeMap<String, WriterRow>,
    /// Which store it is.
    pub store: Option<String>,
}

impl Contents {
    /// Reads a database that nobody folds into.
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
        // A row's id, and the record that it is the row of.
        let named = |table: &str| {
            format!(
                "SELECT writers.writer, run.first_sequence + rows.id - run.first_id, rows.* FROM {table} AS rows
                 JOIN fold_runs AS run ON rows.id BETWEEN run.first_id AND run.first_id + run.count - 1
                 JOIN writers ON writers.id = run.writer"
            )
        };
        let names = |table: &str| rows(&database, &named(table), |row| Ok((row.get(0)?, row.get(1)?)));
        let by_writer = |table: &str, filter: &str| -> rusqlite::Result<Vec<Name>> {
            let sql = format!(
                "SELECT writers.writer, rows.sequence FROM {table} AS rows JOIN writers ON writers.id = rows.writer {filter}"
            );
            rows(&database, &sql, |row| Ok((row.get(0)?, row.get(1)?)))
        };
        let requests: Vec<(Name, String)> =
            rows(&database, &named("request_rows"), |row| Ok(((row.get(0)?, row.get(1)?), row.get("request_id")?)))?;
        let gaps = "SELECT writers.writer, rows.sequence, rows.events FROM gaps AS rows
                    JOIN writers ON writers.id = rows.writer WHERE rows.missing = ";
        let gaps = |is_missing: &str| -> rusqlite::Result<Vec<(Name, u64)>> {
            rows(&database, &format!("{gaps}{is_missing}"), |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))
        };
        let mut lost: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        for ((writer, first), count) in gaps("1")? {
            lost.entry(writer).or_default().extend(first..first + count);
        }
        let mut runs: BTreeMap<String, Ranges> = BTreeMap::new();
        let all_runs = "SELECT writers.writer, first_sequence, count FROM fold_runs
                        JOIN writers ON writers.id = fold_runs.writer ORDER BY first_sequence";
        for (writer, first, count) in rows(&database, all_runs, |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?, row.get::<_, u64>(2)?))
        })? {
            runs.entry(writer).or_default().0.push((first, first + count - 1));
        }
        let damages = "SELECT writers.writer, segment, offset FROM quarantine JOIN writers ON writers.id = writer_id_";
        let damages = damages.replace("writer_id_", "quarantine.writer") + " WHERE sequence IS NULL";
        let sessions =
            "SELECT session_id FROM session_state WHERE announced_at IS NOT NULL OR first_closed_at IS NOT NULL";
        let writers = "SELECT writer, process_id, ended FROM writers";
        let store = "SELECT value FROM meta WHERE key = 'store_id'";
        Ok(Self {
            requests: requests.into_iter().collect(),
            others: names("schema_sightings")?.into_iter().chain(names("clock_steps")?).collect(),
            gaps: gaps("0")?.into_iter().collect(),
            sessions: rows(&database, sessions, |row| row.get(0))?.into_iter().collect(),
            newer: by_writer("newer_records", "")?.into_iter().collect(),
            undecodable: by_writer("quarantine", "WHERE rows.sequence IS NOT NULL")?.into_iter().collect(),
            damages: rows(&database, &damages, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .into_iter()
                .collect(),
            lost: lost.into_iter().map(|(writer, numbers)| (writer, numbers.into_iter().collect())).collect(),
            folded: checkpoints(&database, "sequence")?,
            places: checkpoints(&database, "segment")?,
            runs,
            writers: rows(&database, writers, |row| {
                Ok((row.get(0)?, WriterRow { process_id: row.get(1)?, ended: row.get(2)? }))
            })?
            .into_iter()
            .collect(),
            store: rows(&database, store, |row| row.get(0))?.pop(),
        })
    }

    /// The records that have a row of their own.
    pub fn named(&self) -> BTreeSet<Name> {
        let sets = [&self.others, &self.newer, &self.undecodable];
        self.requests.keys().chain(self.gaps.keys()).chain(sets.into_iter().flatten()).cloned().collect()
    }
}

/// The name of a record.
pub fn name(writer: Id, number: u64) -> Name {
    (crate::bytes::id_text(writer), number)
}

fn checkpoints(database: &Connection, column: &str) -> rusqlite::Result<BTreeMap<String, u64>> {
    let sql = "SELECT writers.writer, column_ FROM checkpoint JOIN writers ON writers.id = checkpoint.writer";
    Ok(rows(database, &sql.replace("column_", column), |row| Ok((row.get(0)?, row.get(1)?)))?.into_iter().collect())
}

fn rows<T>(
    database: &Connection,
    sql: &str,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    database.prepare(sql)?.query_map([], read)?.collect()
}
