//! Faults that only a test can order: syncs that fail, threads that panic. What the store says then, what it keeps, and
//! what the next one who opens it finds.

mod builds_tests;
mod check_tests;
mod clock_tests;
mod completeness_tests;
#[path = "../../tests/fixture/src/lib.rs"]
#[allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::allow_attributes,
    reason = "the fixture's own package; a part of it is used here"
)]
mod fixture;
mod import_tests;
mod newer_tests;
mod room_tests;
mod trouble_tests;

use super::rebuild::{Source, rebuild};
use crate::ground::config::Config;
use crate::ground::error::WaitError;
use crate::ground::health::Part;
use crate::ground::position::Sequence;
use crate::ground::sabotage::{self, Fault, Spot, fail, panic};
use crate::query::database::Query;
use crate::query::filter::RequestFilter;
use crate::segment::directory::list;
use crate::segment::reader::SegmentReader;
use crate::segment::writer_folder::writer_folders;
use crate::{Request, SyncPolicy};
use fixture::{Blocker, Holdings, PATIENCE, wait_until};
use std::ops::{ControlFlow, Deref, DerefMut};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The fixture of all tests, with faults on order.
struct Fixture {
    fixture: fixture::Fixture,
    recorded: u64,
}

impl Deref for Fixture {
    type Target = fixture::Fixture;

    fn deref(&self) -> &fixture::Fixture {
        &self.fixture
    }
}

impl DerefMut for Fixture {
    fn deref_mut(&mut self) -> &mut fixture::Fixture {
        &mut self.fixture
    }
}

impl Fixture {
    fn new(configure: impl FnOnce(&mut Config)) -> Self {
        Self { fixture: fixture::Fixture::with(configure), recorded: 0 }
    }

    /// At the spot the effect happens so many times, once the spot was passed unharmed so often.
    fn order(
        &self,
        spot: Spot,
        passes: u32,
        times: u32,
        effect: impl Fn() -> Result<(), Fault> + Send + Sync + 'static,
    ) {
        sabotage::order(self.dir(), spot, passes, times, effect);
    }

    fn cancel(&self, spot: Spot) {
        sabotage::cancel(self.dir(), spot);
    }

    /// Records so many events beyond those that were recorded.
    fn record(&mut self, events: u64) {
        self.fixture.record(self.recorded..self.recorded + events);
        self.recorded += events;
    }

    fn flush(&self) -> Result<(), WaitError> {
        self.store().flush(PATIENCE)
    }

    /// Waits until health says something about the part.
    fn wait_for_problem(&self, part: Part) -> String {
        let mut problem = None;
        wait_until("health says something", || {
            problem = self.store().stats().health.problems.get(&part).cloned();
            problem.is_some()
        });
        problem.unwrap()
    }

    /// Waits until so many events are folded.
    fn wait_until_folded(&self, events: u64) {
        wait_until("they are folded", || self.store().stats().folded >= events);
    }

    /// Every event that was recorded is in the database once, each with an id of its own.
    fn assert_each_event_is_folded_once(&self) {
        let holdings = Holdings::read(self.dir());
        assert_eq!(holdings.numbers, (0..self.recorded).collect::<Vec<_>>());
        assert_eq!(holdings.quarantined, 0);
        let rows = Query::open(self.dir()).unwrap().requests(&RequestFilter::default()).unwrap();
        let mut numbers: Vec<_> = rows.iter().map(|row| row.id).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), rows.len());
    }

    /// The last event that a power cut would leave, by what the segments of the running store say of themselves. The log's
    /// first record says who writes.
    fn vouched_for(&self) -> u64 {
        let readers = self.segments().into_iter().map(|path| SegmentReader::open(&path).unwrap());
        let last = |reader: SegmentReader| reader.mark().durable.last_sequence(reader.header().base_sequence).0;
        readers.map(last).max().unwrap() - 1
    }

    /// The segments of all logs that are kept, one behind the other.
    fn kept(&self) -> Vec<PathBuf> {
        let folders = writer_folders(&self.config.kept_dir()).unwrap().folders;
        folders.iter().flat_map(|folder| list(&folder.path).unwrap()).map(|file| file.path).collect()
    }
}

#[test]
fn what_a_failed_sync_left_in_doubt_is_written_again_and_folded_once() {
    for policy in [SyncPolicy::Always, SyncPolicy::Interval, SyncPolicy::Never] {
        for failures in [1, 2] {
            let mut fixture = Fixture::new(|config| config.sync = policy);
            fixture.record(500);
            fixture.flush().unwrap();
            // Under `never` a flush syncs the active segment once, and those that are sealed in another way.
            fixture.order(Spot::Sync, u32::from(policy != SyncPolicy::Never), failures, fail);
            fixture.record(3000);
            if policy == SyncPolicy::Never {
                // What is written again is folded already. Waiting for that in the other way would sync.
                fixture.wait_until_folded(3500);
            }
            // Waiters wait on, and are told only when what they recorded is on the disk.
            fixture.flush().unwrap();
            assert_eq!(fixture.vouched_for(), 3500, "{policy:?}");
            let stats = fixture.store().stats();
            assert_eq!(stats.poisoned_segments, u64::from(failures), "{policy:?}");
            assert!(stats.health.is_ok(), "{policy:?}: {}", stats.health);
            fixture.record(500);
            fixture.flush().unwrap();
            let report = fixture.shut_down();
            assert_eq!((report.appended, report.folded, report.dropped), (4000, 4000, 0), "{policy:?}");
            fixture.assert_each_event_is_folded_once();
            assert_eq!(fixture.folders(), [] as [PathBuf; 0], "{policy:?}: what was superseded is gone, too");
            fixture.reopen();
            fixture.record(10);
            fixture.shut_down();
            fixture.assert_each_event_is_folded_once();
        }
    }
}

#[test]
fn a_poisoned_segment_gets_no_further_mark_and_what_it_held_lies_in_the_next_one() {
    let mut fixture = Fixture::new(|config| {
        config.sync_interval_ms = 60_000;
        config.segment_bytes = 8 * 1024 * 1024;
        config.keep_segments_bytes = Some(u64::MAX);
    });
    fixture.record(100);
    fixture.flush().unwrap();
    fixture.order(Spot::Sync, 0, 1, fail);
    fixture.record(50);
    fixture.flush().unwrap();
    fixture.record(7);
    fixture.shut_down();
    let segments: Vec<_> = fixture.kept().iter().map(|path| SegmentReader::open(path).unwrap()).collect();
    let told: Vec<_> = segments
        .iter()
        .map(|reader| (reader.header().base_sequence.0, reader.mark().durable.frames, reader.mark().sealed.is_some()))
        .collect();
    // The first record says who writes, the last one that it ended.
    assert_eq!(told, [(1, 101, false), (102, 58, true)]);
    fixture.assert_each_event_is_folded_once();
    // From the log alone, each record is taken once.
    drop(segments);
    fixture.remove_database();
    rebuild(&Config::new(fixture.dir()), Source::Log, |_, _| ControlFlow::Continue(())).unwrap();
    fixture.assert_each_event_is_folded_once();
}

#[test]
fn waiters_are_not_told_before_everything_is_written_again() {
    let mut fixture = Fixture::new(|config| {
        config.sync_interval_ms = 30;
        config.segment_bytes = 8 * 1024 * 1024;
    });
    fixture.record(100);
    fixture.flush().unwrap();
    // Syncs come due while the second writing has only a part.
    fixture.order(Spot::Rewrite, 500, 1, || {
        std::thread::sleep(Duration::from_millis(300));
        Ok(())
    });
    fixture.order(Spot::Sync, 0, 1, fail);
    fixture.record(2000);
    fixture.flush().unwrap();
    assert_eq!(fixture.vouched_for(), 2100);
}

#[test]
fn while_syncs_fail_nothing_is_called_durable_and_health_says_so() {
    let mut fixture = Fixture::new(|config| config.sync_interval_ms = 60_000);
    fixture.record(10);
    fixture.flush().unwrap();
    fixture.order(Spot::Sync, 0, u32::MAX, fail);
    fixture.record(2000);
    let error = fixture.flush().unwrap_err();
    assert!(matches!(&error, WaitError::Sync(why) if why.contains("sync")), "{error}");
    let stats = fixture.store().stats();
    assert_eq!(stats.poisoned_segments, 3, "it gives up after three");
    assert!(stats.health.problems.contains_key(&Part::Sync), "{}", stats.health);
    assert_eq!(fixture.store().shared.progress.durable(), Sequence(11));
    // What can't be made durable in the log can be in the database.
    fixture.store().wait_folded(PATIENCE).unwrap();
    fixture.assert_each_event_is_folded_once();
    fixture.record(500);
    assert!(matches!(fixture.flush(), Err(WaitError::Sync(_))), "it said once that it can't");
    let report = fixture.shut_down();
    assert_eq!((report.appended, report.dropped, report.left_in_log), (2510, 0, 0));
    fixture.cancel(Spot::Sync);
    fixture.reopen();
    fixture.record(10);
    fixture.flush().unwrap();
    let health = fixture.shut_down().health;
    assert!(health.is_ok(), "{health}");
    fixture.assert_each_event_is_folded_once();
}

#[test]
fn what_can_not_be_read_back_is_a_gap_and_its_numbers_do_not_come_again() {
    // What is lost lies before something that is not, or at the end.
    for segment_bytes in [64 * 1024, 8 * 1024 * 1024] {
        let mut fixture = Fixture::new(|config| {
            config.sync_interval_ms = 60_000;
            config.segment_bytes = segment_bytes;
        });
        fixture.record(100);
        fixture.flush().unwrap();
        fixture.store().wait_folded(PATIENCE).unwrap();
        // Nobody can read it any more.
        let first = fixture.segment(0);
        let durable = SegmentReader::open(&first).unwrap().mark().durable.end.0;
        sabotage::spoil(&first, u64::from(durable)..u64::from(u32::MAX));
        fixture.order(Spot::Sync, 0, 1, fail);
        fixture.record(4000);
        let error = fixture.flush().unwrap_err();
        assert!(matches!(&error, WaitError::Sync(why) if why.contains("lost")), "{error}");
        fixture.record(100);
        fixture.flush().expect("it was told once");
        fixture.store().wait_folded(PATIENCE).unwrap();
        let health = fixture.store().stats().health;
        assert!(health.problems[&Part::Damage].contains("is lost"), "{health}");
        let report = fixture.shut_down();
        assert!(report.dropped > 100, "{report:?}");
        assert_eq!((report.appended + report.dropped, report.left_in_log), (4200, 0));
        let query = Query::open(&fixture.config.dir).unwrap();
        let totals = query.totals().unwrap();
        assert_eq!((totals.requests as u64, totals.dropped as u64), (report.appended, report.dropped));
        assert_eq!(query.gaps(crate::query::filter::TimeRange::default()).unwrap().len(), 1);
    }
}

#[test]
fn a_sync_that_fails_at_shutdown_loses_nothing_and_is_told() {
    let mut fixture = Fixture::new(|config| {
        config.sync_interval_ms = 60_000;
        config.segment_bytes = 8 * 1024 * 1024;
    });
    fixture.record(1000);
    fixture.order(Spot::Sync, 0, 1, fail);
    let report = fixture.shut_down();
    assert!(report.health.problems.contains_key(&Part::Sync), "{}", report.health);
    assert_eq!((report.appended, report.folded, report.left_in_log), (1000, 1000, 0));
    fixture.reopen();
    fixture.record(10);
    fixture.shut_down();
    fixture.assert_each_event_is_folded_once();
}

#[test]
fn nobody_syncs_or_writes_again_what_another_life_left_and_it_is_folded_as_it_lies() {
    let mut fixture = Fixture::new(|config| {
        config.sync = SyncPolicy::Never;
        config.keep_segments_bytes = Some(u64::MAX);
    });
    let blocker = Blocker::new(&fixture);
    fixture.record(2000);
    wait_until("all is appended", || fixture.store().stats().appended == 2000);
    let mut killed = fixture.killed();
    drop(blocker);
    let bytes = |fixture: &fixture::Fixture| {
        fixture.segments().iter().map(std::fs::read).map(Result::unwrap).collect::<Vec<_>>()
    };
    let left = bytes(&killed);
    killed.config.sync = SyncPolicy::Interval;
    sabotage::order(killed.dir(), Spot::SealedSync, 0, 1, fail);
    killed.open();
    killed.record(2000..3000);
    killed.store().flush(PATIENCE).unwrap();
    assert_eq!(killed.store().stats().poisoned_segments, 0);
    killed.fold();
    let kept = Fixture { fixture: killed, recorded: 3000 };
    kept.assert_each_event_is_folded_once();
    let kept: Vec<_> = kept.kept().iter().map(std::fs::read).map(Result::unwrap).collect();
    assert!(left.iter().all(|segment| kept.contains(segment)), "not a byte of what was left is another one now");
}

#[test]
fn an_appender_that_ends_while_it_writes_again_leaves_everything_to_the_next_opening() {
    for passes in [0, 1, 100, 400] {
        let mut fixture = Fixture::new(|config| {
            config.sync_interval_ms = 60_000;
            config.keep_segments_bytes = Some(u64::MAX);
        });
        fixture.record(100);
        fixture.flush().unwrap();
        // Everything into the log before anything is written again.
        fixture.order(Spot::Rewrite, passes, 1, panic);
        fixture.order(Spot::Sync, 0, 1, fail);
        fixture.record(3000);
        fixture.wait_for_problem(Part::Thread);
        let report = fixture.shut_down();
        assert_eq!(report.appended + report.dropped, 3100, "{report:?}");
        fixture.recorded = report.appended;
        fixture.reopen();
        fixture.store().wait_folded(PATIENCE).unwrap();
        fixture.assert_each_event_is_folded_once();
        fixture.record(10);
        fixture.shut_down();
        fixture.assert_each_event_is_folded_once();
    }
}

#[test]
fn a_thread_that_panics_is_told_and_nothing_hangs() {
    for spot in [Spot::Append, Spot::Sync, Spot::Fold, Spot::Prepare] {
        let mut fixture = Fixture::new(|_| {});
        fixture.record(100);
        fixture.store().wait_folded(PATIENCE).unwrap();
        fixture.order(spot, 0, 1, panic);
        fixture.config.record_wait_ms = 0;
        fixture.record(2000);
        let problem = fixture.wait_for_problem(Part::Thread);
        assert!(problem.contains("died"), "{problem}");
        let (flushed, folded) = (fixture.flush(), fixture.store().wait_folded(PATIENCE));
        match spot {
            Spot::Append => {
                assert_eq!((flushed, folded), (Err(WaitError::Closed), Err(WaitError::Closed)));
                let refused = fixture.store().recorder().try_record(Request::new("late", 1, "p", "m"));
                assert!(refused.is_err());
            }
            Spot::Sync => {
                assert!(matches!(flushed, Err(WaitError::Sync(_))), "{flushed:?}");
                assert_eq!(folded, Ok(()), "what can't be synced is folded all the same");
            }
            Spot::Fold => {
                assert_eq!(flushed, Ok(()));
                assert!(matches!(folded, Err(WaitError::Fold(_))), "{folded:?}");
            }
            // The appender prepares segments itself then.
            _ => assert_eq!((flushed, folded), (Ok(()), Ok(()))),
        }
        let report = fixture.shut_down();
        assert_eq!(report.appended + report.dropped, 2100, "{spot:?}: {report:?}");
        assert!(spot == Spot::Append || report.dropped == 0, "{spot:?}: {report:?}");
        assert_eq!(report.dropped_untold, report.dropped, "{spot:?}: who would have told is dead");
        fixture.reopen();
        fixture.recorder().note_missed(report.dropped_untold, 1_000, 2_000);
        fixture.store().wait_folded(PATIENCE).unwrap();
        let report_after = fixture.shut_down();
        assert_eq!((report_after.dropped, report_after.dropped_untold), (report.dropped, 0), "{spot:?}");
        let totals = Query::open(&fixture.config.dir).unwrap().totals().unwrap();
        assert_eq!((totals.requests as u64, totals.dropped as u64), (report.appended, report.dropped), "{spot:?}");
    }
}

#[test]
fn a_place_that_the_disk_can_not_read_costs_its_records_and_folding_goes_on() {
    let mut fixture = Fixture::new(|config| config.sync_interval_ms = 60_000);
    fixture.record(1);
    fixture.flush().unwrap();
    sabotage::spoil(&fixture.segments()[0], 8192..8193);
    fixture.record(1999);
    fixture.flush().unwrap();
    fixture.store().wait_folded(PATIENCE).unwrap();
    let stats = fixture.store().stats();
    assert!(stats.health.problems[&Part::Damage].contains("are lost"), "{}", stats.health);
    fixture.record(100);
    fixture.shut_down();
    let query = Query::open(&fixture.config.dir).unwrap();
    let requests = query.totals().unwrap().requests;
    assert!((2000..2100).contains(&requests), "only what lay in that place is lost, and {requests} are there");
    assert_eq!(query.quarantine().unwrap(), 1);
}

#[test]
fn a_segment_that_the_disk_can_not_read_costs_what_was_not_folded_of_it_and_says_how_many_that_were() {
    // Hardly anything was folded of it, or a part. The reader that stands in it wants the mark at the start of the file.
    for folded in [1, 100] {
        let mut fixture = Fixture::new(|config| {
            config.sync_interval_ms = 60_000;
            config.keep_segments_bytes = Some(u64::MAX);
        });
        fixture.record(folded);
        fixture.store().wait_folded(PATIENCE).unwrap();
        let first = fixture.segment(0);
        sabotage::spoil(&first, 0..4096);
        fixture.record(2000 - folded);
        fixture.flush().unwrap();
        fixture.store().wait_folded(PATIENCE).unwrap();
        let health = fixture.store().stats().health;
        let report = fixture.shut_down();
        assert_eq!((report.appended, report.left_in_log), (2000, 0));
        let log = first.parent().unwrap().file_name().unwrap();
        let aside = fixture.dir().join("quarantine").join(log).join(first.file_name().unwrap());
        let (offsets, _) = fixture::segment::frames(&aside);
        // The first record says who writes.
        let held = offsets.len() as u64 - 1;
        let problem = &health.problems[&Part::Damage];
        assert!(problem.contains("read: Input/output error"), "{problem}");
        assert_eq!(Holdings::read(fixture.dir()).numbers, (0..folded).chain(held..2000).collect::<Vec<_>>());
        assert_eq!(fixture.number("SELECT sum(events) FROM gaps WHERE missing = 1"), (held - folded) as i64);
        assert_eq!(fixture.number("SELECT count(*) FROM quarantine"), 1);
        assert_eq!(fixture.number("SELECT offset = 0 FROM quarantine"), 1, "the file, which nobody can read");
    }
}

#[test]
fn a_log_that_a_power_cut_made_shorter_than_what_is_folded_costs_what_was_not_folded_and_nothing_comes_twice() {
    let mut fixture = Fixture::new(|_| {});
    fixture.record(100);
    fixture.store().wait_folded(PATIENCE).unwrap();
    fixture.order(Spot::Fold, 0, u32::MAX, fail);
    fixture.record(100);
    fixture.flush().unwrap();
    // The record that says that the writer ended is left, too, and is no event.
    assert_eq!(fixture.take_store().shutdown(Duration::from_millis(50)).left_in_log, 100);
    fixture.cancel(Spot::Fold);
    let segment = fixture.segment(0);
    let cut_at = fixture::segment::frames(&segment).0[50];
    std::fs::OpenOptions::new().write(true).open(&segment).unwrap().set_len(u64::from(cut_at)).unwrap();
    fixture.reopen();
    fixture.fold();
    fixture.shut_down();
    let holdings = Holdings::read(fixture.dir());
    assert_eq!(holdings.numbers, (0..100).collect::<Vec<_>>());
    // What the log says that it had, and nothing has.
    assert_eq!(fixture.number("SELECT sum(events) FROM gaps WHERE missing = 1"), 101);
}
