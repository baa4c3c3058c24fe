//! What opening a store makes of what it finds, and what becomes of damage, of a full log and of a broken database.

use mcplog::SyncPolicy;
use mcplog::error::WaitError;
use mcplog::health::Part;
use mcplog::rebuild::{Source, rebuild};
use mcplog::segment::SegmentReader;
use mcplog_fixture::segment::{frames, patch, set_length};
use mcplog_fixture::{Blocker, Fixture, PATIENCE, wait_until};
use rusqlite::types::Value;
use std::path::Path;
use std::time::Duration;

/// Where the frames of a segment start.
fn frame_offsets(path: &Path) -> Vec<u64> {
    frames(path).0.into_iter().map(u64::from).collect()
}

#[test]
fn a_log_that_came_back_shorter_than_what_is_folded_costs_nothing_and_nothing_comes_twice() {
    for kept in [0, 1, 3] {
        let mut fixture = Fixture::with(|_| {});
        // All is folded, and nothing is retired yet.
        fixture.record(0..10);
        fixture.fold();
        let blocker = Blocker::new(&fixture);
        fixture.record(10..6000);
        fixture.store().flush(PATIENCE).expect("durable");
        let killed = fixture.killed();
        drop(blocker);
        fixture.fold();
        fixture.shut_down();
        // A power cut under `never`: SQLite had written back more than the log.
        let log = killed.folders().remove(0);
        let back = fixture.wal().join(log.file_name().expect("a name"));
        mcplog_fixture::directory::copy(&log, &back);
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
        assert_eq!(fixture.number("SELECT count(*) FROM gaps"), 0);
    }
}

#[test]
fn a_torn_tail_of_a_dead_log_is_passed_over_and_no_damage_and_nobody_cuts_it() {
    let mut fixture = Fixture::with(|config| {
        config.segment_bytes = 1024 * 1024;
        config.keep_segments_bytes = Some(u64::MAX);
    });
    fixture.record(0..1000);
    fixture.fold();
    fixture.leave_only_the_log(None);
    // Of what was never synced, one page did not reach the disk.
    let path = fixture.segments()[0].clone();
    let offsets = frame_offsets(&path);
    patch(&path, 512, &[0; 1024]);
    // The log's first record says who writes.
    patch(&path, offsets[601] + 5, &[0xff; 64]);
    let bytes = std::fs::read(&path).expect("it works");
    fixture.open();
    fixture.fold();
    let stats = fixture.store().stats();
    assert!(stats.health.is_ok(), "{}", stats.health);
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), 600);
    assert_eq!(fixture.number("SELECT count(*) FROM quarantine"), 0);
    fixture.shut_down();
    let kept = fixture.dir().join("kept").join(path.strip_prefix(fixture.wal()).expect("in the log"));
    assert!(std::fs::read(kept).expect("it is kept") == bytes, "not a byte of it is another one");
}

#[test]
fn what_lies_behind_missing_records_is_folded_and_they_are_counted() {
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
    patch(&segments[0], offsets[offsets.len() - 1], &[0; 64]);
    fixture.open();
    fixture.fold();
    fixture.shut_down();
    let lost = vec![vec![Value::Integer(offsets.len() as i64), Value::Integer(1), Value::Integer(1)]];
    for _ in 0..2 {
        assert_eq!(fixture.number("SELECT count(*) FROM requests"), 1999);
        assert_eq!(fixture.rows("SELECT sequence, events, missing FROM gaps"), lost);
        rebuild(&mcplog::Config::new(fixture.dir()), Source::Log, |_, _| std::ops::ControlFlow::Continue(()))
            .expect("it works");
    }
}

/// Damages the second of several segments before it is folded; returns its bytes. What the first one has may have been read
/// already by who waits to fold.
fn damage_and_fold(fixture: &mut Fixture) -> Vec<u8> {
    let blocker = Blocker::new(fixture);
    fixture.record(0..2000);
    fixture.store().flush(PATIENCE).expect("durable");
    let segments = fixture.segments();
    assert!(segments.len() > 2);
    let path = segments[1].clone();
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
        let moved = ["000000000002.seg", "000000000002.seg.json"];
        let log = fixture.store().writer().expect("it recorded").to_string();
        let quarantine = fixture.dir().join("quarantine").join(&log);
        let aside = format!("quarantine/{log}");
        wait_until("the damaged segment is moved", || fixture.names(&aside) == moved);
        assert_eq!(std::fs::read(quarantine.join(moved[0])).expect("it works"), bytes);
        let note: serde_json::Value =
            serde_json::from_slice(&std::fs::read(quarantine.join(moved[1])).expect("it works")).expect("it works");
        assert_eq!((&note["segment"], note["damage"].as_array().expect("it works").len()), (&serde_json::json!(2), 2));
        assert!(note["damage"][0]["reason"].as_str().expect("it works").contains("checksum"), "{note}");
        assert_eq!(
            fixture.number("SELECT offset FROM quarantine ORDER BY offset LIMIT 1"),
            note["damage"][0]["offset"].as_i64().expect("it works")
        );
        let health = fixture.shut_down().health;
        assert!(health.problems.contains_key(&Part::Damage), "{health}");
        assert_eq!(fixture.number("SELECT count(*) FROM requests"), 1998, "what lies around it is folded");
        // What a crash between the commit and the move leaves.
        let back = fixture.wal().join(&log);
        std::fs::create_dir(&back).expect("it works");
        std::fs::rename(quarantine.join(moved[0]), back.join(moved[0])).expect("it works");
        fixture.open();
        wait_until("it is moved again", || fixture.names(&aside) == moved);
        fixture.shut_down();
        assert_eq!(fixture.number("SELECT count(*) FROM requests"), 1998);
        assert_eq!(fixture.number("SELECT count(*) FROM quarantine"), 2);
        assert_eq!(!fixture.names(&format!("kept/{log}")).is_empty(), keep > 0);
    }
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
    // The log's first record says who writes.
    let first = stats.appended - 1;
    let oldest = format!(
        "SELECT (SELECT count(*) FROM requests WHERE id <= {first}) + (SELECT count(*) FROM gaps WHERE id <= {first})"
    );
    assert_eq!(fixture.number(&oldest) as u64, first - 1, "none of the oldest is missing");
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
    let kept = fixture.names("kept");
    assert!(fixture.names(&format!("kept/{}", kept[0])).len() > 4);
}

/// Overwrites the whole database: its write-ahead log first, from which somebody may copy pages into the database meanwhile.
fn ruin_database(fixture: &Fixture) {
    for name in ["store.db-wal", "store.db"] {
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
    fixture.open();
    fixture.record(1000..3000);
    fixture.store().flush(PATIENCE).expect("durable");
    let folded = fixture.store().wait_folded(PATIENCE);
    assert!(matches!(&folded, Err(WaitError::Fold(why)) if why.contains("mcplog rebuild")), "{folded:?}");
    let health = fixture.store().stats().health;
    assert!(health.problems[&Part::Fold].contains("mcplog rebuild"), "{health}");
    // Another process does not try what the first one found, and records all the same.
    let other = mcplog::Store::open(fixture.config.clone()).expect("it opens");
    mcplog_fixture::event::record_or_drop(&other.recorder(), 3000);
    other.flush(PATIENCE).expect("durable");
    assert!(matches!(other.wait_folded(PATIENCE), Err(WaitError::Fold(why)) if why.contains("mcplog rebuild")));
    let report = other.shutdown(PATIENCE);
    assert_eq!((report.appended, report.folded), (1, 0));
    let report = fixture.shut_down();
    assert_eq!((report.appended, report.dropped, report.folded), (2000, 0, 0));
    // A new database, made from the segments, while another process records.
    fixture.open();
    fixture.record(3001..3002);
    let config = mcplog::Config::new(fixture.dir());
    let mut watch = |_, _| std::ops::ControlFlow::Continue(());
    let prepared = mcplog::rebuild::Rebuild::prepare(&config, Source::Log, true, &mut watch).expect("prepared");
    prepared.run(&mut watch).expect("rebuilt");
    fixture.fold();
    fixture.shut_down();
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), 3002);
    assert_eq!(fixture.number("SELECT count(DISTINCT request_id) FROM requests"), 3002);
}

#[test]
fn a_database_that_becomes_corrupt_stops_folding_once_and_keeps_every_segment() {
    let mut fixture = Fixture::with(|_| {});
    fixture.record(0..1000);
    fixture.fold();
    // Those before it are folded, and may go while the database is still sound.
    let last = fixture.segments().pop().expect("the one that takes records");
    // Another connection commits behind it, so that the compactor's does not trust the pages that it has in memory.
    let other = fixture.database();
    other.busy_timeout(PATIENCE).expect("a busy timeout");
    other.execute_batch("BEGIN IMMEDIATE; CREATE TABLE another (number INTEGER)").expect("it works");
    ruin_database(&fixture);
    other.execute_batch("COMMIT").expect("it works");
    fixture.record(1000..5000);
    let folded = fixture.store().wait_folded(PATIENCE);
    assert!(matches!(&folded, Err(WaitError::Fold(why)) if why.contains("mcplog rebuild")), "{folded:?}");
    fixture.store().flush(PATIENCE).expect("durable");
    assert!(fixture.store().stats().health.problems.contains_key(&Part::Fold));
    let report = fixture.shut_down();
    assert_eq!((report.appended, report.dropped), (5000, 0));
    assert!(last.exists(), "nothing that is not safe elsewhere is retired");
    let kept: Vec<_> = fixture.segments().into_iter().filter(|path| *path >= last).collect();
    let held: u64 = kept.iter().map(|path| u64::from(frames(path).1.frames)).sum();
    let first = SegmentReader::open(&last).expect("a segment").header().base_sequence.0;
    // Who writes is record 1, and the last one says that the log has ended.
    assert_eq!(first + held - 1, 5002, "every record that came since");
}
