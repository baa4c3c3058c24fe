//! Steps of the clock: when somebody set it, so that times around then may be wrong or out of order.
//!
//! Runs on the caller's thread.

use super::conditions::Conditions;
use super::database::Query;
use super::filter::TimeRange;
use crate::ground::error::IndexError;

/// A step of the clock: somebody set it, ahead or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct ClockStepRow {
    /// The number of its row: the order of folding; negative for a step that no record tells.
    pub id: i64,
    /// What the clock would have said: Unix time in milliseconds, UTC. Between two runs, the newest request on record.
    pub from_ts: i64,
    /// What it said instead: Unix time in milliseconds, UTC.
    pub to_ts: i64,
    /// From one to the other, in milliseconds; negative: it was set back.
    pub step_ms: i64,
    /// Whether it was set while nobody recorded.
    pub between_runs: bool,
}

/// Several steps together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct ClockStepTotals {
    /// How many.
    pub steps: i64,
    /// The one that was recorded last.
    pub last: Option<ClockStepRow>,
}

impl Query {
    /// The steps of the clock that touch `time_range`, in the order in which they happened.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn clock_steps(&self, time_range: TimeRange) -> Result<Vec<ClockStepRow>, IndexError> {
        self.steps(time_range, "ORDER BY id")
    }

    /// The steps of the clock that touch `time_range`, together.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn clock_step_totals(&self, time_range: TimeRange) -> Result<ClockStepTotals, IndexError> {
        self.at_one_time(|| {
            let conditions = touching(time_range);
            let sql = format!("SELECT count(*) FROM clock_steps{}", conditions.sql());
            let steps = self.value(&sql, &conditions.values())?;
            Ok(ClockStepTotals { steps, last: self.steps(time_range, "ORDER BY id DESC LIMIT 1")?.first().copied() })
        })
    }

    fn steps(&self, time_range: TimeRange, order: &str) -> Result<Vec<ClockStepRow>, IndexError> {
        let conditions = touching(time_range);
        let columns = "id, from_ts, to_ts, step_ms, between_runs";
        let sql = format!("SELECT {columns} FROM clock_steps{} {order}", conditions.sql());
        self.rows(&sql, &conditions.values(), |row| {
            Ok(ClockStepRow {
                id: row.get(0)?,
                from_ts: row.get(1)?,
                to_ts: row.get(2)?,
                step_ms: row.get(3)?,
                between_runs: row.get(4)?,
            })
        })
    }
}

/// The steps that lead over any time of the range: all that was recorded between both times may be out of order.
fn touching(time_range: TimeRange) -> Conditions {
    let mut conditions = Conditions::default();
    conditions.require_if("max(from_ts, to_ts) >= ?", time_range.since_ts);
    conditions.require_if("min(from_ts, to_ts) < ?", time_range.until_ts);
    conditions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::test_store::TestStore;

    #[test]
    fn a_step_counts_in_every_range_that_it_leads_over() {
        let store = TestStore::new();
        for (from_ts, to_ts) in [(10, 20), (50, 30)] {
            let step = store.row("clock_steps").set("from_ts", from_ts).set("to_ts", to_ts);
            step.set("step_ms", to_ts - from_ts).set("between_runs", 0).insert();
        }
        let query = store.query();
        for (since_ts, until_ts, expected) in [
            (None, None, &[10, -20][..]),
            (Some(20), None, &[10, -20]),
            (Some(21), None, &[-20]),
            (Some(51), None, &[]),
            (None, Some(30), &[10]),
            (None, Some(10), &[]),
            (Some(40), Some(41), &[-20]),
        ] {
            let time_range = TimeRange { since_ts, until_ts };
            let steps: Vec<_> = query.clock_steps(time_range).unwrap().iter().map(|step| step.step_ms).collect();
            assert_eq!(steps, expected, "{time_range:?}");
            let totals = query.clock_step_totals(time_range).unwrap();
            assert_eq!(totals.steps, expected.len() as i64, "{time_range:?}");
            assert_eq!(totals.last.map(|step| step.step_ms), expected.last().copied(), "{time_range:?}");
        }
    }
}
