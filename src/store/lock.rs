//! The lock of a store's directory: one process writes to it.
//!
//! Taken on the thread that opens the store, and held until the last of its threads has ended.

use crate::ground::error::{AtPath, OpenError, PathError};
use crate::ground::private_dir::{create_private_dir, no_follow};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// The name of the lock file. It holds the writer's process id, for people, and in which namespace that id means something:
/// the number of one in a container would name some other process here, or none. The lock itself is flock(2), which ends
/// with the process.
pub(crate) const LOCK_NAME: &str = "LOCK";

/// Held as long as this process writes to the store.
#[derive(Debug)]
pub(crate) struct StoreLock {
    file: File,
    /// Who took it. A child that this process forked off has the file open too, but not the lock.
    owner_pid: u32,
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
                // The pid is a courtesy; without it the message says "another process".
                let (pid, pid_elsewhere) = match Holder::read(file) {
                    Some(holder) if holder.is_of_this_namespace() => (Some(holder.pid), None),
                    holder => (None, holder.map(|holder| holder.pid)),
                };
                return Err(OpenError::Locked { dir: dir.to_owned(), pid, pid_elsewhere });
            }
            Err(TryLockError::Error(source)) => {
                return Err(PathError { operation: "lock", path, source }.into());
            }
        }
        file.set_len(0).at("write", &path)?;
        file.seek(SeekFrom::Start(0)).at("write", &path)?;
        let namespace = pid_namespace().map_or(String::new(), |namespace| format!(" {namespace}"));
        writeln!(file, "{}{namespace}", std::process::id()).at("write", &path)?;
        Ok(Self { file, owner_pid: std::process::id() })
    }
}

impl Drop for StoreLock {
    fn drop(&mut self) {
        if std::process::id() == self.owner_pid {
            // Closing the file is not enough: a child that another thread is starting has it open until it becomes
            // another program, and opening the store again in that instant was refused. Where it fails, closing has to
            // do.
            let _ = self.file.unlock();
        }
    }
}

/// Who took the lock, as the lock file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    /// The pid namespace that this is a number of, if the writer knew.
    namespace: Option<u64>,
}

impl Holder {
    /// What stands in the lock file; `None` if that is nothing or something else.
    pub(crate) fn read(file: impl Read) -> Option<Self> {
        let mut text = String::new();
        file.take(64).read_to_string(&mut text).ok()?;
        let mut numbers = text.split_whitespace();
        let pid = numbers.next()?.parse().ok()?;
        Some(Self { pid, namespace: numbers.next().and_then(|number| number.parse().ok()) })
    }

    /// Whether the number means that process here as well. Who does not say so is believed.
    pub(crate) fn is_of_this_namespace(&self) -> bool {
        self.namespace.is_none() || self.namespace == pid_namespace()
    }
}

/// The number of this process's pid namespace.
fn pid_namespace() -> Option<u64> {
    std::fs::metadata("/proc/self/ns/pid").ok().map(|metadata| metadata.ino())
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
    fn the_number_of_a_process_in_another_container_is_not_told_as_one_of_here() {
        let dir = tempfile::tempdir().unwrap();
        let lock = StoreLock::acquire(dir.path()).unwrap();
        let told = |text: &str| {
            std::fs::write(dir.path().join(LOCK_NAME), text).unwrap();
            StoreLock::acquire(dir.path()).unwrap_err().to_string()
        };
        let own = pid_namespace().unwrap();
        assert!(told(&format!("7 {own}\n")).contains("in use by process 7;"));
        assert!(told("7\n").contains("in use by process 7;"));
        let elsewhere = told(&format!("7 {}\n", own + 1));
        assert!(elsewhere.contains("a process in another container (number 7 there)"), "{elsewhere}");
        assert!(told("what\n").contains("in use by another process;"));
        drop(lock);
    }

    #[test]
    fn a_pid_namespace_has_the_number_that_the_kernel_gives_it() {
        let link = std::fs::read_link("/proc/self/ns/pid").unwrap();
        assert_eq!(link.to_str(), Some(&*format!("pid:[{}]", pid_namespace().unwrap())));
    }

    #[test]
    fn a_lock_that_was_dropped_is_free_even_if_a_child_has_its_file_open() {
        let dir = tempfile::tempdir().unwrap();
        let lock = StoreLock::acquire(dir.path()).unwrap();
        // What a fork does to every file.
        let _inherited = lock.file.try_clone().unwrap();
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
