//! Directories that only their owner can look into, and files that are no links.
//!
//! Runs on the thread that opens the store, and on the compactor when something goes to quarantine. It must not follow
//! a symbolic link.

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
            keep_blocks_in_place(dir);
            // The name is as durable as what will be in it.
            let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(parent).and_then(|parent| parent.sync_all()).at("sync directory", parent)?;
            Ok(())
        }
        Err(error) => Err(PathError { operation: "inspect", path: dir.to_owned(), source: error }.into()),
    }
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
