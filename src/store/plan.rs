//! What a store is about to let go, before it does: folded segments, and rows that are too old or too many.
//!
//! Runs on the caller's thread, in any process, also while the store is open elsewhere. It only reads and takes no lock. The
//! decisions are those of the compactor, by the same functions; here they are fed from the files.

pub use crate::compactor::retirement_plan::{Fate, PlannedSegment, RetirementPlan};
pub use crate::index::age_clock::HeldBack;
pub use crate::index::expiry_plan::{ExpiringRows, ExpiryPlan, ExpiryReason};

use crate::compactor::log_retention::LogRetention;
use crate::ground::config::Config;
use crate::ground::error::OpenError;
use crate::ground::machine_clock::{MachineClock, Moment};
use crate::ground::position::SegmentId;
use crate::index::row_retention::RowRetention;
use crate::index::{age_table, checkpoint, damage};
use crate::query::database::Query;
use crate::segment::log_view;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use std::collections::HashSet;
use std::fmt;

/// What a store with that configuration would let go now.
///
/// Serialized, it is flat: `segments`, of the expiry `expiry` (why), `kept_since` and `rows`, and `clock_ahead_ms`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StorePlan {
    /// Of the log.
    pub retirement: RetirementPlan,
    /// Of the database; `None`: nothing.
    pub expiry: Option<ExpiryPlan>,
    /// Why less goes by its age than the clock says, if that is so.
    pub held_back: Option<HeldBack>,
}

/// What the store in `config.dir` would let go if one were open with this configuration. What is not folded yet, and so is not
/// let go either, is left out; and so is the newest segment, which stays until another one is begun, as opening the store does.
///
/// # Errors
/// [`OpenError`]: a value in `config` is out of range, there is no store, or it can't be read.
pub fn plan(config: &Config) -> Result<StorePlan, OpenError> {
    plan_at(config, MachineClock::new().now())
}

fn plan_at(config: &Config, now: Moment) -> Result<StorePlan, OpenError> {
    config.validate()?;
    let query = Query::open(&config.dir)?;
    let Some((writer_id, folded)) = query.read_with(checkpoint::read)? else { return Ok(StorePlan::default()) };
    // After the checkpoint: what is folded by then was in the log that is looked at now, or is retired.
    let log = log_view::look(&config.wal_dir(), writer_id)?;
    let damaged: HashSet<SegmentId> = query.read_with(damage::damaged_segments)?;
    let (rows, segments) = (RowRetention::new(config), LogRetention::new(config));
    let age_ms = rows.age_max_ms().or(segments.age_max_ms());
    let time = query.read_with(|connection| age_table::retention_time(connection, age_ms, now))?;
    let retirement = RetirementPlan::new(&log.folded(folded.sequence), &damaged, &segments, time.aged_at_ms);
    let oldest = log.oldest().unwrap_or(folded.segment);
    let expiry = query.read_with(|connection| ExpiryPlan::read(connection, &rows, time, oldest))?;
    Ok(StorePlan { retirement, expiry, held_back: time.held_back })
}

impl Serialize for StorePlan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let expiry = self.expiry.as_ref();
        let mut plan = serializer.serialize_struct("StorePlan", 5)?;
        plan.serialize_field("segments", &self.retirement.segments)?;
        plan.serialize_field("expiry", &expiry.map(|expiry| expiry.reason))?;
        plan.serialize_field("kept_since", &expiry.map(|expiry| expiry.kept_since))?;
        plan.serialize_field("rows", expiry.map_or(&[][..], |expiry| &expiry.rows))?;
        plan.serialize_field("clock_ahead_ms", &self.held_back.map(|held_back| held_back.ahead_ms))?;
        plan.end()
    }
}

impl fmt::Display for StorePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.expiry {
            Some(expiry) => write!(f, "{}\n{expiry}", self.retirement)?,
            None => write!(f, "{}\nnothing in the database expires", self.retirement)?,
        }
        self.held_back.map_or(Ok(()), |held_back| write!(f, "\n{held_back}"))
    }
}

#[cfg(test)]
#[path = "tests/plan_tests.rs"]
mod tests;
