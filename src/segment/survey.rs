//! The segment files of a log, every header looked at, nothing changed.
//!
//! Runs once, while the store opens. A survey comes before everything else, so that a log of a newer version stays
//! untouched.

use super::directory::{self, SegmentFile};
use super::format::SegmentHeader;
use super::reader::SegmentReader;
use super::verdict::NUMBER_MAX;
use crate::ground::error::SegmentError;
use crate::ground::position::WriterId;
use std::path::{Path, PathBuf};

/// The files, by ascending id. A survey keeps no file open: a log may have more segments than a process may have files.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(super) wal_dir: PathBuf,
    pub(super) files: Vec<(SegmentFile, HeaderFound)>,
}

/// What a file has in the place of its header.
#[derive(Debug)]
pub(super) enum HeaderFound {
    /// An intact header, which may be of another segment or store.
    Intact(SegmentHeader),
    /// Zeros, and no mark: the segment was never started.
    NeverStarted,
    /// Anything else, with the reason why it is no header.
    Damaged(String),
}

impl Survey {
    /// Looks at every header.
    ///
    /// # Errors
    /// A file can't be read, or is of a newer version.
    pub(crate) fn of(wal_dir: &Path) -> Result<Self, SegmentError> {
        let mut files = Vec::new();
        for file in directory::list(wal_dir)? {
            let header = HeaderFound::in_file(&file.path)?;
            files.push((file, header));
        }
        Ok(Self { wal_dir: wal_dir.to_owned(), files })
    }

    /// Whose log it is by what its newest segment says; `None` if there is no segment. The newest, because a log always
    /// keeps that one: an older one may be another store's that came back from somewhere, and would have the whole log
    /// moved aside.
    pub(super) fn writer_id(&self) -> Option<WriterId> {
        let headers = self.files.iter().filter_map(|(file, found)| match found {
            HeaderFound::Intact(header) if header.segment_id == file.id && is_reachable(header) => Some(header),
            _ => None,
        });
        headers.max_by_key(|header| (header.created_at, header.segment_id)).map(|header| header.writer_id)
    }
}

impl HeaderFound {
    fn in_file(path: &Path) -> Result<Self, SegmentError> {
        match SegmentReader::open(path) {
            Ok(reader) => Ok(Self::Intact(*reader.header())),
            Err(SegmentError::Header { never_started: true, .. }) => Ok(Self::NeverStarted),
            Err(SegmentError::Header { expected, found, .. }) => {
                Ok(Self::Damaged(format!("expected {expected}, found {found}")))
            }
            Err(SegmentError::Io(error)) if error.is_unreadable() => Ok(Self::Damaged(error.to_string())),
            Err(error) => Err(error),
        }
    }
}

/// Whether a store can get to these numbers.
pub(super) fn is_reachable(header: &SegmentHeader) -> bool {
    header.segment_id.0 <= NUMBER_MAX && header.base_sequence.0 <= NUMBER_MAX
}
