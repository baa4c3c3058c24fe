//! Killed between the commit that folds a segment, the unlink that retires it, the removal of a dead writer's folder, and the
//! sync of the directory: whatever stage it was, everything that reached the map is there, and folded once.

use mcplog_faults::watchdog::SIGKILL;
use mcplog_faults::{Holdings, Random, Scale, Victim, missing, skip};
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

/// After how many rounds there is a fresh store.
const ROUNDS_PER_STORE: u64 = 5;
/// How many events one leaves behind that is killed before.
const LEFT_EVENTS: u64 = 304;

#[test]
fn killed_between_a_commit_and_its_sync_nothing_is_lost_or_folded_twice() {
    // Only what is retired needs the sync, so that each of them is followed by unlinks.
    rounds("killed_between_a_commit_and_its_sync_nothing_is_lost_or_folded_twice", |store, when| {
        at("fsync,fdatasync", when, Some(&store.join("store.db-wal")))
    });
}

#[test]
fn killed_between_sync_and_unlink_nothing_is_lost_or_folded_twice() {
    // By the second, some of a row of folded segments are gone and others are not.
    rounds("killed_between_sync_and_unlink_nothing_is_lost_or_folded_twice", |_, when| {
        at("unlink,?unlinkat", when, None)
    });
}

#[test]
fn killed_between_the_last_unlink_in_a_folder_and_its_removal_nothing_is_lost_or_folded_twice() {
    // Nobody else's folder goes before the end of the victim, which never comes.
    rounds("killed_between_the_last_unlink_in_a_folder_and_its_removal_nothing_is_lost_or_folded_twice", |_, _| {
        at("?rmdir,unlinkat", 1, None)
    });
}

#[test]
fn killed_between_the_removal_of_a_folder_and_the_sync_of_its_directory_nothing_is_lost_or_folded_twice() {
    // Under `never`, it is synced for this reason alone.
    rounds(
        "killed_between_the_removal_of_a_folder_and_the_sync_of_its_directory_nothing_is_lost_or_folded_twice",
        |store, _| at("fsync", 1, Some(&store.join("wal"))),
    );
}

/// Runs a victim so that it is killed instead of making such a system call, the `when`th of a thread, counting only those
/// on `path` if there is one.
fn at(calls: &str, when: u64, path: Option<&Path>) -> Vec<OsString> {
    let mut strace: Vec<OsString> =
        ["strace", "--follow-forks", "--quiet=all", "--output=/dev/null"].map(Into::into).into();
    strace.push(format!("--inject={calls}:signal=KILL:when={when}").into());
    if let Some(path) = path {
        strace.extend(["--trace-path".into(), path.into()]);
    }
    strace
}

/// Kills victims in this way, and looks after each. What the victims ran under gets the store's directory, and whether it
/// is to be the first call or a later one.
fn rounds(test: &str, strace: impl Fn(&Path, u64) -> Vec<OsString>) {
    if let Some(why) = missing("strace") {
        return skip(test, &why);
    }
    let mut random = Random::for_test(test);
    let mut dir = tempfile::tempdir().expect("temporary directory");
    let (mut first, mut while_opening) = (0, 0);
    let rounds = Scale::chosen().rounds(4, 10, 50);
    for round in 0..rounds {
        if round % ROUNDS_PER_STORE == 0 {
            dir = tempfile::tempdir().expect("temporary directory");
            first = 0;
        }
        let store = dir.path().join("data");
        let pause_us = random.one_of(&["0", "20"]);
        // A folder that nobody has any more.
        let mut left = never(&store, first).with(["--events", &LEFT_EVENTS.to_string(), "--linger"]).start();
        left.wait_until(|said| said.appended == LEFT_EVENTS);
        left.kill();
        let first_of_all = first;
        first += LEFT_EVENTS;
        let (said, status) =
            never(&store, first).with(["--pause-us", pause_us]).under(strace(&store, 1 + random.below(3))).run();
        assert_eq!(status.signal(), Some(SIGKILL), "round {round}: the call never came, {said:?}");
        // A new database is synced while the store is opened: that is a crash like any other, but not the one meant here.
        while_opening += u64::from(!said.opened);
        let holdings = Holdings::of(&store);
        let found = holdings.numbers.len() as u64;
        assert_eq!(holdings.prefix(0), found, "round {round}: a hole, {first_of_all} were there before");
        assert!(
            found >= first + said.appended,
            "round {round}: {} in the map after {first}, {found} rows",
            said.appended
        );
        assert_eq!((holdings.quarantined, holdings.gap_events), (0, 0), "round {round}");
        assert!(holdings.health.is_ok(), "round {round}: {}", holdings.health);
        first = found;
    }
    println!("{test}: {rounds} rounds, {while_opening} of them killed while opening");
    assert!(while_opening * 2 <= rounds, "{while_opening} of {rounds} rounds showed nothing");
}

/// One that syncs nothing, and whose events begin with that number.
fn never(store: &Path, first: u64) -> Victim {
    let victim = Victim::new(env!("CARGO_BIN_EXE_victim"), store);
    victim.with(["--sync", "never", "--tell-every", "16", "--first", &first.to_string()])
}
