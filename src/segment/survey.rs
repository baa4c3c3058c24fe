//! The segment files of a log, every header looked at, nothing changed.
//!
//! Runs while a store opens, and for who only looks. A survey comes before everything else, so that a log of a newer
//! version stays untouched.

use super::directory::{self, SegmentFile};
use super::format::SegmentHeader;
use super::log_owners::LogOwners;
use super::reader::SegmentReader;
use super::verdict::NUMBER_MAX;
use super::writer_id_file::{self, FoundWriterId};
use crate::ground::error::{HeaderFault, PathError, SegmentError};
use crate::ground::position::{SegmentId, Sequence};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A segment that begins with a folded record is, as a rule, the last one to be looked at. But where a sync failed and a
/// crash cut short what was written again, a segment before it holds more. So many are looked at, then: more than a disk
/// leaves unsynced before syncing is given up.
const LOOK_BACK_SEGMENTS: usize = 64;

/// The files, by ascending id. A survey keeps no file open: a log may have more segments than a process may have files.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(super) wal_dir: PathBuf,
    pub(super) files: Vec<(SegmentFile, HeaderFound)>,
    /// What stands in the place of the file that says whose log it is.
    writer_id: FoundWriterId,
}

/// The same for who only looks: what can't be looked at does not hide the rest.
#[derive(Debug)]
pub(crate) struct ReadableFiles {
    pub(crate) survey: Survey,
    /// The files that the system does not let one read, or that are of a newer version, by ascending id. With one of
    /// them, nobody opens the store for writing.
    pub(crate) refused: Vec<(SegmentFile, SegmentError)>,
}

/// What a file has in the place of its header.
#[derive(Debug)]
pub(super) enum HeaderFound {
    /// An intact header, which may be of another segment or store.
    Intact(SegmentHeader),
    /// Zeros, and nothing else in the file: the segment was never started.
    NeverStarted,
    /// Zeros, with something behind them.
    FirstPageLost(String),
    /// Anything else, with the reason why it is no header.
    Damaged(String),
}

impl Survey {
    /// Looks at every header. A file that a running store retires meanwhile is none of the log's any more.
    ///
    /// # Errors
    /// A file can't be read, or is of a newer version.
    pub(crate) fn of(wal_dir: &Path) -> Result<Self, SegmentError> {
        let files = directory::list(wal_dir)?.into_iter().map(look).filter_map(Result::transpose);
        Self::with(wal_dir, files.collect::<Result<_, _>>()?)
    }

    /// Looks at the headers of the segments that may hold a record beyond the number `folded`, so that a log of which
    /// thousands of folded segments are kept takes no longer.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub(crate) fn beyond(wal_dir: &Path, folded: Sequence) -> Result<Self, SegmentError> {
        let (mut files, mut before) = (Vec::new(), 0);
        for file in directory::list(wal_dir)?.into_iter().rev() {
            let Some((file, header)) = look(file)? else { continue };
            let begins_before = matches!(&header, HeaderFound::Intact(header) if header.base_sequence <= folded);
            before += usize::from(begins_before || before > 0);
            files.push((file, header));
            if before == LOOK_BACK_SEGMENTS {
                break;
            }
        }
        files.reverse();
        Self::with(wal_dir, files)
    }

    fn with(wal_dir: &Path, files: Vec<(SegmentFile, HeaderFound)>) -> Result<Self, SegmentError> {
        let writer_id = writer_id_file::read(wal_dir)?;
        Ok(Self { wal_dir: wal_dir.to_owned(), files, writer_id })
    }

    /// The same where there may be no log at all.
    ///
    /// # Errors
    /// As [`Survey::of`].
    pub(crate) fn of_any(wal_dir: &Path) -> Result<Self, SegmentError> {
        if wal_dir.is_dir() { Self::of(wal_dir) } else { Self::with(wal_dir, Vec::new()) }
    }

    /// Whether there is no segment file.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The segments' numbers, by their names.
    pub(crate) fn ids(&self) -> impl Iterator<Item = SegmentId> {
        self.files.iter().map(|(file, _)| file.id)
    }

    /// Whose log it is by what its file and its segments say.
    pub(crate) fn owners(&self) -> LogOwners {
        let mut owners = LogOwners::new(self.writer_id.clone());
        for (file, found) in &self.files {
            if let HeaderFound::Intact(header) = found
                && header.segment_id == file.id
                && is_reachable(header)
            {
                owners.add(header.writer_id);
            }
        }
        owners
    }
}

impl ReadableFiles {
    /// Looks at every header.
    ///
    /// # Errors
    /// The directory can't be read.
    pub(crate) fn of(wal_dir: &Path) -> Result<Self, PathError> {
        let (mut files, mut refused) = (Vec::new(), Vec::new());
        for file in directory::list_whole(wal_dir)? {
            match look(file.clone()) {
                Ok(found) => files.extend(found),
                Err(error) => refused.push((file, error)),
            }
        }
        // What somebody may not look at says nothing to him, and is not damaged for that.
        let writer_id = writer_id_file::read(wal_dir).unwrap_or_default();
        Ok(Self { survey: Survey { wal_dir: wal_dir.to_owned(), files, writer_id }, refused })
    }

    /// All files, those first that can be looked at.
    pub(crate) fn files(&self) -> impl Iterator<Item = &SegmentFile> {
        let looked_at = self.survey.files.iter().map(|(file, _)| file);
        looked_at.chain(self.refused.iter().map(|(file, _)| file))
    }
}

/// A file and its header; `None` if the file is not there any more.
fn look(file: SegmentFile) -> Result<Option<(SegmentFile, HeaderFound)>, SegmentError> {
    match HeaderFound::in_file(&file.path) {
        Err(SegmentError::Io(error)) if error.source.kind() == ErrorKind::NotFound => Ok(None),
        header => Ok(Some((file, header?))),
    }
}

impl HeaderFound {
    pub(super) fn in_file(path: &Path) -> Result<Self, SegmentError> {
        match SegmentReader::open(path) {
            Ok(reader) => Ok(Self::Intact(*reader.header())),
            Err(SegmentError::Header { fault: HeaderFault::NeverStarted, .. }) => Ok(Self::NeverStarted),
            Err(SegmentError::Header { expected, found, fault, .. }) => {
                let reason = format!("expected {expected}, found {found}");
                let begins_with_zeros = fault == HeaderFault::FirstPageLost { begins_with_zeros: true };
                Ok(if begins_with_zeros { Self::FirstPageLost(reason) } else { Self::Damaged(reason) })
            }
            Err(SegmentError::Io(error)) if error.is_unreadable() => Ok(Self::Damaged(error.to_string())),
            Err(error) => Err(error),
        }
    }
}

/// Whether a store can get to these numbers.
pub(crate) fn is_reachable(header: &SegmentHeader) -> bool {
    header.segment_id.0 <= NUMBER_MAX && header.base_sequence.0 <= NUMBER_MAX
}
