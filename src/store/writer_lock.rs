//! Whether a running process holds a store's lock, without touching the lock.
//!
//! Trying the lock would tell too, but would refuse a writer that starts in that instant. The kernel's list of locks
//! tells without that. Where there is no such list (not Linux, or `/proc` hidden), nobody is said to hold it.
//!
//! Runs anywhere, in any process. It must not open the lock file for writing.

use super::lock::{Holder, LOCK_NAME};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Up to so many bytes, the kernel's list is of one moment: it is handed out a page at a time, and no page is smaller.
const OF_ONE_MOMENT_BYTES: usize = 4096;
/// How often a longer list is looked at for a lock that is not in it.
const LOOKS_MAX: usize = 10;

/// Whether somebody writes to the store in `dir`.
pub fn is_held(dir: &Path) -> bool {
    let Ok(metadata) = std::fs::symlink_metadata(dir.join(LOCK_NAME)) else { return false };
    // The pid tells what the device number can't: some file systems show one number to stat(2) and another here.
    let pid = holder(dir).filter(Holder::is_of_this_namespace).map(|holder| holder.pid);
    is_seen(|| std::fs::read_to_string("/proc/locks").ok(), |locks| lists(locks, metadata.dev(), metadata.ino(), pid))
}

/// Whether who last wrote to the store did so in another container: the kernel does not tell here whether that one still
/// holds the lock.
pub(crate) fn may_be_held_elsewhere(dir: &Path) -> bool {
    holder(dir).is_some_and(|holder| !holder.is_of_this_namespace())
}

/// Who took the lock last, as its file says.
fn holder(dir: &Path) -> Option<Holder> {
    let lock = dir.join(LOCK_NAME);
    std::fs::symlink_metadata(&lock).ok().filter(std::fs::Metadata::is_file)?;
    Holder::read(std::fs::File::open(&lock).ok()?)
}

/// Whether a lock is in the list. A lock that is let go while a long list is read moves up those behind it, so that one of
/// them is passed over: that a lock is not in it is believed after several looks only.
fn is_seen(mut look: impl FnMut() -> Option<String>, is_in: impl Fn(&str) -> bool) -> bool {
    for _ in 0..LOOKS_MAX {
        let Some(locks) = look() else { return false };
        if is_in(&locks) {
            return true;
        }
        if locks.len() < OF_ONE_MOMENT_BYTES {
            return false;
        }
    }
    false
}

/// Whether `locks`, in the form of `/proc/locks`, has an exclusive flock(2) on that file.
fn lists(locks: &str, device: u64, inode: u64, pid: Option<u32>) -> bool {
    let device = format!("{:02x}:{:02x}", major(device), minor(device));
    locks.lines().any(|line| {
        // "1: FLOCK  ADVISORY  WRITE 6251 fe:00:10184807 0 EOF"
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", holder, file, ..] = words[..] else { return false };
        let Some((file_device, file_inode)) = file.rsplit_once(':') else { return false };
        file_inode.parse() == Ok(inode) && (file_device == device || pid.is_some_and(|pid| holder.parse() == Ok(pid)))
    })
}

/// As glibc's gnu_dev_major.
const fn major(device: u64) -> u64 {
    (device >> 8 & 0xfff) | (device >> 32 & 0xffff_f000)
}

/// As glibc's gnu_dev_minor.
const fn minor(device: u64) -> u64 {
    (device & 0xff) | (device >> 12 & 0xffff_ff00)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_exclusive_flock_on_that_file_counts() {
        let locks = "1: POSIX  ADVISORY  WRITE 10 fe:00:100 0 EOF\n\
                     2: FLOCK  ADVISORY  READ 10 fe:00:101 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 10 fe:00:102 0 EOF\n\
                     3: -> FLOCK  ADVISORY  WRITE 11 fe:00:103 0 EOF\n";
        let device = 0xfe00;
        let cases = [
            (device, 100, None, false),
            (device, 101, None, false),
            (device, 102, None, true),
            (device, 103, None, false),
            (0x0801, 102, None, false),
            (0x0801, 102, Some(10), true),
            (0x0801, 102, Some(11), false),
        ];
        for (device, inode, pid, expected) in cases {
            assert_eq!(lists(locks, device, inode, pid), expected, "{device:x} {inode} {pid:?}");
        }
    }

    #[test]
    fn a_lock_that_a_long_list_passes_over_is_seen_by_looking_again() {
        let (short, long) = ("other\n".to_owned(), "other\n".repeat(1000));
        let cases = [
            (vec![short.clone() + "it"], true, 1),
            (vec![short.clone()], false, 1),
            (vec![long.clone() + "it"], true, 1),
            (vec![long.clone(), long.clone(), long.clone() + "it"], true, 3),
            (vec![long.clone(), short], false, 2),
            (vec![long; LOOKS_MAX], false, LOOKS_MAX),
            (vec![], false, 1),
        ];
        for (lists, expected, expected_looks) in cases {
            let (mut looks, mut left) = (0, lists.clone().into_iter());
            let look = || {
                looks += 1;
                left.next()
            };
            let found = is_seen(look, |locks| locks.ends_with("it"));
            assert_eq!((found, looks), (expected, expected_looks), "{} lists", lists.len());
        }
    }

    #[test]
    fn a_lock_of_this_process_is_seen_until_it_is_let_go() {
        let store = tempfile::tempdir().unwrap();
        assert!(!is_held(store.path()));
        let file = std::fs::File::create(store.path().join("LOCK")).unwrap();
        assert!(!is_held(store.path()));
        file.lock().unwrap();
        assert!(is_held(store.path()));
        drop(file);
        assert!(!is_held(store.path()));
    }
}
