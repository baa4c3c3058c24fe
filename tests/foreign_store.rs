//! Which store it is stands in its directory from the first opening on. What belongs to another store, or to a build of
//! before the first release, is named, and touched by nobody.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use mcplog::error::OpenError;
use mcplog::health::Part;
use mcplog::rebuild::{DatabaseState, Rebuild, RebuildError, Rebuilt, Source};
use mcplog::store::Severity;
use mcplog::{Store, check};
use mcplog_fixture::{Fixture, PATIENCE, directory, event, wait_until};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Barrier;

/// A store with so many events, closed; all are folded.
fn closed(events: std::ops::Range<u64>) -> Fixture {
    let mut fixture = Fixture::with(|_| {});
    fixture.record(events);
    fixture.fold();
    fixture.shut_down();
    fixture
}

/// Every file but the locks', with its bytes.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let is_lock = |path: &Path| ["LOCK", "FOLD", "FOLD.want", "FOLD.standin"].iter().any(|lock| path.ends_with(lock));
    directory::contents(dir).into_iter().filter(|(path, _)| !is_lock(path)).collect()
}

fn store_id(fixture: &Fixture) -> String {
    std::fs::read_to_string(fixture.dir().join("store-id")).unwrap()
}

#[test]
fn six_first_starts_at_the_same_instant_make_one_store_and_leave_nothing_else() {
    for _ in 0..30 {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("made/store");
        let barrier = Barrier::new(6);
        let ids: Vec<String> = std::thread::scope(|scope| {
            let started = [(); 6].map(|()| {
                scope.spawn(|| {
                    barrier.wait();
                    let store = Store::open(mcplog::Config::new(&dir)).unwrap();
                    let id = std::fs::read_to_string(dir.join("store-id")).unwrap();
                    store.shutdown(PATIENCE);
                    id
                })
            });
            started.map(|start| start.join().unwrap()).into()
        });
        assert!(ids.iter().all(|id| *id == ids[0] && id.len() == 37), "{ids:?}");
        // Nothing was recorded.
        assert!(!dir.join("wal").exists() && !dir.join("kept").exists());
        let left = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert!(left.into_iter().all(|name| !name.ends_with(".new")));
    }
}

#[test]
fn a_store_id_that_is_lost_or_says_nothing_is_written_anew_as_the_database_or_the_logs_say_it() {
    for what in [None, Some("what\n")] {
        for has_database in [true, false] {
            let mut fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
            fixture.record(0..100);
            fixture.fold();
            fixture.shut_down();
            let before = store_id(&fixture);
            match what {
                Some(text) => std::fs::write(fixture.dir().join("store-id"), text).unwrap(),
                None => std::fs::remove_file(fixture.dir().join("store-id")).unwrap(),
            }
            if !has_database {
                fixture.remove_database();
            }
            fixture.open();
            assert_eq!(store_id(&fixture), before);
            let health = fixture.shut_down().health;
            assert_eq!(health.problems.contains_key(&Part::Damage), what.is_some(), "{health}");
        }
    }
}

#[test]
fn another_stores_log_is_named_and_left_and_the_store_s_own_are_folded() {
    let (mut ours, theirs) = (closed(0..10), Fixture::with(|_| {}));
    theirs.record(100..110);
    theirs.store().flush(PATIENCE).unwrap();
    let stray = theirs.folders().remove(0);
    let place = ours.wal().join(stray.file_name().unwrap());
    std::fs::create_dir_all(ours.wal()).unwrap();
    directory::copy(&stray, &place);
    let before = files(&place);
    ours.open();
    ours.record(10..20);
    ours.store().wait_folded(PATIENCE).unwrap();
    wait_until("it is named", || ours.store().stats().health.to_string().contains("another store"));
    ours.shut_down();
    assert!(files(&place) == before, "nobody touched it");
    assert_eq!(ours.number("SELECT count(*) FROM requests"), 20);
    let report = check(ours.dir(), true, |_| {}).unwrap();
    assert!(report.verdict >= Severity::Attention, "{:?}", report.findings);
}

#[test]
fn a_database_of_another_store_keeps_nobody_from_recording_and_is_named_and_left() {
    let (mut ours, theirs) = (closed(0..10), closed(100..110));
    std::fs::copy(theirs.dir().join("store.db"), ours.dir().join("store.db")).unwrap();
    let before = std::fs::read(ours.dir().join("store.db")).unwrap();
    ours.open();
    ours.record(10..20);
    ours.store().flush(PATIENCE).unwrap();
    wait_until("it is named", || ours.store().stats().health.problems.contains_key(&Part::Fold));
    let report = ours.take_store().shutdown(std::time::Duration::from_millis(200));
    assert_eq!((report.appended, report.dropped), (10, 0));
    assert!(std::fs::read(ours.dir().join("store.db")).unwrap() == before);
}

#[test]
fn a_rebuild_gives_another_stores_database_up_only_for_who_accepts_that() {
    for has_rows in [true, false] {
        let mut ours = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
        ours.record(0..10);
        ours.fold();
        ours.shut_down();
        let theirs = closed(100..if has_rows { 110 } else { 100 });
        let foreign = ours.dir().join("store.db");
        if has_rows {
            std::fs::copy(theirs.dir().join("store.db"), &foreign).unwrap();
        } else {
            // A store that nothing was recorded into.
            let sql = "DELETE FROM request_rows; DELETE FROM session_state; DELETE FROM gaps; DELETE FROM quarantine;
                       UPDATE meta SET value = '00000000-0000-4000-8000-000000000000' WHERE key = 'store_id'";
            ours.database().execute_batch(sql).unwrap();
        }
        let before = files(ours.dir());
        let watch = &mut |_, _| ControlFlow::Continue(());
        let mut anew = |source, accept_loss| {
            let prepared = Rebuild::prepare(&mcplog::Config::new(ours.dir()), source, accept_loss, watch);
            prepared.and_then(|rebuild| rebuild.run(watch))
        };
        let Err(RebuildError::WouldLose(plan)) = anew(Source::Log, false) else { panic!("it was done") };
        assert_eq!(plan.database.state, DatabaseState::Foreign);
        let lost = plan.losses.iter().find(|loss| loss.table == if has_rows { "request_rows" } else { "store.db" });
        assert_eq!(lost.unwrap().rows.rows, if has_rows { 10 } else { 0 }, "{:?}", plan.losses);
        let Err(error) = anew(Source::BestKept, true) else { panic!("it was done") };
        assert!(error.to_string().contains("belongs to another store"), "{error}");
        assert!(files(ours.dir()) == before);
        let Ok(Rebuilt::Log(report)) = anew(Source::Log, true) else { panic!("it was not done") };
        assert_eq!(report.requests, 10);
        assert!(std::fs::read(report.moved_to.unwrap()).unwrap().len() > 4096);
        assert!(matches!(anew(Source::Log, false), Ok(Rebuilt::Log(report)) if report.requests == 10));
    }
}

#[test]
fn a_store_of_an_earlier_build_is_refused_by_name_and_nothing_is_touched() {
    for name in ["000000000001.seg", "writer-id"] {
        let fixture = closed(0..10);
        std::fs::create_dir_all(fixture.wal()).unwrap();
        std::fs::write(fixture.wal().join(name), "of before").unwrap();
        let before = files(fixture.dir());
        let refused = Store::open(fixture.config.clone()).unwrap_err();
        assert!(matches!(&refused, OpenError::EarlierLayout { path } if path.ends_with(name)), "{refused}");
        assert!(files(fixture.dir()) == before);
    }
}

#[test]
fn a_database_of_a_newer_or_an_earlier_version_is_refused_by_name_and_nothing_is_touched() {
    for (version, advice) in [(1_000, "newer mcplog"), (6, "before the first release")] {
        let fixture = closed(0..10);
        fixture.database().pragma_update(None, "user_version", version).unwrap();
        let before = files(fixture.dir());
        let refused = Store::open(fixture.config.clone()).unwrap_err();
        assert!(refused.to_string().contains(advice), "{refused}");
        assert!(files(fixture.dir()) == before);
    }
}

#[test]
fn two_stores_on_one_directory_record_and_fold_each_event_once() {
    let mut fixture = Fixture::with(|_| {});
    let other = Store::open(fixture.config.clone()).unwrap();
    for number in 0..2_000 {
        let recorder = if number % 2 == 0 { fixture.recorder() } else { other.recorder() };
        event::record_or_drop(&recorder, number);
    }
    other.wait_folded(PATIENCE).unwrap();
    fixture.store().wait_folded(PATIENCE).unwrap();
    assert_ne!(other.writer(), fixture.store().writer());
    let report = other.shutdown(PATIENCE);
    assert_eq!((report.appended, report.folded, report.left_in_log, report.dropped), (1_000, 1_000, 0, 0));
    fixture.fold();
    fixture.shut_down();
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), 2_000);
    assert_eq!(fixture.number("SELECT count(*) FROM writers WHERE ended = 'closed'"), 2);
    assert!(fixture.folders().is_empty());
}
