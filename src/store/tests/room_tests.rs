//! A disk with too little room: the store leaves the rest to others, drops and counts what it can't take, and goes on by
//! itself.

use super::*;

/// As many events as two segments of the fixture hold, and the channel besides.
const MORE_THAN_FITS: u64 = 6000;

fn crowded(fixture: &Fixture) {
    fixture.order(Spot::DiskSpace, 0, u32::MAX, fail);
}

#[test]
fn below_the_reserve_no_segment_is_begun_and_what_finds_no_room_is_dropped_counted_and_recorded_as_a_gap() {
    let mut fixture = Fixture::new(|config| {
        config.record_wait_ms = 0;
        config.channel_events = 1024;
        config.keep_segments_bytes = Some(u64::MAX);
    });
    fixture.record(10);
    fixture.store().wait_folded(PATIENCE).unwrap();
    crowded(&fixture);
    // However little of it the appender takes at a time: what is dropped now asks for no segment.
    wait_until("a segment is wanted", || {
        fixture.record(100);
        fixture.store().stats().health.problems.contains_key(&Part::Segments)
    });
    let problem = fixture.wait_for_problem(Part::Segments);
    assert!(problem.contains("MiB are left to others (min_free)"), "{problem}");
    wait_until("something is dropped", || {
        fixture.record(100);
        fixture.store().stats().dropped > 0
    });
    // The one that was open, and the one that was ready.
    assert!(fixture.segments().len() <= 2, "{:?}", fixture.segments());
    let problem = fixture.wait_for_problem(Part::Fold);
    assert!(problem.contains("folding waits: the disk has 0 MiB free"), "{problem}");
    fixture.cancel(Spot::DiskSpace);
    fixture.record(10);
    fixture.store().wait_folded(PATIENCE).unwrap();
    wait_until("it is well again", || fixture.store().stats().health.is_ok());
    let report = fixture.shut_down();
    assert_eq!(report.appended + report.dropped, fixture.recorded);
    let holdings = Holdings::read(fixture.dir());
    assert_eq!((holdings.numbers.len() as u64, holdings.gap_events), (report.appended, report.dropped));
}

#[test]
fn a_store_opens_on_a_crowded_disk_records_and_folds_once_there_is_room() {
    let mut fixture = Fixture::new(|_| {});
    fixture.record(100);
    fixture.shut_down();
    crowded(&fixture);
    fixture.reopen();
    fixture.record(100);
    fixture.flush().unwrap();
    fixture.wait_for_problem(Part::Fold);
    assert_eq!(fixture.store().stats().folded, 0);
    // Nobody waits for room when the store is to end: the next one folds the rest.
    assert_eq!(fixture.shut_down().left_in_log, 100);
    fixture.reopen();
    fixture.cancel(Spot::DiskSpace);
    fixture.store().wait_folded(PATIENCE).unwrap();
    wait_until("it is well again", || fixture.store().stats().health.is_ok());
    fixture.shut_down();
    fixture.assert_each_event_is_folded_once();
}

#[test]
fn what_is_too_old_goes_though_there_is_no_room_to_fold() {
    let day_ms = 24 * 3_600_000;
    let mut fixture = Fixture::new(|_| {});
    for (id, ago) in [("old", 40 * day_ms), ("new", 0)] {
        let ts = crate::ground::clock::now_ms() - ago;
        fixture.recorder().record(Request::new(id, ts, "files", "ping"));
    }
    fixture.shut_down();
    crowded(&fixture);
    fixture.config.keep_rows_age_ms = Some(30 * day_ms as u64);
    fixture.reopen();
    fixture.record(1);
    fixture.wait_for_problem(Part::Fold);
    let rows = || Query::open(fixture.dir()).unwrap().totals().unwrap().requests;
    wait_until("the old one is gone", || rows() == 1);
}

#[test]
fn who_leaves_nothing_to_others_looks_at_no_disk() {
    let mut fixture = Fixture::new(|config| config.min_free_bytes = Some(0));
    crowded(&fixture);
    fixture.record(MORE_THAN_FITS);
    fixture.store().wait_folded(PATIENCE).unwrap();
    assert!(fixture.store().stats().health.is_ok());
    fixture.shut_down();
    fixture.assert_each_event_is_folded_once();
}
