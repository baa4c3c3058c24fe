//! What a rebuild leaves in the store's directory that did not come to its end: a folder with a database that nobody uses.
//!
//! Runs on the thread that folds or rebuilds, under the fold lock.

use crate::ground::error::{AtPath, PathError};
use std::path::Path;

/// The folder in which a new database is made.
pub(crate) const WORK_DIR: &str = "rebuild";

/// Removes what a rebuild left. Only who holds the fold lock may ask for it.
pub(crate) fn remove_leftovers(dir: &Path) -> Result<(), PathError> {
    let work_dir = dir.join(WORK_DIR);
    match std::fs::symlink_metadata(&work_dir) {
        // Somebody else's file of that name stays.
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(&work_dir).at("remove", &work_dir),
        _ => Ok(()),
    }
}
