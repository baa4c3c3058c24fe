//! The state of a whole store directory: log, database, what was moved aside, and how they fit together.
//!
//! Runs on the caller's thread, in any process, also while the store is open elsewhere. It only reads, repairs nothing
//! and takes no lock.

use super::check_log::LogState;
use super::check_quarantine;
use super::check_wal::find_long_wal;
use super::finding::{Finding, Severity};
use super::writer_lock;
use crate::ground::error::{AtPath, IndexError, OpenError, PathError};
use crate::ground::limits::Limits;
use crate::ground::machine_clock::{MachineClock, Moment};
use crate::ground::position::{Sequence, WriterId};
use crate::index::checkpoint::{self, Checkpoint};
use crate::index::database::DATABASE_NAME;
use crate::index::migration::is_copy;
use crate::index::{age_table, remembered_limits};
use crate::query::clock_steps::ClockStepTotals;
use crate::query::database::Query;
use crate::query::filter::TimeRange;
use crate::query::totals::Totals;
use crate::segment::log_owners::LogOwners;
use crate::segment::survey::Survey;
use serde::Serialize;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What a store's directory looks like.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// A running process writes to the store.
    pub in_use: bool,
    /// Segment files in the log.
    pub segments: u64,
    /// Their size in bytes.
    pub log_bytes: u64,
    /// Intact records in the log, folded or not.
    pub records: u64,
    /// Those that are not folded yet.
    pub unfolded_records: u64,
    /// Rows of view `requests`; `None` where the database can't be read.
    pub requests: Option<i64>,
    /// Rows of view `sessions`.
    pub sessions: Option<i64>,
    /// Size of the database with its write-ahead file, in bytes.
    pub database_bytes: Option<u64>,
    /// Events that the store says were lost, in gaps.
    pub dropped_events: Option<i64>,
    /// Records and damaged places that could not be folded, so far.
    #[serde(rename = "quarantined_records")]
    pub quarantined: Option<i64>,
    /// Records of a newer mcplog that wait for one that knows them: in the database, and in the log beyond what is folded.
    pub newer_records: Option<i64>,
    /// What the store keeps, and for how long, as it was last told; `None` where the database can't be read.
    pub limits: Option<Limits>,
    /// How many times the clock was set by more than a minute.
    pub clock_steps: Option<i64>,
    /// How far the clock is ahead of the time by which things expire, in milliseconds; behind, if negative. `None`: they
    /// agree, or nothing expires by its age.
    pub clock_ahead_ms: Option<i64>,
    /// Files in `quarantine/`.
    pub quarantine_files: u64,
    /// What there is to say, in the order in which it was found.
    pub findings: Vec<Finding>,
    /// The worst of it.
    pub verdict: Severity,
}

/// How far a check has come, told now and then.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CheckProgress {
    /// What is being read.
    pub part: CheckedPart,
    /// How much of the log is read, from 0 to 1. The database does not tell.
    pub log_done: f64,
}

/// A part of a store that takes time to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckedPart {
    /// The segments.
    Log,
    /// `store.db`.
    Database,
}

/// Checks the store in `dir`: every frame of the log, the structure of the database, sums against rows, permissions.
/// With `quick`, the indexes of the database are not compared with its tables.
///
/// # Errors
/// There is no store, or the directory can't be read. What is wrong with a store is no error but a finding.
pub fn check(dir: &Path, quick: bool, progress: impl FnMut(CheckProgress)) -> Result<CheckReport, PathError> {
    check_at(dir, quick, MachineClock::new().now(), progress)
}

pub(super) fn check_at(
    dir: &Path,
    quick: bool,
    now: Moment,
    mut progress: impl FnMut(CheckProgress),
) -> Result<CheckReport, PathError> {
    let wal_dir = dir.join("wal");
    std::fs::read_dir(&wal_dir).at("read directory", &wal_dir)?;
    let mut findings = Vec::new();
    check_private(dir, &mut findings)?;
    progress(CheckProgress { part: CheckedPart::Database, log_done: 0.0 });
    // The database before the log: what is folded meanwhile was in the log that is read now.
    let database = check_database(dir, quick, now, &mut findings);
    let in_use = writer_lock::is_held(dir);
    find_long_wal(dir, in_use, &mut findings);
    let folded = database.as_ref().and_then(|found| found.folded);
    // A segment that can't be read is a finding of the log.
    let owners = Survey::of(&wal_dir).map(|survey| survey.owners()).unwrap_or_default();
    let found_before = findings.len();
    let owner = find_owner(dir, &owners, folded.map(|(writer_id, _)| writer_id), &mut findings);
    let can_be_opened = findings.len() == found_before;
    let folded = folded.filter(|(writer_id, _)| Some(*writer_id) == owner).map_or(Sequence(0), |(_, at)| at.sequence);
    let log = LogState::read(&wal_dir, in_use, owner, folded, &mut findings, &mut |done| {
        progress(CheckProgress { part: CheckedPart::Log, log_done: done });
    })?;
    if log.unfolded_records > 0 && !in_use && can_be_opened {
        let (records, s) = (log.unfolded_records, if log.unfolded_records == 1 { "" } else { "s" });
        let text = format!("{records} record{s} not folded yet; the next one who opens the store folds them");
        findings.push(Finding { severity: Severity::Unfinished, path: wal_dir.clone(), offset: None, text });
    }
    let unfolded_newer = i64::try_from(log.unfolded_newer_records).unwrap_or(i64::MAX);
    let newer_records = database.as_ref().map(|found| found.totals.newer_records.saturating_add(unfolded_newer));
    find_newer(dir, newer_records.unwrap_or(unfolded_newer), &mut findings);
    find_copies(dir, &mut findings)?;
    let quarantine_dir = dir.join("quarantine");
    check_quarantine::find_unfolded(&quarantine_dir, owner, &mut findings);
    let quarantine_files = std::fs::read_dir(&quarantine_dir).map_or(0, |entries| entries.count() as u64);
    let totals = database.as_ref().map(|found| &found.totals);
    Ok(CheckReport {
        in_use,
        segments: log.segments,
        log_bytes: log.bytes,
        records: log.records,
        unfolded_records: log.unfolded_records,
        requests: totals.map(|totals| totals.requests),
        sessions: totals.map(|totals| totals.sessions),
        database_bytes: totals.map(|totals| totals.database_bytes),
        dropped_events: totals.map(|totals| totals.dropped),
        quarantined: totals.map(|totals| totals.quarantined),
        newer_records,
        limits: database.as_ref().map(|found| found.limits),
        clock_steps: database.as_ref().map(|found| found.clock_steps.steps),
        clock_ahead_ms: database.as_ref().and_then(|found| found.clock_ahead_ms),
        quarantine_files,
        verdict: findings.iter().map(|finding| finding.severity).max().unwrap_or_default(),
        findings,
    })
}

/// Whose log it is, if anything says so. A database of another store, and a log of two, is a finding.
fn find_owner(
    dir: &Path,
    owners: &LogOwners,
    database: Option<WriterId>,
    findings: &mut Vec<Finding>,
) -> Option<WriterId> {
    owners.owner(dir, database).unwrap_or_else(|error| {
        let name = if matches!(error, OpenError::ForeignDatabase { .. }) { DATABASE_NAME } else { "wal" };
        let (path, text) = (dir.join(name), error.to_string());
        findings.push(Finding { severity: Severity::Damaged, path, offset: None, text });
        owners.only()
    })
}

/// What the database says of itself, of the log, of what is kept and of the clock.
struct FoundDatabase {
    totals: Totals,
    /// Whose log is folded, and how far.
    folded: Option<(WriterId, Checkpoint)>,
    limits: Limits,
    clock_steps: ClockStepTotals,
    clock_ahead_ms: Option<i64>,
}

fn check_database(dir: &Path, quick: bool, now: Moment, findings: &mut Vec<Finding>) -> Option<FoundDatabase> {
    let path = dir.join(DATABASE_NAME);
    let mut find = |severity, text: String| findings.push(Finding { severity, path: path.clone(), offset: None, text });
    let advice = "`mcplog rebuild` makes a new database from the segments that are kept";
    let query = match Query::open(dir) {
        Ok(query) => query,
        Err(IndexError::Missing { .. }) => {
            find(Severity::Damaged, format!("there is no database, though there is a log; {advice}"));
            return None;
        }
        Err(error) if error.is_corrupt() => {
            find(Severity::Damaged, format!("{error}; {advice}"));
            return None;
        }
        // Nothing is wrong with a database of another version, and the error says who can read it.
        Err(error) if error.is_version() => {
            find(Severity::Unfinished, error.to_string());
            return None;
        }
        Err(error) => {
            find(Severity::Damaged, error.to_string());
            return None;
        }
    };
    match query.integrity(quick) {
        Ok(found) => {
            found.damage.into_iter().for_each(|damage| find(Severity::Damaged, format!("{damage}; {advice}")));
            found.wrong_sums.into_iter().for_each(|wrong| find(Severity::Damaged, wrong));
        }
        Err(error) => find(Severity::Damaged, error.to_string()),
    }
    let read = || -> Result<_, IndexError> {
        let clock_steps = query.clock_step_totals(TimeRange::default())?;
        let held_back = query.read_with(|connection| age_table::held_back(connection, now))?;
        let remembered = query.read_with(remembered_limits::read)?;
        let (limits, folded) = (remembered.limits(), query.read_with(checkpoint::read)?);
        let clock_ahead_ms = held_back.map(|held_back| held_back.ahead_ms);
        let found = FoundDatabase { totals: query.totals()?, folded, limits, clock_steps, clock_ahead_ms };
        Ok((found, held_back, remembered.advice()))
    };
    let (found, held_back, advice) = read().inspect_err(|error| find(Severity::Damaged, error.to_string())).ok()?;
    for text in advice.into_iter().chain(held_back.map(|held_back| held_back.to_string())) {
        find(Severity::Unfinished, text);
    }
    Some(found)
}

/// Says how many records wait for a newer build. That is nothing wrong with the store.
fn find_newer(dir: &Path, records: i64, findings: &mut Vec<Finding>) {
    if records > 0 {
        let (s, they) = if records == 1 { ("", "it") } else { ("s", "them") };
        let text = format!(
            "{records} record{s} of a newer mcplog, which this one can't fold; open the store with that mcplog, which folds {they}"
        );
        findings.push(Finding { severity: Severity::Sound, path: dir.join(DATABASE_NAME), offset: None, text });
    }
}

/// Names copies of the database that were made before it was brought up to date. People delete them, or the store does once all is
/// expired in them.
fn find_copies(dir: &Path, findings: &mut Vec<Finding>) -> Result<(), PathError> {
    let database = dir.join(DATABASE_NAME);
    for entry in std::fs::read_dir(dir).at("read directory", dir)? {
        let path = entry.at("read directory", dir)?.path();
        if is_copy(&path, &database) {
            let text =
                "the database as it was before a newer mcplog brought it up to date, with what has expired since; delete it \
                 unless you may go back (it goes by itself once everything in it is older than keep_rows_age_ms)"
                    .to_owned();
            findings.push(Finding { severity: Severity::Sound, path, offset: None, text });
        }
    }
    Ok(())
}

/// Whether the directory and what is in it is for its owner only.
fn check_private(dir: &Path, findings: &mut Vec<Finding>) -> Result<(), PathError> {
    let mut pending = vec![dir.to_owned()];
    for entry in std::fs::read_dir(dir).at("read directory", dir)? {
        pending.push(entry.at("read directory", dir)?.path());
    }
    for path in pending {
        // What a running store removed meanwhile is nothing to complain about.
        let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
        let mode = metadata.mode() & 0o777;
        let open_to_others = mode & 0o077 != 0;
        let text = if metadata.is_symlink() {
            "a symbolic link, which mcplog does not follow".to_owned()
        } else if open_to_others {
            let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
            format!("open to others (mode {mode:o}); `chmod {wanted:o}` closes it")
        } else {
            continue;
        };
        findings.push(Finding { severity: Severity::Damaged, path, offset: None, text });
    }
    Ok(())
}
