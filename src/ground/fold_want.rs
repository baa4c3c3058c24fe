//! The lock `FOLD.want`: who holds it wants the fold lock, and whoever has that lets it go within one batch and stays
//! away as long as it is wanted.
//!
//! Runs on the thread that wants to fold, and on those that fold or try to.

use super::error::PathError;
use super::lock_file::{LockFile, Sharing, TriedLock, is_held};
use std::path::{Path, PathBuf};

/// The name of the file.
const NAME: &str = "FOLD.want";

/// Held as long as the fold lock is wanted, or had after that.
#[derive(Debug)]
pub(crate) struct FoldWant {
    _lock: LockFile,
    dir: PathBuf,
}

impl FoldWant {
    /// Asks for the fold lock of the store in `dir`. `None`: somebody asks already, or looked in that instant whether
    /// anybody does; trying again in a moment tells.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn try_take(dir: &Path) -> Result<Option<Self>, PathError> {
        match LockFile::try_take(&dir.join(NAME), Sharing::Exclusive)? {
            TriedLock::Taken(lock) => Ok(Some(Self { _lock: lock, dir: dir.to_owned() })),
            TriedLock::Held(_) => Ok(None),
        }
    }

    /// The store's directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Whether somebody wants the fold lock of the store in `dir`. Where nobody can tell, nobody does.
pub(crate) fn is_wanted(dir: &Path) -> bool {
    is_held(&dir.join(NAME)).unwrap_or(false)
}
