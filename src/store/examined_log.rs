//! The log of a store, held against what its database has: what each file is to the log, whose log it is, and whether
//! numbers that no segment has are lost.
//!
//! Runs on the caller's thread, in any process, also while the store is open elsewhere. It only reads, takes no lock, and
//! leaves no file behind. `mcplog check` and `wal-inspect` look at a log by this, and so tell the same.

use super::folded::{Folded, FoldedLog};
use super::writer_lock;
use crate::ground::error::{OpenError, PathError, foreign_log_step};
use crate::ground::finding::{Finding, FindingKind};
use crate::ground::position::{SegmentId, Sequence, WriterId};
use crate::index::database::DATABASE_NAME;
use crate::segment::directory::SegmentFile;
use crate::segment::log_examination::{LogExamination, MissingNumbers};
use crate::segment::log_file::LogFile;
use crate::segment::reader::SegmentReader;
use crate::segment::survey::ReadableFiles;
use crate::segment::unfolded_log::{numbers, set_aside_before};
use crate::segment::writer_id_file::{self, FoundWriterId};
use std::path::{Path, PathBuf};

/// The log.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ExaminedLog {
    /// Its files, and the numbers that are missing.
    pub log: LogExamination,
    /// What there is to say of each of these numbers, in their order.
    pub holes: Vec<(MissingNumbers, Finding)>,
    /// What there is to say of the log besides: whose it is, where that is not clear, and which records the database counts
    /// as lost.
    pub findings: Vec<Finding>,
    /// Whose log it is, if something says so.
    pub(super) owner: Option<WriterId>,
    /// The last number that the next opening takes for folded: 0 where there is no database; `None`: it can't be read.
    pub(super) folded: Option<Sequence>,
    /// The last number that a database says it has; `None` where nobody can say.
    pub(super) known_folded: Option<Sequence>,
    /// Whether a store could be opened on it, as far as the log is concerned, and nobody has it open.
    pub(super) is_foreseen: bool,
}

/// Looks at the log in `wal_dir`, and at the database beside that directory.
///
/// # Errors
/// The directory can't be read. What is wrong with its files is no error but a finding.
pub fn examine_log(wal_dir: &Path) -> Result<ExaminedLog, PathError> {
    let dir = store_of(wal_dir);
    let in_use = dir.as_deref().is_some_and(writer_lock::is_held);
    let told = dir.as_deref().map_or_else(|| Folded::Nobody.into(), |dir| FoldedLog::beside(dir, in_use));
    ExaminedLog::of(dir.as_deref().unwrap_or(wal_dir), wal_dir, told, in_use)
}

/// What the numbers from `first` to `last` are, of the log of `owner` in `wal_dir`: whoever reads along met none of them
/// before segment `behind`. Nothing of those that the database has counted as lost before.
pub fn judge_missing(
    wal_dir: &Path,
    owner: WriterId,
    first: Sequence,
    last: Sequence,
    behind: SegmentId,
) -> Vec<Finding> {
    let dir = store_of(wal_dir);
    let told = dir.map_or_else(|| Folded::Nobody.into(), |dir| FoldedLog::beside(&dir, writer_lock::is_held(&dir)));
    let judged = told.judge(wal_dir, &MissingNumbers::new(first, last, behind, false), Some(owner));
    judged.into_iter().map(|(_, finding)| finding).collect()
}

impl ExaminedLog {
    /// The one of a store whose database says that, where there is no log or it can't be listed.
    pub(super) fn absent(told: &FoldedLog, wal_dir: &Path) -> Self {
        Self {
            folded: told.folded.of_log(None),
            findings: told.lost_findings(wal_dir, &LogExamination::default()),
            ..Self::default()
        }
    }

    /// How many records are lost with a damaged place of that file: those of its numbers that would be read from there and
    /// are not folded. 0 where nobody can say.
    pub fn lost_with(&self, file: &LogFile, damaged: &Finding) -> u64 {
        let (Some(folded), Some(first), Some(records @ 1..)) = (self.known_folded, damaged.sequence, damaged.records)
        else {
            return 0;
        };
        let first = Sequence(first);
        let last = Sequence(first.0 + records - 1);
        if folded >= last { 0 } else { file.count_read(first.max(folded.next()), last) }
    }

    /// The log in `wal_dir` of the store in `dir`, whose database says that.
    pub(super) fn of(dir: &Path, wal_dir: &Path, told: FoldedLog, in_use: bool) -> Result<Self, PathError> {
        let folded = told.folded;
        let readable = ReadableFiles::of(wal_dir)?;
        let files: Vec<_> = readable.files().cloned().collect();
        let owners = readable.survey.owners();
        let is_complete = readable.refused.is_empty();
        let mut findings = Vec::new();
        if let FoundWriterId::Unsound(what) = owners.file() {
            let path = writer_id_file::path(wal_dir);
            findings.push(Finding::new(
                FindingKind::DamagedWriterId,
                &path,
                format!("expected a writer id, found {what}"),
            ));
        }
        let mut stray_step = None;
        let owner = owners.owner(dir, folded.writer_id()).map_err(|error| {
            if let OpenError::ForeignLog { database_agrees, .. } = error {
                stray_step = Some(foreign_log_step(database_agrees));
            }
            findings.push(unclear_owner(dir, wal_dir, &error));
            owners.told()
        });
        let known_owner = owner.unwrap_or_else(|owner| owner);
        let folded_of_log = folded.of_log(known_owner);
        let log = if owner.is_err() && known_owner.is_none() {
            Ok(LogExamination::of_nobody(&files, of_unclear_owner))
        } else {
            LogExamination::of(readable, known_owner, folded.checkpoint(known_owner), in_use)
        };
        let is_foreseen = !in_use && is_complete && owner.is_ok() && log.is_ok();
        let mut log = log.unwrap_or_else(|error| {
            findings.push(Finding::new(FindingKind::UnreadableSegment, wal_dir, error.to_string()));
            LogExamination::default()
        });
        // What to do about all of them is not to be told of each in another way.
        if let Some(step) = stray_step {
            log.advise(FindingKind::ForeignSegment, step);
        }
        // Once more, where somebody folds: what was folded and retired since is not lost.
        let told = if in_use && !log.missing.is_empty() { FoldedLog::beside(dir, in_use) } else { told };
        findings.extend(told.lost_findings(wal_dir, &log));
        // Those that were set aside are not missing: they are a finding of their own.
        let aside = numbers(&set_aside_before(&dir.join("quarantine"), known_owner));
        let missing = log.missing.iter().flat_map(|hole| hole.without(&aside));
        let holes = missing.flat_map(|hole| told.judge(wal_dir, &hole, known_owner)).collect();
        let known_folded = folded.checkpoint(known_owner).map(|folded| folded.sequence);
        Ok(Self { log, holes, findings, owner: known_owner, folded: folded_of_log, known_folded, is_foreseen })
    }
}

/// What is wrong with a log that may be of several stores, or beside the database of another one.
fn unclear_owner(dir: &Path, wal_dir: &Path, error: &OpenError) -> Finding {
    match error {
        OpenError::ForeignDatabase { database, log, .. } => {
            let text = format!(
                "store.db belongs to another store: it has folded the log of store {database}, and wal/ is the log of store {log}"
            );
            Finding::new(FindingKind::ForeignDatabase, &dir.join(DATABASE_NAME), text)
        }
        OpenError::MixedLog { first, second, .. } => {
            let text = format!(
                "as many segments of store {first} as of {second}, and neither writer-id nor a database says whose log it is"
            );
            Finding::new(FindingKind::MixedLog, wal_dir, text)
        }
        OpenError::ForeignLog { owner, segments, database_agrees, .. } => {
            let text = format!(
                "writer-id says that the log is of store {owner}, and its segments are of others, as {segments}"
            );
            Finding::new(FindingKind::MixedLog, wal_dir, text).next(foreign_log_step(*database_agrees))
        }
        error => Finding::new(FindingKind::MixedLog, wal_dir, error.to_string()),
    }
}

/// Why nothing is read from a file of a log that may be of several stores.
fn of_unclear_owner(file: &SegmentFile) -> Finding {
    match SegmentReader::open(&file.path) {
        Ok(reader) => {
            let text = format!("of store {}, and nobody knows whose log this is", reader.header().writer_id);
            Finding::new(FindingKind::ForeignSegment, &file.path, text).at(0)
        }
        Err(error) => Finding::of_segment_error(&error),
    }
}

/// The directory of the store whose log that is. A directory of segments that has another name was put together by somebody:
/// what lies beside is not of it.
fn store_of(wal_dir: &Path) -> Option<PathBuf> {
    let wal_dir =
        wal_dir.canonicalize().ok().filter(|wal_dir| wal_dir.file_name().is_some_and(|name| name == "wal"))?;
    Some(wal_dir.parent()?.to_owned())
}
