//! Which file systems can be trusted with a mapping. Looks at a file, never touches it; runs on the preparing thread.
//!
//! A store into a mapped page that the file system has no room for ends in SIGBUS, and takes the proxy with it. Whoever
//! gives a file its blocks once and writes in place for ever has the room: there, segments are mapped. Everybody else
//! gets them by pwrite(2), which returns an error.

use rustix::fs::fstatfs;
use std::fs::File;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Through a mapping.
    Mapped,
    /// By pwrite(2), into the page cache: as safe from a crash of the process as a mapping.
    Pwrite,
}

/// The file systems that keep the blocks that fallocate(2) gave, by their magic numbers in statfs(2).
///
/// A list of those that are known to be good, so that one that nobody thought of costs speed and no proxy its life.
/// What is absent, and why:
/// - XFS shares a file's blocks with whoever clones it, and `cp` does that unasked. What is changed in the file from then on
///   needs new blocks. Tried: an active segment was copied and the disk filled, and the proxy died by SIGBUS. Nothing
///   tells in advance whether somebody will.
/// - btrfs, bcachefs, ZFS, NILFS, F2FS write each change to a new place, which may not be there.
/// - NFS, CIFS, 9p, Ceph, AFS: the room is the server's, and it may be gone; so may the server.
/// - FUSE: whatever is behind it, or nobody any more.
/// - overlayfs tells nothing about the file system beneath it.
const MAPPED: [u32; 2] = [EXT4, TMPFS];

/// ext2, ext3 and ext4 alike.
const EXT4: u32 = 0xef53;
const TMPFS: u32 = 0x0102_1994;

/// How `file` is to be written; by pwrite(2) if its file system doesn't say what it is.
pub(super) fn access(file: &File) -> Access {
    // The type's width and sign differ by architecture; the numbers above fit all of them.
    let magic = fstatfs(file).ok().and_then(|status| u32::try_from(status.f_type).ok());
    if magic.is_some_and(|magic| MAPPED.contains(&magic)) { Access::Mapped } else { Access::Pwrite }
}
