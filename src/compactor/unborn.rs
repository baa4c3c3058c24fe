//! Folders in `wal/` that were being born when their writers died.
//!
//! Runs on the compactor of who holds the fold lock. A folder gets its name before anything is recorded; so one that is still
//! to be born has nothing, unless a power cut took its renaming back and not what was recorded then. Such a one gets its name
//! after all, and is a dead writer's.

use crate::ground::error::{AtPath, PathError};
use crate::segment::folder_birth::{Unborn, remove_unborn};
use crate::segment::writer_folder::WriterFolder;
use std::path::Path;

/// Does with such a folder what is to be done.
pub(super) fn settle(wal_dir: &Path, folder: &WriterFolder) -> Result<(), PathError> {
    if remove_unborn(&folder.path)? != Unborn::Kept {
        return Ok(());
    }
    let to = WriterFolder::within(wal_dir, folder.writer).path;
    // Of two that are there, nobody knows which one is the writer's: both are left alone.
    if to.symlink_metadata().is_ok() {
        return Ok(());
    }
    std::fs::rename(&folder.path, &to).at("rename", &folder.path)
}
