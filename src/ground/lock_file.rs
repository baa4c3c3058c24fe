//! A lock that is a file: flock(2) on it, tried and never waited for, which ends with the process at the latest.
//!
//! Runs wherever a lock of the store's directory is taken or looked at. It follows no symbolic link. A lock counts only
//! as long as its file is the one at its path: who made a file of the same name anew would get the lock of another file.

use super::error::{AtPath, PathError};
use super::file_identity::{file_at, identity_of};
use super::private_dir::no_follow;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How often a lock is tried whose file was made anew meanwhile.
const TRIES_MAX: u32 = 10;

/// Who else may hold the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Whoever takes it so as well.
    Shared,
    /// Nobody.
    Exclusive,
}

/// What became of trying a lock.
#[derive(Debug)]
pub(crate) enum TriedLock {
    /// It is held, until it is dropped.
    Taken(LockFile),
    /// Somebody else has it. The file is open, to read who that is.
    Held(File),
}

/// A lock that is held. Dropping it lets go.
#[derive(Debug)]
pub(crate) struct LockFile {
    file: File,
    path: PathBuf,
    /// Who took it. A child that this process forked off has the file open too, but must not let go of the lock.
    owner_pid: u32,
}

impl LockFile {
    /// Makes the file if need be, and tries its lock.
    ///
    /// # Errors
    /// The file can't be opened, or its file system has no locks.
    pub(crate) fn try_take(path: &Path, sharing: Sharing) -> Result<TriedLock, PathError> {
        for _ in 0..TRIES_MAX {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(no_follow())
                .open(path)
                .at("open", path)?;
            if !file.metadata().at("inspect", path)?.is_file() {
                return Err(io::Error::other("expected a file, found something else")).at("lock", path);
            }
            if !tried(&file, sharing).at("lock", path)? {
                return Ok(TriedLock::Held(file));
            }
            let lock = Self { file, path: path.to_owned(), owner_pid: std::process::id() };
            if lock.is_in_place() {
                return Ok(TriedLock::Taken(lock));
            }
        }
        Err(io::Error::other("the file is made anew again and again")).at("lock", path)
    }

    /// Takes a lock that is shared for this process alone. `false`: somebody else has it too, and it is shared as before.
    ///
    /// # Errors
    /// Somebody took it alone in that instant, because to change a lock is to let go of it first; or the system refuses.
    pub(crate) fn try_alone(&self) -> Result<bool, PathError> {
        if self.changed_to(Sharing::Exclusive)? {
            return Ok(true);
        }
        self.share_again().map(|()| false)
    }

    /// Shares a lock that was this process's alone.
    ///
    /// # Errors
    /// As for [`Self::try_alone`].
    pub(crate) fn share_again(&self) -> Result<(), PathError> {
        if self.changed_to(Sharing::Shared)? {
            return Ok(());
        }
        Err(io::Error::other("another process took it for itself alone")).at("lock", &self.path)
    }

    fn changed_to(&self, sharing: Sharing) -> Result<bool, PathError> {
        self.file.unlock().at("unlock", &self.path)?;
        tried(&self.file, sharing).at("lock", &self.path)
    }

    /// Whether the file that is locked still is the one at its path.
    pub(crate) fn is_in_place(&self) -> bool {
        identity_of(&self.file).is_some_and(|identity| file_at(&self.path) == Some(identity))
    }

    /// Whether it is this process that took the lock, and not one that it was forked off from.
    pub(crate) fn is_own(&self) -> bool {
        std::process::id() == self.owner_pid
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        if self.is_own() {
            // Closing the file is not enough: a child that another thread is starting has it open until it becomes
            // another program, and taking the lock again in that instant was refused. Where it fails, closing has to do.
            let _ = self.file.unlock();
        }
    }
}

/// Whether somebody holds the lock for itself alone. It is asked of the lock itself, by taking it shared for an instant:
/// the kernel's list of locks does not name holders in other containers. A file that is not there is held by nobody.
///
/// # Errors
/// The file can't be opened, or its file system has no locks.
pub(crate) fn is_held(path: &Path) -> Result<bool, PathError> {
    let file = match OpenOptions::new().read(true).custom_flags(no_follow()).open(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(false),
        opened => opened.at("open", path)?,
    };
    let is_free = tried(&file, Sharing::Shared).at("lock", path)?;
    // A child that is being started would hold what is only closed.
    let _ = file.unlock();
    Ok(!is_free)
}

/// Whether the lock of `file` could be had.
fn tried(file: &File, sharing: Sharing) -> io::Result<bool> {
    let tried = match sharing {
        Sharing::Shared => file.try_lock_shared(),
        Sharing::Exclusive => file.try_lock(),
    };
    match tried {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(path: &Path, sharing: Sharing) -> Option<LockFile> {
        match LockFile::try_take(path, sharing).unwrap() {
            TriedLock::Taken(lock) => Some(lock),
            TriedLock::Held(_) => None,
        }
    }

    #[test]
    fn who_shares_a_lock_keeps_out_who_wants_it_alone_and_the_other_way_round() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        assert!(!is_held(&path).unwrap(), "nobody holds what is not there");
        assert!(!path.exists(), "looking makes nothing");
        let (first, second) = (taken(&path, Sharing::Shared).unwrap(), taken(&path, Sharing::Shared).unwrap());
        assert!(!is_held(&path).unwrap(), "a lock that is shared is held by nobody alone");
        assert!(taken(&path, Sharing::Exclusive).is_none());
        drop(first);
        assert!(taken(&path, Sharing::Exclusive).is_none());
        drop(second);
        let alone = taken(&path, Sharing::Exclusive).unwrap();
        assert!(is_held(&path).unwrap());
        assert!(taken(&path, Sharing::Shared).is_none() && taken(&path, Sharing::Exclusive).is_none());
        drop(alone);
        assert!(!is_held(&path).unwrap());
    }

    #[test]
    fn who_shares_a_lock_has_it_alone_once_nobody_else_has_it_and_shares_it_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        let (lock, other) = (taken(&path, Sharing::Shared).unwrap(), taken(&path, Sharing::Shared).unwrap());
        assert!(!lock.try_alone().unwrap());
        drop(other);
        assert!(taken(&path, Sharing::Exclusive).is_none(), "what was refused is shared still");
        assert!(lock.try_alone().unwrap());
        assert!(taken(&path, Sharing::Shared).is_none());
        lock.share_again().unwrap();
        let other = taken(&path, Sharing::Shared).unwrap();
        assert!(!lock.try_alone().unwrap());
        drop((lock, other));
        assert!(taken(&path, Sharing::Exclusive).is_some());
    }

    #[test]
    fn a_lock_that_was_dropped_is_free_even_if_a_child_has_its_file_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        let lock = taken(&path, Sharing::Exclusive).unwrap();
        // What a fork does to every file.
        let _inherited = lock.file.try_clone().unwrap();
        drop(lock);
        assert!(taken(&path, Sharing::Exclusive).is_some());
    }

    #[test]
    fn a_lock_whose_file_is_made_anew_says_so_and_does_not_keep_out_who_locks_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        let old = taken(&path, Sharing::Exclusive).unwrap();
        assert!(old.is_in_place());
        std::fs::remove_file(&path).unwrap();
        assert!(!old.is_in_place());
        let new = taken(&path, Sharing::Exclusive).unwrap();
        assert!(new.is_in_place() && !old.is_in_place());
    }

    #[test]
    fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        LockFile::try_take(&path, Sharing::Shared).unwrap_err();
        is_held(&path).unwrap_err();
    }
}
