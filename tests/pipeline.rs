//! The whole way through the library: recorded, appended, folded, read.

use mcplog::error::{OpenError, WaitError};
use mcplog::segment::{Item, SegmentReader, Stop};
use mcplog::{Refusal, Request, Store, SyncPolicy};
use mcplog_fixture::{Blocker, Fixture, PATIENCE, event, segment};
use rusqlite::types::Value;
use std::time::Duration;

#[test]
fn what_is_recorded_is_folded_under_every_sync_policy_over_many_segments() {
    for sync in [SyncPolicy::Always, SyncPolicy::Interval, SyncPolicy::Never] {
        let mut fixture = Fixture::with(|config| config.sync = sync);
        fixture.record(0..5000);
        fixture.fold();
        assert_eq!(fixture.number("SELECT count(*) FROM requests"), 5000, "{sync:?}");
        assert_eq!(fixture.number("SELECT sum(total_calls) FROM sessions"), 5000, "{sync:?}");
        let report = fixture.shut_down();
        assert_eq!((report.appended, report.folded, report.dropped, report.left_in_log), (5000, 5000, 0, 0));
        assert!(report.health.is_ok(), "{}", report.health);
        assert_eq!(fixture.segments().len(), 1, "folded segments are retired, the newest stays");
    }
}

#[test]
fn flushed_events_are_in_the_log_below_the_durable_mark() {
    for sync in [SyncPolicy::Always, SyncPolicy::Interval, SyncPolicy::Never] {
        let fixture = Fixture::with(|config| {
            config.sync = sync;
            config.sync_interval_ms = 60_000;
        });
        fixture.record(0..10);
        fixture.store().flush(PATIENCE).unwrap();
        let mark = SegmentReader::open(&fixture.segments()[0]).unwrap().mark();
        assert_eq!(mark.durable.frames, 10, "{sync:?}");
    }
}

#[test]
fn a_restart_goes_on_where_the_last_run_ended_and_uses_no_number_twice() {
    let mut fixture = Fixture::new();
    let mut last = 0;
    for round in 0..4_u64 {
        fixture.open();
        fixture.record(round * 100..(round + 1) * 100);
        fixture.shut_down();
        let sequence = fixture.number("SELECT sequence FROM checkpoint");
        assert_eq!(sequence, last + 100);
        last = sequence;
    }
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), 400);
    assert_eq!(fixture.number("SELECT count(DISTINCT id) FROM requests"), 400);
}

#[test]
fn a_database_that_was_deleted_does_not_make_numbers_come_again() {
    let mut fixture = Fixture::with(|_| {});
    fixture.record(0..100);
    fixture.shut_down();
    fixture.remove_database();
    fixture.open();
    fixture.record(100..101);
    fixture.shut_down();
    assert_eq!(fixture.number("SELECT max(id) FROM requests"), 101);
}

#[test]
fn a_log_that_was_deleted_does_not_make_numbers_come_again() {
    let mut fixture = Fixture::with(|_| {});
    fixture.record(0..100);
    fixture.shut_down();
    std::fs::remove_dir_all(fixture.wal()).unwrap();
    fixture.open();
    fixture.record(100..101);
    fixture.shut_down();
    assert_eq!(fixture.number("SELECT max(id) FROM requests"), 101);
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), 101);
}

#[test]
fn a_log_of_another_store_is_moved_aside_and_nothing_of_it_is_folded() {
    let mut one = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
    one.record(0..10);
    one.shut_down();
    let mut other = Fixture::with(|_| {});
    other.record(10..20);
    other.shut_down();
    let stray = other.wal().join("000000000099.seg");
    std::fs::copy(&one.segments()[0], &stray).unwrap();
    other.open();
    assert!(!other.store().stats().health.is_ok());
    other.fold();
    assert_eq!(other.number("SELECT count(*) FROM requests"), 10);
    assert!(other.config.dir.join("quarantine/000000000099.seg").exists());
}

#[test]
fn a_full_channel_drops_the_newest_and_leaves_a_gap_in_the_table() {
    let mut fixture = Fixture::with(|config| {
        config.channel_events = 16;
        config.record_wait_ms = 0;
    });
    let mut recorded = 0;
    // A burst into sixteen places: whatever the appender does meanwhile, it can't take them all.
    while fixture.store().stats().dropped == 0 {
        fixture.record(recorded..recorded + 10_000);
        recorded += 10_000;
    }
    let report = fixture.shut_down();
    assert_eq!(report.appended + report.dropped, recorded);
    assert_eq!(fixture.number("SELECT sum(events) FROM gaps"), report.dropped as i64);
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), report.appended as i64);
    assert_eq!(fixture.number("SELECT count(*) FROM gaps WHERE from_ts > to_ts OR from_ts < 1600000000000"), 0);
}

#[test]
fn recording_after_shutdown_is_refused_and_counted() {
    let mut fixture = Fixture::with(|_| {});
    let recorder = fixture.recorder();
    fixture.shut_down();
    event::record_or_drop(&recorder, 1);
    let refused = recorder.try_record(Request::new("id", 1, "p", "m")).unwrap_err();
    assert_eq!(refused.reason, Refusal::Closed);
}

#[test]
fn dropping_the_store_drains_it() {
    let mut fixture = Fixture::with(|_| {});
    fixture.record(0..1000);
    fixture.drop_store();
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), 1000);
}

#[test]
fn a_second_writer_is_refused_and_the_first_goes_on() {
    let fixture = Fixture::with(|_| {});
    let error = Store::open(fixture.config.clone()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { pid: Some(pid), .. } if pid == std::process::id()), "{error}");
    fixture.record(0..10);
    fixture.fold();
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), 10);
}

#[test]
fn kept_segments_hold_every_record_in_order() {
    let mut fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
    fixture.record(0..3000);
    fixture.shut_down();
    let segments = fixture.segments();
    assert!(segments.len() > 3, "{} segments", segments.len());
    let mut next = 1;
    for path in segments {
        let mut reader = SegmentReader::open(&path).unwrap();
        loop {
            match reader.next().unwrap() {
                Item::Frame(frame) => {
                    assert_eq!(frame.sequence.0, next);
                    next += 1;
                }
                Item::Damage(damage) => panic!("{damage:?}"),
                Item::WrongMark(wrong) => panic!("{wrong}"),
                Item::Stop(stop) => {
                    assert_eq!(stop, Stop::Sealed);
                    break;
                }
            }
        }
    }
    assert_eq!(next, 3001);
}

#[test]
fn an_old_segment_is_sealed_though_it_is_not_full() {
    let fixture = Fixture::with(|config| config.segment_age_ms = 1);
    fixture.record(0..1);
    fixture.fold();
    let deadline = std::time::Instant::now() + PATIENCE;
    while fixture.segments()[0].ends_with("000000000001.seg") {
        assert!(std::time::Instant::now() < deadline, "the first segment was never retired");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn damage_below_the_mark_is_named_and_everything_around_it_is_folded() {
    let mut fixture = Fixture::with(|config| {
        config.segment_bytes = 8 * 1024 * 1024;
        // Only the shutdown folds: until then nothing is durable.
        config.sync_interval_ms = 60_000;
    });
    fixture.record(0..100);
    // Below the mark, and not folded yet, because folding is held up.
    let path = fixture.segments()[0].clone();
    let blocker = Blocker::new(&fixture);
    fixture.store().flush(PATIENCE).unwrap();
    let mut reader = SegmentReader::open(&path).unwrap();
    let Item::Frame(first) = reader.next().unwrap() else { panic!("no frame") };
    let (first, length) = (first.offset, first.payload.len());
    segment::patch(&path, u64::from(first.0) + 20, b"X");
    drop(blocker);
    fixture.fold();
    let health = fixture.store().stats().health;
    assert!(health.to_string().contains("1 record is lost"), "{health}");
    fixture.shut_down();
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), 99);
    let bytes = (12 + length as i64 + 3) / 4 * 4;
    assert_eq!(
        fixture.rows("SELECT segment, offset, bytes FROM quarantine"),
        [[Value::Integer(1), Value::Integer(i64::from(first.0)), Value::Integer(bytes)]]
    );
}

#[test]
fn a_busy_database_delays_folding_and_loses_nothing() {
    let fixture = Fixture::with(|_| {});
    let blocker = Blocker::new(&fixture);
    fixture.record(0..1000);
    let timeout = Duration::from_millis(200);
    assert_eq!(fixture.store().wait_folded(timeout), Err(WaitError::Timeout(timeout)));
    drop(blocker);
    fixture.fold();
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), 1000);
    assert!(fixture.store().stats().health.is_ok());
}

#[test]
fn a_segment_that_is_gone_is_named_and_what_follows_it_is_folded() {
    let fixture = Fixture::with(|_| {});
    let blocker = Blocker::new(&fixture);
    fixture.record(0..2000);
    fixture.store().flush(PATIENCE).unwrap();
    // Not the first: the compactor may have it open, and then loses nothing.
    let segments = fixture.segments();
    assert!(segments.len() > 2, "{} segments", segments.len());
    let base = |path| SegmentReader::open(path).unwrap().header().base_sequence.0 as i64;
    let (lost_from, lost_to) = (base(&segments[1]), base(&segments[2]));
    std::fs::remove_file(&segments[1]).unwrap();
    drop(blocker);
    fixture.fold();
    let health = fixture.store().stats().health.to_string();
    assert!(health.contains("000000000002.seg"), "{health}");
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), 2000 - (lost_to - lost_from));
    let lost = format!("SELECT count(*) FROM requests WHERE id >= {lost_from} AND id < {lost_to}");
    assert_eq!(fixture.number(&lost), 0);
    assert_eq!(fixture.number("SELECT count(*) FROM quarantine"), 1);
}

#[test]
fn everything_in_the_directory_is_private() {
    use std::os::unix::fs::MetadataExt;
    let fixture = Fixture::with(|_| {});
    fixture.record(0..10);
    fixture.fold();
    let mut seen = 0;
    let mut pending = vec![fixture.config.dir.clone()];
    while let Some(path) = pending.pop() {
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        assert_eq!(metadata.mode() & 0o077, 0, "{}", path.display());
        seen += 1;
        if metadata.is_dir() {
            pending.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    assert!(seen >= 5, "{seen} paths");
}
