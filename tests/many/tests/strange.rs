//! What processes do that no store is prepared for: close descriptors that are not theirs, copy a store that is in use,
//! bring back what was there before. Nothing is folded twice, nobody gets a signal, and what is lost is counted.

use mcplog_faults::directory;
use mcplog_fixture::wait_until;
use mcplog_many::found::{entries, rows};
use mcplog_many::{Crowd, Fate, Found, Lived, Start, settle, violations};
use std::path::{Path, PathBuf};

fn start(dir: &Path) -> Start {
    Start::within(env!("CARGO_BIN_EXE_writer"), dir)
}

#[test]
fn a_writer_that_closes_all_descriptors_gets_no_signal_and_is_folded_once_beside_others() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut crowd = Crowd::new(start(dir.path()));
    let store = crowd.store().to_owned();
    // The first one folds, and is another than the one that closes.
    crowd.begin(["--events=300"]).wait_until(|told| told.appended == 300);
    wait_until("somebody folds", || rows(&store) == Some(300));
    crowd.begin(["--events=4000", "--close-after=1000"]).wait_until(|told| told.attempted == 4000);
    crowd.begin(["--events=300"]).wait_until(|told| told.appended == 300);
    // `kill` and `end` insist on it: it has not ended by a signal of its own.
    let daemon = crowd.kill(1);
    let mut lives = crowd.end_all();
    assert_eq!(daemon.fate, Fate::Killed);
    settle(&store);
    let found = Found::of(&store);
    lives.retain(|life| life.number != daemon.number);
    let of_daemon = |number: u64| mcplog_many::numbers::whose(number).0 == daemon.number;
    let there = found.requests.iter().filter(|request| of_daemon(request.number)).count() as u64;
    println!("{there} of {} events that a writer without its lock had recorded are there", daemon.told.attempted);
    assert!(there >= 1000, "{there} events of 1000 that were recorded before the lock was lost");
    // Beyond the one writer, whose lock everybody thought free, all is as ever; and of that one, nothing is there twice.
    let mut wrong = violations(&lives, &found);
    wrong.retain(|violation| !violation.contains("of which nobody knows") && !violation.contains("nobody was"));
    wrong.retain(|violation| !violation.contains("are missing"));
    assert_eq!(wrong, [""; 0]);
}

/// A snapshot of a virtual machine, of a volume, or a copy of a container that is paused.
#[test]
fn a_copy_of_a_store_in_use_is_a_store_like_the_first_as_all_its_writers_had_been_killed() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut crowd = Crowd::new(start(dir.path()));
    let (store, copy) = (crowd.store().to_owned(), dir.path().join("copy"));
    for _ in 0..3 {
        crowd.begin(["--events=20000", "--pause-us=2000"]).wait_until(|told| told.appended > 200);
    }
    (0..3).for_each(|place| crowd.life(place).stop());
    let as_killed: Vec<_> = (0..3).map(|place| seen(&mut crowd, place)).collect();
    directory::copy(&store, &copy);
    // A writer in the copy, beside those who go on in the first one.
    let told = dir.path().join("told-of-the-copy");
    std::fs::create_dir(&told).expect("a directory");
    let mut of_copy = Start::of(env!("CARGO_BIN_EXE_writer"), &copy, &told).life(100, ["--events=500"]);
    of_copy.wait_until(|told| told.appended == 500);
    (0..3).for_each(|place| crowd.life(place).go_on());
    (0..3).for_each(|place| {
        let before = as_killed[place].told.appended;
        crowd.life(place).wait_until(|told| told.appended > before + 200);
    });
    let lives_of_copy: Vec<_> = as_killed.into_iter().chain([of_copy.end()]).collect();
    let lives = crowd.end_all();
    for (store, lives) in [(&store, &lives), (&copy, &lives_of_copy)] {
        settle(store);
        assert_eq!(violations(lives, &Found::of(store)), [""; 0], "{}", store.display());
    }
}

/// One of those that live, as if it had been killed where it stands.
fn seen(crowd: &mut Crowd, place: usize) -> Lived {
    let life = crowd.life(place);
    // It is stopped: what it had told by then is true, and it may have recorded all that it had said it would try.
    Lived { number: life.number(), pid: life.pid(), fate: Fate::Killed, told: life.told() }
}

/// A power cut may, and so may whoever puts back a file too many.
#[test]
fn a_folder_that_comes_back_when_it_was_folded_and_gone_is_not_folded_again() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut crowd = Crowd::new(start(dir.path()));
    let store = crowd.store().to_owned();
    crowd.begin(["--events=900"]).wait_until(|told| told.appended == 900);
    let lives = crowd.kill_all();
    let folders: Vec<PathBuf> = entries(&store.join("wal"));
    assert_eq!(folders.len(), 1, "{folders:?}");
    let kept = dir.path().join("kept");
    directory::copy(&folders[0], &kept);
    settle(&store);
    assert_eq!(violations(&lives, &Found::of(&store)), [""; 0]);
    directory::copy(&kept, &folders[0]);
    settle(&store);
    assert_eq!(violations(&lives, &Found::of(&store)), [""; 0], "when it had come back");
}
