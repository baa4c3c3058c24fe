//! A plan says beforehand what a store then does.

use super::*;
use crate::Request;
use crate::ground::clock::now_ms;
use crate::ground::sabotage::{self, Spot, fail};
use crate::segment::writer_folder::writer_folders;
use crate::store::store::Store;
use std::path::PathBuf;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const DAY_MS: i64 = 24 * 3600 * 1000;

/// A store that is shut, with eight segments that are kept, and a request for each of the last ninety days.
fn kept() -> (tempfile::TempDir, Config) {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::new(dir.path().join("data"));
    config.keep_segments_bytes = Some(u64::MAX);
    for run in 0..8 {
        let store = Store::open(config.clone()).unwrap();
        let recorder = store.recorder();
        for day in (run..90).step_by(8) {
            let id = format!("request-{day}");
            let mut request = Request::new(&id, now_ms() - day * DAY_MS, "files", "tools/call");
            let session = format!("session-{day}");
            request.session_id = Some(&session);
            recorder.record(request);
        }
        store.wait_folded(PATIENCE).unwrap();
        store.shutdown(PATIENCE);
    }
    (dir, config)
}

/// The segments that are kept, those that were begun first first.
fn segments(config: &Config) -> Vec<PathBuf> {
    let folders = writer_folders(&config.kept_dir()).unwrap().folders;
    let files = folders.iter().flat_map(|folder| crate::segment::list(&folder.path).unwrap());
    let mut paths: Vec<_> = files.map(|file| file.path).collect();
    paths.sort_by_key(|path| crate::segment::SegmentReader::open(path).unwrap().header().created_at);
    paths
}

fn paths<'p>(planned: impl Iterator<Item = &'p PlannedSegment>) -> Vec<PathBuf> {
    planned.map(|planned| planned.path.clone()).collect()
}

/// Opens the store for as long as it takes to do what is to be done.
fn open_once(config: &Config) {
    let store = Store::open(config.clone()).unwrap();
    store.wait_folded(PATIENCE).unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    while !is_done(config) {
        assert!(std::time::Instant::now() < deadline, "{}", plan(config).unwrap());
        std::thread::sleep(Duration::from_millis(2));
    }
    store.shutdown(PATIENCE);
}

fn is_done(config: &Config) -> bool {
    let plan = plan(config).unwrap();
    plan.retirement.retired_count() == 0 && plan.expiry.is_none()
}

#[test]
fn nothing_goes_where_everything_is_kept() {
    let (_dir, config) = kept();
    let plan = plan(&config).unwrap();
    assert_eq!((plan.retirement.retired_count(), &plan.expiry), (0, &None));
    assert_eq!(plan.retirement.segments.len(), segments(&config).len(), "all are folded and kept");
    assert!(plan.to_string().ends_with("nothing in the database expires"), "{plan}");
}

#[test]
fn the_segments_that_a_plan_names_go_and_the_others_stay() {
    let (_dir, mut config) = kept();
    let before = segments(&config);
    let bytes = |path: &PathBuf| std::fs::metadata(path).unwrap().len();
    // Room for the last three.
    config.keep_segments_bytes = Some(before.iter().rev().take(3).map(bytes).sum());
    let planned = plan(&config).unwrap();
    let gone = paths(planned.retirement.deleted());
    assert_eq!(gone, before[..before.len() - 3]);
    assert!(planned.retirement.deleted().all(|planned| planned.fate == Fate::BeyondBytes && planned.bytes > 0));
    assert_eq!(planned, plan(&config).unwrap(), "looking changes nothing");
    assert_eq!(segments(&config), before);
    open_once(&config);
    assert!(gone.iter().all(|path| !path.exists()));
    assert_eq!(segments(&config), before[before.len() - 3..]);
}

#[test]
fn a_damaged_segment_is_planned_to_go_to_quarantine() {
    let (_dir, config) = kept();
    // A process leaves a log that is damaged, and not folded.
    sabotage::order(&config.dir, Spot::Fold, 0, u32::MAX, fail);
    let store = Store::open(config.clone()).unwrap();
    store.recorder().record(Request::new("damaged", now_ms(), "files", "tools/call"));
    store.flush(PATIENCE).unwrap();
    store.shutdown(Duration::from_millis(50));
    sabotage::cancel(&config.dir, Spot::Fold);
    let folder = writer_folders(&config.wal_dir()).unwrap().folders.remove(0);
    let damaged = crate::segment::list(&folder.path).unwrap().remove(0).path;
    let file = std::fs::OpenOptions::new().write(true).open(&damaged).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"XXXX", 4096 + 20).unwrap();
    // Folded, but not retired: that can't be done yet.
    sabotage::order(&config.dir, Spot::Quarantine, 0, u32::MAX, fail);
    let store = Store::open(config.clone()).unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    while plan(&config).unwrap().retirement.moved().count() == 0 {
        assert!(std::time::Instant::now() < deadline, "{}", store.stats().health);
        std::thread::sleep(Duration::from_millis(2));
    }
    store.shutdown(PATIENCE);
    let planned = plan(&config).unwrap();
    assert_eq!(paths(planned.retirement.moved()), std::slice::from_ref(&damaged), "{planned}");
    assert_eq!(planned.retirement.deleted().count(), 0);
    sabotage::cancel(&config.dir, Spot::Quarantine);
    open_once(&config);
    let aside = config.quarantine_dir().join(folder.writer.to_string());
    assert!(aside.join(damaged.file_name().unwrap()).exists());
}

#[test]
fn the_rows_that_a_plan_counts_are_those_that_expire() {
    let (_dir, mut config) = kept();
    config.keep_rows_age_ms = Some(30 * DAY_MS as u64);
    let planned = plan(&config).unwrap();
    let expiry = planned.expiry.clone().unwrap();
    assert_eq!(expiry.reason, ExpiryReason::Age);
    let rows = |table: &str| expiry.rows.iter().find(|expiring| expiring.table == table).unwrap().rows;
    let count = |table: &str| -> u64 {
        let database = rusqlite::Connection::open(config.dir.join("store.db")).unwrap();
        database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    let tables = ["request_rows", "session_state"];
    let before = tables.map(count);
    assert!(tables.iter().all(|table| rows(table) >= 58), "{planned}");
    assert!(rows("rollups") > 0 && planned.to_string().contains("of request_rows"), "{planned}");
    open_once(&config);
    for (table, before) in tables.iter().zip(before) {
        assert_eq!(before - count(table), rows(table), "{table}");
    }
    assert_eq!(plan(&config).unwrap().expiry, None);
}

#[test]
fn an_expiry_that_was_cut_short_is_planned_on_without_any_limit() {
    let (_dir, config) = kept();
    let database = rusqlite::Connection::open(config.dir.join("store.db")).unwrap();
    let kept_since = now_ms() - 50 * DAY_MS;
    database.execute("INSERT INTO retention VALUES (1, ?1, 0)", [kept_since]).unwrap();
    drop(database);
    let expiry = plan(&config).unwrap().expiry.unwrap();
    assert_eq!((expiry.kept_since, expiry.reason), (kept_since, ExpiryReason::UnderWay));
    open_once(&config);
    assert_eq!(plan(&config).unwrap().expiry, None);
}

#[test]
fn a_directory_without_a_store_and_a_configuration_that_is_none_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    assert!(plan(&Config::new(dir.path())).is_err());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let (_dir, mut config) = kept();
    config.keep_rows_age_ms = Some(1);
    assert!(matches!(plan(&config), Err(OpenError::Config(_))));
}
