//! Whether a file system is one of this machine alone, so that a lock which can be had means that nobody has it.
//!
//! Looks at an open file, and touches nothing; on any thread.

use rustix::fs::fstatfs;
use std::fs::File;

/// The file systems whose locks the kernel keeps itself, by their magic numbers in statfs(2).
///
/// A list of those that are known, so that one that nobody thought of is not trusted. What is absent, and why:
/// - NFS, SMB, Ceph, AFS, 9p: the server may keep the locks, or each machine its own, or nobody; mount options decide.
/// - FUSE, virtiofs among it: whatever is behind it decides.
/// - gVisor shows one of the above, and keeps locks within its sandbox.
const LOCAL: [u32; 18] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // btrfs
    0xca45_1a4e, // bcachefs
    0xf2f5_2010, // F2FS
    0x2fc1_2fc1, // ZFS
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
    0x794c_7630, // overlayfs
    0x3153_464a, // JFS
    0x5265_4973, // ReiserFS
    0x3434,      // NILFS
    0xf15f,      // eCryptfs
    0x4d44,      // FAT
    0x2011_bab0, // exFAT
    0x5346_544e, // NTFS
    0x7366_746e, // NTFS3
    0x2405_1905, // UBIFS
];

/// Whether `file` lies on a file system of this machine alone. One that doesn't say what it is does not count as one.
pub(crate) fn is_local(file: &File) -> bool {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "its width and sign differ by architecture, its numbers have 32 bits"
    )]
    let magic = fstatfs(file).ok().map(|status| status.f_type as u32);
    magic.is_some_and(|magic| LOCAL.contains(&magic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_local_and_what_the_kernel_makes_up_is_not() {
        assert!(is_local(&tempfile::tempfile().unwrap()));
        assert!(!is_local(&File::open("/proc/self/status").unwrap()));
    }
}
