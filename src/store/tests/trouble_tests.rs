//! Trouble that passes: what could not be tried, was refused or can't be read back. The store goes on behind it, and
//! says what it cost.

use super::*;
use std::path::Path;

/// A store that is open, with a log of many segments that nothing vouches for yet.
fn unsynced(events: u64) -> Fixture {
    let mut fixture = Fixture::new(|config| {
        config.sync = SyncPolicy::Never;
        config.keep_segments_bytes = Some(u64::MAX);
    });
    fixture.order(Spot::Fold, 0, u32::MAX, fail);
    fixture.record(events);
    wait_until("all is appended, and what is full is sealed", || {
        fixture.store().stats().appended == events && all_but_the_last_are_sealed(&fixture)
    });
    fixture
}

fn all_but_the_last_are_sealed(fixture: &Fixture) -> bool {
    let is_sealed = |path: &PathBuf| SegmentReader::open(path).is_ok_and(|reader| reader.mark().sealed.is_some());
    fixture.segments().iter().rev().skip(1).all(is_sealed)
}

/// Damages event `number` in the log's first segment, which has the events from 0 on.
fn damage(fixture: &Fixture, number: usize) -> PathBuf {
    let path = fixture.segment(0);
    fixture::segment::flip(&path, fixture::segment::frames(&path).0[number] + 20);
    path
}

/// The number of the last record of a segment that is sealed.
fn last_sequence(path: &Path) -> i64 {
    let reader = SegmentReader::open(path).unwrap();
    reader.mark().sealed.unwrap().last_sequence(reader.header().base_sequence).0 as i64
}

#[test]
fn folding_goes_on_behind_segments_that_were_sealed_while_an_older_one_could_not_be_tried() {
    let mut fixture = unsynced(1000);
    fixture.cancel(Spot::Fold);
    fixture.order(Spot::SealedOpen, 0, u32::MAX, fail);
    let waited = fixture.store().flush(Duration::from_millis(100));
    assert!(matches!(waited, Err(WaitError::Timeout(_))), "{waited:?}");
    fixture.wait_for_problem(Part::Sync);
    fixture.record(4000);
    wait_until("all but the last are sealed", || {
        fixture.store().stats().appended == 5000 && all_but_the_last_are_sealed(&fixture)
    });
    fixture.cancel(Spot::SealedOpen);
    fixture.store().wait_folded(PATIENCE).unwrap();
    wait_until("it was tried again", || fixture.store().stats().health.is_ok());
    fixture.shut_down();
    fixture.assert_each_event_is_folded_once();
}

#[test]
fn a_database_that_is_taken_away_stops_folding_and_costs_no_segment() {
    for is_replaced in [false, true] {
        let mut fixture = Fixture::new(|_| {});
        fixture.record(1000);
        fixture.store().wait_folded(PATIENCE).unwrap();
        let database = fixture.config.dir.join("store.db");
        if is_replaced {
            std::fs::rename(&database, fixture.config.dir.join("elsewhere")).unwrap();
            std::fs::write(&database, b"").unwrap();
        } else {
            fixture.remove_database();
        }
        fixture.record(4000);
        let problem = fixture.wait_for_problem(Part::Fold);
        assert!(problem.contains("removed or replaced"), "{problem}");
        fixture.shut_down();
        // What was recorded since lies in the log, or in a database that was made when there was none.
        fixture.reopen();
        fixture.fold();
        let requests = Query::open(fixture.dir()).unwrap().totals().unwrap().requests;
        assert!(requests >= 4000, "replaced: {is_replaced}, {requests}");
    }
}

#[test]
fn a_waiter_is_answered_though_a_segment_could_not_be_tried_at_first() {
    let mut fixture = Fixture::new(|config| config.sync = SyncPolicy::Never);
    fixture.record(4000);
    fixture.order(Spot::SealedOpen, 0, 1, fail);
    // Nobody else gives the syncing thread anything to do.
    fixture.flush().unwrap();
}

#[test]
fn damage_in_what_is_written_again_is_told_to_who_waits_and_by_health() {
    let mut fixture = Fixture::new(|config| {
        config.sync_interval_ms = 60_000;
        config.segment_bytes = 8 * 1024 * 1024;
    });
    fixture.record(100);
    fixture.flush().unwrap();
    fixture.record(50);
    wait_until("all is appended", || fixture.store().stats().appended == 150);
    damage(&fixture, 120);
    fixture.order(Spot::Sync, 0, 1, fail);
    let error = fixture.flush().unwrap_err();
    assert!(matches!(&error, WaitError::Sync(why) if why.contains("1 records") && why.contains("lost")), "{error}");
    fixture.record(10);
    assert_eq!(fixture.flush(), Ok(()), "it was told once");
    let health = fixture.store().stats().health;
    assert!(health.problems.contains_key(&Part::Damage), "{health}");
    assert!(!health.problems.contains_key(&Part::Sync), "{health}");
    let report = fixture.shut_down();
    assert_eq!((report.appended, report.dropped), (159, 1));
    assert_eq!(fixture.number("SELECT sum(events) FROM gaps WHERE missing = 1"), 1);
}

#[test]
fn a_refused_record_is_appended_under_the_number_that_it_was_refused_under() {
    let mut fixture = Fixture::new(|_| {});
    fixture.order(Spot::Write, 100, 2, fail);
    fixture.record(1000);
    fixture.store().wait_folded(PATIENCE).unwrap();
    fixture.assert_each_event_is_folded_once();
    fixture.reopen();
    fixture.record(10);
    fixture.shut_down();
    fixture.assert_each_event_is_folded_once();
}

#[test]
fn what_is_lost_is_counted_once_however_often_it_is_written_again() {
    // What is folded is not lost.
    let mut fixture = unsynced(4000);
    let lost = SegmentReader::open(&fixture.segments()[1]).unwrap().mark().sealed.unwrap().frames;
    let lost = u64::from(lost);
    // The first segment's sync fails, the second one can't be read any more, and the first one's second writing is
    // poisoned.
    fixture.order(Spot::SealedSync, 0, 1, fail);
    sabotage::spoil(&fixture.segments()[1], 4096..u64::from(u32::MAX));
    fixture.order(Spot::Sync, 0, 1, fail);
    assert!(matches!(fixture.flush(), Err(WaitError::Sync(_))));
    let stats = fixture.store().stats();
    assert_eq!((stats.poisoned_segments, stats.dropped), (2, lost));
    fixture.cancel(Spot::Fold);
    fixture.record(10);
    fixture.flush().unwrap();
    fixture.store().wait_folded(PATIENCE).unwrap();
    let report = fixture.shut_down();
    assert_eq!((report.appended, report.dropped, report.left_in_log), (4010 - lost, lost, 0));
    let totals = Query::open(&fixture.config.dir).unwrap().totals().unwrap();
    assert_eq!((totals.requests as u64, totals.dropped as u64), (4010 - lost, lost));
}

#[test]
fn what_is_folded_while_it_can_not_be_read_back_is_not_counted_as_lost() {
    let mut fixture = unsynced(4000);
    fixture.cancel(Spot::Fold);
    fixture.order(Spot::SealedSync, 0, 1, fail);
    // The second one can't be read back, which shows only once it is folded. The log's first record is no request.
    let (database, unfolded) = (fixture.config.dir.clone(), last_sequence(&fixture.segments()[1]) - 1);
    fixture.order(Spot::ReadBack, 1, 1, move || {
        let requests = || Query::open(&database).and_then(|query| query.totals()).map_or(0, |totals| totals.requests);
        wait_until("it is folded", || requests() >= unfolded);
        fail()
    });
    assert_eq!(fixture.flush(), Ok(()));
    fixture.record(10);
    let report = fixture.shut_down();
    assert_eq!((report.appended, report.dropped, report.left_in_log), (4010, 0, 0));
    fixture.assert_each_event_is_folded_once();
}

#[test]
fn a_damaged_segment_that_can_not_be_moved_keeps_neither_the_others_nor_the_shutdown() {
    let fixture = unsynced(4000);
    fixture.flush().unwrap();
    let mut killed = fixture.killed();
    fixture.cancel(Spot::Fold);
    let damaged = killed.segment(0);
    fixture::segment::flip(&damaged, fixture::segment::frames(&damaged).0[120] + 20);
    killed.config.keep_segments_bytes = Some(0);
    sabotage::order(killed.dir(), Spot::Quarantine, 0, u32::MAX, fail);
    killed.open();
    let killed = &mut Fixture { fixture: killed, recorded: 0 };
    wait_until("the sound ones are retired", || killed.segments().len() == 1);
    assert!(damaged.exists());
    assert!(killed.wait_for_problem(Part::Fold).contains("move"));
    let mut store = killed.take_store();
    let report = store.stop(PATIENCE);
    assert!(!store.shared.give_up.load(Ordering::Relaxed), "it took all its time");
    assert!(report.health.problems.contains_key(&Part::Fold), "{}", report.health);
    drop(store);
    killed.cancel(Spot::Quarantine);
    killed.reopen();
    wait_until("it is moved", || !damaged.exists());
}

#[test]
fn a_first_segment_that_takes_long_is_waited_for() {
    let mut fixture = Fixture::new(|config| {
        sabotage::order(&config.dir, Spot::Prepare, 0, 1, || {
            // Longer than the appender waits before it looks again.
            std::thread::sleep(Duration::from_millis(1500));
            Ok(())
        });
    });
    fixture.record(10);
    fixture.flush().unwrap();
}
