//! What a store is about to let go, before it does: folded segments, and rows that are too old or too many.
//!
//! Runs on the caller's thread, in any process, also while the store is open elsewhere. It only reads and takes no lock. The
//! decisions are those of the compactor, by the same functions; here they are fed from the files.

pub use crate::compactor::retirement_plan::{Fate, PlannedSegment, RetirementPlan};
pub use crate::index::age_clock::HeldBack;
pub use crate::index::expiry_plan::{ExpiringRows, ExpiryPlan, ExpiryReason};

use crate::compactor::folded_segment::{FoldedSegment, SegmentFaults, is_folded};
use crate::compactor::log_retention::LogRetention;
use crate::compactor::newest_event::newest_event;
use crate::ground::config::Config;
use crate::ground::error::{IndexError, OpenError};
use crate::ground::limits::Limits;
use crate::ground::machine_clock::{MachineClock, Moment};
use crate::ground::position::StoreId;
use crate::index::checkpoint::Checkpoint;
use crate::index::row_retention::RowRetention;
use crate::index::{age_table, checkpoint, damage, remembered_limits, store_id};
use crate::query::database::Query;
use crate::segment::directory::list;
use crate::segment::store_id_file::{self, FoundStoreId};
use crate::segment::writer_folder::writer_folders;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

/// What a store with that configuration would let go now.
///
/// Serialized, it is flat: `limits`, `segments`, of the expiry `expiry` (why), `kept_since` and `rows`, and
/// `clock_ahead_ms`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StorePlan {
    /// The limits by which it is made: what the configuration says, and otherwise what the store was last told.
    pub limits: Limits,
    /// Of the log.
    pub retirement: RetirementPlan,
    /// Of the database; `None`: nothing.
    pub expiry: Option<ExpiryPlan>,
    /// Why less goes by its age than the clock says, if that is so.
    pub held_back: Option<HeldBack>,
}

/// What the store in `config.dir` would let go if one were open with this configuration. What is not folded yet, and so is not
/// let go either, is left out.
///
/// # Errors
/// [`OpenError`]: a value in `config` is out of range, there is no store, or it can't be read.
pub fn plan(config: &Config) -> Result<StorePlan, OpenError> {
    plan_at(config, MachineClock::new().now())
}

fn plan_at(config: &Config, now: Moment) -> Result<StorePlan, OpenError> {
    config.validate()?;
    let query = Query::open(&config.dir)?;
    let store = match store_id_file::read(&config.dir)? {
        FoundStoreId::Is(store) => Some(store),
        FoundStoreId::Missing | FoundStoreId::Unsound(_) => None,
    };
    expect_own(&query, store)?;
    let limits = limits_of(config, &query)?;
    // The checkpoints first: what is folded by then is in the logs that are looked at now, or is retired.
    let checkpoints: HashMap<_, _> = query.read_with(checkpoint::read_all)?.into_iter().collect();
    let faults = SegmentFaults {
        store,
        damaged: query.read_with(damage::damaged_segments)?,
        missing: query.read_with(damage::missing_numbers)?,
    };
    let mut present = HashSet::new();
    let mut folded = FoldedSegment::kept(&config.kept_dir())?;
    for folder in writer_folders(&config.wal_dir())?.folders {
        let checkpoint = checkpoints.get(&folder.writer).copied().unwrap_or(Checkpoint::START);
        present.insert(folder.writer);
        let files = match list(&folder.path) {
            // Who folds let the last one go meanwhile.
            Err(error) if error.source.kind() == ErrorKind::NotFound => continue,
            listed => listed?.into_iter().filter(|file| is_folded(file, checkpoint)),
        };
        folded.extend(files.filter_map(|file| FoldedSegment::read(folder.writer, file, false, &faults)));
    }
    let (rows, segments) = (RowRetention::new(&limits), LogRetention::new(&limits));
    let age_ms = rows.age_max_ms().or(segments.age_max_ms());
    let time = query.read_with(|connection| age_table::retention_time(connection, age_ms, now))?;
    let mut retirement = RetirementPlan::new(folded, &segments, time.aged_at_ms);
    if let Some(expired_before) = rows.kept_since_by_age(time.aged_at_ms) {
        retirement.expire(|planned| newest_event(&planned.path) < expired_before);
    }
    let expiry = query.read_with(|connection| ExpiryPlan::read(connection, &rows, time, &present))?;
    Ok(StorePlan { limits, retirement, expiry, held_back: time.held_back })
}

/// An error if the database of the store in `dir` is another store's. Who records there notices that only once it folds: for
/// who wants to know before.
///
/// # Errors
/// [`IndexError::ForeignStore`], and nothing else: where it can't be told, nothing is wrong.
pub fn expect_own_database(dir: &Path) -> Result<(), IndexError> {
    let (Ok(query), Ok(FoundStoreId::Is(store))) = (Query::open(dir), store_id_file::read(dir)) else { return Ok(()) };
    expect_own(&query, Some(store)).or_else(|error| match error {
        IndexError::ForeignStore { .. } => Err(error),
        _ => Ok(()),
    })
}

/// An error if the database is another store's: who opens the store leaves it alone.
fn expect_own(query: &Query, store: Option<StoreId>) -> Result<(), IndexError> {
    match (store, query.read_with(store_id::read)?) {
        (Some(expected), Some(found)) if expected != found => {
            Err(IndexError::ForeignStore { path: query.path().to_owned(), expected, found })
        }
        _ => Ok(()),
    }
}

/// What the store in `config.dir` would keep if it were told that: what the configuration says, and otherwise what the store
/// was last told; a new store's limits where there is no database that can be read.
pub fn limits(config: &Config) -> Limits {
    Query::open(&config.dir).and_then(|query| limits_of(config, &query)).unwrap_or_else(|_| config.limits())
}

fn limits_of(config: &Config, query: &Query) -> Result<Limits, IndexError> {
    let remembered = query.read_with(remembered_limits::read)?;
    Ok(config.limits_over(|limit| remembered.value(limit)))
}

impl Serialize for StorePlan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let expiry = self.expiry.as_ref();
        let mut plan = serializer.serialize_struct("StorePlan", 5)?;
        plan.serialize_field("limits", &self.limits)?;
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
