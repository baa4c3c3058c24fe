//! A store that is given more than it keeps, as fast as it folds: it keeps to its limit all the while, and says what went.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use mcplog::expired::ExpiryReason;
use mcplog::{Recorder, Request, Store};
use mcplog_fixture::{Fixture, PATIENCE, wait_until};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

const LIMIT: u64 = 2 << 20;
/// What [`Store::wait_expired`] promises of the time in between.
const LARGEST: u64 = LIMIT + LIMIT / 16 + LIMIT / 4;
const MINUTES: i64 = 200;
const REQUESTS_PER_MINUTE: i64 = 200;

/// A store whose database may have two megabytes.
fn limited(is_import: bool) -> Fixture {
    Fixture::with(|config| {
        (config.database_bytes_max, config.is_import) = (Some(LIMIT), is_import);
        config.channel_events = 1 << 16;
    })
}

/// Requests of some hours, some eight megabytes in the database.
fn record_hours(recorder: &Recorder) {
    for minute in 0..MINUTES {
        for number in 0..REQUESTS_PER_MINUTE {
            let id = format!("request-{minute}-{number}");
            let ts = 1_750_000_000_000 + minute * 60_000 + number;
            assert!(recorder.record(Request::new(&id, ts, "files", "tools/call")));
        }
    }
}

fn database(fixture: &Fixture) -> PathBuf {
    fixture.dir().join("store.db")
}

fn requests(fixture: &Fixture) -> u64 {
    u64::try_from(mcplog::Query::open(fixture.dir()).unwrap().totals().unwrap().requests).unwrap()
}

#[test]
fn a_limited_database_is_never_much_larger_than_its_limit_and_keeps_to_it_in_the_end() {
    let mut fixture = limited(true);
    let connection = rusqlite::Connection::open(database(&fixture)).unwrap();
    let bytes = || -> u64 {
        let sql = "SELECT (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size)";
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let is_recorded = AtomicBool::new(false);
    let store: &Store = fixture.store();
    let mut largest = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            record_hours(&store.recorder());
            is_recorded.store(true, Ordering::Relaxed);
        });
        wait_until("all is folded", || {
            largest = largest.max(bytes());
            is_recorded.load(Ordering::Relaxed) && store.stats().lag_records == 0
        });
    });
    assert!(largest <= LARGEST, "{largest}");
    store.wait_expired(PATIENCE).unwrap();
    let expired = store.stats().expired;
    let [rows] = expired.rows.as_slice() else { panic!("{expired:?}") };
    assert_eq!((rows.reason, expired.late_events), (ExpiryReason::Size, 0));
    assert_eq!(rows.from_ts, Some(1_750_000_000_000));
    assert_eq!(requests(&fixture) + rows.requests, u64::try_from(MINUTES * REQUESTS_PER_MINUTE).unwrap());
    drop(connection);
    fixture.shut_down();
    let bytes = std::fs::metadata(database(&fixture)).unwrap().len();
    assert!(bytes <= LIMIT, "{bytes}");
}

#[test]
fn what_is_left_to_fold_at_the_end_keeps_to_the_limit_too() {
    let mut fixture = limited(false);
    record_hours(&fixture.recorder());
    let report = fixture.shut_down();
    assert_eq!((report.left_in_log, report.dropped), (0, 0));
    let bytes = std::fs::metadata(database(&fixture)).unwrap().len();
    assert!(bytes <= LARGEST, "{bytes}");
    assert_eq!(requests(&fixture) + report.expired.requests(), u64::try_from(MINUTES * REQUESTS_PER_MINUTE).unwrap());
}

#[test]
fn the_newest_minute_stays_however_large_it_is_and_nobody_waits_for_it_to_go() {
    let mut fixture = limited(false);
    let recorder = fixture.recorder();
    for number in 0..20_000 {
        let id = format!("request-{number}");
        assert!(recorder.record(Request::new(&id, 1_750_000_000_000, "files", "tools/call")));
    }
    fixture.store().wait_expired(PATIENCE).unwrap();
    assert_eq!(fixture.store().stats().expired.requests(), 0);
    assert_eq!(fixture.shut_down().folded, 20_000);
}
