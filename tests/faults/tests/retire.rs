//! Killed between the commit that folds a segment, the unlink that retires it, and the sync of the directory: whatever
//! stage it was, everything that reached the map is there, and folded once.

use mcplog_faults::{Holdings, Random, Scale, Victim, missing, skip};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

const SIGKILL: i32 = 9;
/// Enough for some ten segments of 64 KiB.
const EVENTS: u64 = 8_000;

#[test]
fn killed_between_commit_and_unlink_nothing_is_lost_or_folded_twice() {
    // A call that a signal is injected into is not made: the segment is folded and still there. The first one is removed
    // after a commit of its own, the next ones often by the same round of retiring.
    rounds("killed_between_commit_and_unlink_nothing_is_lost_or_folded_twice", |_, random| {
        [format!("--inject=unlink,?unlinkat:signal=KILL:when={}", 1 + random.below(4)), String::new()]
    });
}

#[test]
fn killed_between_unlink_and_directory_sync_nothing_is_lost_or_folded_twice() {
    rounds("killed_between_unlink_and_directory_sync_nothing_is_lost_or_folded_twice", |wal_dir, random| {
        // Under `never`, and by path, no other calls are left: the compactor's first sync of the log's directory follows its
        // first unlinks. A count of calls is one of each thread's own.
        let when = 1 + random.below(3);
        [format!("--inject=fsync:signal=KILL:when={when}"), format!("--trace-path={}", wal_dir.display())]
    });
}

#[test]
fn killed_between_commit_and_its_sync_nothing_is_lost_or_folded_twice() {
    rounds("killed_between_commit_and_its_sync_nothing_is_lost_or_folded_twice", |wal_dir, random| {
        let database_log = wal_dir.with_file_name("store.db-wal");
        let when = 1 + random.below(3);
        [
            format!("--inject=fsync,fdatasync:signal=KILL:when={when}"),
            format!("--trace-path={}", database_log.display()),
        ]
    });
}
