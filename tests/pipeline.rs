//! The whole way through the library: recorded, appended, folded, read.

use mcplog::error::WaitError;
use mcplog::segment::{Item, SegmentReader, Stop};
use mcplog::{Refusal, Request, Store, SyncPolicy};
use mcplog_fixture::{Blocker, Fixture, PATIENCE, directory, event, segment, wait_until};
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
        assert!(fixture.folders().is_empty(), "what is folded of a log that has ended is retired, and its folder");
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
        assert_eq!(mark.durable.frames, 11, "{sync:?}: ten, and who writes");
    }
}

#[test]
fn each_run_is_a_log_of_its_own_and_no_id_of_a_row_comes_twice() {
    let mut fixture = Fixture::new();
    for round in 0..4_u64 {
        fixture.open();
        fixture.record(round * 100..(round + 1) * 100);
        fixture.shut_down();
    }
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), 400);
    assert_eq!(fixture.number("SELECT count(DISTINCT id) FROM requests"), 400);
    let runs = fixture.rows("SELECT w.ended, c.sequence FROM checkpoint AS c JOIN writers AS w ON w.id = c.writer");
    // A hundred, and the records that say who writes and that the log has ended.
    assert_eq!(runs, vec![vec![Value::Text("closed".to_owned()), Value::Integer(102)]; 4]);
}

#[test]
fn a_run_that_records_nothing_leaves_nothing() {
    let mut fixture = Fixture::with(|_| {});
    fixture.shut_down();
    assert_eq!(fixture.names("wal"), Vec::<String>::new());
    fixture.open();
    fixture.record(0..1);
    fixture.shut_down();
    fixture.reopen();
    fixture.shut_down();
    assert_eq!(fixture.number("SELECT count(*) FROM writers"), 1);
}

#[test]
fn a_database_that_was_deleted_is_made_anew_for_what_comes() {
    let mut fixture = Fixture::with(|_| {});
    fixture.record(0..100);
    fixture.shut_down();
    fixture.remove_database();
    fixture.open();
    fixture.record(100..101);
    fixture.shut_down();
    assert_eq!(fixture.rows("SELECT request_id FROM requests"), [[Value::Text(event::request_id(100))]]);
}

#[test]
fn a_log_that_was_deleted_takes_no_row_with_it() {
    let mut fixture = Fixture::with(|_| {});
    fixture.record(0..100);
    fixture.shut_down();
    std::fs::remove_dir_all(fixture.wal()).unwrap();
    fixture.open();
    fixture.record(100..101);
    fixture.shut_down();
    assert_eq!(fixture.number("SELECT count(DISTINCT id) FROM requests"), 101);
    assert_eq!(fixture.number("SELECT count(*) FROM gaps"), 0);
}

#[test]
fn a_log_of_another_store_is_named_and_stays_as_it_is_and_the_own_one_is_folded() {
    let one = Fixture::with(|_| {});
    one.record(0..10);
    one.store().flush(PATIENCE).unwrap();
    let mut other = Fixture::with(|_| {});
    other.record(10..20);
    other.shut_down();
    let stray = &one.folders()[0];
    let there = other.wal().join(stray.file_name().unwrap());
    directory::copy(stray, &there);
    let before = directory::contents(&there);
    other.open();
    other.record(20..30);
    other.store().wait_folded(PATIENCE).unwrap();
    wait_until("the stray log is named", || {
        other.store().stats().health.to_string().contains(there.file_name().unwrap().to_str().unwrap())
    });
    other.shut_down();
    assert_eq!(other.number("SELECT count(*) FROM requests"), 20);
    assert_eq!(directory::contents(&there), before);
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
fn two_stores_on_one_directory_record_side_by_side_and_each_event_has_one_row() {
    let fixture = Fixture::with(|_| {});
    let second = Store::open(fixture.config.clone()).unwrap();
    for number in 0..1000 {
        event::record_or_drop(&if number % 3 == 0 { second.recorder() } else { fixture.recorder() }, number);
    }
    fixture.store().wait_folded(PATIENCE).unwrap();
    second.wait_folded(PATIENCE).unwrap();
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), 1000);
    let report = second.shutdown(PATIENCE);
    assert_eq!((report.appended, report.folded, report.left_in_log), (334, 334, 0));
    fixture.record(1000..1001);
    fixture.fold();
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), 1001);
    assert_eq!(fixture.number("SELECT count(*) FROM writers"), 2);
}

#[test]
fn kept_segments_hold_every_record_in_order() {
    let mut fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
    fixture.record(0..3000);
    fixture.shut_down();
    let kept = fixture.kept();
    assert!(kept.len() > 3, "{} segments", kept.len());
    let mut next = 1;
    for path in kept {
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
    assert_eq!(next, 3003, "with who writes, and that the log has ended");
}

#[test]
fn an_old_segment_is_sealed_though_it_is_not_full() {
    let fixture = Fixture::with(|config| config.segment_age_ms = 1);
    fixture.record(0..1);
    fixture.fold();
    wait_until("the first segment is retired", || {
        !fixture.segments().iter().any(|path| path.ends_with("000000000001.seg"))
    });
}

#[test]
fn damage_below_the_mark_is_named_and_everything_around_it_is_folded() {
    let mut fixture = Fixture::with(|config| {
        config.segment_bytes = 8 * 1024 * 1024;
        config.sync_interval_ms = 60_000;
    });
    // Below the mark, and not folded yet, because folding is held up.
    let blocker = Blocker::new(&fixture);
    fixture.record(0..100);
    fixture.store().flush(PATIENCE).unwrap();
    let path = fixture.segments()[0].clone();
    let mut reader = SegmentReader::open(&path).unwrap();
    reader.next().unwrap();
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
    // Not the first: who folds may have it open, and then loses nothing.
    let segments = fixture.segments();
    assert!(segments.len() > 2, "{} segments", segments.len());
    let base = |path| SegmentReader::open(path).unwrap().header().base_sequence.0 as i64;
    let (lost_from, lost_to) = (base(&segments[1]), base(&segments[2]));
    std::fs::remove_file(&segments[1]).unwrap();
    drop(blocker);
    fixture.fold();
    let health = fixture.store().stats().health.to_string();
    assert!(health.contains(&format!("numbers {lost_from} to {}", lost_to - 1)), "{health}");
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), 2000 - (lost_to - lost_from));
    assert_eq!(fixture.rows("SELECT events, missing FROM gaps"), [[lost_to - lost_from, 1].map(Value::Integer)]);
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
