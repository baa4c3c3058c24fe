//! What the store holds altogether, how far it is folded, and what is known to be lost.
//!
//! Runs on the caller's thread.

use super::conditions::Conditions;
use super::database::Query;
use super::filter::TimeRange;
use super::interval::CellRange;
use crate::fold::cell_scope::CellScope;
use crate::fold::rollup::Level;
use crate::ground::error::IndexError;
use crate::ground::position::WriterId;
use rusqlite::Row;
use std::ops::ControlFlow;
use std::path::Path;

/// The whole store in numbers.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Totals {
    /// Rows of view `requests`.
    pub requests: i64,
    /// Rows of view `sessions`.
    pub sessions: i64,
    /// Events known to be lost, over all gaps.
    pub dropped: i64,
    /// Records and damaged places that could not be folded.
    pub quarantined: i64,
    /// Files of the log that can't be read, and of which nothing tells how many records they held.
    pub unreadable_files: i64,
    /// Records of a newer mcplog that wait for one that knows them.
    pub newer_records: i64,
    /// When the first request arrived: Unix time in milliseconds, UTC.
    pub first_ts: Option<i64>,
    /// When the latest request arrived: Unix time in milliseconds, UTC.
    pub last_ts: Option<i64>,
    /// Processes that recorded into the store: each life of one counts.
    pub writers: i64,
    /// Records of all writers that are folded, and numbers of records that were missing.
    pub folded_records: i64,
    /// Size of the database with its write-ahead file, in bytes.
    pub database_bytes: u64,
}

/// Up to where the log is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct CheckpointRow {
    /// The segment's number.
    pub segment: i64,
    /// Offset in the segment of the first byte that is not folded.
    pub offset: i64,
    /// Sequence number of the last record that is folded; 0 for none.
    pub sequence: i64,
}

/// A gap: events that were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct GapRow {
    /// The number of its row: the order of folding.
    pub id: i64,
    /// When the first of them was dropped: Unix time in milliseconds, UTC.
    pub from_ts: i64,
    /// When the last of them was dropped: Unix time in milliseconds, UTC.
    pub to_ts: i64,
    /// How many.
    pub events: i64,
}

/// Several gaps together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct GapTotals {
    /// How many gaps.
    pub gaps: i64,
    /// How many events were dropped in them.
    pub events: i64,
    /// When the first event was dropped: Unix time in milliseconds, UTC.
    pub from_ts: Option<i64>,
    /// When the last event was dropped: Unix time in milliseconds, UTC.
    pub to_ts: Option<i64>,
}

impl From<GapRow> for GapTotals {
    fn from(gap: GapRow) -> Self {
        Self { gaps: 1, events: gap.events, from_ts: Some(gap.from_ts), to_ts: Some(gap.to_ts) }
    }
}

impl Query {
    /// The whole store in numbers.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn totals(&self) -> Result<Totals, IndexError> {
        self.at_one_time(|| self.totals_now())
    }

    fn totals_now(&self) -> Result<Totals, IndexError> {
        let database_bytes = bytes_of(self.path()) + bytes_of(&self.path().with_extension("db-wal"));
        let ever = CellRange { level: Level::TenDays, from_ts: i64::MIN, before_ts: i64::MAX };
        let requests = self.outcome_counts(&[CellScope::All], ever)?.calls();
        // The ends of an index, and counts over small indexes: no statement reads rows of requests.
        let sql = "SELECT (SELECT count(*) FROM session_state), \
                          (SELECT coalesce(sum(events), 0) FROM gaps), (SELECT count(*) FROM quarantine), \
                          (SELECT count(*) FROM newer_records), (SELECT min(ts) FROM request_rows), (SELECT max(ts) FROM request_rows), \
                          (SELECT count(*) FROM writers), (SELECT coalesce(sum(sequence), 0) FROM checkpoint), \
                          (SELECT count(*) FROM quarantine WHERE unknown_records = 1)";
        self.row(sql, &[], |row| {
            Ok(Totals {
                requests,
                sessions: row.get(0)?,
                dropped: row.get(1)?,
                quarantined: row.get(2)?,
                newer_records: row.get(3)?,
                first_ts: row.get(4)?,
                last_ts: row.get(5)?,
                writers: row.get(6)?,
                folded_records: row.get(7)?,
                unreadable_files: row.get(8)?,
                database_bytes,
            })
        })
    }

    /// Up to where each writer's log is folded, also of those that ended long ago.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn checkpoints(&self) -> Result<Vec<(WriterId, CheckpointRow)>, IndexError> {
        let sql = "SELECT w.writer, c.segment, c.offset, c.sequence
                   FROM checkpoint AS c JOIN writers AS w ON w.id = c.writer ORDER BY c.writer";
        let mut checkpoints = Vec::new();
        self.each_row(sql, &[], |row| {
            if let Some(writer) = WriterId::from_text(row.get_ref(0)?.as_str()?) {
                let (segment, offset, sequence) = (row.get(1)?, row.get(2)?, row.get(3)?);
                checkpoints.push((writer, CheckpointRow { segment, offset, sequence }));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(checkpoints)
    }

    /// Whether any request is on record: cheaper than counting them.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn has_requests(&self) -> Result<bool, IndexError> {
        self.value("SELECT EXISTS (SELECT 1 FROM request_rows)", &[])
    }

    /// The gaps that touch `time_range`, oldest first.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn gaps(&self, time_range: TimeRange) -> Result<Vec<GapRow>, IndexError> {
        let conditions = touching(time_range);
        let sql = format!("SELECT id, from_ts, to_ts, events FROM gaps{} ORDER BY from_ts, id", conditions.sql());
        self.rows(&sql, &conditions.values(), read_gap)
    }

    /// The gaps that touch `time_range` and whose records have ids behind `from`, up to `up_to`; in their order.
    pub(super) fn gaps_between(&self, time_range: TimeRange, from: i64, up_to: i64) -> Result<Vec<GapRow>, IndexError> {
        let mut conditions = touching(time_range);
        conditions.require_if("id > ?", Some(from));
        conditions.require_if("id <= ?", Some(up_to));
        let sql = format!("SELECT id, from_ts, to_ts, events FROM gaps{} ORDER BY id", conditions.sql());
        self.rows(&sql, &conditions.values(), read_gap)
    }

    /// The gaps that touch `time_range`, together.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn gap_totals(&self, time_range: TimeRange) -> Result<GapTotals, IndexError> {
        let conditions = touching(time_range);
        let sql = format!(
            "SELECT count(*), coalesce(sum(events), 0), min(from_ts), max(to_ts) FROM gaps{}",
            conditions.sql()
        );
        self.row(&sql, &conditions.values(), |row| {
            Ok(GapTotals { gaps: row.get(0)?, events: row.get(1)?, from_ts: row.get(2)?, to_ts: row.get(3)? })
        })
    }

    /// How many records of a newer mcplog wait for one that knows them.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn newer_records(&self) -> Result<i64, IndexError> {
        self.value("SELECT count(*) FROM newer_records", &[])
    }

    /// How many records and damaged places could not be folded.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn quarantine(&self) -> Result<i64, IndexError> {
        self.value("SELECT count(*) FROM quarantine", &[])
    }
}

fn read_gap(row: &Row<'_>) -> rusqlite::Result<GapRow> {
    Ok(GapRow { id: row.get(0)?, from_ts: row.get(1)?, to_ts: row.get(2)?, events: row.get(3)? })
}

/// The gaps that have any time in common with the range.
fn touching(time_range: TimeRange) -> Conditions {
    let mut conditions = Conditions::default();
    conditions.require_if("to_ts >= ?", time_range.since_ts);
    conditions.require_if("from_ts < ?", time_range.until_ts);
    conditions
}

/// The size of a file in bytes; 0 if there is no such file.
fn bytes_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::test_store::TestStore;

    fn gap(store: &TestStore, from_ts: i64, to_ts: i64, events: i64) {
        store
            .row("gaps")
            .set("from_ts", from_ts)
            .set("to_ts", to_ts)
            .set("events", events)
            .set("writer", 1)
            .set("sequence", 1)
            .insert();
    }

    #[test]
    fn an_empty_store_has_no_times_and_no_writers() {
        let store = TestStore::new();
        let query = store.query();
        let totals = query.totals().unwrap();
        assert!(totals.database_bytes > 0);
        let nothing = Totals {
            requests: 0,
            sessions: 0,
            dropped: 0,
            quarantined: 0,
            unreadable_files: 0,
            newer_records: 0,
            first_ts: None,
            last_ts: None,
            writers: 0,
            folded_records: 0,
            database_bytes: totals.database_bytes,
        };
        assert_eq!(totals, nothing);
        assert!(!query.has_requests().unwrap());
        assert_eq!(query.gap_totals(TimeRange::default()).unwrap(), GapTotals::default());
    }

    #[test]
    fn everything_is_counted() {
        let store = TestStore::new();
        store.writer(WriterId([1; 16]));
        store.request("a", 30, "ping").insert();
        store.request("b", 10, "ping").insert();
        store.session("s").insert();
        gap(&store, 1, 2, 7);
        gap(&store, 5, 6, 5);
        store
            .row("quarantine")
            .set("noted_at", 1)
            .set("writer", 1)
            .set("segment", 1)
            .set("offset", 2)
            .set("bytes", 3)
            .set("reason", "r")
            .insert();
        store.execute("INSERT INTO newer_records VALUES (7, 1, 7, 1, 4096, 200, 1, 5, x'c801')");
        store.execute("UPDATE checkpoint SET segment = 3, offset = 4096, sequence = 99");
        let query = store.query();
        let totals = query.totals().unwrap();
        assert_eq!((totals.requests, totals.sessions, totals.dropped, totals.quarantined), (2, 1, 12, 1));
        assert_eq!(totals.newer_records, 1);
        assert_eq!((totals.first_ts, totals.last_ts), (Some(10), Some(30)));
        assert_eq!((totals.writers, totals.folded_records), (1, 99));
        let checkpoint = CheckpointRow { segment: 3, offset: 4096, sequence: 99 };
        assert_eq!(query.checkpoints().unwrap(), [(WriterId([1; 16]), checkpoint)]);
        assert!(query.has_requests().unwrap());
        assert_eq!((query.quarantine().unwrap(), query.newer_records().unwrap()), (1, 1));
    }

    #[test]
    fn a_gap_counts_when_it_touches_the_range() {
        let store = TestStore::new();
        store.writer(WriterId([1; 16]));
        gap(&store, 10, 20, 1);
        gap(&store, 30, 40, 2);
        let query = store.query();
        let cases = [
            (None, None, 3),
            (Some(20), None, 3),
            (Some(21), None, 2),
            (Some(41), None, 0),
            (None, Some(30), 1),
            (None, Some(31), 3),
            (None, Some(10), 0),
        ];
        for (since_ts, until_ts, events) in cases {
            let time_range = TimeRange { since_ts, until_ts };
            assert_eq!(query.gap_totals(time_range).unwrap().events, events, "{time_range:?}");
            assert_eq!(
                query.gaps(time_range).unwrap().iter().map(|gap| gap.events).sum::<i64>(),
                events,
                "{time_range:?}"
            );
        }
    }
}
