//! What is committed gets out of SQLite's WAL into the database: while nothing comes, at the end, and once a reader is
//! gone that kept it there.

use super::*;
use crate::index::copy_schedule::QUIET;
use crate::index::database_copy::{Copied, copy_database};
use crate::index::wal_readers::wal_bytes;
use std::ops::ControlFlow;
use std::time::Instant;

fn session(number: usize) -> Owned {
    Owned::Session { id: format!("s{number}"), started_at: 1, proxy: "p".into(), client: None, noise: None }
}

fn sessions(count: usize) -> Vec<Owned> {
    (0..count).map(session).collect()
}

impl Fixture {
    fn with_copying_thread() -> Self {
        let mut fixture = Self::new();
        fixture.index = fixture.index.take().map(Index::with_copying_thread);
        fixture
    }

    /// The same as if nothing had come for a while: what is due is copied, and the copy awaited.
    fn be_quiet(&mut self) {
        let index = self.index();
        let mut schedule = index.copier.shared.schedule.lock();
        if schedule.due(Instant::now() + QUIET).is_some() {
            *schedule = Default::default();
            schedule.note_commit(Instant::now() - QUIET);
        }
        drop(schedule);
        index.copy_on_schedule();
        index.copier.wait();
    }

    fn wal_bytes(&self) -> u64 {
        wal_bytes(&self.dir.path().join(DATABASE_NAME))
    }

    /// How many sessions the database's file has without its companions.
    fn sessions_alone(&self) -> i64 {
        let dir = tempfile::tempdir().unwrap();
        let alone = dir.path().join("alone.db");
        std::fs::copy(self.dir.path().join(DATABASE_NAME), &alone).unwrap();
        let database = Connection::open(alone).unwrap();
        let sound: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok");
        database.query_row("SELECT count(*) FROM sessions", [], |row| row.get(0)).unwrap()
    }

    /// A connection that reads the state of now until it is told to end.
    fn reader(&self) -> Connection {
        let reader = Connection::open(self.dir.path().join(DATABASE_NAME)).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM meta").unwrap();
        reader
    }
}

#[test]
fn once_nothing_comes_the_database_alone_has_everything() {
    let mut fixture = Fixture::with_copying_thread();
    for count in 1..4 {
        fixture.fold(&sessions(count), &[]);
        assert!(fixture.wal_bytes() > 0);
        fixture.be_quiet();
        assert_eq!((fixture.wal_bytes(), fixture.sessions_alone()), (0, count as i64));
    }
    assert!(
        fixture.index().copier.shared.schedule.lock().due(Instant::now() + QUIET).is_none(),
        "nothing is left to do"
    );
}

#[test]
fn while_commits_follow_each_other_what_was_committed_is_copied_all_the_same() {
    let mut fixture = Fixture::with_copying_thread();
    fixture.fold(&sessions(3), &[]);
    let mut schedule = fixture.index().copier.shared.schedule.lock();
    *schedule = Default::default();
    schedule.note_commit(Instant::now() - crate::index::copy_schedule::COPIED_WITHIN);
    schedule.note_commit(Instant::now());
    drop(schedule);
    fixture.index().copy_on_schedule();
    fixture.index().copier.wait();
    assert_eq!(fixture.sessions_alone(), 3);
}

#[test]
fn closing_copies_what_was_committed_last_also_where_others_have_the_database_open() {
    let mut fixture = Fixture::new();
    let idle = Connection::open(fixture.dir.path().join(DATABASE_NAME)).unwrap();
    idle.query_row("SELECT count(*) FROM meta", [], |row| row.get::<_, i64>(0)).unwrap();
    fixture.fold(&sessions(2), &[]);
    fixture.index = None;
    assert_eq!((fixture.wal_bytes(), fixture.sessions_alone()), (0, 2));
    drop(idle);
}

#[test]
fn a_reader_keeps_what_came_later_where_it_is_and_once_it_is_gone_that_is_copied() {
    let mut fixture = Fixture::with_copying_thread();
    fixture.fold(&sessions(1), &[]);
    fixture.be_quiet();
    let reader = fixture.reader();
    fixture.fold(&sessions(2), &[]);
    fixture.be_quiet();
    assert_eq!(fixture.sessions_alone(), 1, "what the reader sees is there, and sound");
    assert!(fixture.wal_bytes() > 0);
    drop(reader);
    fixture.be_quiet();
    assert_eq!((fixture.wal_bytes(), fixture.sessions_alone()), (0, 2));
}

#[test]
fn what_a_dead_process_left_is_copied_though_nothing_comes() {
    let mut fixture = Fixture::new();
    fixture.fold(&sessions(2), &[]);
    let killed = tempfile::tempdir().unwrap();
    for name in ["store.db", "store.db-wal"] {
        std::fs::copy(fixture.dir.path().join(name), killed.path().join(name)).unwrap();
    }
    let mut fixture = Fixture { dir: killed, index: None };
    fixture.reopen();
    fixture.index = fixture.index.take().map(Index::with_copying_thread);
    fixture.be_quiet();
    assert_eq!((fixture.wal_bytes(), fixture.sessions_alone()), (0, 2));
}

#[test]
fn a_copy_that_failed_is_told_until_another_one_has_succeeded() {
    let mut fixture = Fixture::with_copying_thread();
    fixture.fold(&sessions(1), &[]);
    sabotage::order(fixture.dir.path(), Spot::CopyWal, 0, 1, sabotage::fail);
    fixture.be_quiet();
    assert!(fixture.index().copy_failure().is_some_and(|failure| failure.contains("disk I/O error")));
    assert!(fixture.index().wal_in_doubt.load(Ordering::Relaxed));
    fixture.be_quiet();
    assert_eq!((fixture.index().copy_failure(), fixture.sessions_alone()), (None, 1));
}

#[test]
fn a_wal_that_a_reader_makes_too_long_is_told_with_who_it_is_and_only_as_long_as_that_is_so() {
    let mut fixture = Fixture::with_copying_thread();
    fixture.copy_from(1);
    fixture.fold(&sessions(1), &[]);
    assert_eq!(fixture.index().held_note(), None, "it may get so long");
    let reader = fixture.reader();
    let steps = [Step { events: 1, dies: false, restarts: false }; 20];
    fixture.fold(&sessions(20), &steps);
    let (note, own) = (fixture.index().held_note().unwrap(), std::process::id());
    assert!(note.contains(&format!("read by process {own} (this one)")), "{note}");
    drop(reader);
    assert!(fixture.index().held_note().unwrap().contains("somebody who can't be seen"), "until somebody has looked");
    fixture.be_quiet();
    assert_eq!((fixture.index().held_note(), fixture.wal_bytes()), (None, 0));
}

#[test]
fn a_copy_is_one_state_of_the_tables_and_is_given_up_where_the_original_grows_too_much() {
    let mut fixture = Fixture::new();
    fixture.fold(&sessions(500), &[]);
    let source = Connection::open(fixture.dir.path().join(DATABASE_NAME)).unwrap();
    let writer = Connection::open(fixture.dir.path().join(DATABASE_NAME)).unwrap();
    writer.execute_batch("CREATE TABLE other (a)").unwrap();
    let write = || writer.execute("INSERT INTO other VALUES (zeroblob(20000))", []).unwrap();
    let copy = |name: &str, grown_max, stop: bool| {
        let to = fixture.dir.path().join(name);
        let transaction = source.unchecked_transaction().unwrap();
        transaction.query_row("SELECT count(*) FROM meta", [], |row| row.get::<_, i64>(0)).unwrap();
        let mut told = 0;
        let copied = copy_database(&transaction, &to, grown_max, |_| {
            write();
            told += 1;
            if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (to, copied.unwrap(), told)
    };
    let (to, copied, told) = copy("whole.db", u64::MAX, false);
    assert_eq!(copied, Copied::Whole);
    assert!(told > 3, "{told}");
    let whole = Connection::open(to).unwrap();
    let counts = "SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM other)";
    let found: (i64, i64) = whole.query_row(counts, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(found, (500, 0), "what came meanwhile is not in it");
    assert_eq!(copy("stopped.db", u64::MAX, true).1, Copied::Stopped);
    assert!(matches!(copy("slow.db", 30_000, false).1, Copied::TooSlow(grown) if grown > 30_000));
}

#[test]
fn a_wal_that_somebody_deleted_is_noticed_before_anything_counts_as_durable() {
    for companion in ["store.db-wal", "store.db-shm"] {
        let mut fixture = Fixture::new();
        fixture.fold(&sessions(3), &[]);
        let path = fixture.dir.path().join(companion);
        std::fs::remove_file(&path).unwrap();
        // SQLite itself goes on with the file that has no name any more.
        for is_another in [false, true] {
            if is_another {
                std::fs::write(&path, "").unwrap();
            }
            let is_told = |error| matches!(error, IndexError::Replaced { path: told } if told == path);
            assert!(fixture.index().begin().is_err_and(is_told), "{companion}");
            assert!(fixture.index().make_durable().is_err_and(is_told), "{companion}");
        }
        // Who lets go of it leaves everything in the database.
        drop(fixture.index.take());
        assert_eq!(fixture.sessions_alone(), 3, "{companion}");
    }
}
