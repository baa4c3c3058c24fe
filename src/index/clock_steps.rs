//! Table `clock_steps`: whether the clock was set back between two runs.
//!
//! Runs on the thread that takes the role of folding. While a process records, its appender sees each step as it happens.
//! Between two runs only a step back can show: the newest request on record is later than the clock says now. A step ahead
//! looks like time in which nobody recorded.

use super::database::Index;
use crate::ground::error::IndexError;
use crate::ground::machine_clock::STEP_MS_MIN;
use crate::record::record::ClockStepRecord;
use rusqlite::{Connection, params};

impl Index {
    /// Notes the step back that the clock made while nobody recorded, unless a step that explains it is on record. A
    /// request that somebody stamped with a later time looks like one, once. No log has a record of it: the row's id is
    /// below zero, where no record's is.
    pub(crate) fn note_step_back(&mut self, clock_ms: i64) -> Result<Option<ClockStepRecord>, IndexError> {
        // Nothing is written where there is none, so that taking the role costs no commit.
        if self.checked(step_back(&self.connection, clock_ms))?.is_none() {
            return Ok(None);
        }
        self.within_transaction(|transaction, _| {
            let step = step_back(transaction, clock_ms)?;
            if let Some(step) = step {
                let sql = "INSERT INTO clock_steps (id, from_ts, to_ts, step_ms, between_runs)
                           SELECT min(coalesce(min(id), 0), 0) - 1, ?1, ?2, ?3, 1 FROM clock_steps";
                transaction.execute(sql, params![step.from_ts, step.to_ts, step.step_ms()])?;
            }
            Ok(step)
        })
    }
}

fn step_back(connection: &Connection, clock_ms: i64) -> rusqlite::Result<Option<ClockStepRecord>> {
    let newest_ts: Option<i64> = connection.query_row("SELECT max(ts) FROM request_rows", [], |row| row.get(0))?;
    let Some(from_ts) = newest_ts.filter(|newest_ts| newest_ts.saturating_sub(clock_ms) > STEP_MS_MIN) else {
        return Ok(None);
    };
    let explained = "SELECT EXISTS (SELECT 1 FROM clock_steps WHERE step_ms < 0 AND from_ts >= ?1)";
    let is_explained: bool =
        connection.query_row(explained, [from_ts.saturating_sub(STEP_MS_MIN)], |row| row.get(0))?;
    Ok((!is_explained).then_some(ClockStepRecord { from_ts, to_ts: clock_ms, between_runs: true }))
}

#[cfg(test)]
#[path = "tests/clock_steps_tests.rs"]
mod tests;
