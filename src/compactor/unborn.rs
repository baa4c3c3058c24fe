//! Folders in `wal/` that are being born, or were when their writers died.
//!
//! Runs on the compactor. A folder gets its name before anything is recorded; so one that is still to be born has nothing,
//! unless a power cut took its renaming back and not what was recorded then. Such a one gets its name after all.

use super::folder_task::{Content, FolderTask, LockState, Role};
use crate::ground::error::{AtPath, HeaderFault, PathError, SegmentError};
use crate::segment::directory::{list, remove_prepared};
use crate::segment::folder_lock::{FolderLock, FolderOwner};
use crate::segment::reader::{Item, SegmentReader};
use crate::segment::writer_folder::WriterFolder;
use std::io::ErrorKind;
use std::path::Path;

/// Does with such a folder what is to be done.
pub(super) fn settle(wal_dir: &Path, folder: &WriterFolder, role: Role) -> Result<(), PathError> {
    // Held until the folder is gone, or has its name: nobody else works on it meanwhile.
    let (_lock, state) = match FolderLock::take(&folder.path) {
        FolderOwner::Dead(lock) => (Some(lock), LockState::Taken),
        FolderOwner::Living => (None, LockState::Held),
        FolderOwner::Unknown(_) => (None, LockState::Unknown),
    };
    let content = if state == LockState::Taken { content(&folder.path)? } else { Content::Unborn };
    match FolderTask::of(role, state, content) {
        FolderTask::RemoveUnborn => remove(&folder.path),
        FolderTask::Name => name(wal_dir, folder),
        _ => Ok(()),
    }
}

/// Whether anything was recorded there. What can't be read may have been.
fn content(path: &Path) -> Result<Content, PathError> {
    let has_records = |path: &Path| match SegmentReader::open(path) {
        Ok(mut reader) => !matches!(reader.next(), Ok(Item::Stop(_))),
        // Nobody gave it a header: it never was a segment.
        Err(error) => !is_never_started(&error),
    };
    let any = list(path)?.iter().any(|segment| has_records(&segment.path));
    Ok(if any { Content::UnbornWithRecords } else { Content::Unborn })
}

fn is_never_started(error: &SegmentError) -> bool {
    matches!(error, SegmentError::Header { fault: HeaderFault::NeverStarted, .. })
}

/// Removes it by name, file by file. What is not mcplog's stays, and the folder with it.
fn remove(path: &Path) -> Result<(), PathError> {
    remove_prepared(path)?;
    for segment in list(path)? {
        std::fs::remove_file(&segment.path).at("remove", &segment.path)?;
    }
    match std::fs::remove_dir(path) {
        Err(error) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::NotFound) => Ok(()),
        removed => removed.at("remove", path),
    }
}

fn name(wal_dir: &Path, folder: &WriterFolder) -> Result<(), PathError> {
    let to = WriterFolder::within(wal_dir, folder.writer).path;
    // Of two that are there, nobody knows which one is the writer's: both are left alone.
    if to.symlink_metadata().is_ok() {
        return Ok(());
    }
    std::fs::rename(&folder.path, &to).at("rename", &folder.path)
}
