//! What an answer lacks is told, of stores that were killed, that fold, that can't, and whose log is another's.

use super::fixture::{Blocker, Fixture, PATIENCE, segment, wait_until};
use crate::ground::clock::now_ms;
use crate::ground::finding::FindingKind;
use crate::query::{Query, TimeRange};
use crate::store::completeness::{Completeness, FOLDS_WITHIN_MS, completeness, completeness_at};
use crate::{Config, Request, Store};
use std::sync::atomic::{AtomicU64, Ordering};

fn ask(fixture: &Fixture) -> Completeness {
    ask_about(fixture, TimeRange::default())
}

fn ask_about(fixture: &Fixture, time_range: TimeRange) -> Completeness {
    completeness(&Query::open(fixture.dir()).unwrap(), time_range).unwrap()
}

/// A store that was killed with so many records folded, and so many more in its log.
fn killed(folded: u64, waiting: u64) -> Fixture {
    let mut fixture = Fixture::new();
    fixture.open();
    fixture.record(0..folded);
    fixture.fold();
    let _blocker = Blocker::new(&fixture);
    fixture.record(folded..folded + waiting);
    fixture.store().flush(PATIENCE).unwrap();
    let killed = fixture.killed();
    for name in ["store.db", "store.db-wal"] {
        std::fs::copy(fixture.dir().join(name), killed.dir().join(name)).unwrap();
    }
    killed
}

#[test]
fn what_a_kill_left_waits_until_the_next_opening_folds_it() {
    for (folded, waiting) in [(0, 0), (7, 0), (0, 5), (7, 5), (3_000, 2_000)] {
        let mut store = killed(folded, waiting);
        let found = ask(&store);
        assert_eq!((found.unfolded_records, found.in_use), (Some(waiting), false), "{folded} and {waiting}");
        assert_eq!((found.is_complete(), found.is_behind), (waiting == 0, waiting > 0));
        assert_eq!((found.last_sequence, found.log_problem.as_deref()), (folded + waiting, None));
        assert_eq!(found.unfolded_since.is_some(), waiting > 0);
        store.open();
        store.fold();
        store.shut_down();
        let found = ask(&store);
        assert_eq!((found.unfolded_records, found.unfolded_since), (Some(0), None));
        assert!(found.is_complete(), "{found:?}");
        assert_eq!(store.number("SELECT count(*) FROM requests"), i64::try_from(folded + waiting).unwrap());
    }
}

#[test]
fn records_of_the_last_moment_are_being_folded_and_older_ones_are_behind() {
    let mut fixture = Fixture::new();
    fixture.open();
    let blocker = Blocker::new(&fixture);
    let record = |id: &str, ts: i64, latency_us: i64| {
        let mut request = Request::new(id, ts, "p", "ping");
        request.latency_us = latency_us;
        fixture.recorder().record(request);
        fixture.store().flush(PATIENCE).unwrap();
    };
    record("a", 1_000_000, 500_000);
    record("b", 2_000_000, 0);
    let query = Query::open(fixture.dir()).unwrap();
    let at = |now_ms: i64| completeness_at(&query, TimeRange::default(), now_ms).unwrap();
    // The request that ended half a second behind its beginning was recorded then.
    let ended = 1_000_500;
    let found = at(ended + FOLDS_WITHIN_MS);
    assert_eq!((found.unfolded_records, found.unfolded_since, found.in_use), (Some(2), Some(ended), true));
    assert!(found.is_complete(), "it is being folded");
    let found = at(ended + FOLDS_WITHIN_MS + 1);
    assert_eq!((found.is_behind, found.is_complete()), (true, false), "it is not folded in time");
    drop(blocker);
    fixture.fold();
    assert_eq!(at(ended + FOLDS_WITHIN_MS + 1).unfolded_records, Some(0));
    fixture.shut_down();
}

#[test]
fn whoever_records_in_another_container_is_given_the_same_time() {
    let store = killed(3, 1);
    let query = Query::open(store.dir()).unwrap();
    let ended = ask(&store).unfolded_since.unwrap();
    let namespace = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata("/proc/self/ns/pid").unwrap());
    for (writer, is_given_time) in [(format!("7 {}", namespace + 1), true), (format!("7 {namespace}"), false)] {
        std::fs::write(store.dir().join("LOCK"), &writer).unwrap();
        for (late_ms, is_late) in [(0, false), (1, true)] {
            let found = completeness_at(&query, TimeRange::default(), ended + FOLDS_WITHIN_MS + late_ms).unwrap();
            assert_eq!(found.is_behind, is_late || !is_given_time, "{writer}, {late_ms}");
            assert_eq!((found.in_use, found.unfolded_records), (false, Some(1)));
        }
    }
}

#[test]
fn no_answer_of_a_busy_store_lacks_more_than_is_told() {
    const EACH: u64 = 500;
    let mut fixture = Fixture::new();
    fixture.open();
    let begun = AtomicU64::new(0);
    let record = || {
        let first = begun.fetch_add(EACH, Ordering::SeqCst);
        fixture.record(first..first + EACH);
    };
    let blocker = Blocker::new(&fixture);
    record();
    fixture.store().flush(PATIENCE).unwrap();
    assert_eq!(ask(&fixture).unfolded_records, Some(EACH));
    drop(blocker);
    std::thread::scope(|scope| {
        // Recording goes on beside each question, and never runs away from folding by more than what is asked.
        let (next, begins) = std::sync::mpsc::sync_channel(0);
        scope.spawn(move || begins.iter().for_each(|()| record()));
        for _ in 0..100 {
            next.send(()).unwrap();
            // What is in the map by then waits or is folded, and folded ones only become more.
            let appended = fixture.store().stats().appended;
            let query = Query::open(fixture.dir()).unwrap();
            let folded = query
                .checkpoints()
                .unwrap()
                .first()
                .map_or(0, |(_, checkpoint)| u64::try_from(checkpoint.sequence).unwrap());
            let found = completeness(&query, TimeRange::default()).unwrap();
            let begun = begun.load(Ordering::SeqCst);
            let rows = u64::try_from(query.totals().unwrap().requests).unwrap();
            let waiting = found.unfolded_records.unwrap();
            assert!(rows + waiting >= appended, "{rows} rows and {waiting} that wait, of {appended}");
            assert!(waiting <= begun - folded, "{waiting} wait, of {begun} without {folded}");
            assert!((appended..=begun).contains(&found.last_sequence), "{found:?}");
        }
    });
    fixture.fold();
    assert_eq!(ask(&fixture).unfolded_records, Some(0));
    fixture.shut_down();
}

#[test]
fn what_is_set_aside_or_will_be_is_missing() {
    // Two segments of a log that was never synced, and what was between them did not reach the disk.
    let store = killed(0, 3_000);
    let segments = store.segments();
    assert!(segments.len() > 3, "{segments:?}");
    segments.iter().for_each(|path| segment::forget_syncs(path));
    std::fs::write(&segments[1], b"").unwrap();
    let found = ask(&store);
    let (waiting, aside) = (found.unfolded_records.unwrap(), found.set_aside_records);
    assert!(waiting > 0 && aside > 0 && waiting + aside < 3_000, "{waiting} wait, {aside} are set aside");
    let mut store = store;
    store.open();
    store.fold();
    store.shut_down();
    let found = ask(&store);
    assert_eq!((found.unfolded_records, found.set_aside_records), (Some(0), aside));
    assert_eq!(store.number("SELECT count(*) FROM requests"), i64::try_from(waiting).unwrap());
    assert!(!found.is_complete());
    // They were recorded before a time that is still to come.
    let later = TimeRange { since_ts: Some(now_ms() + 3_600_000), until_ts: None };
    assert!(ask_about(&store, later).is_complete());
}

#[test]
fn a_log_of_another_store_or_one_that_can_not_be_read_is_not_known_to_hold_nothing() {
    let (a, b) = (killed(5, 5), killed(3, 3));
    std::fs::remove_dir_all(a.wal()).unwrap();
    std::fs::rename(b.wal(), a.wal()).unwrap();
    let found = ask(&a);
    assert_eq!((found.unfolded_records, found.is_complete()), (None, false));
    assert!(found.log_problem.unwrap().contains("another store"));
    std::fs::remove_dir_all(a.wal()).unwrap();
    std::fs::write(a.wal(), b"no directory").unwrap();
    let found = ask(&a);
    assert_eq!((found.unfolded_records, found.is_complete()), (None, false));
    assert!(found.log_problem.unwrap().contains("wal"));
    std::fs::remove_file(a.wal()).unwrap();
    let found = ask(&a);
    assert_eq!((found.unfolded_records, found.log_problem.as_deref()), (Some(0), None));
    assert!(found.is_complete(), "a database alone is all there is");
}

#[test]
fn only_a_range_that_begins_before_what_is_kept_lacks_what_expired() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::new(dir.path().join("data"));
    config.keep_rows_age_ms = Some(3_600_000);
    let store = Store::open(config).unwrap();
    for (id, age_ms) in [("old", 7_200_000), ("new", 0)] {
        store.recorder().record(Request::new(id, now_ms() - age_ms, "p", "ping"));
    }
    store.wait_folded(PATIENCE).unwrap();
    let query = Query::open(store.dir()).unwrap();
    let ask = |since_ts: Option<i64>| completeness(&query, TimeRange { since_ts, until_ts: None }).unwrap();
    wait_until("something expires", || ask(None).kept_since.is_some());
    let kept_since = ask(None).kept_since.unwrap();
    for (since_ts, is_expired) in [(None, false), (Some(kept_since), false), (Some(kept_since - 1), true)] {
        let found = ask(since_ts);
        assert_eq!((found.is_expired, found.is_complete()), (is_expired, !is_expired), "{since_ts:?}");
    }
    store.shutdown(PATIENCE);
}

#[test]
fn a_last_segment_of_which_hardly_anything_is_left_makes_answers_incomplete_for_good() {
    for bytes in [5000, 4096, 65, 64, 63, 8, 1] {
        let mut store = killed(7, 5);
        let last = store.segments().pop().unwrap();
        segment::set_length(&last, bytes);
        if bytes > 64 {
            segment::patch(&last, 20, b"xxxx");
        }
        assert!(!ask(&store).is_complete(), "{bytes} bytes, before the opening");
        store.open();
        store.fold();
        let is_complete = |store: &Fixture| ask(store).is_complete();
        assert!(!is_complete(&store), "{bytes} bytes, after the opening");
        store.record(100..101);
        store.fold();
        assert!(!is_complete(&store), "{bytes} bytes, after a record");
        store.reopen();
        store.fold();
        let found = ask(&store);
        assert!(!found.is_complete(), "{bytes} bytes, after another opening: {found:?}");
        // One or the other counts it, and none is about a later time.
        assert_ne!(found.quarantined_records > 0, found.gaps.events > 0, "{bytes} bytes: {found:?}");
        let later = ask_about(&store, TimeRange { since_ts: Some(now_ms() + 60_000), until_ts: None });
        assert_eq!(later.quarantined_records, 0);
        let report = crate::check(store.dir(), false, |_| {}).unwrap();
        let kinds: Vec<_> = report.findings.iter().map(|found| found.kind).collect();
        assert!(kinds.contains(&FindingKind::UnreadableInQuarantine), "{bytes} bytes: {kinds:?}");
    }
}
