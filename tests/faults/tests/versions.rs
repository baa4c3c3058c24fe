//! Versions: what is newer than this build is left alone, and not a byte of it changes.

use mcplog::error::{IndexError, OpenError};
use mcplog::segment::SegmentReader;
use mcplog::{Config, Store};
use mcplog_faults::{Holdings, Victim, directory, event, placed};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// A store with a hundred events, folded, its log kept.
fn store() -> (tempfile::TempDir, Config) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut config = Config::new(dir.path().join("data"));
    config.keep_segments_bytes = Some(u64::MAX);
    let store = Store::open(config.clone()).expect("open");
    let recorder = store.recorder();
    assert!((0..100).all(|number| event::record(&recorder, number)), "recorded");
    store.wait_folded(PATIENCE).expect("folded");
    store.shutdown(PATIENCE);
    (dir, config)
}

/// Every file of a store but SQLite's shared memory, which every reader writes to, and the lock's process id.
fn snapshot(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = directory::contents(dir);
    files.retain(|path, _| !path.ends_with("LOCK") && path.extension().is_none_or(|extension| extension != "db-shm"));
    files
}

/// A log that nobody has any more and that nobody has folded, of a process that was killed; the path of its segment.
fn leave_a_log(config: &Config) -> PathBuf {
    let victim = Victim::new(env!("CARGO_BIN_EXE_victim"), &config.dir);
    // Nobody folds while the database is held.
    let holder = rusqlite::Connection::open(config.dir.join("store.db")).expect("open");
    holder.execute_batch("BEGIN IMMEDIATE").expect("nobody writes any more");
    let mut victim = victim.with(["--first", "100", "--events", "50", "--tell-every", "10", "--linger"]).start();
    victim.wait_until(|said| said.appended == 50);
    victim.kill();
    holder.execute_batch("ROLLBACK").expect("the lock is ours");
    let folders = placed::folders(&config.dir.join("wal"));
    let [folder] = folders.try_into().unwrap_or_else(|found| panic!("one folder, not {found:?}"));
    mcplog::segment::list(&folder).expect("list").pop().expect("a segment").path
}

/// The log of a newer program waits for one, is named, and is not touched; who records beside it is not held up.
#[test]
fn a_log_of_a_newer_version_waits_for_a_newer_program_and_nobody_else_does() {
    let (_dir, config) = store();
    let path = leave_a_log(&config);
    let header = *SegmentReader::open(&path).expect("a segment").header();
    mcplog_fixture::segment::patch(&path, 0, &header.encode_as(2));
    let before = std::fs::read(&path).expect("readable");
    let store = Store::open(config.clone()).expect("a store in which others record");
    let recorder = store.recorder();
    assert!((200..250).all(|number| event::record(&recorder, number)), "recorded");
    store.wait_folded(PATIENCE).expect("folded beside it");
    mcplog_fixture::wait_until("it is named", || {
        let told = store.stats().health.to_string();
        told.contains("use a newer mcplog") || told.contains("newer")
    });
    store.shutdown(PATIENCE);
    assert!(std::fs::read(&path).expect("readable") == before, "it was touched");
    let holdings = Holdings::read(&config.dir);
    assert_eq!((holdings.prefix(0), holdings.prefix(100), holdings.prefix(200)), (100, 0, 50));
    // And it is folded once the newer program is there: here, by taking the change back.
    mcplog_fixture::segment::patch(&path, 0, &header.encode());
    assert_eq!(Holdings::of(&config.dir).numbers, (0..150).chain(200..250).collect::<Vec<_>>());
}

#[test]
fn a_database_of_a_newer_version_is_refused_and_nothing_changes() {
    let (_dir, config) = store();
    let database = rusqlite::Connection::open(config.dir.join("store.db")).expect("open");
    database.pragma_update(None, "user_version", 1_000).expect("newer");
    drop(database);
    let before = snapshot(&config.dir);
    let error = Store::open(config.clone()).expect_err("a newer version");
    let newer = matches!(&error, OpenError::Index(IndexError::UnsupportedVersion { found: 1_000, .. }));
    assert!(newer && error.to_string().contains("use a newer mcplog"), "{error}");
    assert_eq!(snapshot(&config.dir), before);
}
