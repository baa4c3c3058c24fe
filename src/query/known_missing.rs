//! What the tables know to be missing in them.
//!
//! Runs on the caller's thread. What waits in the log, the tables do not know.

use super::conditions::Conditions;
use super::database::Query;
use super::filter::TimeRange;
use super::totals::{CheckpointRow, GapTotals};
use crate::ground::error::IndexError;
use crate::ground::position::WriterId;

/// What is missing of a range of time, as the tables say, and how far each writer's log is folded; all of one state of the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownMissing {
    pub(crate) checkpoints: Vec<(WriterId, CheckpointRow)>,
    pub(crate) gaps: GapTotals,
    /// Records that could not be folded, and may be of the range: they were recorded by a time in it, or behind it. What is
    /// lost in damaged places is in gaps.
    pub(crate) quarantined: i64,
    /// Files that are damaged as a whole, likewise, behind which nothing tells how many records they held.
    pub(crate) unreadable_files: i64,
    /// Records of a newer build that wait for it, likewise.
    pub(crate) newer_records: i64,
    /// What is from before has expired: Unix time in milliseconds, UTC. `None`: nothing has.
    pub(crate) kept_since: Option<i64>,
}

impl Query {
    pub(crate) fn known_missing(&self, time_range: TimeRange) -> Result<KnownMissing, IndexError> {
        self.at_one_time(|| {
            Ok(KnownMissing {
                checkpoints: self.checkpoints()?,
                gaps: self.gap_totals(time_range)?,
                quarantined: self.noted(time_range, "quarantine", "sequence IS NOT NULL")?,
                unreadable_files: self.noted(time_range, "quarantine", "unknown_records = 1")?,
                newer_records: self.noted(time_range, "newer_records", "true")?,
                kept_since: self.value("SELECT max(kept_since) FROM retention", &[])?,
            })
        })
    }

    /// The rows of a table of what was recorded by a time (`noted_at`), and how long before nobody knows.
    fn noted(&self, time_range: TimeRange, table: &str, which: &'static str) -> Result<i64, IndexError> {
        let mut conditions = Conditions::default();
        conditions.require(which);
        conditions.require_if("noted_at >= ?", time_range.since_ts);
        self.value(&format!("SELECT count(*) FROM {table}{}", conditions.sql()), &conditions.values())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::test_store::TestStore;

    #[test]
    fn what_may_be_of_a_range_is_missing_in_it() {
        let store = TestStore::new();
        let query = store.query();
        let nothing = KnownMissing {
            checkpoints: Vec::new(),
            gaps: GapTotals::default(),
            quarantined: 0,
            unreadable_files: 0,
            newer_records: 0,
            kept_since: None,
        };
        assert_eq!(query.known_missing(TimeRange::default()).unwrap(), nothing);
        store.writer(WriterId([1; 16]));
        store.execute("INSERT INTO gaps VALUES (1, 10, 20, 7, 0, 1, 1)");
        store.execute("INSERT INTO newer_records VALUES (7, 1, 7, 1, 4096, 200, 1, 15, x'c801')");
        store.execute(
            "INSERT INTO quarantine (writer, segment, offset, bytes, sequence, reason, noted_at)
             VALUES (1, 1, 4096, 64, 9, 'nonsense', 30), (1, 1, 8192, 64, NULL, 'damaged, and counted in a gap', 40)",
        );
        store.execute("INSERT INTO retention VALUES (1, 5, 0)");
        store.execute("UPDATE checkpoint SET segment = 3, offset = 4096, sequence = 99");
        // From when to when; then the events lost, the records that nobody could read, and those of a newer build.
        for (since_ts, until_ts, expected) in [
            (None, None, (7, 1, 1)),
            (Some(15), None, (7, 1, 1)),
            (Some(16), None, (7, 1, 0)),
            (Some(21), None, (0, 1, 0)),
            (Some(31), None, (0, 0, 0)),
            (None, Some(10), (0, 1, 1)),
        ] {
            let found = query.known_missing(TimeRange { since_ts, until_ts }).unwrap();
            let told = (found.gaps.events, found.quarantined, found.newer_records);
            assert_eq!(told, expected, "{since_ts:?} to {until_ts:?}");
            assert_eq!(found.kept_since, Some(5));
            assert_eq!(found.checkpoints.iter().map(|(_, checkpoint)| checkpoint.sequence).collect::<Vec<_>>(), [99]);
        }
    }
}
