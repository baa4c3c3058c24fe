//! The database's part of a check: whether it can be read, is sound, and says what it should.
//!
//! By the connection of a query, which changes nothing.

use super::folded::{Folded, FoldedLogs};
use crate::ground::database_version::DATABASE_VERSION;
use crate::ground::error::{IndexError, PathError};
use crate::ground::finding::{Finding, FindingKind};
use crate::ground::limits::Limits;
use crate::ground::machine_clock::Moment;
use crate::ground::position::{SegmentId, WriterId};
use crate::index::database::DATABASE_NAME;
use crate::index::{age_table, damage, remembered_limits};
use crate::query::clock_steps::ClockStepTotals;
use crate::query::database::Query;
use crate::query::filter::TimeRange;
use crate::query::totals::Totals;
use std::collections::HashSet;
use std::path::Path;

/// What became of asking the database.
pub(super) enum DatabaseCheck {
    /// It says this of itself, of the log, of what is kept and of the clock.
    Read(Box<FoundDatabase>),
    /// There is none, or none with tables: nothing is folded.
    Absent,
    /// It says nothing: nobody knows what is folded.
    Silent,
}

pub(super) struct FoundDatabase {
    pub(super) totals: Totals,
    /// What it says of the log.
    pub(super) told: FoldedLogs,
    /// The segments that folding found damaged.
    pub(super) found_damaged: HashSet<(WriterId, SegmentId)>,
    pub(super) limits: Limits,
    pub(super) clock_steps: ClockStepTotals,
    pub(super) clock_ahead_ms: Option<i64>,
}

impl DatabaseCheck {
    /// Asks the database of the store in `dir`. `has_segments`: whether there is a log that it would be of.
    pub(super) fn of(dir: &Path, quick: bool, now: Moment, has_segments: bool, findings: &mut Vec<Finding>) -> Self {
        let path = dir.join(DATABASE_NAME);
        let query = match Query::open(dir) {
            Ok(query) => query,
            Err(IndexError::Missing { .. }) => {
                findings.push(missing(&path, has_segments));
                return Self::Absent;
            }
            Err(error) => {
                findings.push(refused(&path, &error));
                return Self::Silent;
            }
        };
        match query.integrity(quick) {
            Ok(found) => {
                let damage = found.damage.iter().map(|text| (FindingKind::DatabaseDamaged, without_path(text, &path)));
                let wrong_sums = found.wrong_sums.into_iter().map(|text| (FindingKind::WrongSums, text));
                findings.extend(damage.chain(wrong_sums).map(|(kind, text)| Finding::new(kind, &path, text)));
            }
            Err(error) => findings.push(refused(&path, &error)),
        }
        match read(&query, now) {
            Ok((found, told)) => {
                findings.extend(told.into_iter().map(|(kind, text)| Finding::new(kind, &path, text)));
                Self::Read(Box::new(found))
            }
            Err(error) => {
                let is_known = findings.iter().any(|found| found.kind == FindingKind::DatabaseDamaged);
                if !is_known {
                    findings.push(refused(&path, &error));
                }
                Self::Silent
            }
        }
    }

    /// What it says of the log.
    pub(super) fn told(&self) -> FoldedLogs {
        match self {
            Self::Read(found) => found.told.clone(),
            Self::Absent => Folded::Nobody.into(),
            Self::Silent => Folded::Silent.into(),
        }
    }

    pub(super) fn found(&self) -> Option<&FoundDatabase> {
        match self {
            Self::Read(found) => Some(found),
            Self::Absent | Self::Silent => None,
        }
    }
}

fn missing(path: &Path, has_segments: bool) -> Finding {
    let what = if path.symlink_metadata().is_ok() { "store.db holds no tables" } else { "there is no database" };
    match has_segments {
        true => Finding::new(FindingKind::DatabaseMissing, path, format!("{what}, though there is a log")),
        false => Finding::new(FindingKind::DatabaseUnfinished, path, format!("{what} yet, and no log")),
    }
}

/// What it means that the database can't be read, or not to its end.
fn refused(path: &Path, error: &IndexError) -> Finding {
    let kind = match error {
        error if error.is_corrupt() => FindingKind::DatabaseDamaged,
        error if error.is_version() => FindingKind::UnsupportedDatabase,
        IndexError::NotOurs { .. } => FindingKind::OtherProgramsDatabase,
        _ => FindingKind::UnreadableDatabase,
    };
    let text = match error {
        IndexError::Io(PathError { path: at, .. }) if at != path => error.to_string(),
        error => without_path(&error.to_string(), path),
    };
    Finding::new(kind, path, text)
}

/// What is said of the database, without its path: the finding names that already.
fn without_path(text: &str, path: &Path) -> String {
    text.strip_prefix(&format!("{}: ", path.display())).unwrap_or(text).to_owned()
}

fn read(query: &Query, now: Moment) -> Result<(FoundDatabase, Vec<(FindingKind, String)>), IndexError> {
    let held_back = query.read_with(|connection| age_table::held_back(connection, now))?;
    let remembered = query.read_with(remembered_limits::read)?;
    let found = FoundDatabase {
        totals: query.totals()?,
        told: FoldedLogs::read(query)?,
        found_damaged: query.read_with(damage::damaged_segments)?,
        limits: remembered.limits(),
        clock_steps: query.clock_step_totals(TimeRange::default())?,
        clock_ahead_ms: held_back.map(|held_back| held_back.ahead_ms),
    };
    let version: i64 =
        query.read_with(|connection| connection.pragma_query_value(None, "user_version", |row| row.get(0)))?;
    let newer = (version > DATABASE_VERSION).then(|| {
        let text = format!("database version {version}, and this mcplog writes {DATABASE_VERSION}");
        (FindingKind::NewerDatabase, text)
    });
    let forgotten = remembered.advice().map(|advice| (FindingKind::LimitsForgotten, advice));
    let held_back = held_back.map(|held_back| (FindingKind::ExpiryHeldBack, held_back.to_string()));
    Ok((found, newer.into_iter().chain(forgotten).chain(held_back).collect()))
}
