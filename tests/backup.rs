//! A copy of a store has everything up to one moment, each record once, whatever happens to the original meanwhile; and
//! is a store of its own.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use mcplog::backup::{BackupError, BackupPart, BackupReport, backup};
use mcplog::store::Severity;
use mcplog::{Config, Store, check};
use mcplog_fixture::{Blocker, Fixture, PATIENCE, event, wait_until};
use rusqlite::Connection;
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Makes a copy of the fixture's store beside it.
fn copy(fixture: &Fixture, name: &str) -> Result<(PathBuf, BackupReport), BackupError> {
    let target = fixture.root().join(name);
    backup(fixture.dir(), &target, |_| ControlFlow::Continue(())).map(|report| (target, report))
}

/// The numbers of the requests in a store's database, ascending.
fn numbers(dir: &Path) -> Vec<u64> {
    let database = Connection::open(dir.join("store.db")).unwrap();
    let mut select = database.prepare("SELECT request_id FROM requests ORDER BY request_id").unwrap();
    let ids = select.query_map([], |row| row.get::<_, String>(0)).unwrap();
    ids.map(|id| event::number(&id.unwrap()).unwrap()).collect()
}

/// The copy is sound, and everything in it is private. Then whoever opens it folds what waits, once.
fn assert_sound(dir: &Path) {
    let report = check(dir, false, |_| ()).unwrap();
    assert!(report.verdict <= Severity::Attention, "{:?}", report.findings);
    assert_private(dir);
    fold_all(dir);
    let report = check(dir, false, |_| ()).unwrap();
    assert_eq!(report.verdict, Severity::Sound, "{:?}", report.findings);
    assert_eq!(report.unfolded_records, Some(0));
}

/// Opens a store until all that waits there is folded.
fn fold_all(dir: &Path) {
    let store = Store::open(Config::new(dir)).unwrap();
    let waiting = || std::fs::read_dir(dir.join("wal")).into_iter().flatten().count();
    wait_until("all is folded", || waiting() == 0);
    store.shutdown(PATIENCE);
}

fn assert_private(path: &Path) {
    let metadata = std::fs::symlink_metadata(path).unwrap();
    let mode = if metadata.is_dir() { 0o700 } else { 0o600 };
    assert_eq!(metadata.mode() & 0o777, mode, "{}", path.display());
    if metadata.is_dir() {
        std::fs::read_dir(path).unwrap().for_each(|entry| assert_private(&entry.unwrap().path()));
    }
}

/// Names of what lies beside the store, and in it.
fn beside(fixture: &Fixture) -> Vec<String> {
    let names = std::fs::read_dir(fixture.root()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_copy_of_a_closed_store_has_its_rows_and_is_recorded_into_like_any_store() {
    let mut fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
    fixture.record(0..2_000);
    fixture.shut_down();
    let (dir, report) = copy(&fixture, "copy").unwrap();
    assert_eq!((report.requests, report.sessions), (2_000, 7));
    assert!(report.segments > 1 && report.log_bytes > 0, "what is kept is in it: {report:?}");
    assert_eq!(report.dir, dir);
    assert_eq!(report.database_bytes, std::fs::metadata(dir.join("store.db")).unwrap().len());
    assert_sound(&dir);
    assert_eq!(numbers(&dir), (0..2_000).collect::<Vec<_>>());
    let store = Store::open(Config::new(&dir)).unwrap();
    (2_000..2_100).for_each(|number| event::record_or_drop(&store.recorder(), number));
    store.shutdown(PATIENCE);
    assert_eq!(numbers(&dir), (0..2_100).collect::<Vec<_>>());
    assert_eq!(numbers(fixture.dir()).len(), 2_000);
    assert_eq!(beside(&fixture), ["copy", "data"]);
}

/// Ends what records when it is dropped, also where a test has failed.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_copy_made_while_others_record_has_everything_of_before_and_nothing_twice() {
    let mut fixture = Fixture::with(|_| ());
    let (ended, recorded) = (AtomicBool::new(false), AtomicU64::new(1));
    // Whoever folds makes the database.
    fixture.record(0..1);
    fixture.fold();
    let recorder = fixture.recorder();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                let number = recorded.load(Ordering::Relaxed);
                event::record_or_drop(&recorder, number);
                recorded.store(number + 1, Ordering::Relaxed);
                // Some thousands a second: each copy is checked whole.
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        let _ending = Ending(&ended);
        let mut segments = 0;
        for round in 0..6 {
            // What is recorded is in the log once that is so.
            let before = recorded.load(Ordering::Relaxed);
            fixture.store().flush(PATIENCE).unwrap();
            let (dir, report) = copy(&fixture, &format!("copy{round}")).unwrap();
            assert_eq!(report.requests, numbers(&dir).len() as i64);
            assert_sound(&dir);
            let numbers = numbers(&dir);
            assert!(numbers.len() as u64 >= before, "{} of {before}", numbers.len());
            assert!(numbers.iter().copied().eq(0..numbers.len() as u64), "without a hole");
            segments += report.segments;
        }
        assert!(segments > 0, "some was not folded yet");
    });
    let report = fixture.shut_down();
    assert_eq!((report.folded, report.dropped), (recorded.into_inner(), 0), "the original has lost nothing");
}

#[test]
fn what_is_only_in_the_log_is_in_the_copy() {
    let mut fixture = Fixture::with(|_| ());
    fixture.record(0..50);
    fixture.fold();
    let blocker = Blocker::new(&fixture);
    fixture.record(50..5_000);
    fixture.store().flush(PATIENCE).unwrap();
    assert!(fixture.segments().len() > 2);
    let (dir, report) = copy(&fixture, "copy").unwrap();
    assert_eq!(report.requests, 50);
    assert!(report.segments > 2, "{report:?}");
    assert_sound(&dir);
    drop(blocker);
    fixture.fold();
    fixture.shut_down();
    assert_eq!(numbers(fixture.dir()), numbers(&dir));
}

#[test]
fn what_a_kill_left_is_in_the_copy_and_stays_as_it_was() {
    let fixture = Fixture::with(|_| ());
    fixture.record(0..500);
    fixture.fold();
    let blocker = Blocker::new(&fixture);
    fixture.record(500..900);
    fixture.store().flush(PATIENCE).unwrap();
    let killed = fixture.killed();
    for name in ["store.db", "store.db-wal"] {
        std::fs::copy(fixture.dir().join(name), killed.dir().join(name)).unwrap();
    }
    drop(blocker);
    let wal = killed.names("wal");
    let (dir, report) = copy(&killed, "copy").unwrap();
    assert_eq!(report.requests, 500);
    assert_sound(&dir);
    assert_eq!(numbers(&dir), (0..900).collect::<Vec<_>>());
    assert_eq!(killed.names("wal"), wal);
    assert!(killed.names("").iter().all(|name| name != "LOCK"), "nobody opened it to record");
}

#[test]
fn a_store_without_a_database_is_told_with_the_next_step() {
    let fixture = Fixture::with(|_| ());
    fixture.record(0..5);
    fixture.store().flush(PATIENCE).unwrap();
    let error = copy(&fixture.killed(), "copy").unwrap_err();
    assert!(error.to_string().contains("mcplog rebuild"), "{error}");
}

#[test]
fn a_copy_is_the_same_store_and_a_log_that_both_have_is_folded_there_once() {
    let mut fixture = Fixture::with(|_| ());
    fixture.record(0..10);
    fixture.fold();
    let blocker = Blocker::new(&fixture);
    fixture.record(10..300);
    fixture.store().flush(PATIENCE).unwrap();
    let (dir, _) = copy(&fixture, "copy").unwrap();
    let store_id = |dir: &Path| std::fs::read(dir.join("store-id")).unwrap();
    assert_eq!(store_id(&dir), store_id(fixture.dir()));
    // Whoever records there begins a log of its own.
    let store = Store::open(Config::new(&dir)).unwrap();
    (1_000..1_010).for_each(|number| event::record_or_drop(&store.recorder(), number));
    store.wait_folded(PATIENCE).unwrap();
    store.shutdown(PATIENCE);
    fold_all(&dir);
    assert_eq!(numbers(&dir), (0..300).chain(1_000..1_010).collect::<Vec<_>>());
    // The original's log, brought into the copy, is folded there already.
    let log = fixture.folders().remove(0);
    mcplog_fixture::directory::copy(&log, &dir.join("wal").join(log.file_name().unwrap()));
    fold_all(&dir);
    assert_eq!(numbers(&dir), (0..300).chain(1_000..1_010).collect::<Vec<_>>());
    drop(blocker);
    fixture.shut_down();
    assert_eq!(numbers(fixture.dir()), (0..300).collect::<Vec<_>>());
}

#[test]
fn what_is_folded_and_retired_at_the_worst_moment_is_in_the_copy_once() {
    for worst in [BackupPart::Log, BackupPart::Database] {
        let mut fixture = Fixture::with(|_| ());
        fixture.record(0..500);
        fixture.fold();
        let mut blocker = Some(Blocker::new(&fixture));
        fixture.record(500..5_000);
        fixture.store().flush(PATIENCE).unwrap();
        let (target, first) = (fixture.root().join("copy"), fixture.segment(0));
        backup(fixture.dir(), &target, |at| {
            if at.part == worst && blocker.take().is_some() {
                fixture.record(5_000..9_000);
                fixture.fold();
                wait_until("the segments of before are gone", || fixture.segments().len() < 3 && !first.exists());
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        assert!(blocker.is_none(), "{worst:?}");
        assert_sound(&target);
        let numbers = numbers(&target);
        assert!(
            numbers.iter().copied().eq(0..numbers.len() as u64) && numbers.len() >= 5_000,
            "{worst:?}: {numbers:?}"
        );
        fixture.shut_down();
    }
}

#[test]
fn whenever_it_is_stopped_nothing_is_left_of_it() {
    let mut fixture = Fixture::with(|_| ());
    fixture.record(0..50);
    fixture.fold();
    let blocker = Blocker::new(&fixture);
    fixture.record(50..500);
    fixture.store().flush(PATIENCE).unwrap();
    let target = fixture.root().join("copy");
    let (mut stops_at, mut is_whole) = (0, false);
    while !is_whole {
        let mut told = 0;
        let made = backup(fixture.dir(), &target, |_| {
            told += 1;
            if told > stops_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        is_whole = made.is_ok();
        if !is_whole {
            assert!(matches!(made, Err(BackupError::Stopped)), "{made:?}");
            assert_eq!(beside(&fixture), ["data"], "stopped at {stops_at}");
        }
        stops_at += 1;
    }
    assert!(stops_at > 4, "{stops_at}");
    assert_eq!(beside(&fixture), ["copy", "data"]);
    drop(blocker);
    fixture.shut_down();
    assert_eq!(numbers(fixture.dir()).len(), 500);
}

#[test]
fn a_damaged_database_is_not_copied() {
    let mut fixture = Fixture::with(|_| ());
    fixture.record(0..5_000);
    fixture.shut_down();
    let file = std::fs::OpenOptions::new().write(true).open(fixture.dir().join("store.db")).unwrap();
    let middle = file.metadata().unwrap().len() / 2 / 8192 * 8192;
    file.write_all_at(&[0xa5; 8192], middle).unwrap();
    let error = copy(&fixture, "copy").unwrap_err();
    assert!(error.to_string().contains("nothing was copied") || error.to_string().contains("malformed"), "{error}");
    assert_eq!(beside(&fixture), ["data"]);
}

#[test]
fn a_target_that_is_taken_is_refused_before_anything_is_read() {
    let mut fixture = Fixture::with(|_| ());
    fixture.record(0..5);
    fixture.shut_down();
    let target = fixture.root().join("copy");
    std::fs::create_dir(&target).unwrap();
    std::fs::write(target.join("mine"), "x").unwrap();
    let error = copy(&fixture, "copy").unwrap_err();
    assert!(matches!(error, BackupError::Target(_)), "{error}");
    assert_eq!(std::fs::read(target.join("mine")).unwrap(), b"x");
    std::fs::remove_file(target.join("mine")).unwrap();
    copy(&fixture, "copy").unwrap();
    assert_eq!(numbers(&target).len(), 5);
}
