//! What opening a store makes of what it finds, and what becomes of damage, of a full log and of a broken database.

use mcplog::SyncPolicy;
use mcplog::error::WaitError;
use mcplog::health::Part;
use mcplog::rebuild::{Source, rebuild};
use mcplog_fixture::segment::{frames, patch, set_length};
use mcplog_fixture::{Blocker, Fixture, PATIENCE, wait_until};
use rusqlite::types::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the frames of a segment start.
fn frame_offsets(path: &Path) -> Vec<u64> {
    frames(path).0.into_iter().map(u64::from).collect()
}

#[test]
fn a_log_that_came_back_shorter_than_the_checkpoint_is_gone_on_with_and_nothing_is_skipped() {
    for kept in [0, 1, 3] {
        let mut fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
        fixture.record(0..6000);
        fixture.shut_down();
        // A power cut under `never`: SQLite had written back more than the log.
        let segments = fixture.segments();
        assert!(segments.len() > 4);
        for path in &segments[kept..] {
            std::fs::remove_file(path).expect("it works");
        }
        if let Some(last) = segments[..kept].last() {
            let offsets = frame_offsets(last);
            patch(last, 512, &[0; 1024]);
            set_length(last, offsets[offsets.len() / 2] + 3);
        }
        for round in 0..2 {
            fixture.open();
            fixture.record(6000 + round * 500..6500 + round * 500);
            fixture.fold();
            let report = fixture.shut_down();
            assert!(report.health.is_ok(), "{}", report.health);
        }
        assert_eq!(fixture.number("SELECT count(*) FROM requests"), 7000, "{kept} segments kept");
        assert_eq!(fixture.number("SELECT sum(total_calls) FROM sessions"), 7000);
        assert_eq!(fixture.number("SELECT min(id) FROM requests WHERE ts >= 1760000006000"), 6001);
        assert_eq!(fixture.number("SELECT max(id) FROM requests"), 7000);
    }
}

#[test]
fn a_torn_tail_is_cut_counted_and_no_damage() {
    let mut fixture = Fixture::with(|config| config.segment_bytes = 1024 * 1024);
    fixture.record(0..1000);
    fixture.fold();
    fixture.leave_only_the_log(None);
    // Of what was never synced, one page did not reach the disk.
    let path = fixture.segments()[0].clone();
    let offsets = frame_offsets(&path);
    patch(&path, 512, &[0; 1024]);
    patch(&path, offsets[600] + 5, &[0xff; 64]);
    fixture.open();
    fixture.fold();
    let stats = fixture.store().stats();
    let behind = offsets[999] + (offsets[999] - offsets[998]) - offsets[600];
    assert!((behind - 8..=behind + 8).contains(&stats.cut_bytes), "{} bytes of {behind}", stats.cut_bytes);
    assert!(stats.health.is_ok(), "{}", stats.health);
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), 600);
    assert_eq!(fixture.number("SELECT count(*) FROM quarantine"), 0);
    fixture.shut_down();
    assert_eq!(fixture.open().stats().cut_bytes, 0, "cut once");
}

#[test]
fn what_lies_behind_missing_records_is_moved_aside_whole_and_folded_by_a_rebuild_from_the_log() {
    let mut fixture = Fixture::with(|config| {
        config.sync = SyncPolicy::Never;
        config.keep_segments_bytes = Some(u64::MAX);
    });
    let blocker = Blocker::new(&fixture);
    fixture.record(0..2000);
    wait_until("all is in the log", || fixture.store().stats().appended == 2000);
    fixture.leave_only_the_log(Some(blocker));
    // Nothing is vouched for, and one record did not reach the disk.
    let segments = fixture.segments();
    assert!(segments.len() > 2);
    let offsets = frame_offsets(&segments[0]);
    let before = offsets.len() - 1;
    patch(&segments[0], offsets[before], &[0; 64]);
    let bytes: Vec<_> = segments[1..].iter().map(|path| std::fs::read(path).expect("it works")).collect();
    fixture.open();
    fixture.fold();
    let health = fixture.shut_down().health;
    assert!(health.is_ok(), "nobody was promised them: {health}");
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), before as i64);
    let aside = |path: &PathBuf| fixture.config.dir.join("quarantine").join(path.file_name().expect("it works"));
    let gaps = "SELECT id, events, missing FROM gaps";
    assert_eq!(fixture.number("SELECT count(*) FROM gaps"), 0);
    let kept: Vec<_> = segments[1..].iter().map(|path| std::fs::read(aside(path)).expect("it works")).collect();
    assert!(kept == bytes, "with all their bytes");
    rebuild(&mcplog::Config::new(fixture.dir()), Source::Log, |_, _| std::ops::ControlFlow::Continue(()))
        .expect("it works");
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), 1999);
    assert_eq!(fixture.number("SELECT count(*) FROM quarantine"), 0);
    // What was torn is missing in front of them.
    let lost = vec![vec![Value::Integer(before as i64 + 1), Value::Integer(1), Value::Integer(1)]];
    assert_eq!(fixture.rows(gaps), lost);
}

/// Damages the first of several segments before it is folded; returns its bytes.
fn damage_and_fold(fixture: &mut Fixture) -> Vec<u8> {
    let blocker = Blocker::new(fixture);
    fixture.record(0..2000);
    fixture.store().flush(PATIENCE).expect("durable");
    let path = fixture.segments()[0].clone();
    let offsets = frame_offsets(&path);
    patch(&path, offsets[3] + 20, b"X");
    patch(&path, offsets[7] + 20, b"X");
    let bytes = std::fs::read(&path).expect("it works");
    drop(blocker);
    fixture.fold();
    bytes
}

#[test]
fn a_damaged_segment_goes_to_quarantine_with_its_bytes_once_it_is_folded() {
    for keep in [0, u64::MAX] {
        let mut fixture = Fixture::with(|config| config.keep_segments_bytes = Some(keep));
        let bytes = damage_and_fold(&mut fixture);
        let moved = ["000000000001.seg", "000000000001.seg.json"];
        wait_until("the damaged segment is moved", || fixture.names("quarantine") == moved);
        let quarantine = fixture.config.dir.join("quarantine");
        assert_eq!(std::fs::read(quarantine.join(moved[0])).expect("it works"), bytes);
        let note: serde_json::Value =
            serde_json::from_slice(&std::fs::read(quarantine.join(moved[1])).expect("it works")).expect("it works");
        assert_eq!((&note["segment"], note["damage"].as_array().expect("it works").len()), (&serde_json::json!(1), 2));
        assert!(note["damage"][0]["reason"].as_str().expect("it works").contains("checksum"), "{note}");
        assert_eq!(
            fixture.number("SELECT offset FROM quarantine ORDER BY offset LIMIT 1"),
            note["damage"][0]["offset"].as_i64().expect("it works")
        );
        let health = fixture.shut_down().health;
        assert!(health.problems.contains_key(&Part::Damage), "{health}");
        assert_eq!(fixture.number("SELECT count(*) FROM requests"), 1998, "what lies around it is folded");
        // What a crash between the commit and the move leaves.
        std::fs::rename(quarantine.join(moved[0]), fixture.wal().join(moved[0])).expect("it works");
        fixture.open();
        wait_until("it is moved again", || fixture.names("quarantine") == moved);
        fixture.shut_down();
        assert_eq!(fixture.number("SELECT count(*) FROM requests"), 1998);
        assert_eq!(fixture.number("SELECT count(*) FROM quarantine"), 2);
        assert_eq!(fixture.segments().len() > 1, keep > 0);
    }
}

#[test]
fn an_unreadable_segment_is_a_row_in_the_table_once_and_no_number_of_it_comes_again() {
    let mut fixture = Fixture::with(|_| {});
    let blocker = Blocker::new(&fixture);
    fixture.record(0..2000);
    fixture.store().flush(PATIENCE).expect("durable");
    fixture.leave_only_the_log(Some(blocker));
    // The last segment's header is hurt, which says what numbers it has.
    let last = fixture.segments().pop().expect("it works");
    let held = frame_offsets(&last).len() as i64;
    patch(&last, 17, b"X");
    for round in 0..3 {
        fixture.open();
        let health = fixture.store().stats().health;
        assert_eq!(health.is_ok(), round > 0, "{health}");
        fixture.record(2000 + round * 10..2010 + round * 10);
        fixture.fold();
        fixture.shut_down();
    }
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), 2000 - held + 30);
    assert_eq!(fixture.number("SELECT count(*) FROM quarantine WHERE sequence IS NULL AND offset = 0"), 1);
    assert_eq!(fixture.number("SELECT count(*) FROM quarantine"), 1);
    assert!(fixture.number("SELECT min(id) FROM requests WHERE ts >= 1760000002000") > 2000);
}

#[test]
fn a_full_log_drops_the_newest_keeps_the_oldest_and_goes_on_by_itself() {
    let mut fixture = Fixture::new();
    fixture.config.channel_events = 64;
    fixture.config.record_wait_ms = 0;
    fixture.config.max_log_bytes = 4 * fixture.config.segment_bytes;
    fixture.open();
    let blocker = Blocker::new(&fixture);
    let mut recorded = 0;
    let is_full = |fixture: &Fixture| fixture.store().stats().health.problems.contains_key(&Part::Segments);
    while !is_full(&fixture) || fixture.store().stats().dropped == 0 {
        fixture.record(recorded..recorded + 100);
        recorded += 100;
        std::thread::sleep(Duration::from_millis(1));
    }
    let stats = fixture.store().stats();
    assert!(stats.log_bytes <= fixture.config.max_log_bytes, "{} bytes", stats.log_bytes);
    let problem = &stats.health.problems[&Part::Segments];
    assert!(problem.contains("max_log_bytes"), "{problem}");
    assert!(stats.appended > 1000, "{} appended", stats.appended);
    drop(blocker);
    wait_until("it goes on", || !is_full(&fixture));
    fixture.record(recorded..recorded + 1);
    recorded += 1;
    let report = fixture.shut_down();
    assert!(report.health.is_ok(), "{}", report.health);
    assert_eq!(report.appended + report.dropped, recorded);
    assert_eq!(fixture.number("SELECT count(*) FROM requests") as u64, report.appended);
    assert_eq!(fixture.number("SELECT sum(events) FROM gaps") as u64, report.dropped);
    let first = stats.appended - 1;
    let oldest = format!(
        "SELECT (SELECT count(*) FROM requests WHERE id <= {first}) + (SELECT count(*) FROM gaps WHERE id <= {first})"
    );
    assert_eq!(fixture.number(&oldest) as u64, first, "none of the oldest is missing");
}

#[test]
fn kept_segments_do_not_count_against_the_limit() {
    let mut fixture = Fixture::with(|config| {
        config.keep_segments_bytes = Some(u64::MAX);
        config.max_log_bytes = 4 * config.segment_bytes;
    });
    fixture.record(0..10_000);
    let report = fixture.shut_down();
    assert_eq!((report.appended, report.dropped), (10_000, 0));
    assert!(fixture.segments().len() > 4);
}

/// Overwrites the whole database.
fn ruin_database(fixture: &Fixture) {
    for name in ["store.db", "store.db-wal"] {
        let path = fixture.config.dir.join(name);
        if let Ok(metadata) = std::fs::metadata(&path) {
            patch(&path, 0, &vec![0xa5; usize::try_from(metadata.len()).expect("small")]);
        }
    }
}

#[test]
fn a_database_found_corrupt_at_opening_stops_folding_and_recording_goes_on() {
    let mut fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
    fixture.record(0..1000);
    fixture.shut_down();
    ruin_database(&fixture);
    let before = fixture.segments();
    fixture.open();
    let health = fixture.store().stats().health;
    fixture.record(1000..3000);
    fixture.store().flush(PATIENCE).expect("durable");
    assert!(
        matches!(fixture.store().wait_folded(PATIENCE), Err(WaitError::Fold(why)) if why.contains("mcplog rebuild"))
    );
    let health_later = fixture.store().stats().health;
    assert!(health_later.problems[&Part::Fold].contains("mcplog rebuild"), "{health}, {health_later}");
    let report = fixture.shut_down();
    assert_eq!((report.appended, report.dropped, report.folded), (2000, 0, 0));
    assert!(fixture.segments().starts_with(&before), "nothing is retired");
    // A new database, made from the segments: no number came twice.
    fixture.remove_database();
    fixture.open();
    fixture.fold();
    fixture.shut_down();
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), 3000);
    assert_eq!(fixture.number("SELECT max(id) FROM requests"), 3000);
}

#[test]
fn a_database_that_becomes_corrupt_stops_folding_once_and_keeps_every_segment() {
    let mut fixture = Fixture::with(|_| {});
    fixture.record(0..1000);
    fixture.fold();
    let first = fixture.segments()[0].clone();
    // So that the compactor's connection does not trust the pages that it has in memory.
    let other = fixture.database();
    other.execute_batch("CREATE TABLE another (number INTEGER)").expect("it works");
    ruin_database(&fixture);
    fixture.record(1000..5000);
    let folded = fixture.store().wait_folded(PATIENCE);
    assert!(matches!(&folded, Err(WaitError::Fold(why)) if why.contains("mcplog rebuild")), "{folded:?}");
    fixture.store().flush(PATIENCE).expect("durable");
    assert!(fixture.store().stats().health.problems.contains_key(&Part::Fold));
    let report = fixture.shut_down();
    assert_eq!((report.appended, report.dropped), (5000, 0));
    assert!(first.exists(), "nothing that is not safe elsewhere is retired");
}
