//! Who reads a database, and so may keep SQLite's WAL from being begun anew: by the kernel's list of locks.
//!
//! A reader in a transaction has a shared lock on one of five bytes of `store.db-shm`. The file is not opened to ask
//! for it: closing it would drop every lock that this process has on it, those of SQLite's connections included.
//! `/proc/locks` tells without that. Where there is no such list (not Linux, or `/proc` hidden), and of processes in
//! other containers, nothing is known.
//!
//! Runs on the compactor, and on the thread of whoever checks a store.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where the bytes are that SQLite locks while it reads, by its file format ("WAL-index file format", locking): the
/// first is for those who read the database's file alone, and so keep the WAL from being copied.
const READ_LOCKS: std::ops::RangeInclusive<u64> = 123..=127;

/// How many readers are named.
const NAMED_MAX: usize = 3;

/// A process that reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reader {
    pid: u32,
    /// The program's name, if the system says it.
    name: Option<String>,
}

/// Who reads, as far as can be seen from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Readers(Vec<Reader>);

impl Readers {
    /// Who reads that database now.
    pub(crate) fn of(database: &Path) -> Self {
        let shared_memory = companion(database, "-shm");
        let (Ok(metadata), Ok(locks)) = (fs::metadata(shared_memory), fs::read_to_string("/proc/locks")) else {
            return Self(Vec::new());
        };
        let named = |pid| Reader { pid, name: name_of(pid) };
        Self(pids(&locks, metadata.dev(), metadata.ino()).into_iter().map(named).collect())
    }

    /// Whether nobody can be seen.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Readers {
    /// What people are told of a WAL that is longer than `most_bytes` because of these.
    pub(crate) fn why_long(&self, most_bytes: u64) -> String {
        let most_mib = most_bytes >> 20;
        let who = if self.is_empty() { "somebody who can't be seen from here".to_owned() } else { self.to_string() };
        format!(
            "store.db-wal is longer than {most_mib} MiB, because an old state of the database is being read by {who}; it \
             gets short once nobody does"
        )
    }
}

impl fmt::Display for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Reader { pid, name }) in self.0.iter().take(NAMED_MAX).enumerate() {
            let separator = if number == 0 { "" } else { ", " };
            let name = name.as_ref().map_or(String::new(), |name| format!(" ({name})"));
            write!(f, "{separator}process {pid}{name}")?;
        }
        match self.0.len().saturating_sub(NAMED_MAX) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// The path of one of the files beside a database: `-wal`, `-shm`.
pub(crate) fn companion(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// The size of SQLite's WAL in bytes; 0 if there is none. The file is not opened, for the reason given above.
pub(crate) fn wal_bytes(database: &Path) -> u64 {
    fs::metadata(companion(database, "-wal")).map_or(0, |metadata| metadata.len())
}

/// The processes that `locks`, in the form of `/proc/locks`, says to have a lock of a reader on that file; ascending.
fn pids(locks: &str, device: u64, inode: u64) -> Vec<u32> {
    let device = format!("{:02x}:{:02x}", rustix::fs::major(device), rustix::fs::minor(device));
    let held = |line: &str| {
        // "1: POSIX  ADVISORY  READ 6251 fe:00:10184807 123 123"
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "POSIX", _, "READ", pid, file, first, last, ..] = words[..] else { return None };
        let (file_device, file_inode) = file.rsplit_once(':')?;
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        let is_readers = file_inode.parse() == Ok(inode) && first <= *READ_LOCKS.end() && last >= *READ_LOCKS.start();
        Some((file_device == device, pid.parse().ok()?)).filter(|_| is_readers)
    };
    let held: Vec<(bool, u32)> = locks.lines().filter_map(held).collect();
    // Some file systems show one device number to stat(2) and another here. Then inode and bytes have to do.
    let is_known = held.iter().any(|(is_same_device, _)| *is_same_device);
    let mut pids: Vec<u32> =
        held.into_iter().filter(|(is_same_device, _)| *is_same_device || !is_known).map(|(_, pid)| pid).collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

fn name_of(pid: u32) -> Option<String> {
    if pid == std::process::id() {
        return Some("this one".to_owned());
    }
    fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    #[test]
    fn only_shared_locks_on_the_bytes_of_readers_count() {
        let locks = "1: POSIX  ADVISORY  READ 10 fe:00:100 123 123\n\
                     2: POSIX  ADVISORY  READ 11 fe:00:100 128 128\n\
                     3: POSIX  ADVISORY  WRITE 12 fe:00:100 120 120\n\
                     4: FLOCK  ADVISORY  READ 13 fe:00:100 0 EOF\n\
                     5: POSIX  ADVISORY  READ 14 fe:00:100 127 128\n\
                     5: -> POSIX  ADVISORY  READ 15 fe:00:100 123 123\n\
                     6: POSIX  ADVISORY  READ 16 fe:01:100 124 124\n\
                     7: POSIX  ADVISORY  READ 10 fe:00:100 125 125\n\
                     8: POSIX  ADVISORY  READ 17 fe:00:101 123 123\n";
        assert_eq!(pids(locks, 0xfe00, 100), [10, 14]);
        assert_eq!(pids(locks, 0x0801, 101), [17], "by another device number");
        assert_eq!(pids(locks, 0xfe00, 99), [0; 0]);
    }

    #[test]
    fn a_process_in_a_transaction_is_seen_until_that_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "journal_mode", "wal").unwrap();
        connection.execute_batch("CREATE TABLE t (a)").unwrap();
        assert!(Readers::of(&path).is_empty());
        connection.execute_batch("BEGIN; SELECT * FROM t").unwrap();
        let (readers, own) = (Readers::of(&path), std::process::id());
        assert_eq!(readers.to_string(), format!("process {own} (this one)"));
        connection.execute_batch("COMMIT").unwrap();
        assert!(Readers::of(&path).is_empty());
    }

    #[test]
    fn many_readers_are_counted_rather_than_named() {
        let reader = |pid| Reader { pid, name: None };
        assert_eq!(Readers([1, 2].map(reader).into()).to_string(), "process 1, process 2");
        let many = Readers([1, 2, 3, 4, 5].map(reader).into());
        assert_eq!(many.to_string(), "process 1, process 2, process 3 and 2 more");
    }
}
