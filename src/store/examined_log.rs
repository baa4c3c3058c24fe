//! The log of one writer, held against what the store's database has: what each file is to the log, and whether numbers
//! that no segment has are lost.
//!
//! Runs on the caller's thread, in any process, also while the store is open elsewhere. It only reads, takes no lock,
//! and leaves no file behind. `mcplog check` and `wal-inspect` look at a log by this, and so tell the same.

use super::folded::{Folded, FoldedLogs};
use super::{store_identity, writer_lock};
use crate::ground::error::{PathError, SegmentError};
use crate::ground::finding::{Finding, FindingKind};
use crate::ground::position::{SegmentId, Sequence, StoreId, WriterId};
use crate::segment::directory::{SegmentFile, list, list_whole};
use crate::segment::folder_lock::probe;
use crate::segment::log_examination::{LogExamination, MissingNumbers};
use crate::segment::log_file::LogFile;
use crate::segment::log_item::{LogItem, Owner};
use crate::segment::log_reader::LogReader;
use crate::segment::place::Place;
use crate::segment::reader::SegmentReader;
use crate::segment::writer_folder::WriterFolder;
use std::collections::HashSet;
use std::io::ErrorKind;
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
    /// What there is to say of the log besides: what it needs, what the system does not let one read, and which records
    /// the database counts as lost.
    pub findings: Vec<Finding>,
    /// The last number that folding goes on behind: 0 where there is no database; `None`: it can't be read.
    pub folded: Option<Sequence>,
    /// The last number that a database says it has; `None` where nobody can say.
    pub(super) known_folded: Option<Sequence>,
}

/// Where the segments of one log lie.
#[derive(Clone, Debug)]
pub(super) struct LogPlaces {
    pub(super) writer: WriterId,
    /// Its folder in `wal/`; or the only one.
    pub(super) folder: Option<PathBuf>,
    /// Its folder in `kept/`.
    pub(super) kept: Option<PathBuf>,
}

impl LogPlaces {
    /// The folder that says what there is to say of the log as a whole.
    fn path(&self) -> &Path {
        self.folder.as_deref().or(self.kept.as_deref()).unwrap_or(Path::new("."))
    }

    /// Whether a file of it lies in `kept/`: everything in there was folded.
    pub(super) fn is_kept(&self, file: &LogFile) -> bool {
        self.kept.as_ref().is_some_and(|kept| file.file.path.starts_with(kept))
    }

    /// Whether its writer lives; `None` where nobody can tell.
    fn is_living(&self) -> Option<bool> {
        self.folder.as_deref().map_or(Some(false), |folder| probe(folder).ok())
    }

    fn reader(&self, store: Option<StoreId>) -> Result<LogReader, SegmentError> {
        let (writer, from) = (self.writer, Place::START);
        let Some(kept) = &self.kept else {
            return LogReader::open(&WriterFolder { writer, path: self.path().to_owned() }, store, from);
        };
        // Segments go from one to the other: what comes first is listed first, so that none is in neither.
        let mut files = self.folder.as_deref().map_or(Ok(Vec::new()), list_whole).or_else(none_if_gone)?;
        let waiting: HashSet<_> = files.iter().map(|file| file.id).collect();
        let kept = list_whole(kept).or_else(none_if_gone)?.into_iter();
        files.extend(kept.filter(|file| !waiting.contains(&file.id)));
        Ok(LogReader::over(writer, store, files, from))
    }
}

/// A directory that is not there has no files.
fn none_if_gone(error: PathError) -> Result<Vec<SegmentFile>, PathError> {
    if error.source.kind() == ErrorKind::NotFound { Ok(Vec::new()) } else { Err(error) }
}

/// Looks at the log in a writer's folder, and at the database of the store that the folder lies in.
///
/// # Errors
/// The directory can't be read. What is wrong with its files is no error but a finding.
pub fn examine_log(folder: &Path) -> Result<ExaminedLog, PathError> {
    let dir = folder.parent().and_then(store_of);
    let store = folder.parent().and_then(store_id);
    let tell = || told_by(dir.as_deref(), store);
    let places = LogPlaces { writer: writer_of(folder), folder: Some(folder.to_owned()), kept: None };
    ExaminedLog::of(&places, store, tell, |_| ()).map(Option::unwrap_or_default)
}

/// Which store the logs in `wal_dir` are a part of; `None` where nothing says so.
pub fn store_id(wal_dir: &Path) -> Option<StoreId> {
    store_identity::read(&store_of(wal_dir)?).ok().flatten()
}

/// What the numbers from `first` to `last` are, of the log of `writer` in the store whose logs lie in `wal_dir`:
/// whoever reads along met none of them before segment `behind`. Nothing of those that the database has counted as lost
/// before.
pub fn judge_missing(
    wal_dir: &Path,
    writer: WriterId,
    first: Sequence,
    last: Sequence,
    behind: SegmentId,
) -> Vec<Finding> {
    let dir = store_of(wal_dir);
    let store = store_id(wal_dir);
    let path = WriterFolder::within(wal_dir, writer).path;
    let was_durable = list(&path).is_ok_and(|files| {
        let mut readers = files.iter().filter_map(|file| SegmentReader::open(&file.path).ok());
        readers.any(|reader| reader.header().base_sequence > last && reader.mark().durable.frames > 0)
    });
    let hole = MissingNumbers::new(first, last, behind, was_durable);
    let judged = told_by(dir.as_deref(), store).judge(&path, &hole, writer);
    judged.into_iter().map(|(_, finding)| finding).collect()
}

impl ExaminedLog {
    /// Reads a log. `tell` asks the database, when it was read; what comes passes by `each`. `None`: the folder is
    /// gone, with all that was in it folded.
    ///
    /// # Errors
    /// The directory can't be read.
    pub(super) fn of(
        places: &LogPlaces,
        store: Option<StoreId>,
        tell: impl Fn() -> FoldedLogs,
        mut each: impl FnMut(Passing<'_, '_>),
    ) -> Result<Option<Self>, PathError> {
        let is_living = places.is_living();
        let owner = if is_living == Some(false) { Owner::Dead } else { Owner::Living };
        let unread =
            |finding| Self { writer: Some(places.writer), is_living, findings: vec![finding], ..Self::default() };
        for _ in 0..ATTEMPTS_MAX {
            each(Passing::Begin);
            let read = places.reader(store);
            match read.and_then(|reader| LogExamination::of(reader, owner, |item| each(Passing::Item(item)))) {
                Ok(log) => return Ok(Some(Self::judged(places, log, is_living, &tell()))),
                Err(SegmentError::Gone { path }) if path == places.path() => return Ok(None),
                // Retired since the folder was listed: it is in the database now.
                Err(SegmentError::Gone { .. }) => {}
                Err(SegmentError::Io(error)) => return Err(error),
                Err(error) => return Ok(Some(unread(Finding::of_segment_error(&error)))),
            }
        }
        let text = "its files are removed faster than they are read: who folds is at it";
        Ok(Some(unread(Finding::new(FindingKind::UnreadableSegment, places.path(), text))))
    }

    fn judged(places: &LogPlaces, log: LogExamination, is_living: Option<bool>, told: &FoldedLogs) -> Self {
        let (writer, path) = (places.writer, places.path());
        let mut findings = log.unreadable.clone();
        findings.extend(told.lost_findings(path, writer, &log));
        let first = log.files.iter().find_map(LogFile::first_number);
        let is_in_front = |hole: &MissingNumbers| first.is_none_or(|first| hole.last < first);
        let judge = |hole: &MissingNumbers| {
            let judged = told.judge(path, hole, writer).into_iter();
            // What was folded is removed from the front; and where nobody knows what is folded, nobody knows whether it
            // was.
            let is_news = |kind| matches!(kind, FindingKind::MissingRecords | FindingKind::UndurableRecordsMissing);
            judged.filter(|(hole, finding)| !is_in_front(hole) || is_news(finding.kind)).collect::<Vec<_>>()
        };
        let holes = log.missing.iter().filter(|hole| !hole.in_damage).flat_map(judge).collect();
        let (folded, known_folded) = (told.of_log(writer), told.known(writer));
        Self { writer: Some(writer), is_living, log, holes, findings, folded, known_folded }
    }

    /// How many records are lost with a damaged place: those of its numbers that no file has and that are not folded. 0
    /// where nobody can say.
    pub fn lost_with(&self, _: &LogFile, damaged: &Finding) -> u64 {
        let (Some(folded), Some(first), Some(records @ 1..)) = (self.known_folded, damaged.sequence, damaged.records)
        else {
            return 0;
        };
        let (first, last) = (first.max(folded.0 + 1), first + records - 1);
        if first > last { 0 } else { last - first + 1 - self.log.numbers.count_within(first, last) }
    }

    /// Whether what is no frame at the end of a segment is nothing to say: its writer lives, and writes again elsewhere what
    /// a failed sync left in doubt.
    pub(super) fn has_living_tail(&self) -> bool {
        self.is_living != Some(false)
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

/// What the database says of the logs of the store in `dir`, if there is one.
fn told_by(dir: Option<&Path>, store: Option<StoreId>) -> FoldedLogs {
    let told = dir.map_or_else(|| Folded::Nobody.into(), |dir| FoldedLogs::beside(dir, writer_lock::is_held(dir)));
    told.of_store(store)
}

/// Whose log lies in a folder; where its name is no writer's, somebody copied it, and its segments say whose it is.
fn writer_of(path: &Path) -> WriterId {
    WriterFolder::at(path).map_or_else(
        || {
            let files = list(path).unwrap_or_default();
            let mut headers = files.iter().filter_map(|file| SegmentReader::open(&file.path).ok());
            headers.next().map_or(WriterId([0; 16]), |reader| reader.header().writer_id)
        },
        |folder| folder.writer,
    )
}

/// The directory of the store whose logs lie there. A directory that has another name was put together by somebody:
/// what lies beside is not of it.
fn store_of(wal_dir: &Path) -> Option<PathBuf> {
    let wal_dir =
        wal_dir.canonicalize().ok().filter(|wal_dir| wal_dir.file_name().is_some_and(|name| name == "wal"))?;
    Some(wal_dir.parent()?.to_owned())
}
