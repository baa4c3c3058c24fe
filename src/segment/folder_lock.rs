//! The lock of a writer's folder: whoever holds it writes there, or has found that nobody does any more.
//!
//! It is flock(2) on the folder itself, which goes with the process, however that ends. A folder is born locked
//! ([`super::folder_birth`]), so one that has its name and whose lock is free has no living writer. Process ids, times
//! and hosts decide nothing. The kernel's list of locks (`/proc/locks`) was rejected: it leaves out holders in other
//! containers.
//!
//! Runs on any thread. A lock is tried, and never waited for.

use crate::ground::error::{AtPath, PathError};
use crate::ground::private_dir::no_follow;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

/// The lock, held. Clones hold it together: the writer's, and one with each mapping of its segments, so that it is held
/// as long as anything may still be stored through one.
#[derive(Clone, Debug)]
pub struct FolderLock {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    dir: File,
    /// Who took it. A child that this process forked off has the folder open too, but not the lock.
    owner_pid: u32,
}

/// What trying the lock says of a folder's writer.
#[derive(Debug)]
pub enum FolderOwner {
    /// It is dead: the lock was free, and is held here now.
    Dead(FolderLock),
    /// It lives; or somebody who just looks holds the lock for an instant.
    Living,
    /// The lock can't be tried: nobody may call the writer dead. Where the folder is not there any more, the error says
    /// so.
    Unknown(PathError),
}

impl FolderLock {
    /// Tries the lock. Had alone for an instant, which proves that the writer is dead, it is held together with those who
    /// look from then on: they must not take who reads a dead writer's log for that writer.
    pub fn take(path: &Path) -> FolderOwner {
        match Self::try_take(path).and_then(|lock| lock.map(|lock| lock.shared(path)).transpose()) {
            Ok(Some(Some(lock))) => FolderOwner::Dead(lock),
            Ok(Some(None) | None) => FolderOwner::Living,
            Err(error) => FolderOwner::Unknown(error),
        }
    }

    /// The lock, held together with those who look; `None` if somebody else got it alone in between.
    fn shared(self, path: &Path) -> Result<Option<Self>, PathError> {
        match self.held.dir.try_lock_shared() {
            Ok(()) => Ok(Some(self)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).at("lock", path),
        }
    }

    /// The lock; `None` while somebody holds it.
    pub(super) fn try_take(path: &Path) -> Result<Option<Self>, PathError> {
        let dir = open(path)?;
        match dir.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error).at("lock", path),
        }
        let lock = Self { held: Arc::new(Held { dir, owner_pid: std::process::id() }) };
        // The folder may have been removed, or had another name, before it was locked.
        let is_there = lock.is_of(path)?;
        let error =
            || PathError { operation: "lock", path: path.to_owned(), source: std::io::ErrorKind::NotFound.into() };
        is_there.then_some(Some(lock)).ok_or_else(error)
    }

    /// Whether the folder at that path is the one that is locked: nobody moved it away, and put nothing in its place.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn is_of(&self, path: &Path) -> Result<bool, PathError> {
        let held = self.held.dir.metadata().at("inspect", path)?;
        match std::fs::symlink_metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            found => {
                let found = found.at("inspect", path)?;
                Ok((found.dev(), found.ino()) == (held.dev(), held.ino()))
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if std::process::id() == self.owner_pid {
            // Closing the folder is not enough: a child that another thread is starting has it open until it becomes
            // another program. Where it fails, closing has to do.
            let _ = self.dir.unlock();
        }
    }
}

/// Whether that folder's writer holds its lock. For who only looks: it holds the lock itself for an instant, together with
/// others who look and who reads what a dead writer left, and a writer's is never refused for that.
///
/// # Errors
/// The lock can't be tried.
pub fn probe(path: &Path) -> Result<bool, PathError> {
    let dir = open(path)?;
    match dir.try_lock_shared() {
        Ok(()) => {
            let _ = dir.unlock();
            Ok(false)
        }
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error).at("lock", path),
    }
}

fn open(path: &Path) -> Result<File, PathError> {
    let flags = no_follow() | i32::try_from(OFlags::DIRECTORY.bits()).unwrap_or_default();
    OpenOptions::new().read(true).custom_flags(flags).open(path).at("open", path)
}

/// Where a lock was to be, for who has to name it.
pub(crate) fn is_gone(error: &PathError) -> bool {
    error.source.kind() == std::io::ErrorKind::NotFound
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn folder(dir: &Path) -> PathBuf {
        let path = dir.join("folder");
        std::fs::create_dir(&path).unwrap();
        path
    }

    fn is_dead(path: &Path) -> bool {
        matches!(FolderLock::take(path), FolderOwner::Dead(_))
    }

    #[test]
    fn a_lock_is_held_until_the_last_of_its_clones_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = folder(dir.path());
        assert!(!probe(&path).unwrap());
        let lock = FolderLock::try_take(&path).unwrap().expect("it is free");
        let with_mapping = lock.clone();
        drop(lock);
        assert!(matches!(FolderLock::take(&path), FolderOwner::Living));
        assert!(probe(&path).unwrap());
        // What a fork does to every file.
        let _inherited = with_mapping.held.dir.try_clone().unwrap();
        drop(with_mapping);
        assert!(!probe(&path).unwrap());
        assert!(is_dead(&path));
    }

    #[test]
    fn a_lock_stays_with_a_folder_that_gets_another_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = folder(dir.path());
        let lock = FolderLock::try_take(&path).unwrap().expect("it is free");
        assert!(lock.is_of(&path).unwrap());
        let renamed = dir.path().join("renamed");
        std::fs::rename(&path, &renamed).unwrap();
        assert!(!lock.is_of(&path).unwrap());
        std::fs::create_dir(&path).unwrap();
        assert!(!lock.is_of(&path).unwrap(), "another folder in its place");
        assert!(lock.is_of(&renamed).unwrap());
        assert!(probe(&renamed).unwrap());
        assert!(is_dead(&path));
    }

    #[test]
    fn who_reads_a_dead_writers_log_keeps_others_from_it_and_is_not_taken_for_the_writer() {
        let dir = tempfile::tempdir().unwrap();
        let path = folder(dir.path());
        let FolderOwner::Dead(lock) = FolderLock::take(&path) else { panic!("it is free") };
        assert!(!probe(&path).unwrap());
        assert!(matches!(FolderLock::take(&path), FolderOwner::Living), "one at a time");
        drop(lock);
        assert!(is_dead(&path));
    }

    #[test]
    fn what_is_no_folder_is_nobodys_and_never_dead() {
        let dir = tempfile::tempdir().unwrap();
        let path = folder(dir.path());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        for name in ["link", "file", "absent"] {
            let path = dir.path().join(name);
            let FolderOwner::Unknown(error) = FolderLock::take(&path) else { panic!("{name}") };
            assert_eq!(is_gone(&error), name == "absent");
            probe(&path).unwrap_err();
        }
    }
}
