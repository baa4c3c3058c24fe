//! Shutting down while threads still record: every event that was accepted is stored or reported as dropped, once, and
//! none that was refused is either.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use mcplog::{Recorder, Refusal, Request, ShutdownReport, Store, SyncPolicy};
use mcplog_fixture::{Blocker, Fixture, PATIENCE, event, wait_until};
use rusqlite::types::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Small numbers that differ from round to round and are the same in every run.
struct Dice(u64);

impl Dice {
    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.roll(of.len() as u64)).unwrap()]
    }

    fn roll(&mut self, sides: u64) -> u64 {
        // Knuth's MMIX generator; its upper bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Records until the store closes, or so many events were accepted; returns the numbers of those.
fn record_until_closed(recorder: &Recorder, first: u64, events_max: u64) -> Vec<u64> {
    let mut dice = Dice(first);
    let long = "x".repeat(2_000);
    let mut accepted = Vec::new();
    for number in first..first + events_max {
        let id = event::request_id(number);
        let mut request = Request::new(&id, 1, "p", "m");
        // Some events are too large to share a block with others.
        request.target = (dice.roll(50) == 0).then_some(&*long);
        match recorder.try_record(request).map_err(|refused| refused.reason) {
            Ok(()) => accepted.push(number),
            Err(Refusal::Closed) => break,
            Err(_) => std::thread::yield_now(),
        }
        if dice.roll(100) == 0 {
            std::thread::sleep(Duration::from_micros(dice.roll(50)));
        }
    }
    accepted
}

/// When a store is shut down amid recording.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// Soon.
    Random,
    /// When the log is as large as it may be, because somebody else holds the database: then what waits in the channel can't
    /// be appended.
    LogFull,
}

/// A store that is shut down amid recording: what its threads say was accepted, and what it reports.
fn shut_down_amid_recording(
    fixture: &mut Fixture,
    dice: &mut Dice,
    moment: Moment,
    timeout: Duration,
) -> (BTreeSet<u64>, ShutdownReport) {
    fixture.config.channel_events = dice.pick(&[1, 64, 1024, 65_536]);
    let store = Store::open(fixture.config.clone()).unwrap();
    let holder = rusqlite::Connection::open(fixture.config.dir.join("store.db")).unwrap();
    if moment == Moment::LogFull {
        holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    }
    let (threads, after_us) = (1 + dice.roll(6), dice.roll(4_000));
    let recorder = store.recorder();
    std::thread::scope(|scope| {
        let recording: Vec<_> = (0..threads)
            .map(|thread| {
                let recorder = &recorder;
                scope.spawn(move || record_until_closed(recorder, thread << 32, 4_000))
            })
            .collect();
        let deadline = Instant::now() + PATIENCE;
        while moment == Moment::LogFull && store.stats().health.is_ok() {
            assert!(Instant::now() < deadline, "the log is never full");
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_micros(after_us));
        let report = store.shutdown(timeout);
        (recording.into_iter().flat_map(|thread| thread.join().unwrap()).collect(), report)
    })
}

fn stored(fixture: &Fixture) -> BTreeSet<u64> {
    let rows = fixture.rows("SELECT request_id FROM requests");
    let numbers: BTreeSet<_> = rows
        .iter()
        .map(|row| match &row[0] {
            Value::Text(id) => {
                let (_, digits) = id.rsplit_once('-').unwrap();
                u64::from_str_radix(digits, 16).unwrap()
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(numbers.len(), rows.len());
    numbers
}

#[test]
fn what_was_accepted_is_stored_and_nothing_else_is() {
    let mut dice = Dice(1);
    let mut events = 0;
    for round in 0..30 {
        let mut fixture = Fixture::new();
        let (accepted, report) = shut_down_amid_recording(&mut fixture, &mut dice, Moment::Random, PATIENCE);
        assert_eq!((report.dropped, report.left_in_log), (0, 0), "round {round}: {report:?}");
        assert_eq!(report.appended, accepted.len() as u64, "round {round}: {report:?}");
        assert!(stored(&fixture) == accepted, "round {round}");
        events += accepted.len();
    }
    assert!(events > 1_000, "{events} events prove little");
}

#[test]
fn what_a_shutdown_without_time_does_not_store_it_reports_as_dropped() {
    let mut dice = Dice(2);
    let (mut dropped, mut left_in_log) = (0, 0);
    for round in 0..30 {
        let mut fixture = Fixture::new();
        let timeout = Duration::from_micros(dice.roll(3) * 500);
        let moment = if round % 3 == 0 { Moment::LogFull } else { Moment::Random };
        fixture.config.max_log_bytes = 4 * fixture.config.segment_bytes;
        let (accepted, report) = shut_down_amid_recording(&mut fixture, &mut dice, moment, timeout);
        // Folds what was left in the log, once the threads of before have let it go.
        fixture.open();
        fixture.fold();
        assert_eq!(fixture.shut_down().left_in_log, 0);
        let stored = stored(&fixture);
        assert!(stored.is_subset(&accepted), "round {round}");
        let missing = accepted.len() - stored.len();
        assert_eq!(report.dropped, missing as u64, "round {round}: {report:?}");
        dropped += report.dropped;
        left_in_log += report.left_in_log;
    }
    assert!(dropped > 0 && left_in_log > 0, "{dropped} dropped and {left_in_log} left in the log prove nothing");
}

#[test]
fn what_a_shutdown_drops_because_the_log_is_full_is_in_a_gap_of_that_log() {
    for policy in [SyncPolicy::Interval, SyncPolicy::Always, SyncPolicy::Never] {
        let mut fixture = Fixture::with(|config| {
            config.sync = policy;
            config.record_wait_ms = 0;
            config.channel_events = 1024;
            config.max_log_bytes = 4 * config.segment_bytes;
        });
        let blocker = Blocker::new(&fixture);
        let mut recorded = 0;
        wait_until("the log and the channel are full", || {
            fixture.record(recorded..recorded + 100);
            recorded += 100;
            fixture.store().stats().dropped > 0 && !fixture.store().stats().health.is_ok()
        });
        let report = fixture.take_store().shutdown(Duration::ZERO);
        assert!(report.dropped > 100, "{policy:?}: what waited is given up: {report:?}");
        assert_eq!((report.appended + report.dropped, report.dropped_untold), (recorded, 0), "{policy:?}: {report:?}");
        let log_bytes: u64 = fixture.segments().iter().map(|path| path.metadata().unwrap().len()).sum();
        assert!(log_bytes <= fixture.config.max_log_bytes, "{policy:?}: {log_bytes} bytes");
        drop(blocker);
        fixture.open();
        fixture.fold();
        fixture.shut_down();
        assert_eq!(fixture.number("SELECT count(*) FROM requests") as u64, report.appended, "{policy:?}");
        assert_eq!(fixture.number("SELECT sum(events) FROM gaps") as u64, report.dropped, "{policy:?}");
    }
}

#[test]
fn what_a_full_channel_drops_is_in_the_gaps_to_the_event() {
    let mut dice = Dice(3);
    let mut dropped = 0;
    for round in 0..15 {
        let mut fixture = Fixture::new();
        fixture.config.channel_events = dice.pick(&[1, 2, 8, 64]);
        fixture.config.record_wait_ms = 0;
        let (threads, events) = (1 + dice.roll(6), 200 + dice.roll(1_000));
        let recorder = fixture.open().recorder();
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let recorder = &recorder;
                scope.spawn(move || {
                    (0..events).for_each(|number| event::record_or_drop(recorder, thread << 32 | number))
                });
            }
        });
        let report = fixture.shut_down();
        assert_eq!(report.appended + report.dropped, threads * events, "round {round}: {report:?}");
        let (rows, gaps) = ("SELECT count(*) FROM requests", "SELECT coalesce(sum(events), 0) FROM gaps");
        assert_eq!(fixture.number(rows) as u64, report.appended, "round {round}");
        assert_eq!(fixture.number(gaps) as u64, report.dropped, "round {round}");
        dropped += report.dropped;
    }
    assert!(dropped > 0, "nothing was dropped; the test tested nothing");
}

#[test]
fn a_reader_in_the_way_of_cleaning_up_is_no_problem_of_a_process_that_ends() {
    let mut fixture = Fixture::with(|_| {});
    fixture.record(0..100);
    fixture.fold();
    let reader = fixture.database();
    reader.execute_batch("BEGIN; SELECT count(*) FROM requests").unwrap();
    fixture.record(100..200);
    fixture.fold();
    fixture.shut_down();
    // What the first process committed last nobody could copy. Whether it is on the disk the next one does not know.
    assert!(std::fs::metadata(fixture.dir().join("store.db-wal")).unwrap().len() > 0);
    fixture.open();
    fixture.record(200..300);
    fixture.store().wait_folded(PATIENCE).unwrap();
    let report = fixture.shut_down();
    assert!(report.health.is_ok(), "{}", report.health);
    assert_eq!((report.appended, report.folded, report.left_in_log), (100, 100, 0));
    assert!(!fixture.folders().is_empty(), "what is not durable stays");
    drop(reader);
    fixture.open();
    fixture.fold();
    assert!(fixture.shut_down().health.is_ok());
    assert!(fixture.folders().is_empty());
}

#[test]
fn what_waits_because_the_log_was_taken_away_is_recorded_at_the_end() {
    let mut fixture = Fixture::with(|_| {});
    fixture.record(0..10);
    fixture.fold();
    fixture.folders().iter().for_each(|folder| std::fs::remove_dir_all(folder).unwrap());
    wait_until("that is noticed", || fixture.store().stats().health.to_string().contains("taken away"));
    // The next log is not due before a minute is over.
    fixture.record(10..20);
    let report = fixture.shut_down();
    assert_eq!((report.dropped, report.left_in_log), (0, 0), "{report:?}");
    assert_eq!(stored(&fixture).len(), 20);
}
