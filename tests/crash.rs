//! `kill -9` of the recording process: everything that reached the map survives, each event is folded once.

use mcplog::segment::{Item, SegmentReader, Stop};
use mcplog::{Config, Store, SyncPolicy};
use mcplog_fixture::{Blocker, Fixture, PATIENCE, event};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Set in the process that is to be killed: the store's directory and the first number to record.
const CHILD: &str = "MCPLOG_CRASH_CHILD";

/// Not a test by itself: the process that the tests below kill.
#[test]
fn child_records_until_it_is_killed() {
    let Ok(order) = std::env::var(CHILD) else { return };
    let (dir, first) = order.rsplit_once(':').expect("directory and number");
    let mut config = Config::new(dir);
    config.segment_bytes = 64 * 1024;
    config.sync = SyncPolicy::Never;
    config.record_wait_ms = 60_000;
    let store = Store::open(config).expect("open");
    let recorder = store.recorder();
    for number in first.parse().expect("a number").. {
        event::record_or_drop(&recorder, number);
        if number % 16 == 0 {
            // One thread records in order, so this many of its events, and the first ones, are in the map.
            let appended = store.stats().appended;
            if writeln!(std::io::stdout(), "\nappended {appended}").is_err() {
                return;
            }
        }
    }
}

/// Runs the child until it says that `at_least` events are in the map, kills it, and returns the last number it said.
fn record_and_kill(dir: &Path, first: u64, at_least: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "child_records_until_it_is_killed", "--nocapture"])
        .env(CHILD, format!("{}:{first}", dir.display()))
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the child");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut appended = || {
        lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("appended ").and_then(|number| number.parse().ok()))
    };
    let mut last = 0;
    while last < at_least {
        last = appended().expect("the child ended by itself");
    }
    child.kill().expect("kill");
    // What it wrote before it died was true as well.
    while let Some(more) = appended() {
        last = more;
    }
    child.wait().expect("wait");
    last
}

#[test]
fn everything_that_reached_the_map_survives_kill_9_and_is_folded_once() {
    let mut fixture = Fixture::new();
    std::fs::create_dir_all(&fixture.config.dir).unwrap();
    let mut first = 0;
    for round in 0..12 {
        let appended = record_and_kill(&fixture.config.dir, first, 1 + round * 331 % 2000);
        fixture.open();
        fixture.fold();
        let rows = fixture.number("SELECT count(*) FROM requests") as u64;
        assert!(rows >= first + appended, "round {round}: {appended} appended after {first}, {rows} rows");
        assert_eq!(fixture.number("SELECT count(DISTINCT id) FROM requests") as u64, rows);
        // Recorded in order by one thread: what survives is a prefix.
        let ids = "SELECT count(*) FROM requests WHERE ts - 1760000000000 NOT BETWEEN 0 AND (SELECT count(*) FROM requests) - 1";
        assert_eq!(fixture.number(ids), 0, "round {round}");
        assert_eq!(fixture.number("SELECT coalesce(sum(total_calls), 0) FROM sessions") as u64, rows);
        assert_eq!(fixture.number("SELECT count(*) FROM quarantine"), 0);
        // Rows, and the one record of each log that says who wrote it, add up to what was folded: a kill loses none.
        assert_eq!(fixture.number("SELECT count(*) FROM gaps"), 0, "round {round}");
        let logs = fixture.number("SELECT count(*) FROM writers WHERE ended = 'died'") as u64;
        assert_eq!(fixture.number("SELECT sum(sequence) FROM checkpoint") as u64, rows + logs, "round {round}");
        assert_eq!(fixture.number("SELECT sum(count) FROM fold_runs") as u64, rows + logs, "round {round}");
        // Each of the dead has one row, and left nothing else.
        assert_eq!(logs, round + 1);
        assert_eq!(fixture.names("wal"), [""; 0], "round {round}");
        fixture.shut_down();
        first = rows;
    }
    assert!(first > 5000, "{first} events are too few to prove anything");
}

#[test]
fn what_the_log_of_a_killed_process_lacks_is_counted_once_however_often_folding_is_killed() {
    let mut fixture = Fixture::new();
    std::fs::create_dir_all(&fixture.config.dir).unwrap();
    // Nobody folds while another one holds the database.
    fixture.open();
    let blocker = Blocker::new(&fixture);
    fixture.shut_down();
    let appended = record_and_kill(&fixture.config.dir, 0, 6000);
    drop(blocker);
    // Nothing is folded, and two segments between others are gone.
    let segments = fixture.segments();
    assert!(segments.len() > 5, "{appended} records in {segments:?}");
    let mut lost = 0;
    for path in [&segments[1], &segments[3]] {
        lost += mcplog_fixture::segment::frames(path).0.len() as u64;
        std::fs::remove_file(path).unwrap();
    }
    for _ in 0..4 {
        // Each opens the store, folds what there is, records, and is killed at once.
        record_and_kill(&fixture.config.dir, 100_000, 1);
    }
    fixture.open();
    fixture.fold();
    let missing = fixture.number("SELECT coalesce(sum(events), 0) FROM gaps WHERE missing = 1") as u64;
    assert_eq!(missing, lost);
    assert!(lost > 0);
    fixture.shut_down();
}

#[test]
fn a_store_left_by_kill_9_is_open_to_readers_and_to_the_next_writer() {
    let mut fixture = Fixture::new();
    std::fs::create_dir_all(&fixture.config.dir).unwrap();
    fixture.open();
    let blocker = Blocker::new(&fixture);
    fixture.shut_down();
    let appended = record_and_kill(&fixture.config.dir, 0, 700);
    let mut found = 0;
    for path in fixture.segments() {
        let mut reader = SegmentReader::open(&path).unwrap();
        let stop = loop {
            match reader.next().unwrap() {
                Item::Frame(_) => {}
                Item::Damage(damage) => panic!("{damage:?}"),
                Item::WrongMark(wrong) => panic!("{wrong}"),
                Item::Stop(stop) => break stop,
            }
        };
        assert!(matches!(stop, Stop::Open | Stop::Sealed), "{stop:?}");
        found = found.max(reader.next_sequence().0 - 1);
    }
    // The first record says who writes.
    assert!(found > appended, "{appended} appended, {found} read");
    drop(blocker);
    fixture.open();
    fixture.record(0..1);
    fixture.store().flush(PATIENCE).unwrap();
    fixture.shut_down();
}
