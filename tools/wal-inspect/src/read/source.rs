//! From what the user named to segment files, in order. Looks at directories and opens files; reads no frame.

use crate::failure::Failure;
use crate::report::finding::Finding;
use crate::report::place::Place;
use crate::report::severity::Severity;
use mcplog::error::{HeaderFault, PathError, SegmentError};
use mcplog::position::SegmentId;
use mcplog::segment::directory::parse_file_name;
use mcplog::segment::format::SegmentHeader;
use mcplog::segment::{SegmentFile, SegmentReader, list};
use mcplog::writer_lock;
use std::fs::FileType;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// A file that is to be inspected.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    /// What the name says, if it is a segment's name.
    pub(crate) name_id: Option<SegmentId>,
    /// The user named this very file, rather than the directory it is in.
    named: bool,
    /// A running store may be writing to it: nothing newer is in its directory, and somebody holds the store's lock.
    pub(crate) may_be_active: bool,
}

/// What opening a source gave.
pub(crate) enum Opened {
    /// A segment.
    Segment(Box<SegmentReader>),
    /// Something else.
    Other(Finding),
    /// The file is gone: a running store retired it after the directory was listed.
    Retired,
}

/// The segment files that `paths` name: store directories, log directories, files. Without any, those of the store where
/// mcplog looks for one.
///
/// # Errors
/// A path does not exist or is a directory without segments.
pub(crate) fn find(paths: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    let default = if paths.is_empty() { vec![named(None)?] } else { Vec::new() };
    for path in paths.iter().chain(&default) {
        let metadata = std::fs::metadata(path);
        if metadata.as_ref().is_ok_and(std::fs::Metadata::is_dir) {
            let found = in_directory(&wal_dir(path)?)?;
            if found.is_empty() {
                return Err(Failure::NoSegments(path.clone()));
            }
            sources.extend(found);
        } else if let Err(source) = std::fs::symlink_metadata(path) {
            return Err(PathError { operation: "open", path: path.clone(), source }.into());
        } else {
            let name_id = path.file_name().and_then(|name| name.to_str()).and_then(parse_file_name);
            let may_be_active = path.parent().is_some_and(has_writer);
            sources.push(Source { path: path.clone(), name_id, named: true, may_be_active });
        }
    }
    Ok(sources)
}

/// What a path names: itself, or the store where mcplog looks for one.
pub(crate) fn named(path: Option<&Path>) -> Result<PathBuf, Failure> {
    Ok(match path {
        Some(path) => path.to_owned(),
        None => mcplog::default_dir()?.path,
    })
}

/// Whether somebody writes to the store whose log directory this is.
pub(crate) fn has_writer(wal_dir: &Path) -> bool {
    // The parent of a file that is named without its directory.
    let wal_dir = if wal_dir.as_os_str().is_empty() { Path::new(".") } else { wal_dir };
    wal_dir.canonicalize().is_ok_and(|wal_dir| wal_dir.parent().is_some_and(writer_lock::is_held))
}

/// The directory with the segments: `dir/wal` or `dir` itself.
///
/// # Errors
/// `dir` is neither.
pub(crate) fn wal_dir(dir: &Path) -> Result<PathBuf, Failure> {
    let wal = dir.join("wal");
    match std::fs::metadata(&wal) {
        Ok(metadata) if metadata.is_dir() => return Ok(wal),
        // What nobody may look at is not absent.
        Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
            return Err(PathError { operation: "look at", path: wal, source }.into());
        }
        _ => {}
    }
    if dir.file_name().is_some_and(|name| name == "wal") || !list_all(dir)?.is_empty() {
        return Ok(dir.to_owned());
    }
    Err(Failure::NoStore(dir.to_owned()))
}

/// The segments in a log directory, oldest first.
pub(crate) fn in_directory(wal_dir: &Path) -> Result<Vec<Source>, Failure> {
    let held = has_writer(wal_dir);
    let mut sources: Vec<Source> = list_all(wal_dir)?.into_iter().map(Source::listed).collect();
    if let Some(newest) = sources.last_mut() {
        newest.may_be_active = held;
    }
    Ok(sources)
}

/// The oldest segment in a log directory that is newer than `last_id`.
pub(crate) fn after(wal_dir: &Path, last_id: Option<SegmentId>) -> Result<Option<Source>, Failure> {
    Ok(list_all(wal_dir)?.into_iter().find(|file| Some(file.id) > last_id).map(Source::listed))
}

/// The segment files in a directory, by ascending id, none left out.
///
/// A directory that changes while it is read may show a new file and not show one that was made a moment before. That
/// one was there before the reading of the newer one ended, so looking once more shows it.
pub(crate) fn list_all(wal_dir: &Path) -> Result<Vec<SegmentFile>, Failure> {
    let files = list(wal_dir)?;
    let consecutive = files.windows(2).all(|pair| pair[0].id.next() == pair[1].id);
    if consecutive { Ok(files) } else { Ok(list(wal_dir)?) }
}

impl Source {
    fn listed(file: SegmentFile) -> Self {
        Self { path: file.path, name_id: Some(file.id), named: false, may_be_active: false }
    }

    /// Opens the file.
    ///
    /// # Errors
    /// The user named this very file, and it does not exist.
    pub(crate) fn open(&self) -> Result<Opened, Failure> {
        // Looked at first only for a clear message; the reader itself refuses what is no regular file.
        if let Ok(metadata) = std::fs::symlink_metadata(&self.path)
            && !metadata.is_file()
        {
            let found = kind_of_file(metadata.file_type());
            let reason = format!("expected a regular file, found {found}; it was not opened");
            return Ok(Opened::Other(Finding::Unreadable { reason, severity: Severity::Unreadable }));
        }
        let (reason, severity) = match SegmentReader::open(&self.path) {
            Ok(reader) => return Ok(Opened::Segment(Box::new(reader))),
            Err(SegmentError::Io(error)) if error.source.kind() == io::ErrorKind::NotFound => {
                return if self.named { Err(error.into()) } else { Ok(Opened::Retired) };
            }
            Err(SegmentError::Io(error)) => (format!("{}: {}", error.operation, error.source), Severity::Unreadable),
            Err(SegmentError::Header { fault: HeaderFault::NeverStarted, expected, found, .. }) => {
                let reason = format!("expected {expected}, found {found}; a power cut leaves this of a new segment");
                (reason, Severity::Attention)
            }
            Err(SegmentError::Header { expected, found, .. }) => {
                (format!("corrupt segment header: expected {expected}, found {found}"), Severity::Damaged)
            }
            Err(SegmentError::UnsupportedVersion { supported, found, .. }) => {
                let reason =
                    format!("format version {found}: this build reads up to {supported}; use a newer wal-inspect");
                (reason, Severity::Unreadable)
            }
        };
        Ok(Opened::Other(Finding::Unreadable { reason, severity }))
    }

    pub(crate) fn place(&self, header: Option<SegmentHeader>) -> Place {
        Place::new(&self.path, self.name_id, header)
    }
}

fn kind_of_file(kind: FileType) -> &'static str {
    if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}
