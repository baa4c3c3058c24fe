//! Whether the database is sound: SQLite's own structure, and what is derived from rows against the rows.
//!
//! Runs on the caller's thread. Reads every page; it must not write.

use super::database::Query;
use super::interval::CellRange;
use crate::fold::cell_scope::CellScope;
use crate::fold::rollup::Level;
use crate::ground::error::IndexError;
use std::ops::RangeInclusive;

/// How many complaints of SQLite are passed on at most.
const COMPLAINTS_MAX: usize = 20;

/// What is wrong with a database, one sentence each. Empty if it is sound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Integrity {
    /// What SQLite says of pages and indexes. The rows themselves can't be trusted then.
    pub damage: Vec<String>,
    /// Sums that are not what the rows add up to; looked at only where there is no damage.
    pub wrong_sums: Vec<String>,
}

impl Query {
    /// Checks the database. With `quick`, indexes are not compared with their tables, which takes most of the time.
    ///
    /// # Errors
    /// The check could not be made. An error that a damaged database causes is a complaint instead.
    pub fn integrity(&self, quick: bool) -> Result<Integrity, IndexError> {
        match self.at_one_time(|| self.integrity_now(quick)) {
            Err(error) if error.is_corrupt() => {
                Ok(Integrity { damage: vec![error.to_string()], ..Integrity::default() })
            }
            checked => checked,
        }
    }

    fn integrity_now(&self, quick: bool) -> Result<Integrity, IndexError> {
        let check = if quick { "quick_check" } else { "integrity_check" };
        let mut damage = self.rows(&format!("PRAGMA {check}({COMPLAINTS_MAX})"), &[], |row| row.get(0))?;
        damage.retain(|complaint: &String| complaint != "ok");
        let wrong_sums = if damage.is_empty() { self.wrong_sums()? } else { Vec::new() };
        Ok(Integrity { damage, wrong_sums })
    }

    fn wrong_sums(&self) -> Result<Vec<String>, IndexError> {
        let mut complaints = Vec::new();
        let mut compare = |what: String, sum: i64, counted: RangeInclusive<i64>| {
            if !counted.contains(&sum) {
                let counted = counted.end();
                complaints
                    .push(format!("{what} says {sum} requests, the rows say {counted}; `mcplog rebuild` mends it"));
            }
        };
        let requests: i64 = self.value("SELECT count(*) FROM request_rows", &[])?;
        // While requests expire, their counts leave the roll-ups before their rows go.
        let kept = "SELECT count(*) FROM request_rows WHERE ts >= (SELECT kept_since FROM retention)";
        let expires: bool = self.value("SELECT EXISTS (SELECT 1 FROM retention)", &[])?;
        let kept = if expires { self.value(kept, &[])? } else { requests };
        for level in Level::ALL.into_iter().skip_while(|level| *level < Level::Minute) {
            let sql = "SELECT coalesce(sum(calls), 0) FROM rollups WHERE level = ?";
            compare(
                format!("roll-up level {}", level.number()),
                self.value(sql, &[level.number().into()])?,
                kept..=requests,
            );
            let ever = CellRange { level, from_ts: i64::MIN, before_ts: i64::MAX };
            let together = match self.outcome_counts(&[CellScope::All], ever) {
                Ok(counts) => counts.calls(),
                // Cells that can't be read say nothing of any request.
                Err(IndexError::Sqlite { source: rusqlite::Error::FromSqlConversionFailure(..), .. }) => 0,
                Err(error) => return Err(error),
            };
            compare(format!("roll-up level {} of all calls", level.number()), together, kept..=requests);
        }
        // A session that goes on still counts its requests that are expired.
        let in_sessions = self.value(
            "SELECT (SELECT count(*) FROM request_rows WHERE session IS NOT NULL)
                    + (SELECT coalesce(sum(calls), 0) FROM expired_requests)",
            &[],
        )?;
        let of_sessions = self.value("SELECT coalesce(sum(total_calls), 0) FROM session_state", &[])?;
        compare("the sum over sessions".into(), of_sessions, in_sessions..=in_sessions);
        Ok(complaints)
    }
}

#[cfg(test)]
mod tests {
    use crate::query::database::Query;
    use crate::query::test_store::TestStore;

    #[test]
    fn roll_ups_that_differ_from_the_rows_or_are_none_are_wrong_sums() {
        let wrecks =
            ["UPDATE rollups SET calls = 7", "UPDATE rollups SET cells = x'00'", "UPDATE rollups SET cells = x''"];
        for wreck in wrecks {
            let store = TestStore::new();
            store.request("a", 1, "tools/call").insert();
            let query = store.query();
            let sound = query.integrity(false).unwrap();
            assert_eq!(sound, super::Integrity::default());
            store.execute(wreck);
            let found = query.integrity(false).unwrap();
            assert!(found.damage.is_empty() && found.wrong_sums.len() == 6, "{wreck}: {found:?}");
        }
    }

    #[test]
    fn what_expired_is_missing_nowhere_and_what_did_not_is_still_looked_for() {
        let store = TestStore::new();
        store.request("a", 1, "tools/call").insert();
        store.request("b", 60_000, "tools/call").insert();
        drop(store.query());
        let wrong_sums = |sql: &str| {
            store.execute(sql);
            Query::open(store.dir()).unwrap().integrity(false).unwrap().wrong_sums.len()
        };
        assert_eq!(wrong_sums("DELETE FROM rollups WHERE level = 1 AND start = 0"), 2);
        assert_eq!(wrong_sums("INSERT INTO retention VALUES (1, 60000, 0)"), 0, "its row is still to go");
        assert_eq!(wrong_sums("DELETE FROM rollups WHERE level = 1"), 2);
    }
}
