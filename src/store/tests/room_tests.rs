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

/// Records until events are dropped because no segment is to be had.
fn record_until_dropped(fixture: &mut Fixture) {
    wait_until("something is dropped for want of a segment", || {
        fixture.record(100);
        let stats = fixture.store().stats();
        stats.dropped > 0 && stats.health.problems.contains_key(&Part::Segments)
    });
}

/// Shuts a store down that has no room for what waits, and looks whether the log says how much that is.
fn assert_shutdown_tells_of_each_drop(fixture: &mut Fixture, heal: impl FnOnce(&Fixture)) {
    let report = fixture.take_store().shutdown(Duration::ZERO);
    assert_eq!((report.appended + report.dropped, report.dropped_untold), (fixture.recorded, 0), "{report:?}");
    assert!(report.dropped > 100, "what waited is given up: {report:?}");
    heal(fixture);
    fixture.reopen();
    fixture.fold();
    fixture.shut_down();
    let holdings = Holdings::read(fixture.dir());
    assert_eq!((holdings.numbers.len() as u64, holdings.gap_events), (report.appended, report.dropped));
}

fn small(config: &mut Config) {
    config.record_wait_ms = 0;
    config.channel_events = 1024;
}

#[test]
fn where_no_further_segment_is_to_be_had_the_open_one_has_room_for_what_a_shutdown_drops() {
    for spot in [Spot::DiskSpace, Spot::Prepare] {
        for segment_age_ms in [1, 3_600_000] {
            let mut fixture = Fixture::new(|config| {
                small(config);
                config.segment_age_ms = segment_age_ms;
            });
            // A log is begun while there is room.
            fixture.record(1);
            fixture.flush().unwrap();
            fixture.order(spot, 0, u32::MAX, fail);
            record_until_dropped(&mut fixture);
            assert_shutdown_tells_of_each_drop(&mut fixture, |fixture| fixture.cancel(spot));
        }
    }
}

#[test]
fn where_the_log_is_full_and_its_open_segment_refuses_another_one_takes_what_a_shutdown_drops() {
    let mut fixture = Fixture::new(|config| {
        small(config);
        config.max_log_bytes = 4 * config.segment_bytes;
    });
    let blocker = fixture::Blocker::new(&fixture);
    record_until_dropped(&mut fixture);
    let segments = fixture.segments().len();
    fixture.order(Spot::Append, 0, 1, fail);
    wait_until("the open segment ends", || {
        fixture.segments().iter().all(|path| SegmentReader::open(path).unwrap().mark().sealed.is_some())
    });
    assert_shutdown_tells_of_each_drop(&mut fixture, |fixture| {
        assert_eq!(fixture.segments().len(), segments + 1);
        drop(blocker);
    });
}

#[test]
fn a_store_opens_on_a_crowded_disk_and_records_and_folds_once_there_is_room() {
    let mut fixture = Fixture::new(|_| {});
    fixture.record(100);
    fixture.shut_down();
    crowded(&fixture);
    fixture.reopen();
    fixture.record(100);
    fixture.wait_for_problem(Part::Segments);
    let stats = fixture.store().stats();
    assert_eq!((stats.appended, stats.dropped), (0, 0), "they wait");
    assert_eq!(fixture.folders(), [] as [PathBuf; 0], "nothing is left of a log that could not be begun");
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
    fixture.store().wait_folded(PATIENCE).unwrap();
    // Something waits to be folded.
    fixture.order(Spot::Fold, 0, u32::MAX, fail);
    fixture.record(1);
    fixture.flush().unwrap();
    fixture.take_store().shutdown(Duration::from_millis(50));
    fixture.cancel(Spot::Fold);
    crowded(&fixture);
    fixture.config.keep_rows_age_ms = Some(30 * day_ms as u64);
    fixture.reopen();
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
