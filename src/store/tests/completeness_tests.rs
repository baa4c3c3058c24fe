//! What an answer lacks is told, of stores that were killed, that fold, that can't, and whose log is another's.

use super::fixture::{Blocker, Fixture, PATIENCE, segment, wait_until};
use crate::ground::clock::now_ms;
use crate::ground::finding::FindingKind;
use crate::query::{Query, TimeRange};
use crate::store::completeness::{Completeness, FOLDS_WITHIN_MS, completeness, completeness_at};
use crate::{Config, Request, Store};
use std::sync::atomic::{AtomicU64, Ordering};

/// A log begins with a record that says who writes it.
const BEGAN: u64 = 1;

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
fn what_a_kill_left_waits_until_somebody_folds_it() {
    for (folded, waiting) in [(7, 0), (0, 5), (7, 5), (3_000, 2_000)] {
        let mut store = killed(folded, waiting);
        let found = ask(&store);
        let records = waiting + if folded == 0 { BEGAN } else { 0 };
        assert_eq!((found.unfolded_records, found.in_use), (Some(records), false), "{folded} and {waiting}");
        assert_eq!((found.is_complete(), found.is_behind), (records == 0, records > 0));
        assert_eq!(found.log_problem.as_deref(), None);
        let last: Vec<_> = found.waiting.iter().map(|(_, last)| last.0).collect();
        let expected = if records > 0 { vec![BEGAN + folded + waiting] } else { vec![] };
        assert_eq!(last, expected, "each writer with what waits, and its last number");
        assert_eq!(found.unfolded_since.is_some(), records > 0);
        store.open();
        store.fold();
        store.shut_down();
        let found = ask(&store);
        assert_eq!((found.unfolded_records, found.unfolded_since, found.waiting.len()), (Some(0), None, 0));
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
    assert_eq!((found.unfolded_records, found.unfolded_since, found.in_use), (Some(BEGAN + 2), Some(ended), true));
    assert!(found.is_complete(), "it is being folded");
    let found = at(ended + FOLDS_WITHIN_MS + 1);
    assert_eq!((found.is_behind, found.is_complete()), (true, false), "it is not folded in time");
    drop(blocker);
    fixture.fold();
    assert_eq!(at(ended + FOLDS_WITHIN_MS + 1).unfolded_records, Some(0));
    fixture.shut_down();
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
    assert_eq!(ask(&fixture).unfolded_records, Some(BEGAN + EACH));
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
            let begun = BEGAN + begun.load(Ordering::SeqCst);
            let rows = u64::try_from(query.totals().unwrap().requests).unwrap();
            let waiting = found.unfolded_records.unwrap();
            assert!(rows + waiting >= appended, "{rows} rows and {waiting} that wait, of {appended}");
            assert!(waiting <= begun - folded, "{waiting} wait, of {begun} without {folded}");
            let last = found.waiting.first().map_or(begun, |(_, last)| last.0);
            assert!((appended..=begun).contains(&last), "{found:?}");
        }
    });
    fixture.fold();
    assert_eq!(ask(&fixture).unfolded_records, Some(0));
    fixture.shut_down();
}

#[test]
fn what_no_segment_has_is_missing_before_it_is_folded_past_and_counted_in_a_gap_afterwards() {
    let store = killed(0, 3_000);
    let segments = store.segments();
    assert!(segments.len() > 3, "{segments:?}");
    std::fs::remove_file(&segments[1]).unwrap();
    let found = ask(&store);
    let (waiting, missing) = (found.unfolded_records.unwrap(), found.missing_records);
    assert_eq!(waiting + missing, BEGAN + 3_000);
    assert!(missing > 0 && !found.is_complete());
    let mut store = store;
    store.open();
    store.fold();
    store.shut_down();
    let found = ask(&store);
    assert_eq!((found.unfolded_records, found.missing_records), (Some(0), 0));
    assert_eq!(found.gaps.events.unsigned_abs(), missing);
    assert_eq!(store.number("SELECT count(*) FROM requests").unsigned_abs(), waiting - BEGAN);
    assert!(!found.is_complete());
}

#[test]
fn a_log_of_another_store_or_one_that_can_not_be_read_is_not_known_to_hold_nothing() {
    let (a, b) = (killed(5, 5), killed(3, 3));
    std::fs::remove_dir_all(a.wal()).unwrap();
    std::fs::rename(b.wal(), a.wal()).unwrap();
    let found = ask(&a);
    assert_eq!((found.unfolded_records, found.is_complete()), (Some(0), false), "nothing of it is this store's");
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
fn a_last_segment_of_which_hardly_anything_is_left_makes_answers_incomplete_until_it_is_set_aside() {
    for bytes in [5000, 4096, 97, 96, 95, 8, 1] {
        let mut store = killed(7, 5);
        let last = store.segments().pop().unwrap();
        segment::set_length(&last, bytes);
        if bytes > 96 {
            segment::patch(&last, 20, b"xxxx");
        }
        let found = ask(&store);
        assert!(!found.is_complete() && found.unreadable_files > 0, "{bytes} bytes: {found:?}");
        store.open();
        store.fold();
        store.shut_down();
        let report = crate::check(store.dir(), false, |_| {}).unwrap();
        let kinds: Vec<_> = report.findings.iter().map(|found| found.kind).collect();
        assert!(kinds.contains(&FindingKind::UnreadableInQuarantine), "{bytes} bytes: {kinds:?}");
    }
}

#[test]
fn a_log_whose_name_a_power_cut_took_back_waits_as_any_other() {
    let mut store = killed(7, 5);
    let folder = store.folders().remove(0);
    let unborn = folder.with_file_name(format!(".new-{}", folder.file_name().unwrap().display()));
    std::fs::rename(&folder, &unborn).unwrap();
    let found = ask(&store);
    assert_eq!((found.unfolded_records, found.waiting.len(), found.is_complete()), (Some(5), 1, false));
    store.open();
    store.fold();
    store.shut_down();
    assert!(ask(&store).is_complete());
    assert_eq!(store.number("SELECT count(*) FROM requests"), 12);
}
