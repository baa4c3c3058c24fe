//! The state of a whole store directory: log, database, what was moved aside, and how they fit together.
//!
//! Runs on the caller's thread, in any process, also while the store is open elsewhere. It only reads, repairs nothing
//! and takes no lock.

use super::check_access::check_access;
use super::check_database::DatabaseCheck;
use super::check_log::{LogCheck, LogState};
use super::check_quarantine::{KnownLogs, check_quarantine};
use super::check_wal::find_long_wal;
use super::examined_log::LogPlaces;
use super::folded::{Folded, FoldedLogs};
use super::{store_identity, writer_lock};
use crate::ground::error::{AtPath, IndexError, OpenError};
use crate::ground::finding::{Finding, FindingKind, Severity};
use crate::ground::limits::Limits;
use crate::ground::machine_clock::{MachineClock, Moment};
use crate::ground::position::StoreId;
use crate::index::database::DATABASE_NAME;
use crate::index::migration::is_copy;
use crate::segment::folder_birth::logs;
use crate::segment::log_examination::LogExamination;
use crate::segment::store_id_file::{self, FoundStoreId};
use crate::segment::writer_folder::{FoundFolders, WriterFolder, writer_folders};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

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
    /// Intact records that a store reads from the log, folded or not.
    pub records: u64,
    /// Those that the next opening folds; `None` where nobody knows what is folded, because the database can't be read.
    pub unfolded_records: Option<u64>,
    /// Records that no intact frame has and that were not folded: those that the next opening will find missing, and
    /// those that the database counts.
    pub lost_records: u64,
    /// Rows of view `requests`; `None` where the database can't be read.
    pub requests: Option<i64>,
    /// Rows of view `sessions`.
    pub sessions: Option<i64>,
    /// Size of the database with its write-ahead file, in bytes.
    pub database_bytes: Option<u64>,
    /// Events that the store says were lost before they became records, in gaps.
    pub dropped_events: Option<i64>,
    /// Records and damaged places that could not be folded, so far.
    #[serde(rename = "quarantined_records")]
    pub quarantined: Option<i64>,
    /// Files of the log that can't be read, and of which nobody knows how many records they held.
    pub unreadable_files: Option<i64>,
    /// Records of a newer mcplog that wait for one that knows them: in the database, and in the log beyond what is
    /// folded.
    pub newer_records: Option<i64>,
    /// What the store keeps, and for how long, as it was last told; `None` where the database can't be read.
    pub limits: Option<Limits>,
    /// How many times the clock was set by more than a minute.
    pub clock_steps: Option<i64>,
    /// How far the clock is ahead of the time by which things expire, in milliseconds; behind, if negative. `None`:
    /// they agree, or nothing expires by its age.
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

/// Checks the store in `dir`: every frame of the log, the structure of the database, sums against rows, permissions,
/// and what the next opening would make of all that. With `quick`, the indexes of the database are not compared with
/// its tables.
///
/// # Errors
/// There is no store ([`IndexError::Missing`]), or the directory can't be read. What is wrong with a store is no error
/// but a finding.
pub fn check(dir: &Path, quick: bool, progress: impl FnMut(CheckProgress)) -> Result<CheckReport, IndexError> {
    check_at(dir, quick, MachineClock::new().now(), progress)
}

pub(super) fn check_at(
    dir: &Path,
    quick: bool,
    now: Moment,
    mut progress: impl FnMut(CheckProgress),
) -> Result<CheckReport, IndexError> {
    let wal_dir = dir.join("wal");
    expect_store(dir, &wal_dir)?;
    let mut findings = Vec::new();
    check_access(dir, &mut findings)?;
    progress(CheckProgress { part: CheckedPart::Database, log_done: 0.0 });
    let folders = find_folders(&wal_dir, &mut findings);
    // The database before the logs: what is folded meanwhile was in the log that is read now.
    let database = DatabaseCheck::of(dir, quick, now, !folders.is_empty(), &mut findings);
    let found = database.found();
    let in_use = writer_lock::is_held(dir);
    find_long_wal(dir, in_use, &mut findings);
    let told = database.told();
    let counted_records = told.lost_records();
    let store = find_store(dir, told.store, &mut findings);
    let none_damaged = HashSet::new();
    let found_damaged = found.map_or(&none_damaged, |found| &found.found_damaged);
    // Once more for each log, where somebody folds: what was folded and retired since is not lost.
    let tell = || if in_use { FoldedLogs::beside(dir, in_use) } else { told.clone() }.of_store(store);
    let check = LogCheck { store, tell: &tell, found_damaged };
    let (mut log, mut logs) = (LogState::default(), HashMap::new());
    let logs_there = all_places(dir, folders, &mut findings);
    for (at, places) in logs_there.iter().enumerate() {
        let mut tell_done = |done: f64| {
            let log_done = (at as f64 + done) / logs_there.len() as f64;
            progress(CheckProgress { part: CheckedPart::Log, log_done });
        };
        if let Some(examined) = check.read(places, &mut log, &mut findings, &mut tell_done)? {
            logs.insert(places.writer, examined);
        }
    }
    for writer in told.writers_with_losses().filter(|writer| !logs.contains_key(writer)) {
        findings.extend(told.lost_findings(&wal_dir, writer, &LogExamination::default()));
    }
    let keeps_closed = |found: &Finding| matches!(found.kind, FindingKind::UnknownStore | FindingKind::EarlierLayout);
    let may_open = !in_use && !findings.iter().any(keeps_closed);
    if log.unfolded_records > 0 && may_open && !log.has_waiting_log {
        let (records, s) = (log.unfolded_records, if log.unfolded_records == 1 { "" } else { "s" });
        let text = format!("{records} record{s} not folded yet");
        let found = Finding::new(FindingKind::UnfoldedRecords, &wal_dir, text);
        let is_damaged = findings.iter().any(|found| found.kind == FindingKind::DatabaseDamaged);
        findings.push(if is_damaged { found.next("the new database that is made has them, too") } else { found });
    }
    let unfolded_newer = i64::try_from(log.unfolded_newer_records).unwrap_or(i64::MAX);
    let newer_records = found.map(|found| found.totals.newer_records.saturating_add(unfolded_newer));
    find_newer(dir, newer_records.unwrap_or(unfolded_newer), &mut findings);
    find_copies(dir, &mut findings)?;
    let known = KnownLogs { store, told: &told, logs: &logs };
    let quarantine_files = check_quarantine(&dir.join("quarantine"), &known, &mut findings);
    let is_folding_known = told.clone().of_store(store).folded != Folded::Silent;
    let totals = found.map(|found| &found.totals);
    Ok(CheckReport {
        in_use,
        segments: log.segments,
        log_bytes: log.bytes,
        records: log.records,
        unfolded_records: is_folding_known.then_some(log.unfolded_records),
        lost_records: log.lost_records + counted_records,
        requests: totals.map(|totals| totals.requests),
        sessions: totals.map(|totals| totals.sessions),
        database_bytes: totals.map(|totals| totals.database_bytes),
        dropped_events: totals.map(|totals| totals.dropped - i64::try_from(counted_records).unwrap_or(0)),
        quarantined: totals.map(|totals| totals.quarantined),
        unreadable_files: totals.map(|totals| totals.unreadable_files),
        newer_records,
        limits: found.map(|found| found.limits),
        clock_steps: found.map(|found| found.clock_steps.steps),
        clock_ahead_ms: found.and_then(|found| found.clock_ahead_ms),
        quarantine_files,
        verdict: findings.iter().map(|finding| finding.severity).max().unwrap_or_default(),
        findings,
    })
}

/// An error where there is neither a log nor a database, or nobody may say.
fn expect_store(dir: &Path, wal_dir: &Path) -> Result<(), IndexError> {
    let database = dir.join(DATABASE_NAME);
    for path in [wal_dir, &database] {
        match std::fs::symlink_metadata(path) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).at("look at", path)?,
        }
    }
    Err(IndexError::Missing { path: database, has_log: false })
}

/// The folders of logs. Says where there are none, or they can't be listed, and what else lies there. One without logs
/// is a copy's, or all of it was folded.
fn find_folders(wal_dir: &Path, findings: &mut Vec<Finding>) -> Vec<WriterFolder> {
    if wal_dir.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        findings.push(Finding::new(FindingKind::LogMissing, wal_dir, "there is no log beside the database"));
    }
    let found = match writer_folders(wal_dir) {
        Ok(found) => found,
        Err(error) => {
            findings.push(Finding::new(FindingKind::UnreadableDirectory, wal_dir, error.to_string()));
            return Vec::new();
        }
    };
    let of_earlier = |path: &PathBuf| {
        let text =
            "of a store of an earlier build, whose one log lies in wal/ itself: no mcplog of this version opens it";
        Finding::new(FindingKind::EarlierLayout, path, text)
    };
    findings.extend(found.old_layout.iter().map(of_earlier));
    let strange = |path: &PathBuf| Finding::new(FindingKind::StrangeFile, path, "no log of a writer");
    findings.extend(found.others.iter().map(strange));
    logs(found)
}

/// The logs, by their writers, those included of which segments are kept.
fn all_places(dir: &Path, folders: Vec<WriterFolder>, findings: &mut Vec<Finding>) -> Vec<LogPlaces> {
    let kept_dir = dir.join("kept");
    let kept = writer_folders(&kept_dir).unwrap_or_else(|error| {
        findings.push(Finding::new(FindingKind::UnreadableDirectory, &kept_dir, error.to_string()));
        FoundFolders::default()
    });
    let mut kept: BTreeMap<_, _> = kept.folders.into_iter().map(|folder| (folder.writer, folder.path)).collect();
    let waiting = folders.into_iter().map(|WriterFolder { writer, path }| LogPlaces {
        writer,
        folder: Some(path),
        kept: kept.remove(&writer),
    });
    let mut logs: Vec<_> = waiting.collect();
    logs.extend(kept.into_iter().map(|(writer, path)| LogPlaces { writer, folder: None, kept: Some(path) }));
    logs
}

/// Which store that is. Says where nothing does, and where the database is another one's.
fn find_store(dir: &Path, of_database: Option<StoreId>, findings: &mut Vec<Finding>) -> Option<StoreId> {
    if let Ok(FoundStoreId::Unsound(what)) = store_id_file::read(dir) {
        let text = format!("expected a store id, found {what}");
        findings.push(Finding::new(FindingKind::DamagedStoreId, &store_id_file::path(dir), text));
    }
    let store = match store_identity::read(dir) {
        Ok(store) => store,
        Err(OpenError::UnknownStore { first, second, .. }) => {
            let text =
                format!("as many logs of store {first} as of {second}, and neither store-id nor a database says which");
            findings.push(Finding::new(FindingKind::UnknownStore, &dir.join("wal"), text));
            None
        }
        Err(error) => {
            findings.push(Finding::new(FindingKind::UnreadableDirectory, dir, error.to_string()));
            None
        }
    };
    if let (Some(store), Some(found)) = (store, of_database)
        && store != found
    {
        let text = format!("store.db belongs to another store: it is of store {found}, and this is store {store}");
        findings.push(Finding::new(FindingKind::ForeignDatabase, &dir.join(DATABASE_NAME), text));
    }
    store
}

/// Says how many records wait for a newer build. That is nothing wrong with the store.
fn find_newer(dir: &Path, records: i64, findings: &mut Vec<Finding>) {
    if records > 0 {
        let s = if records == 1 { "" } else { "s" };
        let text = format!("{records} record{s} of a newer mcplog, which this one can't fold");
        findings.push(Finding::new(FindingKind::NewerRecords, &dir.join(DATABASE_NAME), text));
    }
}

/// Names copies of the database that were made before it was brought up to date. People delete them, or the store does
/// once all is expired in them.
fn find_copies(dir: &Path, findings: &mut Vec<Finding>) -> Result<(), IndexError> {
    let database = dir.join(DATABASE_NAME);
    for entry in std::fs::read_dir(dir).at("read directory", dir)? {
        let path = entry.at("read directory", dir)?.path();
        if is_copy(&path, &database) {
            let text =
                "the database as it was before a newer mcplog brought it up to date, with what has expired since";
            findings.push(Finding::new(FindingKind::OlderCopy, &path, text));
        }
    }
    Ok(())
}
