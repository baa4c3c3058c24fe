//! Who records into a store, or did.
//!
//! Runs on the caller's thread. Whether a writer lives, its log's folder says, and not the database.

use super::conditions::Conditions;
use super::database::Query;
use super::filter::TimeRange;
use crate::ground::error::IndexError;
use rusqlite::Row;

/// Which writers are wanted. The default wants all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriterFilter {
    /// Only writers that recorded, or might have, in these times: between their start and their end.
    pub time_range: TimeRange,
    /// At most so many: those that started last.
    pub limit: Option<u64>,
}

/// A process that records, or did: one life of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct WriterRow {
    /// Its id: a UUID, which names its log. With a record's sequence number, it names an event for ever.
    pub writer_id: String,
    /// Its process id, as it knew it itself. `None`, as all that it says of itself: that record is not folded.
    pub process_id: Option<i64>,
    /// The name of its host.
    pub host: Option<String>,
    /// What it is: `mcplog proxy`, or the name of a program that embeds the library.
    pub program: Option<String>,
    /// The version of that.
    pub program_version: Option<String>,
    /// When it began: Unix time in milliseconds, UTC.
    pub started_at: Option<i64>,
    /// When its newest event happened: Unix time in milliseconds, UTC. `None`: it recorded none.
    pub last_seen_at: Option<i64>,
    /// When it ended: Unix time in milliseconds, UTC. One that died had ended by then. `None`: nobody noticed that it has.
    pub ended_at: Option<i64>,
    /// How it ended: `closed`, which it said itself, or `died`.
    pub ended: Option<String>,
    /// The sequence number of its last record that is folded; 0 for none.
    pub folded_records: i64,
}

impl Query {
    /// The writers that the filter wants, in the order in which they started.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn writers(&self, filter: &WriterFilter) -> Result<Vec<WriterRow>, IndexError> {
        let conditions = alive_in(filter.time_range);
        let limit = filter.limit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(i64::MAX);
        let sql = format!(
            "SELECT writer, process_id, host, program, program_version, started_at, last_seen_at, ended_at, ended,
                    coalesce((SELECT sequence FROM checkpoint WHERE checkpoint.writer = writers.id), 0)
             FROM writers{} ORDER BY coalesce(started_at, last_seen_at, ended_at) DESC, id DESC LIMIT {limit}",
            conditions.sql()
        );
        let mut rows = self.rows(&sql, &conditions.values(), read)?;
        rows.reverse();
        Ok(rows)
    }

    /// How many writers the filter wants, whatever its limit.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn count_writers(&self, filter: &WriterFilter) -> Result<u64, IndexError> {
        let conditions = alive_in(filter.time_range);
        self.value(&format!("SELECT count(*) FROM writers{}", conditions.sql()), &conditions.values())
    }
}

fn alive_in(TimeRange { since_ts, until_ts }: TimeRange) -> Conditions {
    let mut conditions = Conditions::default();
    conditions.require_if("(ended_at IS NULL OR ended_at >= ?)", since_ts);
    conditions.require_if("coalesce(started_at, last_seen_at, 0) <= ?", until_ts);
    conditions
}

fn read(row: &Row<'_>) -> rusqlite::Result<WriterRow> {
    Ok(WriterRow {
        writer_id: row.get(0)?,
        process_id: row.get(1)?,
        host: row.get(2)?,
        program: row.get(3)?,
        program_version: row.get(4)?,
        started_at: row.get(5)?,
        last_seen_at: row.get(6)?,
        ended_at: row.get(7)?,
        ended: row.get(8)?,
        folded_records: row.get(9)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::position::WriterId;
    use crate::query::test_store::TestStore;

    /// Writers with these ids, from when to when they lived.
    fn store(lives: &[(u8, Option<i64>, Option<i64>)]) -> TestStore {
        let store = TestStore::new();
        for (id, started_at, ended_at) in lives {
            store.writer(WriterId([*id; 16]));
            let number = |ts: &Option<i64>| ts.map_or("NULL".to_owned(), |ts| ts.to_string());
            store.execute(&format!(
                "UPDATE writers SET started_at = {}, ended_at = {}, ended = iif({1} IS NULL, NULL, 'died'),
                                    program = 'proxy' WHERE id = (SELECT max(id) FROM writers)",
                number(started_at),
                number(ended_at)
            ));
        }
        store
    }

    fn ids(store: &TestStore, since_ts: Option<i64>, until_ts: Option<i64>, limit: Option<u64>) -> Vec<char> {
        let filter = WriterFilter { time_range: TimeRange { since_ts, until_ts }, limit };
        let rows = store.query().writers(&filter).unwrap();
        assert!(limit.is_some() || store.query().count_writers(&filter).unwrap() == rows.len() as u64);
        rows.iter().map(|row| row.writer_id.chars().nth(1).unwrap()).collect()
    }

    #[test]
    fn writers_are_told_that_lived_in_the_times_that_are_asked_about() {
        let store = store(&[(1, Some(10), Some(20)), (2, Some(15), None), (3, None, None), (4, Some(12), Some(40))]);
        assert_eq!(ids(&store, None, None, None), ['3', '1', '4', '2']);
        assert_eq!(ids(&store, None, None, Some(2)), ['4', '2']);
        assert_eq!(ids(&store, Some(20), None, None), ['3', '1', '4', '2']);
        assert_eq!(ids(&store, Some(21), None, None), ['3', '4', '2']);
        assert_eq!(ids(&store, None, Some(12), None), ['3', '1', '4']);
        assert_eq!(ids(&store, Some(41), Some(14), None), ['3']);
    }

    #[test]
    fn a_row_says_how_far_the_log_is_folded() {
        let store = store(&[(1, Some(10), Some(20))]);
        store.fold_up_to(1, 7);
        let rows = store.query().writers(&WriterFilter::default()).unwrap();
        let row = WriterRow {
            writer_id: WriterId([1; 16]).to_string(),
            process_id: None,
            host: None,
            program: Some("proxy".into()),
            program_version: None,
            started_at: Some(10),
            last_seen_at: None,
            ended_at: Some(20),
            ended: Some("died".into()),
            folded_records: 7,
        };
        assert_eq!(rows, [row]);
    }
}
