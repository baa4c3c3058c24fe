//! Directories that only their owner can look into, and files that are no links.
//!
//! Runs on the thread that opens the store, and on the compactor when something goes to quarantine. It must not follow
//! a symbolic link.

use super::access::User;
use super::error::{AtPath, OpenError, PathError};
use rustix::fs::{IFlags, OFlags, ioctl_getflags, ioctl_setflags};
use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

/// Creates a directory with mode 0700, or accepts one that is there and ours.
pub(crate) fn create_private_dir(dir: &Path) -> Result<(), OpenError> {
    match std::fs::symlink_metadata(dir) {
        Ok(metadata) => {
            let found = if metadata.is_symlink() {
                "a symbolic link"
            } else if !metadata.is_dir() {
                "a file"
            } else {
                return expect_own(dir, metadata.uid(), rustix::process::geteuid().as_raw());
            };
            Err(OpenError::Unsafe { path: dir.to_owned(), expected: "a directory of this user", found })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                std::fs::create_dir_all(parent).at("create directory", parent)?;
            }
            DirBuilder::new().mode(0o700).create(dir).at("create directory", dir)?;
            keep_blocks_in_place(dir);
            // The name is as durable as what will be in it.
            let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(parent).and_then(|parent| parent.sync_all()).at("sync directory", parent)?;
            Ok(())
        }
        Err(error) => Err(PathError { operation: "inspect", path: dir.to_owned(), source: error }.into()),
    }
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
