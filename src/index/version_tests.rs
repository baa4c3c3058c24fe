//! What plain reads of a database's files say of its version, held against what SQLite wrote there.

use crate::ground::database_header::version;
use rusqlite::Connection;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

fn connect(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0").unwrap();
    connection
}

fn set(connection: &Connection, version: i64) {
    connection.pragma_update(None, "user_version", version).unwrap();
}

#[test]
fn the_version_is_that_of_the_last_commit_wherever_that_lies() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    assert_eq!(version(&path).unwrap(), None);
    let connection = connect(&path);
    for (step, expected) in [
        ("CREATE TABLE t (x)", 0),
        ("PRAGMA user_version = 7", 7),
        ("INSERT INTO t VALUES (1)", 7),
        ("PRAGMA wal_checkpoint(PASSIVE)", 7),
        // Begins the WAL anew, over the frames of before.
        ("PRAGMA wal_checkpoint(RESTART); INSERT INTO t VALUES (zeroblob(100))", 7),
        ("PRAGMA user_version = 8", 8),
        ("PRAGMA wal_checkpoint(RESTART); UPDATE t SET x = 3", 8),
        ("PRAGMA wal_checkpoint(TRUNCATE)", 8),
        ("PRAGMA user_version = -3", -3),
        // What spills into the WAL before its commit is no commit.
        (
            "PRAGMA cache_size = 2; BEGIN; PRAGMA user_version = 9;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
             INSERT INTO t SELECT zeroblob(5000) FROM n",
            -3,
        ),
        ("ROLLBACK", -3),
        ("PRAGMA user_version = 9", 9),
    ] {
        connection.execute_batch(step).unwrap();
        assert_eq!(version(&path).unwrap(), Some(expected), "{step}");
    }
    drop(connection);
    assert_eq!(version(&path).unwrap(), Some(9));
}

#[test]
fn what_is_no_database_says_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    for bytes in [&b""[..], b"SQLite format 3\0", &[0; 100], &[b'x'; 5000]] {
        std::fs::write(&path, bytes).unwrap();
        std::fs::write(dir.path().join("store.db-wal"), bytes).unwrap();
        assert_eq!(version(&path).unwrap(), None, "{} bytes", bytes.len());
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert_eq!(version(&path).unwrap(), None);
}

#[test]
fn looking_takes_no_lock_from_a_connection_of_this_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let connection = connect(&path);
    set(&connection, 7);
    let inode = std::fs::metadata(&path).unwrap().ino();
    let has_lock = || std::fs::read_to_string("/proc/locks").unwrap().contains(&format!(":{inode} "));
    assert!(has_lock(), "a connection in WAL mode holds one");
    assert_eq!(version(&path).unwrap(), Some(7));
    assert!(has_lock());
}
