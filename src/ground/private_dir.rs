//! Directories that only their owner can look into, and files that are no links.
//!
//! Runs on the thread that opens the store, and on the compactor when something goes to quarantine. It must not follow
//! a symbolic link.

use super::access::User;
use super::error::{AtPath, OpenError, PathError};
use rustix::fs::{IFlags, OFlags, ioctl_getflags, ioctl_setflags};
use std::fs::{DirBuilder, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

/// Creates a directory with mode 0700, or accepts one that is there and ours. Any number of processes may do so at once.
pub(crate) fn create_private_dir(dir: &Path) -> Result<(), OpenError> {
    match std::fs::symlink_metadata(dir) {
        Ok(metadata) => expect_own_dir(dir, &metadata),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if let Some(parent) = parent(dir) {
                std::fs::create_dir_all(parent).at("create directory", parent)?;
            }
            match make(dir) {
                // Another process was quicker. What it made is looked at like anything that was there before.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    expect_own_dir(dir, &std::fs::symlink_metadata(dir).at("inspect", dir)?)?;
                }
                made => {
                    made.at("create directory", dir)?;
                    keep_blocks_in_place(dir);
                }
            }
            // The name is as durable as what will be in it, whoever made it.
            let parent = parent(dir).unwrap_or(Path::new("."));
            File::open(parent).and_then(|parent| parent.sync_all()).at("sync directory", parent)?;
            Ok(())
        }
        Err(source) => Err(PathError { operation: "inspect", path: dir.to_owned(), source }.into()),
    }
}

/// Accepts a directory that is there and ours, and one that is not there yet.
pub(crate) fn accept_private_dir(dir: &Path) -> Result<(), OpenError> {
    match std::fs::symlink_metadata(dir) {
        Ok(metadata) => expect_own_dir(dir, &metadata),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(PathError { operation: "inspect", path: dir.to_owned(), source }.into()),
    }
}

fn make(dir: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(dir)
}

/// The directory that `dir` lies in, if its path says so.
fn parent(dir: &Path) -> Option<&Path> {
    dir.parent().filter(|parent| !parent.as_os_str().is_empty())
}

/// An error where what is there is no directory, or not this user's.
fn expect_own_dir(dir: &Path, metadata: &Metadata) -> Result<(), OpenError> {
    let found = if metadata.is_symlink() {
        "a symbolic link"
    } else if !metadata.is_dir() {
        "a file"
    } else {
        return expect_own(dir, metadata.uid(), rustix::process::geteuid().as_raw());
    };
    Err(OpenError::Unsafe { path: dir.to_owned(), expected: "a directory of this user", found })
}

/// An error where a directory is not this user's.
fn expect_own(dir: &Path, owner: u32, user: u32) -> Result<(), OpenError> {
    if owner == user {
        return Ok(());
    }
    Err(OpenError::ForeignOwner { path: dir.to_owned(), owner: User::of(owner), user: User::of(user) })
}

/// Has the files that will be in `dir` written in place, where the file system would move what is changed (btrfs).
///
/// SQLite maps `store.db-shm`, and so does everybody who reads the database. When such a disk was full, a change of it
/// found no new place, and the process died by SIGBUS (seen on btrfs; since Linux 6.17 a file that stays in place is
/// safe from that). What is given up for it, the file system's own checksums, the log has itself. Other file systems
/// refuse, and need not be asked.
fn keep_blocks_in_place(dir: &Path) {
    let set = |dir: File| ioctl_setflags(&dir, ioctl_getflags(&dir)? | IFlags::NOCOW);
    if let Ok(dir) = File::open(dir) {
        let _ = set(dir);
    }
}

/// The open flag that refuses symbolic links.
pub(crate) fn no_follow() -> i32 {
    i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn many_who_make_one_directory_at_once_all_succeed() {
        const AT_ONCE: usize = 6;
        let root = tempfile::tempdir().unwrap();
        for round in 0..200 {
            let dir = root.path().join(format!("{round}/store"));
            let barrier = Barrier::new(AT_ONCE);
            std::thread::scope(|scope| {
                for _ in 0..AT_ONCE {
                    scope.spawn(|| {
                        barrier.wait();
                        create_private_dir(&dir).unwrap();
                    });
                }
            });
            assert_eq!(std::fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn a_link_or_a_file_in_a_directory_s_place_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let (link, file) = (root.path().join("link"), root.path().join("file"));
        std::os::unix::fs::symlink(root.path(), &link).unwrap();
        std::fs::write(&file, "").unwrap();
        assert!(matches!(create_private_dir(&link), Err(OpenError::Unsafe { found: "a symbolic link", .. })));
        assert!(matches!(create_private_dir(&file), Err(OpenError::Unsafe { found: "a file", .. })));
    }

    #[test]
    fn a_directory_of_another_user_is_refused_with_both_names_and_what_would_do() {
        let dir = Path::new("/srv/data");
        assert!(expect_own(dir, 7, 7).is_ok());
        let error = expect_own(dir, 4_000_000_123, 0).unwrap_err().to_string();
        assert_eq!(
            error,
            "/srv/data: belongs to user 4000000123, and this is user root (0); record into a directory within it, or \
             into another one"
        );
    }
}
