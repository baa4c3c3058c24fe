//! Somebody sets the clock, while a store is open or between two runs: nothing expires before its time, and the rows say why
//! their times are odd.

use super::fixture::wait_until;
use crate::Request;
use crate::ground::config::Config;
use crate::ground::finding::Severity;
use crate::ground::health::Part;
use crate::ground::machine_clock::MachineClock;
use crate::index::build::Build;
use crate::query::clock_steps::ClockStepRow;
use crate::query::database::Query;
use crate::query::filter::TimeRange;
use crate::store::check::{CheckReport, check_at};
use crate::store::store::Store;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const YEAR_MS: i64 = 365 * DAY_MS;

/// A store on a machine whose clock can be set.
struct Fixture {
    _root: tempfile::TempDir,
    config: Config,
    clock: MachineClock,
    store: Option<Store>,
    recorded: u64,
}

impl Fixture {
    fn new(configure: impl FnOnce(&mut Config)) -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut config = Config::new(root.path().join("data"));
        config.segment_bytes = 64 * 1024;
        configure(&mut config);
        let mut fixture = Self { _root: root, config, clock: MachineClock::new(), store: None, recorded: 0 };
        fixture.open();
        fixture
    }

    /// A store that keeps requests for 30 days and has one of each of the last 29.
    fn of_a_month() -> Self {
        let mut fixture = Self::new(|config| config.keep_rows_age_ms = Some(30 * DAY_MS as u64));
        (0..30).rev().for_each(|day| fixture.record(-day * DAY_MS));
        fixture
    }

    fn open(&mut self) {
        self.store = Some(Store::open_by(self.config.clone(), &Build::THIS, self.clock.clone()).unwrap());
    }

    fn shut_down(&mut self) {
        self.store.take().unwrap().shutdown(PATIENCE);
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    /// Records a request, stamped so much later than the clock says, and waits until it is folded.
    fn record(&mut self, after_ms: i64) {
        let id = format!("request-{}", self.recorded);
        let ts = self.clock.now().wall_ms + after_ms;
        self.store().recorder().record(Request::new(&id, ts, "files", "tools/call"));
        self.store().wait_folded(PATIENCE).unwrap();
        self.recorded += 1;
    }

    /// Records some requests of now, one after the other: the compactor has expired what it would by then.
    fn record_some(&mut self) {
        (0..8).for_each(|_| self.record(0));
    }

    /// How many are left of the thirty that [`Self::of_a_month`] recorded.
    fn of_the_month(&self) -> u64 {
        let database = rusqlite::Connection::open(self.config.dir.join("store.db")).unwrap();
        let sql =
            "SELECT count(*) FROM requests WHERE CAST(substr(request_id, length('request-') + 1) AS INTEGER) < 30";
        database.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn rows(&self) -> u64 {
        u64::try_from(Query::open(&self.config.dir).unwrap().totals().unwrap().requests).unwrap()
    }

    fn steps(&self) -> Vec<ClockStepRow> {
        Query::open(&self.config.dir).unwrap().clock_steps(TimeRange::default()).unwrap()
    }

    fn check(&self) -> CheckReport {
        check_at(&self.config.dir, true, self.clock.now(), |_| {}).unwrap()
    }

    fn note(&self) -> Option<String> {
        self.store().stats().health.notes.get(&Part::Clock).cloned()
    }

    fn wait_until_held_back(&self) {
        wait_until("the clock is doubted", || self.note().is_some_and(|note| note.starts_with("expiry is held back")));
    }

    fn wait_until_believed(&self) {
        wait_until("the clock is believed", || self.note().is_none());
    }
}

#[test]
fn a_clock_that_jumps_ahead_by_a_year_takes_nothing_and_all_goes_on_when_it_is_set_right() {
    let mut fixture = Fixture::of_a_month();
    assert_eq!(fixture.of_the_month(), 30);
    fixture.clock.step(YEAR_MS);
    // As new as the clock says.
    fixture.record_some();
    assert_eq!(fixture.of_the_month(), 30);
    let note = fixture.note().unwrap();
    assert!(note.contains("365 days ahead") && note.contains("another 7 days"), "{note}");
    let report = fixture.check();
    assert_eq!(report.verdict, Severity::Attention, "{:?}", report.findings);
    assert!((YEAR_MS - HOUR_MS..=YEAR_MS + HOUR_MS).contains(&report.clock_ahead_ms.unwrap()), "{report:?}");
    assert!(report.findings.iter().any(|finding| finding.text.contains("365 days ahead")), "{report:?}");
    // Meanwhile rows get as old as they do: two days take the oldest, and perhaps the next one. An age is rounded to days.
    fixture.clock.pass(2 * DAY_MS);
    wait_until("the oldest is gone", || fixture.of_the_month() < 30);
    fixture.clock.step(-YEAR_MS);
    fixture.wait_until_believed();
    fixture.record_some();
    assert!((28..=29).contains(&fixture.of_the_month()), "{}", fixture.of_the_month());
    wait_until("both steps are rows", || fixture.steps().len() == 2);
    let report = fixture.check();
    assert_eq!((report.verdict, report.clock_ahead_ms, report.clock_steps), (Severity::Sound, None, Some(2)));
    let steps: Vec<_> = fixture.steps().iter().map(|step| (step.step_ms as f64 / DAY_MS as f64).round()).collect();
    assert_eq!(steps, [365.0, -365.0]);
}

#[test]
fn a_clock_that_nobody_sets_right_is_believed_in_the_end() {
    let mut fixture = Fixture::of_a_month();
    fixture.clock.step(YEAR_MS);
    fixture.record_some();
    fixture.wait_until_held_back();
    fixture.clock.pass(7 * DAY_MS);
    fixture.wait_until_believed();
    wait_until("what is old by the clock is gone", || fixture.of_the_month() == 0);
    assert!(fixture.rows() > 0);
}

#[test]
fn doubts_outlast_the_process_that_had_them() {
    let mut fixture = Fixture::of_a_month();
    fixture.shut_down();
    fixture.clock.step(YEAR_MS);
    for day in 0..7 {
        fixture.open();
        fixture.record_some();
        fixture.wait_until_held_back();
        assert!(fixture.of_the_month() >= 29 - day, "day {day}: {}", fixture.of_the_month());
        fixture.shut_down();
        // Also in the time in which nobody has the store open.
        fixture.clock.pass(DAY_MS);
    }
    fixture.open();
    wait_until("what is old by the clock is gone", || fixture.of_the_month() == 0);
    fixture.wait_until_believed();
}

#[test]
fn a_machine_that_starts_with_a_wrong_clock_costs_a_store_nothing() {
    let mut fixture = Fixture::of_a_month();
    fixture.shut_down();
    fixture.clock.start_again_after(YEAR_MS);
    fixture.open();
    fixture.record_some();
    fixture.wait_until_held_back();
    // A twenty-fourth of the age is believed of any pause: more than a day.
    assert!(fixture.of_the_month() >= 28, "{}", fixture.of_the_month());
    fixture.clock.step(-YEAR_MS);
    fixture.wait_until_believed();
    fixture.record_some();
    assert!(fixture.of_the_month() >= 28, "{}", fixture.of_the_month());
}

#[test]
fn a_request_from_2099_expires_nothing() {
    let mut fixture = Fixture::of_a_month();
    fixture.record(73 * YEAR_MS);
    fixture.clock.pass(HOUR_MS);
    fixture.record_some();
    assert_eq!((fixture.of_the_month(), fixture.note()), (30, None));
    // As in a store that is told only now for how long to keep what it has.
    fixture.shut_down();
    let database = rusqlite::Connection::open(fixture.config.dir.join("store.db")).unwrap();
    database.execute("DELETE FROM age_clock", []).unwrap();
    drop(database);
    fixture.open();
    fixture.record_some();
    assert_eq!((fixture.of_the_month(), fixture.note()), (30, None));
}

#[test]
fn an_archive_is_as_old_as_its_newest_request_at_first() {
    let mut fixture = Fixture::new(|_| {});
    (0..60).rev().for_each(|day| fixture.record(-YEAR_MS - day * DAY_MS));
    fixture.shut_down();
    fixture.config.keep_rows_age_ms = Some(30 * DAY_MS as u64);
    fixture.open();
    wait_until("what is old by the newest is gone", || fixture.rows() < 32);
    assert!((28..32).contains(&fixture.rows()), "{}", fixture.rows());
    fixture.wait_until_held_back();
    fixture.clock.pass(7 * DAY_MS);
    wait_until("all of it is gone", || fixture.rows() == 0);
}

#[test]
fn what_is_recorded_after_a_step_back_is_not_taken_for_late() {
    // A limit by size leaves its mark too, long after it was reached.
    for keep_rows_age_ms in [Some(30 * DAY_MS as u64), None] {
        let mut fixture = Fixture::new(|config| config.keep_rows_age_ms = Some(DAY_MS as u64));
        let retention = |column: &str| {
            let database = rusqlite::Connection::open(fixture.config.dir.join("store.db")).unwrap();
            let sql = format!("SELECT coalesce(max({column}), 0) FROM retention");
            // The thread that folds makes the tables, some time after the store is open.
            database.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap_or(0)
        };
        wait_until("something has expired", || retention("kept_since") > 0);
        fixture.shut_down();
        fixture.config.keep_rows_age_ms = keep_rows_age_ms;
        fixture.config.database_bytes_max = Some(1 << 40);
        fixture.open();
        fixture.record(0);
        fixture.clock.step(-50 * YEAR_MS);
        (0..20).for_each(|_| fixture.record(0));
        assert_eq!(fixture.rows(), 21, "{keep_rows_age_ms:?}");
    }
}

#[test]
fn kept_segments_age_by_the_same_time() {
    let mut fixture = Fixture::new(|config| {
        config.keep_segments_bytes = Some(u64::MAX);
        config.keep_segments_age_ms = Some(30 * DAY_MS as u64);
    });
    let segments = |fixture: &Fixture| {
        let kept = crate::segment::writer_folders(&fixture.config.kept_dir()).unwrap().folders;
        // One may go meanwhile.
        kept.iter().map(|log| crate::segment::list(&log.path).map_or(0, |files| files.len())).sum::<usize>()
    };
    for _ in 0..3 {
        fixture.record(0);
        fixture.shut_down();
        fixture.open();
    }
    let before = segments(&fixture);
    fixture.shut_down();
    fixture.clock.step(YEAR_MS);
    fixture.open();
    fixture.record(0);
    fixture.wait_until_held_back();
    assert!(segments(&fixture) >= before);
    fixture.shut_down();
    fixture.clock.pass(8 * DAY_MS);
    fixture.open();
    wait_until("they are gone", || segments(&fixture) < before);
}

#[test]
fn a_step_between_two_runs_shows_if_it_leads_back_and_is_told_once() {
    let mut fixture = Fixture::new(|_| {});
    fixture.record(0);
    fixture.shut_down();
    fixture.clock.step(-2 * HOUR_MS);
    for _ in 0..3 {
        fixture.open();
        fixture.record(0);
        fixture.shut_down();
    }
    let steps = fixture.steps();
    let [step] = steps.as_slice() else { panic!("{steps:?}") };
    assert!(step.between_runs && (-2 * HOUR_MS - 60_000..=-2 * HOUR_MS + 60_000).contains(&step.step_ms), "{step:?}");
    // Ahead, it looks like time in which nobody recorded.
    fixture.clock.step(3 * HOUR_MS);
    fixture.open();
    fixture.record(0);
    fixture.shut_down();
    assert_eq!(fixture.steps().len(), 1);
    assert_eq!(fixture.rows(), fixture.recorded);
}

#[test]
fn each_step_is_a_row_and_counts_and_no_suspension_does() {
    let mut fixture = Fixture::new(|_| {});
    fixture.record(0);
    fixture.clock.pass(60 * HOUR_MS);
    fixture.record(0);
    for (place, step_ms) in [90_000, -90_000, 30_000, -HOUR_MS].into_iter().enumerate() {
        fixture.clock.step(step_ms);
        let expected = [1, 2, 2, 3][place];
        wait_until("it is counted", || fixture.store().stats().clock_steps == expected);
        fixture.record(0);
    }
    let steps: Vec<_> = fixture.steps().iter().map(|step| (step.step_ms as f64 / 10_000.0).round()).collect();
    // The step that is too small for a row is part of the next one if nobody looked at the clock in between.
    assert!(steps == [9.0, -9.0, -360.0] || steps == [9.0, -9.0, -357.0], "{steps:?}");
    let events = fixture.store().stats();
    assert_eq!((events.appended, events.folded), (fixture.recorded, fixture.recorded), "a step is no event");
    // They go with the rows of their time.
    fixture.shut_down();
    fixture.config.keep_rows_age_ms = Some(DAY_MS as u64);
    fixture.clock.pass(20 * DAY_MS);
    fixture.open();
    fixture.record(0);
    fixture.clock.pass(2 * DAY_MS);
    wait_until("they are gone", || fixture.steps().is_empty());
}
