//! Starts and ends: many at once, and a thousand in a row, leave nothing but a row each.

use mcplog_faults::{Random, Scale};
use mcplog_many::{Crowd, Fate, Found, Stage, Start, settle, violations};
use std::path::Path;

/// How many start in a fresh directory at the same instant.
const AT_ONCE: usize = 6;
/// How many of a row live at a time.
const LIVING: usize = 8;

fn start(dir: &Path) -> Start {
    Start::within(env!("CARGO_BIN_EXE_writer"), dir)
}

#[test]
fn first_starts_at_the_same_instant_all_succeed() {
    for round in 0..Scale::chosen().rounds(10, 60, 600) {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut crowd = Crowd::new(start(dir.path()));
        for _ in 0..AT_ONCE {
            crowd.begin(["--hold", "--events=5"]);
        }
        // Each stands right before it.
        (0..AT_ONCE).for_each(|place| crowd.life(place).release());
        for place in 0..AT_ONCE {
            crowd.life(place).wait_until(|told| told.stage > Stage::Starting);
        }
        let lives = crowd.end_all();
        assert!(lives.iter().all(|life| life.fate == Fate::Closed), "round {round}: {lives:?}");
        let store = dir.path().join("data");
        settle(&store);
        assert_eq!(violations(&lives, &Found::of(&store)), [""; 0], "round {round}");
    }
}

#[test]
fn a_thousand_starts_and_deaths_leave_no_folder_no_file_and_one_row_for_each_that_recorded() {
    let mut random = Random::for_test("a thousand starts and deaths");
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut crowd = Crowd::new(start(dir.path()));
    let store = crowd.store().to_owned();
    for _ in 0..Scale::chosen().rounds(60, 1000, 10_000) {
        let events = random.one_of(&["--events=0", "--events=1", "--events=5", "--events=200"]);
        crowd.begin([events, "--pause-us=0", "--segment-bytes=65536"]);
        if crowd.living() == LIVING {
            let place = usize::try_from(random.below(LIVING as u64)).expect("a place");
            // As soon as it has begun to open the store, in the middle of it all, or when there is nothing left to do.
            let stage = random.one_of(&[Stage::Starting, Stage::Open, Stage::Recorded]);
            crowd.life(place).wait_until(|told| told.stage >= stage);
            match random.below(2) {
                0 => crowd.kill(place),
                _ => crowd.end(place),
            };
        }
    }
    let lives = crowd.end_all();
    settle(&store);
    let found = Found::of(&store);
    println!("{} lives, {} writers", lives.len(), found.writers.len());
    assert_eq!(violations(&lives, &found), [""; 0]);
    // What stays: the database, what says whose store it is, and the locks.
    let mut names: Vec<_> = mcplog_many::found::entries(&store)
        .into_iter()
        .filter_map(|path| path.file_name()?.to_str().map(str::to_owned))
        .collect();
    names.retain(|name| {
        !["store.db", "store.db-wal", "store.db-shm", "store-id", "wal", "LOCK"].contains(&name.as_str())
    });
    names.retain(|name| !["FOLD", "FOLD.want", "FOLD.standin"].contains(&name.as_str()));
    assert_eq!(names, [""; 0]);
    assert!(
        lives.len() > found.writers.len() && found.writers.len() > lives.len() / 4,
        "{} writers",
        found.writers.len()
    );
}
