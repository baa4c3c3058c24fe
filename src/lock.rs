//! The store's directory and its lock: one writer, made private, links not followed.

use crate::error::{AtPath, OpenError, PathError};
use rustix::fs::OFlags;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// The name of the lock file. It holds the writer's process id, for people; the lock itself is flock(2), which ends
/// with the process.
pub(crate) const LOCK_NAME: &str = "LOCK";

/// Held as long as this process writes to the store.
#[derive(Debug)]
pub(crate) struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Creates the directory if need be, and takes its lock.
    pub(crate) fn acquire(dir: &Path) -> Result<Self, OpenError> {
        create_private_dir(dir)?;
        let path = dir.join(LOCK_NAME);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(no_follow())
            .open(&path)
            .at("open", &path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The pid is a courtesy; without it the message says "another process".
                let _ = file.take(32).read_to_string(&mut text);
                return Err(OpenError::Locked { dir: dir.to_owned(), pid: text.trim().parse().ok() });
            }
            Err(TryLockError::Error(source)) => {
                return Err(PathError { operation: "lock", path, source }.into());
            }
        }
        file.set_len(0).at("write", &path)?;
        file.seek(SeekFrom::Start(0)).at("write", &path)?;
        writeln!(file, "{}", std::process::id()).at("write", &path)?;
        Ok(Self { _file: file })
    }
}

/// Creates a directory with mode 0700, or accepts one that is there and ours.
pub(crate) fn create_private_dir(dir: &Path) -> Result<(), OpenError> {
    match std::fs::symlink_metadata(dir) {
        Ok(metadata) => {
            let found = if metadata.is_symlink() {
                "a symbolic link"
            } else if !metadata.is_dir() {
                "a file"
            } else if metadata.uid() != rustix::process::geteuid().as_raw() {
                "a directory of another user"
            } else {
                return Ok(());
            };
            Err(OpenError::Unsafe { path: dir.to_owned(), expected: "a directory of this user", found })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                std::fs::create_dir_all(parent).at("create directory", parent)?;
            }
            DirBuilder::new().mode(0o700).create(dir).at("create directory", dir)?;
            // The name is as durable as what will be in it.
            let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(parent).and_then(|parent| parent.sync_all()).at("sync directory", parent)?;
            Ok(())
        }
        Err(error) => Err(PathError { operation: "inspect", path: dir.to_owned(), source: error }.into()),
    }
}

/// The open flag that refuses symbolic links.
pub(crate) fn no_follow() -> i32 {
    i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_is_refused_and_told_who_holds_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let lock = StoreLock::acquire(dir.path()).unwrap();
        let error = StoreLock::acquire(dir.path()).unwrap_err();
        assert!(matches!(error, OpenError::Locked { pid: Some(pid), .. } if pid == std::process::id()), "{error}");
        drop(lock);
        StoreLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn a_new_directory_is_private_and_a_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("a/b");
        StoreLock::acquire(&store).unwrap();
        assert_eq!(std::fs::metadata(&store).unwrap().mode() & 0o777, 0o700);
        assert_eq!(std::fs::metadata(store.join(LOCK_NAME)).unwrap().mode() & 0o777, 0o600);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&store, &link).unwrap();
        assert!(matches!(StoreLock::acquire(&link), Err(OpenError::Unsafe { found: "a symbolic link", .. })));
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(StoreLock::acquire(&file), Err(OpenError::Unsafe { found: "a file", .. })));
    }

    #[test]
    fn a_lock_file_that_is_a_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/null", dir.path().join(LOCK_NAME)).unwrap();
        assert!(matches!(StoreLock::acquire(dir.path()), Err(OpenError::Io(_))));
    }
}
