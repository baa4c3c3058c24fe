//! Several processes that record into one store at once, of builds of several ages, or one of which can't do what the
//! others can. Each has the store open as a process of its own: no lock of theirs knows that they are one.
//!
//! The newer build is made up: it writes records of a higher level, and has another table.

use super::{PATIENCE, wait_until};
use crate::Request;
use crate::ground::config::Config;
use crate::ground::database_header;
use crate::ground::database_version::{DATABASE_VERSION, KnownVersions};
use crate::ground::error::{IndexError, OpenError};
use crate::ground::fold_lock::FoldLock;
use crate::ground::health::Part;
use crate::ground::sabotage::{self, Spot};
use crate::index::build::Build;
use crate::index::migration::{Change, Migration, Schema};
use crate::store::rebuild::{RebuildError, Source, rebuild};
use crate::store::store::Store;
use std::ops::ControlFlow;
use std::sync::OnceLock;
use std::thread::ThreadId;
use std::time::Duration;

/// The step to the next version.
const MIGRATIONS: &[Migration] = &[Migration {
    from: DATABASE_VERSION,
    name: "adding a table",
    change: Change::Sql("CREATE TABLE made_up (id INTEGER PRIMARY KEY) STRICT"),
    breaks_readers: false,
    rewrites_rows: false,
}];

const NEWER: Build = Build {
    level: Build::THIS.level + 1,
    schema: Schema {
        versions: KnownVersions { oldest: DATABASE_VERSION, newest: DATABASE_VERSION + 1 },
        migrations: MIGRATIONS,
        ..Schema::THIS_BUILD
    },
    ..Build::THIS
};

/// A store's directory.
struct Directory {
    _root: tempfile::TempDir,
    config: Config,
    recorded: Vec<String>,
}

impl Directory {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut config = Config::new(root.path().join("data"));
        config.segment_bytes = 64 * 1024;
        Self { _root: root, config, recorded: Vec::new() }
    }

    fn open(&self, build: &Build) -> Store {
        Store::open_with(self.config.clone(), build).unwrap()
    }

    fn record(&mut self, store: &Store, events: usize) {
        let recorder = store.recorder();
        for _ in 0..events {
            let number = self.recorded.len();
            let id = format!("request-{number:05}");
            recorder.record(Request::new(&id, 1_760_000_000_000 + number as i64, "files", "tools/call"));
            self.recorded.push(id);
        }
    }

    fn version(&self) -> Option<i64> {
        database_header::version(&self.config.dir.join("store.db")).unwrap()
    }

    fn level_of_the_holder(&self) -> Option<u16> {
        FoldLock::look(&self.config.dir).unwrap().map(|holder| holder.level)
    }

    /// Every request is a row, once, and nothing is missing or set aside.
    fn assert_all_are_folded(&self) {
        let database = rusqlite::Connection::open(self.config.dir.join("store.db")).unwrap();
        let mut statement = database.prepare("SELECT request_id FROM request_rows ORDER BY request_id").unwrap();
        let rows: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(rows, self.recorded);
        let aside = "SELECT (SELECT count(*) FROM quarantine) + (SELECT count(*) FROM newer_records)
                            + (SELECT count(*) FROM gaps)";
        assert_eq!(database.query_row(aside, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    }
}

/// Shuts it down. Where another one folds, the record that says so is that one's to fold.
fn end(store: Store) {
    let report = store.shutdown(PATIENCE);
    assert!(report.left_in_log <= 1 && report.dropped == 0, "{report:?}");
}

fn problem(store: &Store) -> String {
    store.stats().health.problems.get(&Part::Fold).cloned().unwrap_or_default()
}

#[test]
fn a_database_is_brought_up_to_date_by_a_newer_build_once_no_other_process_has_the_store_open() {
    let mut directory = Directory::new();
    let older = directory.open(&Build::THIS);
    directory.record(&older, 100);
    older.wait_folded(PATIENCE).unwrap();
    let newer = directory.open(&NEWER);
    directory.record(&newer, 100);
    // It asks for the role, because the older one does not know what it records; and lets it go again.
    wait_until("nobody is told", || problem(&newer).contains("another process has the store open"));
    wait_until("the older one does not come back", || directory.level_of_the_holder() == Some(Build::THIS.level));
    directory.record(&older, 100);
    older.wait_folded(PATIENCE).unwrap();
    let note = || older.stats().health.notes.get(&Part::Fold).cloned().unwrap_or_default();
    wait_until("it is not named", || note().contains(&newer.writer().unwrap().to_string()));
    assert!(older.stats().health.is_ok() && note().contains("a newer one folds it"), "{}", older.stats().health);
    assert_eq!(newer.stats().folded, 0);
    assert!(problem(&newer).contains("may not know version"), "it stays so: {}", newer.stats().health);
    assert_eq!(directory.version(), Some(DATABASE_VERSION));
    // Another older one may come, and go.
    let another = directory.open(&Build::THIS);
    directory.record(&another, 100);
    another.wait_folded(PATIENCE).unwrap();
    end(another);
    end(older);
    newer.wait_folded(PATIENCE).unwrap();
    assert_eq!(directory.version(), Some(DATABASE_VERSION + 1));
    directory.assert_all_are_folded();
    let refused = Store::open(directory.config.clone()).unwrap_err();
    assert!(matches!(refused, OpenError::Index(IndexError::UnsupportedVersion { .. })), "{refused}");
    // Beside others of its own age it goes on.
    let beside = directory.open(&NEWER);
    directory.record(&beside, 100);
    beside.wait_folded(PATIENCE).unwrap();
    [newer, beside].into_iter().for_each(end);
    directory.assert_all_are_folded();
}

#[test]
fn what_a_newer_build_left_waits_while_an_older_one_records_and_is_folded_by_the_next_newer_one() {
    let mut directory = Directory::new();
    let older = directory.open(&Build::THIS);
    directory.record(&older, 10);
    older.wait_folded(PATIENCE).unwrap();
    let newer = directory.open(&NEWER);
    directory.record(&newer, 10);
    let report = newer.shutdown(PATIENCE);
    assert!(report.left_in_log > 0, "it is not alone: {report:?}");
    directory.record(&older, 10);
    end(older);
    assert_eq!(directory.version(), Some(DATABASE_VERSION));
    let newer = directory.open(&NEWER);
    directory.record(&newer, 10);
    newer.wait_folded(PATIENCE).unwrap();
    let left = || std::fs::read_dir(directory.config.wal_dir()).unwrap().count();
    wait_until("what was left stays", || left() == 1);
    newer.shutdown(PATIENCE);
    directory.assert_all_are_folded();
}

#[test]
fn a_rebuild_that_brings_a_database_up_to_date_is_refused_while_another_process_has_the_store_open() {
    let mut directory = Directory::new();
    directory.config.keep_segments_bytes = Some(u64::MAX);
    let store = directory.open(&Build::THIS);
    directory.record(&store, 10);
    store.wait_folded(PATIENCE).unwrap();
    let rebuilt = || rebuild(&directory.config, Source::Log, |_, _| ControlFlow::Continue(()));
    rebuilt().unwrap();
    // As if an older build had made it.
    let database = rusqlite::Connection::open(directory.config.dir.join("store.db")).unwrap();
    database.pragma_update(None, "user_version", DATABASE_VERSION - 1).unwrap();
    drop(database);
    let refused = rebuilt().unwrap_err().to_string();
    assert!(refused.contains("another process has the store open"), "{refused}");
    // It can't fold any more.
    store.shutdown(Duration::ZERO);
    let others = |error: RebuildError| error.to_string().contains("another process has the store open");
    wait_until("it is not alone", || !rebuilt().is_err_and(others));
}

#[test]
fn a_holder_with_an_error_of_its_own_lets_go_and_another_one_folds_on() {
    let mut directory = Directory::new();
    let stores = [(); 2].map(|()| directory.open(&Build::THIS));
    // Whoever folds first can't, from then on: as with a quota, or no more open files.
    let first: OnceLock<ThreadId> = OnceLock::new();
    sabotage::order(&directory.config.dir, Spot::Fold, 0, u32::MAX, move || {
        let this = std::thread::current().id();
        if *first.get_or_init(|| this) == this { sabotage::fail() } else { Ok(()) }
    });
    for store in &stores {
        directory.record(store, 50);
    }
    for store in &stores {
        store.wait_folded(PATIENCE).unwrap();
    }
    for store in &stores {
        directory.record(store, 50);
        store.wait_folded(PATIENCE).unwrap();
    }
    wait_until("it is not over", || stores.iter().all(|store| store.stats().health.is_ok()));
    sabotage::cancel(&directory.config.dir, Spot::Fold);
    stores.into_iter().for_each(end);
    directory.assert_all_are_folded();
}
