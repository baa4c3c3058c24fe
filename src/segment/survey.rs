//! The segment files of a log, every header looked at, nothing changed.
//!
//! Runs while a store opens, and for who only looks. A survey comes before everything else, so that a log of a newer
//! version stays untouched.

use super::directory::{self, SegmentFile};
use super::format::SegmentHeader;
use super::log_owners::LogOwners;
use super::reader::SegmentReader;
use super::verdict::NUMBER_MAX;
use crate::ground::error::SegmentError;
use std::io::ErrorKind;
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
            match HeaderFound::in_file(&file.path) {
                // Retired since the directory was listed, by a store that somebody only looks at.
                Err(SegmentError::Io(error)) if error.source.kind() == ErrorKind::NotFound => {}
                header => files.push((file, header?)),
            }
        }
        Ok(Self { wal_dir: wal_dir.to_owned(), files })
    }

    /// Whose log it is by what its segments say.
    pub(crate) fn owners(&self) -> LogOwners {
        let mut owners = LogOwners::default();
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
