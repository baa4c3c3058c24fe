//! Versions: what is newer than this build is refused, and not a byte of the store changes.

use mcplog::error::{IndexError, OpenError, SegmentError};
use mcplog::segment::SegmentReader;
use mcplog::{Config, Store};
use mcplog_faults::{directory, event};
use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
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

fn newest_segment(config: &Config) -> PathBuf {
    mcplog::segment::list(&config.dir.join("wal")).expect("list").pop().expect("a segment").path
}

#[test]
fn a_segment_of_a_newer_version_is_refused_and_nothing_changes() {
    let (_dir, config) = store();
    let path = newest_segment(&config);
    let file = std::fs::OpenOptions::new().write(true).open(&path).expect("open");
    let header = *SegmentReader::open(&path).expect("a segment").header();
    file.write_all_at(&header.encode_as(2), 0).expect("write");
    let before = snapshot(&config.dir);
    let error = Store::open(config.clone()).expect_err("a newer version");
    let newer = matches!(&error, OpenError::Segment(SegmentError::UnsupportedVersion { found: 2, .. }));
    assert!(newer && error.to_string().contains("use a newer mcplog"), "{error}");
    assert_eq!(snapshot(&config.dir), before);
    // And it is as good as ever once the newer program is there: here, by taking the change back.
    file.write_all_at(&header.encode(), 0).expect("write");
    Store::open(config).expect("open").shutdown(PATIENCE);
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
