//! The lock of a writer's folder: whoever holds it writes there, or has found that nobody does any more.
//!
//! It is flock(2) on the folder itself, which goes with the process, however that ends. A folder is born locked
//! ([`super::folder_birth`]), so one that has its name and whose lock is free has no living writer. Process ids, times
//! and hosts decide nothing. The kernel's list of locks (`/proc/locks`) was rejected: it leaves out holders in other
//! containers.
//!
//! Where a file system is not known to be this machine's own, a free lock proves that only for a writer under the same
//! kernel: `folder_boot.rs` says which that is. Of others nobody knows, unless their logs say that they ended.
//!
//! Runs on any thread. A lock is tried, and never waited for.

use super::folder_boot::{self, WriterBoot};
use crate::ground::error::{AtPath, PathError};
use crate::ground::local_filesystem::is_local;
use crate::ground::private_dir::no_follow;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind};
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
    folder: OpenFolder,
    /// Who took it. A child that this process forked off has the folder open too, but not the lock.
    owner_pid: u32,
}

/// A folder, and what in it is locked.
#[derive(Debug)]
struct OpenFolder {
    dir: File,
    /// The file that is locked in its place.
    boot: Option<File>,
    /// A lock that is free proves that the writer is dead.
    is_proof: bool,
}

/// What trying the lock says of a folder's writer.
#[derive(Debug)]
pub enum FolderOwner {
    /// It is dead: the lock was free, and is held here now.
    Dead(FolderLock),
    /// It lives; or somebody who just looks holds the lock for an instant.
    Living,
    /// The lock can't be tried, or is free and proves nothing: nobody may call the writer dead. Where the folder is not
    /// there any more, the error says so.
    Unknown(PathError),
}

impl FolderLock {
    /// Tries the lock. Had alone for an instant, which proves that the writer is dead, it is held together with those who
    /// look from then on: they must not take who reads a dead writer's log for that writer.
    pub fn take(path: &Path) -> FolderOwner {
        Self::take_where(path, is_local)
    }

    fn take_where(path: &Path, is_local: impl Fn(&File) -> bool) -> FolderOwner {
        let taken = OpenFolder::of(path, is_local).and_then(|folder| {
            let is_proof = folder.is_proof;
            let lock = folder.lock(path).map_err(|error| if is_proof { error } else { untold(path) })?;
            match lock {
                Some(_) if !is_proof => Err(untold(path)),
                lock => lock.map(|lock| lock.shared(path)).transpose(),
            }
        });
        match taken {
            Ok(Some(Some(lock))) => FolderOwner::Dead(lock),
            Ok(Some(None) | None) => FolderOwner::Living,
            Err(error) => FolderOwner::Unknown(error),
        }
    }

    /// The lock, held together with those who look; `None` if somebody else got it alone in between.
    fn shared(self, path: &Path) -> Result<Option<Self>, PathError> {
        match self.held.folder.locked().try_lock_shared() {
            Ok(()) => Ok(Some(self)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).at("lock", path),
        }
    }

    /// The lock of a folder that is being born; `None` while somebody holds it, who cleans up. Where the file system is not
    /// known to be this machine's own, and grants no lock, the log is written all the same, and nobody ever calls its writer
    /// dead before it says that it ended.
    pub(super) fn of_new(path: &Path) -> Result<Option<Self>, PathError> {
        Self::of_new_where(path, is_local)
    }

    fn of_new_where(path: &Path, is_local: impl Fn(&File) -> bool) -> Result<Option<Self>, PathError> {
        let dir = open(path)?;
        if is_local(&dir) {
            return OpenFolder { dir, boot: None, is_proof: true }.lock(path);
        }
        let boot = folder_boot::create(path)?;
        let tried = boot.try_lock();
        if matches!(tried, Err(TryLockError::WouldBlock)) {
            return Ok(None);
        }
        if tried.is_ok() {
            folder_boot::say_this(&boot, path)?;
        }
        OpenFolder { dir, boot: Some(boot), is_proof: false }.held(path).map(Some)
    }

    /// Whether the folder at that path is the one that is locked: nobody moved it away, and put nothing in its place.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn is_of(&self, path: &Path) -> Result<bool, PathError> {
        let held = self.held.folder.dir.metadata().at("inspect", path)?;
        match std::fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            found => {
                let found = found.at("inspect", path)?;
                Ok((found.dev(), found.ino()) == (held.dev(), held.ino()))
            }
        }
    }
}

impl OpenFolder {
    fn of(path: &Path, is_local: impl Fn(&File) -> bool) -> Result<Self, PathError> {
        let dir = open(path)?;
        if is_local(&dir) {
            return Ok(Self { dir, boot: None, is_proof: true });
        }
        let boot = folder_boot::open(path)?;
        let writer = boot.as_ref().map_or(WriterBoot::Untold, folder_boot::read);
        Ok(Self { dir, boot, is_proof: is_free_proof(false, writer) })
    }

    /// What is locked.
    fn locked(&self) -> &File {
        self.boot.as_ref().unwrap_or(&self.dir)
    }

    /// The lock, alone; `None` while somebody holds it.
    fn lock(self, path: &Path) -> Result<Option<FolderLock>, PathError> {
        match self.locked().try_lock() {
            Ok(()) => self.held(path).map(Some),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).at("lock", path),
        }
    }

    /// The lock is had, if the folder is still there: it may have been removed, or had another name, before it was locked.
    fn held(self, path: &Path) -> Result<FolderLock, PathError> {
        let lock = FolderLock { held: Arc::new(Held { folder: self, owner_pid: std::process::id() }) };
        let error = || PathError { operation: "lock", path: path.to_owned(), source: ErrorKind::NotFound.into() };
        if lock.is_of(path)? { Ok(lock) } else { Err(error()) }
    }
}

/// Whether a lock that is free proves that the folder's writer is dead.
const fn is_free_proof(is_local: bool, writer: WriterBoot) -> bool {
    is_local || matches!(writer, WriterBoot::This)
}

/// Nobody can tell whether the writer of a folder lives.
fn untold(path: &Path) -> PathError {
    let text = "it was begun on another machine, or before this one was started, and its file system may be shared";
    PathError {
        operation: "tell whether somebody writes in",
        path: path.to_owned(),
        source: Error::new(ErrorKind::Unsupported, text),
    }
}

/// Whether an error only says that nobody can tell whether the writer lives.
pub(crate) fn is_untold(error: &PathError) -> bool {
    error.source.kind() == ErrorKind::Unsupported
}

impl Drop for Held {
    fn drop(&mut self) {
        if std::process::id() == self.owner_pid {
            // Closing the folder is not enough: a child that another thread is starting has it open until it becomes
            // another program. Where it fails, closing has to do.
            let _ = self.folder.locked().unlock();
        }
    }
}

/// Whether that folder's writer holds its lock. For who only looks: it holds the lock itself for an instant, together with
/// others who look and who reads what a dead writer left, and a writer's is never refused for that.
///
/// # Errors
/// The lock can't be tried, or is free and proves nothing.
pub fn probe(path: &Path) -> Result<bool, PathError> {
    probe_where(path, is_local)
}

fn probe_where(path: &Path, is_local: impl Fn(&File) -> bool) -> Result<bool, PathError> {
    let folder = OpenFolder::of(path, is_local)?;
    match folder.locked().try_lock_shared() {
        Ok(()) => {
            let _ = folder.locked().unlock();
            if folder.is_proof { Ok(false) } else { Err(untold(path)) }
        }
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(_)) if !folder.is_proof => Err(untold(path)),
        Err(TryLockError::Error(error)) => Err(error).at("lock", path),
    }
}

fn open(path: &Path) -> Result<File, PathError> {
    let flags = no_follow() | i32::try_from(OFlags::DIRECTORY.bits()).unwrap_or_default();
    OpenOptions::new().read(true).custom_flags(flags).open(path).at("open", path)
}

/// Where a lock was to be, for who has to name it.
pub(crate) fn is_gone(error: &PathError) -> bool {
    error.source.kind() == ErrorKind::NotFound
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
        let lock = FolderLock::of_new(&path).unwrap().expect("it is free");
        let with_mapping = lock.clone();
        drop(lock);
        assert!(matches!(FolderLock::take(&path), FolderOwner::Living));
        assert!(probe(&path).unwrap());
        // What a fork does to every file.
        let _inherited = with_mapping.held.folder.dir.try_clone().unwrap();
        drop(with_mapping);
        assert!(!probe(&path).unwrap());
        assert!(is_dead(&path));
    }

    #[test]
    fn a_lock_stays_with_a_folder_that_gets_another_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = folder(dir.path());
        let lock = FolderLock::of_new(&path).unwrap().expect("it is free");
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

    const ELSEWHERE: fn(&File) -> bool = |_| false;

    fn be_born_elsewhere(dir: &Path) -> (PathBuf, FolderLock) {
        let path = folder(dir);
        let lock = FolderLock::of_new_where(&path, ELSEWHERE).unwrap().expect("it is free");
        (path, lock)
    }

    /// What the file system is, in which boot the log is written, and whether a free lock is proof.
    #[test]
    fn a_free_lock_proves_a_death_where_one_kernel_keeps_it_and_nowhere_else() {
        let table = [
            (true, WriterBoot::This, true),
            (true, WriterBoot::Other, true),
            (true, WriterBoot::Untold, true),
            (false, WriterBoot::This, true),
            (false, WriterBoot::Other, false),
            (false, WriterBoot::Untold, false),
        ];
        for (is_local, writer, expected) in table {
            assert_eq!(is_free_proof(is_local, writer), expected, "{is_local} {writer:?}");
        }
    }

    #[test]
    fn under_one_kernel_a_lock_means_what_it_says_whatever_the_file_system() {
        let dir = tempfile::tempdir().unwrap();
        let (path, lock) = be_born_elsewhere(dir.path());
        assert!(probe_where(&path, ELSEWHERE).unwrap());
        assert!(matches!(FolderLock::take_where(&path, ELSEWHERE), FolderOwner::Living));
        assert!(lock.is_of(&path).unwrap());
        drop(lock);
        assert!(!probe_where(&path, ELSEWHERE).unwrap());
        let FolderOwner::Dead(lock) = FolderLock::take_where(&path, ELSEWHERE) else { panic!("it is free") };
        assert!(!probe_where(&path, ELSEWHERE).unwrap(), "who reads what it left is not taken for it");
        assert!(matches!(FolderLock::take_where(&path, ELSEWHERE), FolderOwner::Living), "one at a time");
        drop(lock);
    }

    #[test]
    fn of_another_boot_or_of_nobody_knows_which_a_free_lock_says_nothing_and_a_held_one_says_that_it_lives() {
        for said in [Some("another-boot\n"), Some(""), None] {
            let dir = tempfile::tempdir().unwrap();
            let (path, lock) = be_born_elsewhere(dir.path());
            let boot = folder_boot::path(&path);
            match said {
                Some(text) => std::fs::write(&boot, text).unwrap(),
                None => std::fs::remove_file(&boot).unwrap(),
            }
            if said.is_some() {
                assert!(probe_where(&path, ELSEWHERE).unwrap());
                assert!(matches!(FolderLock::take_where(&path, ELSEWHERE), FolderOwner::Living));
            }
            drop(lock);
            for _ in 0..2 {
                let FolderOwner::Unknown(error) = FolderLock::take_where(&path, ELSEWHERE) else { panic!("{said:?}") };
                assert!(is_untold(&error) && !is_gone(&error), "{error}");
                assert!(is_untold(&probe_where(&path, ELSEWHERE).unwrap_err()));
            }
            // The same folder on a disk of this machine.
            assert!(!probe(&path).unwrap() && is_dead(&path));
        }
    }
}
