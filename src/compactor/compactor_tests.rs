//! Who folds, and who stands by: several of the thread, each of a process of its own as far as locks are concerned.

use super::compactor::Compactor;
use super::handles::CompactorHandles;
use super::scene::{Scene, ScriptedWriter};
use crate::ground::error::WaitError;
use crate::ground::fold_lock::{FoldLock, FoldTry};
use crate::ground::fold_want::FoldWant;
use crate::ground::health::Part;
use crate::ground::position::{Sequence, WriterId};
use crate::ground::sabotage::{self, Spot};
use crate::index::build::Build;
use crate::record::LEVEL;
use crate::record::record::Record;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A kind that this build does not know.
const NEWER_KIND: u8 = 200;

/// A build that knows it. Such a record holds another one whole.
const NEWER: Build = Build {
    decode: |payload| match payload {
        [NEWER_KIND, 1, inner @ ..] => Record::decode(inner),
        _ => Record::decode(payload),
    },
    level: LEVEL + 1,
    ..Build::THIS
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A process, as far as folding is concerned, with a log of its own.
struct Process {
    handles: CompactorHandles,
    /// Until it dies.
    writer: Option<ScriptedWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Process {
    fn start(scene: &Scene, name: u8) -> Self {
        Self::start_as(scene, name, Build::THIS)
    }

    /// The same of that build.
    fn start_as(scene: &Scene, name: u8, build: Build) -> Self {
        let handles = CompactorHandles { build, ..scene.handles() };
        let writer = ScriptedWriter::begin_at(scene, name, build.level);
        handles.progress.set_writer(writer.id);
        handles.progress.set_appended(Sequence(1), 0);
        let compactor = Compactor::new(handles.clone(), &scene.config, Scene::store());
        // As the store's threads do.
        let work = move || drop(catch_unwind(AssertUnwindSafe(|| compactor.run())));
        Self { handles, writer: Some(writer), thread: Some(std::thread::spawn(work)) }
    }

    fn writer(&mut self) -> &mut ScriptedWriter {
        self.writer.as_mut().unwrap()
    }

    fn segments(&self) -> Vec<u64> {
        self.writer.as_ref().unwrap().segments()
    }

    fn record(&mut self, count: u64) -> Vec<String> {
        let names = self.writer().record(count);
        let last = Sequence(self.handles.progress.appended().0 + count);
        self.handles.progress.set_appended(last, count);
        names
    }

    /// Requests, as records of a kind that only [`NEWER`] knows.
    fn record_newer(&mut self, count: u64) -> Vec<String> {
        let names: Vec<_> = (0..count).map(|_| self.writer().record_as(&[NEWER_KIND, 1])).collect();
        let last = Sequence(self.handles.progress.appended().0 + count);
        self.handles.progress.set_appended(last, count);
        names
    }

    fn note(&self) -> String {
        self.handles.health.get().notes.get(&Part::Fold).cloned().unwrap_or_default()
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    fn wait_folded(&self) {
        let progress = &self.handles.progress;
        let target = progress.appended();
        let asked = progress.await_folding(target);
        self.wake();
        let deadline = Instant::now() + PATIENCE;
        let waited = progress.wait_folded(target, asked, deadline, PATIENCE);
        waited.unwrap_or_else(|error| panic!("{error}: {}", self.handles.health.get()));
    }

    /// Ends as it should.
    fn end(mut self) {
        self.writer().seal();
        self.writer = None;
        self.handles.finish.store(true, Ordering::Release);
        self.wake();
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.handles.give_up.store(true, Ordering::Relaxed);
        self.wake();
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Takes the lock as a process that does nothing with it.
fn take(scene: &Scene) -> FoldLock {
    match FoldLock::try_take(&scene.config.dir, LEVEL).unwrap() {
        FoldTry::Taken(lock) => lock,
        other => panic!("{other:?}"),
    }
}

fn is_held(scene: &Scene) -> bool {
    FoldLock::look(&scene.config.dir).unwrap().is_some()
}

fn sorted(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort();
    names
}

#[test]
fn one_folds_for_all_the_others_follow_and_one_of_them_takes_over() {
    let scene = Scene::new();
    let mut first = Process::start(&scene, 1);
    until("nobody folds", || is_held(&scene));
    let mut second = Process::start(&scene, 2);
    let mut names = [first.record(10), second.record(20)].concat();
    second.wait_folded();
    first.wait_folded();
    assert_eq!(scene.requests(), sorted(names.clone()));
    names.extend(first.record(5));
    let folder = first.writer().id.to_string();
    first.end();
    assert!(!scene.entries("wal").contains(&folder), "who ends folds what it recorded, and leaves nothing");
    names.extend(second.record(5));
    second.wait_folded();
    assert_eq!(scene.requests(), sorted(names));
    let held_by = FoldLock::look(&scene.config.dir).unwrap();
    assert!(held_by.is_some() && second.handles.health.get().is_ok());
    second.end();
    assert_eq!((scene.entries("wal"), scene.rows("SELECT count(*) FROM writers")), (vec![], vec!["2".to_owned()]));
}

#[test]
fn a_thread_that_dies_takes_its_lock_with_it() {
    let scene = Scene::new();
    let first = Process::start(&scene, 1);
    until("nobody folds", || is_held(&scene));
    first.wait_folded();
    let mut second = Process::start(&scene, 2);
    sabotage::order(&scene.config.dir, Spot::Fold, 0, 1, sabotage::panic);
    let names = second.record(3);
    let is_over = |process: &Process| process.thread.as_ref().unwrap().is_finished();
    until("it does not die", || is_over(&first) || is_over(&second));
    second.wait_folded();
    assert_eq!(scene.requests(), names);
}

#[test]
fn who_wants_the_lock_gets_it_and_the_holder_comes_back_after_that() {
    let scene = Scene::new();
    let mut process = Process::start(&scene, 1);
    let mut names = process.record(3);
    process.wait_folded();
    let want = FoldWant::try_take(&scene.config.dir).unwrap().unwrap();
    let mut taken = None;
    let deadline = Instant::now() + PATIENCE;
    while taken.is_none() {
        assert!(Instant::now() < deadline);
        if let FoldTry::Taken(lock) = FoldLock::try_take_wanted(&want, LEVEL).unwrap() {
            taken = Some(lock);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    names.extend(process.record(3));
    assert_eq!(scene.requests().len(), 3, "nobody folds");
    drop((taken, want));
    process.wait_folded();
    assert_eq!(scene.requests(), names);
}

/// Every request is a row once, and nothing is set aside.
fn assert_all_are_folded(scene: &Scene, names: &[String]) {
    assert_eq!(scene.requests(), sorted(names.iter().cloned()));
    let aside = "SELECT (SELECT count(*) FROM quarantine) + (SELECT count(*) FROM newer_records)
                        + (SELECT count(*) FROM gaps)";
    assert_eq!(scene.rows(aside), ["0"]);
}

#[test]
fn a_log_of_a_newer_build_waits_for_one_which_gets_the_role_from_an_older_one() {
    let scene = Scene::new();
    let mut older = Process::start(&scene, 1);
    let mut names = older.record(10);
    older.wait_folded();
    // Nobody folds what a newer build left, and one that lives and does nothing records, but what they know is folded.
    let mut dead = ScriptedWriter::begin_at(&scene, 8, NEWER.level);
    names.extend(dead.record(3));
    names.extend((0..3).map(|_| dead.record_as(&[NEWER_KIND, 1])));
    let left = dead.id.to_string();
    dead.die();
    until("it is not named", || older.note().contains(&left) && older.note().contains("a newer one folds it"));
    names.extend(older.record(10));
    older.wait_folded();
    assert_eq!(scene.rows("SELECT count(*) FROM writers"), ["1"]);
    assert_eq!(scene.rows("SELECT count(*) FROM request_rows"), ["20"]);
    let mut newer = Process::start_as(&scene, 2, NEWER);
    names.extend([newer.record(5), newer.record_newer(5)].concat());
    newer.wait_folded();
    until("what was left stays", || !scene.entries("wal").contains(&left));
    let level = || FoldLock::look(&scene.config.dir).unwrap().map(|holder| holder.level);
    assert_eq!(level(), Some(NEWER.level), "an older one that comes back takes nothing from it");
    names.extend([older.record(7), newer.record_newer(7)].concat());
    [&older, &newer].into_iter().for_each(Process::wait_folded);
    assert_all_are_folded(&scene, &names);
    // In turn.
    newer.end();
    names.extend(older.record(2));
    older.wait_folded();
    until("the note stays", || older.note().is_empty());
    let mut newer = Process::start_as(&scene, 3, NEWER);
    older.end();
    names.extend(newer.record_newer(2));
    newer.wait_folded();
    newer.end();
    assert_all_are_folded(&scene, &names);
    assert_eq!(scene.entries("wal"), [""; 0]);
}

#[test]
fn where_the_holder_does_not_move_another_folds_in_its_place_and_lets_nothing_go_until_it_does() {
    let scene = Scene::new();
    let mut stopped = take(&scene);
    stopped.beat();
    let mut process = Process::start(&scene, 1);
    let mut names = process.record(3);
    process.writer().seal();
    names.extend(process.record(3));
    process.wait_folded();
    assert_eq!((scene.requests(), process.segments()), (names.clone(), vec![1, 2]));
    let problem = process.handles.health.get().problems.remove(&Part::Fold).unwrap();
    assert!(problem.contains("holds the fold lock and does nothing"), "{problem}");
    assert!(problem.contains(&std::process::id().to_string()), "{problem}");
    // It moves again, and folds nothing for as long as this test likes.
    stopped.beat();
    until("the process does not see it", || process.handles.health.get().is_ok());
    drop(stopped);
    names.extend(process.record(1));
    process.wait_folded();
    until("nothing is retired", || process.segments() == [2]);
    assert_eq!(scene.requests(), names);
}

#[test]
fn a_corrupt_database_is_told_once_to_all_and_folded_into_again_when_it_is_another_one() {
    let scene = Scene::new();
    let database = scene.config.dir.join("store.db");
    std::fs::write(&database, "this is no database, however long you look at it".repeat(100)).unwrap();
    let mut processes = [1, 2].map(|name| Process::start(&scene, name));
    let names: Vec<_> = processes.iter_mut().flat_map(|process| process.record(2)).collect();
    for process in &processes {
        let progress = &process.handles.progress;
        let asked = progress.await_folding(progress.appended());
        let waited = progress.wait_folded(progress.appended(), asked, Instant::now() + PATIENCE, PATIENCE);
        assert!(matches!(&waited, Err(WaitError::Fold(why)) if why.contains("run `mcplog rebuild`")), "{waited:?}");
        let health = process.handles.health.get();
        assert!(health.problems[&Part::Fold].contains("run `mcplog rebuild`"), "{health}");
    }
    std::fs::remove_file(&database).unwrap();
    // What they found before is no answer any more.
    processes.iter().for_each(Process::wait_folded);
    assert_eq!(scene.requests(), sorted(names));
}

#[test]
fn limits_that_a_process_is_told_reach_the_store_although_another_one_folds() {
    let mut scene = Scene::new();
    let first = Process::start(&scene, 1);
    first.wait_folded();
    scene.config.keep_rows_age_ms = Some(86_400_000);
    let _second = Process::start(&scene, 2);
    let told = || scene.rows("SELECT value FROM meta WHERE key = 'keep_rows_age_ms'");
    until("nobody remembers it", || told() == ["86400000"]);
}

#[test]
fn a_log_that_was_never_folded_is_one_of_a_dead_writer_as_any_other() {
    let scene = Scene::new();
    let mut dead = ScriptedWriter::begin(&scene, 9);
    let names = dead.record(1_200);
    dead.die();
    let process = Process::start(&scene, 1);
    let folder = WriterId([9; 16]).to_string();
    until("it stays", || !scene.entries("wal").contains(&folder));
    assert_eq!(scene.requests(), names);
    process.end();
    assert_eq!(scene.entries("wal"), [""; 0]);
}

#[test]
fn that_who_folds_can_not_is_told_by_all_whose_records_wait() {
    let scene = Scene::new();
    let mut holder = Process::start(&scene, 1);
    until("it holds the lock", || is_held(&scene));
    let mut other = Process::start(&scene, 2);
    other.wait_folded();
    sabotage::order(&scene.config.dir, Spot::Fold, 0, u32::MAX, sabotage::fail);
    holder.record(3);
    other.record(3);
    let problem = |process: &Process| process.handles.health.get().problems.get(&Part::Fold).cloned();
    // Who holds the lock lets go of it after a while, and the other one tries.
    let says =
        |what: &str| [&holder, &other].iter().any(|process| problem(process).is_some_and(|told| told.contains(what)));
    until("the one who does not fold says who does", || says("folds for all"));
    sabotage::cancel(&scene.config.dir, Spot::Fold);
    holder.wait_folded();
    other.wait_folded();
    until("neither says so any more", || problem(&holder).is_none() && problem(&other).is_none());
    holder.end();
    other.end();
}
