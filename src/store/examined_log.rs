//! The log of one writer, held against what the store's database has: what each file is to the log, and whether numbers that
//! no segment has are lost.
//!
//! Runs on the caller's thread, in any process, also while the store is open elsewhere. It only reads, takes no lock, and
//! leaves no file behind. `mcplog check` and `wal-inspect` look at a log by this, and so tell the same.

use super::folded::{Folded, FoldedLogs};
use super::{store_identity, writer_lock};
use crate::ground::error::{PathError, SegmentError};
use crate::ground::finding::{Finding, FindingKind};
use crate::ground::position::{SegmentId, Sequence, StoreId, WriterId};
use crate::record::LEVEL;
use crate::segment::examination::HeaderState;
use crate::segment::folder_lock::probe;
use crate::segment::log_examination::{LogExamination, MissingNumbers};
use crate::segment::log_file::LogFile;
use crate::segment::log_item::{LogItem, Owner};
use crate::segment::log_reader::LogReader;
use crate::segment::place::Place;
use crate::segment::reader::SegmentReader;
use crate::segment::writer_folder::WriterFolder;
use std::path::{Path, PathBuf};

/// So often a log is read once more where files vanish while it is read: who folds retires them.
const ATTEMPTS_MAX: u32 = 10;

/// The log.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ExaminedLog {
    /// Whose log it is; `None` if neither the folder's name nor a segment says so.
    pub writer: Option<WriterId>,
    /// Whether its writer lives; `None` where nobody can tell, and it is taken for living.
    pub is_living: Option<bool>,
    /// Its files, and the numbers that are missing.
    pub log: LogExamination,
    /// What there is to say of these numbers, in their order; those of damaged places are told with them.
    pub holes: Vec<(MissingNumbers, Finding)>,
    /// What there is to say of the log besides: what it needs, what the system does not let one read, and which records the
    /// database counts as lost.
    pub findings: Vec<Finding>,
    /// The last number that folding goes on behind: 0 where there is no database; `None`: it can't be read.
    pub folded: Option<Sequence>,
    /// The last number that a database says it has; `None` where nobody can say.
    pub(super) known_folded: Option<Sequence>,
}

/// Looks at the log in a writer's folder, and at the database of the store that the folder lies in.
///
/// # Errors
/// The directory can't be read. What is wrong with its files is no error but a finding.
pub fn examine_log(folder: &Path) -> Result<ExaminedLog, PathError> {
    let dir = folder.parent().and_then(store_of);
    let store = dir.as_deref().and_then(|dir| store_identity::read(dir).ok().flatten());
    let tell = || told_by(dir.as_deref(), store);
    ExaminedLog::of(&folder_at(folder), store, tell, |_| ()).map(Option::unwrap_or_default)
}

/// What the numbers from `first` to `last` are, of the log of `writer` in the store whose logs lie in `wal_dir`: whoever reads
/// along met none of them before segment `behind`. Nothing of those that the database has counted as lost before.
pub fn judge_missing(
    wal_dir: &Path,
    writer: WriterId,
    first: Sequence,
    last: Sequence,
    behind: SegmentId,
) -> Vec<Finding> {
    let dir = store_of(wal_dir);
    let store = dir.as_deref().and_then(|dir| store_identity::read(dir).ok().flatten());
    let path = WriterFolder::within(wal_dir, writer).path;
    let was_durable = crate::segment::directory::list(&path).is_ok_and(|files| {
        let mut readers = files.iter().filter_map(|file| SegmentReader::open(&file.path).ok());
        readers.any(|reader| reader.header().base_sequence > last && reader.mark().durable.frames > 0)
    });
    let hole = MissingNumbers::new(first, last, behind, was_durable);
    let judged = told_by(dir.as_deref(), store).judge(&path, &hole, writer);
    judged.into_iter().map(|(_, finding)| finding).collect()
}

impl ExaminedLog {
    /// Reads a log. `tell` asks the database, once before and once after; what comes passes by `each`. `None`: the folder is
    /// gone, with all that was in it folded.
    ///
    /// # Errors
    /// The directory can't be read.
    pub(super) fn of(
        folder: &WriterFolder,
        store: Option<StoreId>,
        tell: impl Fn() -> FoldedLogs,
        mut each: impl FnMut(Passing<'_, '_>),
    ) -> Result<Option<Self>, PathError> {
        let is_living = probe(&folder.path).ok();
        let owner = if is_living == Some(false) { Owner::Dead } else { Owner::Living };
        for _ in 0..ATTEMPTS_MAX {
            each(Passing::Begin);
            let read = LogReader::open(folder, store, Place::START)
                .and_then(|reader| LogExamination::of(reader, owner, |item| each(Passing::Item(item))));
            match read {
                Ok(log) => return Ok(Some(Self::judged(folder, log, is_living, &tell()))),
                Err(SegmentError::Gone { path }) if path == folder.path => return Ok(None),
                // Retired since the folder was listed: it is in the database now.
                Err(SegmentError::Gone { .. }) => {}
                Err(SegmentError::Io(error)) => return Err(error),
                Err(error) => {
                    let findings = vec![Finding::of_segment_error(&error)];
                    return Ok(Some(Self { writer: Some(folder.writer), is_living, findings, ..Self::default() }));
                }
            }
        }
        let text = "its files are removed faster than they are read: who folds is at it";
        let findings = vec![Finding::new(FindingKind::UnreadableSegment, &folder.path, text)];
        Ok(Some(Self { writer: Some(folder.writer), is_living, findings, ..Self::default() }))
    }

    fn judged(folder: &WriterFolder, log: LogExamination, is_living: Option<bool>, told: &FoldedLogs) -> Self {
        let writer = folder.writer;
        let mut findings: Vec<_> = needs_newer(&log).into_iter().chain(log.unreadable.iter().cloned()).collect();
        findings.extend(told.lost_findings(&folder.path, writer, &log));
        // Where nobody knows what is folded, nobody knows whether what is missing in front was ever there.
        let is_known = told.folded == Folded::Told;
        let first = log.files.iter().find_map(LogFile::first_number);
        let is_in_front = |hole: &MissingNumbers| first.is_none_or(|first| hole.last < first);
        let missing = log.missing.iter().filter(|hole| !hole.in_damage && (is_known || !is_in_front(hole)));
        let holes = missing.flat_map(|hole| told.judge(&folder.path, hole, writer)).collect();
        let (folded, known_folded) = (told.of_log(writer), told.known(writer));
        Self { writer: Some(writer), is_living, log, holes, findings, folded, known_folded }
    }

    /// How many records are lost with a damaged place: those of its numbers that no file has and that are not folded. 0 where
    /// nobody can say.
    pub fn lost_with(&self, _: &LogFile, damaged: &Finding) -> u64 {
        let (Some(folded), Some(first), Some(records @ 1..)) = (self.known_folded, damaged.sequence, damaged.records)
        else {
            return 0;
        };
        let (first, last) = (first.max(folded.0 + 1), first + records - 1);
        if first > last { 0 } else { last - first + 1 - self.log.numbers.count_within(first, last) }
    }

    /// Whether the file is one that its writer may still write to.
    pub fn may_be_active(&self, file: &LogFile) -> bool {
        self.is_living != Some(false) && self.log.files.last().is_some_and(|last| last.file == file.file)
    }
}

/// What passes by while a log is read.
pub(super) enum Passing<'a, 'b> {
    /// The log is read from its beginning: what passed before counts no more.
    Begin,
    /// What comes next in it.
    Item(&'a LogItem<'b>),
}

/// That the log may have records which this build does not know, at the first segment that says so.
fn needs_newer(log: &LogExamination) -> Option<Finding> {
    let mut files =
        log.files.iter().filter_map(|file| log.segments.get(&file.file.path).map(|segment| (file, segment)));
    files.find_map(|(file, segment)| match &segment.header {
        HeaderState::Intact(header) => {
            header.check_level(&file.file.path, LEVEL).err().map(|error| Finding::of_segment_error(&error))
        }
        _ => None,
    })
}

/// What the database says of the logs of the store in `dir`, if there is one.
fn told_by(dir: Option<&Path>, store: Option<StoreId>) -> FoldedLogs {
    let told = dir.map_or_else(|| Folded::Nobody.into(), |dir| FoldedLogs::beside(dir, writer_lock::is_held(dir)));
    told.of_store(store)
}

/// The folder of a log; where its name is no writer's, somebody copied it, and its segments say whose it is.
fn folder_at(path: &Path) -> WriterFolder {
    WriterFolder::at(path).unwrap_or_else(|| {
        let files = crate::segment::directory::list(path).unwrap_or_default();
        let mut headers = files.iter().filter_map(|file| SegmentReader::open(&file.path).ok());
        let writer = headers.next().map_or(WriterId([0; 16]), |reader| reader.header().writer_id);
        WriterFolder { writer, path: path.to_owned() }
    })
}

/// The directory of the store whose logs lie there. A directory that has another name was put together by somebody: what lies
/// beside is not of it.
fn store_of(wal_dir: &Path) -> Option<PathBuf> {
    let wal_dir =
        wal_dir.canonicalize().ok().filter(|wal_dir| wal_dir.file_name().is_some_and(|name| name == "wal"))?;
    Some(wal_dir.parent()?.to_owned())
}
