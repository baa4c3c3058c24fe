//! The database's file alone is a sound copy of everything: while nothing comes, and after the end. Whoever keeps that
//! from being so is named.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use mcplog::Query;
use mcplog::health::Part;
use mcplog_fixture::{Fixture, wait_until};
use rusqlite::Connection;

/// More than the WAL may have before a reader in the way is named, in bytes.
const LONG_WAL_BYTES: u64 = 65 << 20;

fn wal_bytes(fixture: &Fixture) -> u64 {
    std::fs::metadata(fixture.dir().join("store.db-wal")).map_or(0, |metadata| metadata.len())
}

/// How many requests a copy of `store.db` has that was made without its companions.
fn requests_in_file_alone(fixture: &Fixture) -> i64 {
    let copy = fixture.root().join("alone.db");
    std::fs::copy(fixture.dir().join("store.db"), &copy).unwrap();
    let database = Connection::open(&copy).unwrap();
    let sound: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    database.query_row("SELECT count(*) FROM requests", [], |row| row.get(0)).unwrap()
}

#[test]
fn the_file_alone_has_everything_some_seconds_after_the_last_event() {
    let fixture = Fixture::with(|_| ());
    for events in [0..100, 100..110] {
        let end = i64::try_from(events.end).unwrap();
        fixture.record(events);
        fixture.fold();
        wait_until("SQLite's WAL is empty", || wal_bytes(&fixture) == 0);
        assert_eq!(requests_in_file_alone(&fixture), end);
    }
}

#[test]
fn the_file_alone_has_everything_after_the_end_though_others_have_it_open() {
    let mut fixture = Fixture::with(|_| ());
    wait_until("the thread that folds has made the database", || Query::open(fixture.dir()).is_ok());
    let query = Query::open(fixture.dir()).unwrap();
    assert_eq!(query.totals().unwrap().requests, 0);
    fixture.record(0..100);
    fixture.shut_down();
    assert_eq!((wal_bytes(&fixture), requests_in_file_alone(&fixture)), (0, 100));
    assert_eq!(query.totals().unwrap().requests, 100);
    drop(query);
    assert_eq!(requests_in_file_alone(&fixture), 100);
}

#[test]
fn who_reads_while_the_wal_grows_is_named_until_it_is_over() {
    let fixture = Fixture::with(|_| ());
    fixture.record(0..1);
    fixture.fold();
    let reader = fixture.database();
    reader.execute_batch("BEGIN; SELECT count(*) FROM requests").unwrap();
    // Another connection makes the WAL long; the store only has to notice.
    let other = fixture.database();
    other
        .execute_batch(&format!("CREATE TABLE other (a); INSERT INTO other VALUES (zeroblob({LONG_WAL_BYTES}))"))
        .unwrap();
    fixture.record(1..2);
    fixture.fold();
    let note = || fixture.store().stats().health.notes.get(&Part::DatabaseWal).cloned();
    wait_until("the reader is told", || note().is_some());
    assert!(note().unwrap().contains(&format!("process {}", std::process::id())), "{:?}", note());
    assert!(fixture.store().stats().health.is_ok(), "it is no problem");
    let told = || {
        let findings = mcplog::check(fixture.dir(), true, |_| ()).unwrap().findings;
        findings.into_iter().map(|finding| finding.text).find(|text| text.contains("store.db-wal"))
    };
    assert_eq!(told(), note());
    reader.execute_batch("COMMIT").unwrap();
    wait_until("it is over", || note().is_none() && wal_bytes(&fixture) == 0);
    assert_eq!(told(), None);
    drop(other);
}

#[test]
fn a_long_wal_that_a_killed_process_left_is_told_as_that() {
    let fixture = Fixture::with(|_| ());
    fixture.record(0..1);
    fixture.fold();
    let killed = fixture.killed();
    for name in ["store.db", "store.db-wal"] {
        std::fs::copy(fixture.dir().join(name), killed.dir().join(name)).unwrap();
    }
    let wal = std::fs::OpenOptions::new().write(true).open(killed.dir().join("store.db-wal")).unwrap();
    wal.set_len(LONG_WAL_BYTES).unwrap();
    let findings = mcplog::check(killed.dir(), true, |_| ()).unwrap().findings;
    assert!(findings.iter().any(|finding| finding.text.contains("was killed left it")), "{findings:?}");
}
