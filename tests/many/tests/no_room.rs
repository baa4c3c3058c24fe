//! No room, and no file descriptors, for many writers: each says what it can't do, the others go on, and one that can't fold
//! for want of something of its own leaves that to one that can.

use mcplog_faults::{Kind, Volume};
use mcplog_fixture::wait_until;
use mcplog_many::found::{entries, rows};
use mcplog_many::{Crowd, Found, Start, settle, violations};
use std::path::Path;
use std::process::Command;

const LIVING: usize = 4;

fn start(store: &Path, told: &Path) -> Start {
    Start::of(env!("CARGO_BIN_EXE_writer"), store, told)
}

/// What finds no room at once is dropped.
const HASTY: [&str; 5] =
    ["--record-wait-ms=0", "--channel-events=1024", "--segment-bytes=65536", "--burst=4", "--pause-us=1000"];

fn on_a_full(kind: Kind) {
    let Some(volume) = Volume::or_skip("a full disk under many writers", kind) else { return };
    let told = tempfile::tempdir().expect("temporary directory");
    let store = volume.path().join("data");
    let mut crowd = Crowd::new(start(&store, told.path()));
    for _ in 0..LIVING {
        crowd.begin(HASTY).wait_until(|told| told.appended > 500);
    }
    volume.fill();
    for place in 0..LIVING {
        crowd.life(place).wait_until(|told| told.dropped > 200);
    }
    // Who folds dies in the middle of it, and another one is no better off.
    let place = crowd.holder().expect("somebody folds");
    crowd.kill(place);
    let before: Vec<_> = (0..LIVING - 1).map(|place| crowd.life(place).told().dropped).collect();
    for (place, before) in before.into_iter().enumerate() {
        crowd.life(place).wait_until(|told| told.dropped > before + 100);
    }
    volume.make_room();
    for place in 0..LIVING - 1 {
        let before = crowd.life(place).told().appended;
        crowd.life(place).wait_until(|told| told.appended > before + 1000);
    }
    let lives = crowd.end_all();
    settle(&store);
    let found = Found::of(&store);
    assert_eq!(violations(&lives, &found), [""; 0], "{kind:?}");
    assert!(found.dropped.len() >= LIVING - 1, "{kind:?}: {:?}", found.dropped);
}

#[test]
fn a_full_tmpfs_costs_each_writer_what_does_not_fit_and_nothing_else() {
    on_a_full(Kind::Tmpfs);
}

#[test]
fn a_full_ext4_costs_each_writer_what_does_not_fit_and_nothing_else() {
    on_a_full(Kind::Ext4);
}

#[test]
fn a_full_xfs_costs_each_writer_what_does_not_fit_and_nothing_else() {
    on_a_full(Kind::Xfs);
}

/// What is folded takes no room to be let go of: else a disk that is full would stay so.
#[test]
fn what_a_killed_folder_left_on_a_full_disk_is_given_back_without_room() {
    for kind in [Kind::Tmpfs, Kind::Ext4] {
        let Some(volume) = Volume::or_skip("a full disk and a killed folder", kind) else { continue };
        let told = tempfile::tempdir().expect("temporary directory");
        let store = volume.path().join("data");
        let mut crowd = Crowd::new(start(&store, told.path()));
        for _ in 0..3 {
            crowd.begin(["--events=300", "--sync=always"]).wait_until(|told| told.appended == 300);
        }
        wait_until("all is folded", || rows(&store) == Some(900));
        wait_until("each has a folder", || entries(&store.join("wal")).len() == 3);
        // Rows that only SQLite's WAL has would need room in the database before what they are of may go.
        let wal_bytes = || std::fs::metadata(store.join("store.db-wal")).map_or(0, |metadata| metadata.len());
        wait_until("SQLite's WAL is emptied", || wal_bytes() == 0);
        volume.fill();
        let place = crowd.holder().expect("somebody folds");
        crowd.kill(place);
        wait_until("the folder of the dead one is gone", || entries(&store.join("wal")).len() == 2);
        volume.make_room();
        let lives = crowd.end_all();
        settle(&store);
        assert_eq!(violations(&lives, &Found::of(&store)), [""; 0], "{kind:?}");
    }
}

/// Sets a limit of a running process: `prlimit` of util-linux.
fn limit(running: u32, limit: &str) {
    let set = Command::new("prlimit").arg("--pid").arg(running.to_string()).arg(limit).status();
    assert!(set.as_ref().is_ok_and(|status| status.success()), "prlimit {limit}: {set:?}");
}

#[test]
fn who_folds_and_has_no_file_descriptors_left_leaves_folding_to_another() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut crowd = Crowd::new(Start::within(env!("CARGO_BIN_EXE_writer"), dir.path()));
    let store = crowd.store().to_owned();
    for _ in 0..LIVING {
        crowd.begin(["--segment-bytes=65536", "--burst=4", "--pause-us=2000"]).wait_until(|told| told.appended > 100);
    }
    let limited = crowd.holder().expect("somebody folds");
    let pid = crowd.life(limited).pid();
    limit(pid, "--nofile=3:4096");
    wait_until("another one folds", || crowd.holder().is_some_and(|holder| holder != limited));
    let before = rows(&store).expect("a table");
    wait_until("and does", || rows(&store) > Some(before + 1000));
    limit(pid, "--nofile=1024:4096");
    let lives = crowd.end_all();
    settle(&store);
    assert_eq!(violations(&lives, &Found::of(&store)), [""; 0]);
}

#[test]
fn a_read_only_disk_refuses_each_writer_and_changes_nothing() {
    let Some(volume) = Volume::or_skip("a read-only disk under many writers", Kind::Ext4) else { return };
    let told = tempfile::tempdir().expect("temporary directory");
    let store = volume.path().join("data");
    let mut crowd = Crowd::new(start(&store, told.path()));
    crowd.begin(["--events=300"]).wait_until(|told| told.appended == 300);
    let before = crowd.kill_all();
    volume.make_read_only().expect("read-only");
    let contents = mcplog_faults::directory::contents(&store);
    let mut refused = Crowd::new(start(&store, told.path()));
    for _ in 0..LIVING {
        refused.begin(["--events=1"]);
    }
    let refused = refused.end_all();
    assert!(refused.iter().all(|life| life.fate == mcplog_many::Fate::Refused), "{refused:?}");
    assert!(mcplog_faults::directory::contents(&store) == contents, "something changed");
    assert_eq!(before.len(), 1);
}
