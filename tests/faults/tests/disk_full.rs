//! No room: on small file systems that are filled to the last byte, and under limits on the size and number of files.
//!
//! The promise: no signal, no crash; what can't be appended is dropped and counted, and recorded as a gap; logging goes
//! on by itself once there is room.

use mcplog_faults::{Holdings, Kind, Running, Said, Victim, Volume};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

const PAUSE_US: u64 = 50;
/// A request to the server of a FUSE file system takes so long that more would be dropped for want of time, not of room.
const FUSE_PAUSE_US: u64 = 500;

/// Tells of each event, so that it can't run far ahead of who listens; drops what finds no room at once.
fn victim(store: &Path, pause_us: u64) -> Victim {
    Victim::new(env!("CARGO_BIN_EXE_victim"), store).with([
        "--sync=interval",
        "--drop",
        "--record-wait-ms=0",
        "--channel-events=1024",
        "--tell-every=1",
        &format!("--pause-us={pause_us}"),
        "--fold",
        "--until-told",
    ])
}

/// Takes the room away while the victim records, gives it back, and checks the promise.
fn lose_room_and_get_it_back(what: &str, store: &Path, mut running: Running, full: impl FnOnce(), room: impl FnOnce()) {
    assert!(running.listen_until(|said| said.appended >= 3000), "{what}: it ended before");
    full();
    // A slow disk drops events as well: what counts is that something finds no room. What comes first depends: a full btrfs
    // may take half a minute to refuse a new segment.
    let no_room = |said: &Said| said.refused >= 200 && !said.healths.is_empty();
    assert!(running.listen_until(no_room), "{what}: there was room for everything: {:?}", running.said());
    let before = running.said().appended;
    room();
    assert!(running.listen_until(|said| said.appended >= before + 3000), "{what}: logging did not resume");
    running.release();
    let (said, status) = running.finish();
    assert_eq!((status.signal(), status.code()), (None, Some(0)), "{what}");
    let report = said.report.unwrap_or_else(|| panic!("{what}: no report"));
    assert_eq!(report["dropped"], said.refused, "{what}: what was refused is what was dropped");
    assert_eq!(report["appended"], said.recorded - said.refused, "{what}");
    assert_eq!(said.failures, [""; 0], "{what}");
    assert_eq!(report["health"]["problems"], serde_json::json!({}), "{what}: it is well again");
    let holdings = Holdings::of(store);
    assert_eq!(holdings.numbers.len() as u64, said.recorded - said.refused, "{what}");
    assert_eq!((holdings.gap_events, holdings.quarantined), (said.refused, 0), "{what}");
}

/// What the store leaves to others, and what is left when somebody else has taken the rest: less, but not half of it.
const RESERVE_BYTES: u64 = 40 * 1024 * 1024;
const LEFT_BYTES: u64 = 32 * 1024 * 1024;

fn on_a_crowded(kind: Kind) {
    let Some(volume) = Volume::or_skip("a crowded disk", kind) else { return };
    let store = volume.path().join("data");
    let reserve = format!("--min-free-bytes={RESERVE_BYTES}");
    let running = victim(&store, PAUSE_US).with([reserve.as_str()]).start();
    let made_room = || {
        // Folding went on until nothing was left to fold: what that took lies between this and what was left.
        assert!(volume.free() >= RESERVE_BYTES / 2, "{kind:?}: {} bytes are free", volume.free());
        volume.make_room();
    };
    lose_room_and_get_it_back(&format!("{kind:?}"), &store, running, || volume.fill_but(LEFT_BYTES), made_room);
}

#[test]
fn a_crowded_tmpfs_keeps_what_is_left_to_others() {
    on_a_crowded(Kind::Tmpfs);
}

#[test]
fn a_crowded_ext4_keeps_what_is_left_to_others() {
    on_a_crowded(Kind::Ext4);
}

fn on_a_full(kind: Kind) {
    let Some(volume) = Volume::or_skip("a full disk", kind) else { return };
    let store = volume.path().join("data");
    let pause_us = if kind == Kind::Fuse { FUSE_PAUSE_US } else { PAUSE_US };
    let running = victim(&store, pause_us).start();
    lose_room_and_get_it_back(&format!("{kind:?}"), &store, running, || volume.fill(), || volume.make_room());
}

#[test]
fn a_full_tmpfs_costs_what_does_not_fit_and_nothing_else() {
    on_a_full(Kind::Tmpfs);
}

#[test]
fn a_full_ext4_costs_what_does_not_fit_and_nothing_else() {
    on_a_full(Kind::Ext4);
}

#[test]
fn a_full_xfs_costs_what_does_not_fit_and_nothing_else() {
    on_a_full(Kind::Xfs);
}

#[test]
fn a_full_btrfs_costs_what_does_not_fit_and_nothing_else() {
    on_a_full(Kind::Btrfs);
}

#[test]
fn a_full_fuse_file_system_costs_what_does_not_fit_and_nothing_else() {
    on_a_full(Kind::Fuse);
}

#[test]
fn a_store_on_a_full_disk_is_refused_with_the_reason_and_opens_once_there_is_room() {
    for kind in Kind::MAPPED.into_iter().chain(Kind::WRITTEN) {
        let Some(volume) = Volume::or_skip("opening a store on a full disk", kind) else { continue };
        volume.fill();
        let victim = Victim::new(env!("CARGO_BIN_EXE_victim"), &volume.path().join("data"))
            .with(["--events=100", "--flush-every=100"]);
        let (said, status) = victim.run();
        assert!(!said.opened, "{kind:?}: the disk was not full");
        assert_eq!(status.code(), Some(1), "{kind:?}: {status}");
        volume.make_room();
        let (said, status) = victim.run();
        assert_eq!((said.acknowledged, status.code()), (100, Some(0)), "{kind:?}: {status}");
    }
}

/// Sets a limit of a running process: `prlimit` of util-linux.
fn limit(running: u32, limit: &str) {
    let set = Command::new("prlimit").arg("--pid").arg(running.to_string()).arg(limit).status();
    assert!(set.as_ref().is_ok_and(|status| status.success()), "prlimit {limit}: {set:?}");
}

#[test]
fn a_limit_on_the_size_of_files_is_met_like_a_full_disk_and_not_by_its_signal() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = dir.path().join("data");
    let running = victim(&store, PAUSE_US).quiet().start();
    let pid = running.pid();
    lose_room_and_get_it_back(
        "RLIMIT_FSIZE",
        &store,
        running,
        || limit(pid, "--fsize=32768:unlimited"),
        || limit(pid, "--fsize=unlimited:unlimited"),
    );
}

#[test]
fn under_a_limit_that_no_segment_fits_into_everything_is_dropped_and_counted_and_nobody_is_killed() {
    let dir = tempfile::tempdir().expect("temporary directory");
    // The limit is on every file: complaints that went to a file of this process, longer than the limit, would kill it.
    let victim = victim(&dir.path().join("data"), PAUSE_US).quiet().under(["prlimit", "--fsize=49152:49152"]);
    // What waits for room waits in vain.
    let victim = victim.with(["--patience-ms=500", "--shutdown-patience-ms=2000"]);
    let mut running = victim.start();
    running.wait_until(|said| said.refused >= 200 && !said.healths.is_empty());
    running.release();
    let (said, status) = running.finish();
    assert_eq!((status.signal(), status.code()), (None, Some(0)));
    let report = said.report.expect("a report");
    assert_eq!((report["appended"].as_u64(), report["dropped"].as_u64()), (Some(0), Some(said.recorded)));
}

#[test]
fn a_limit_on_the_number_of_files_is_met_like_a_full_disk() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = dir.path().join("data");
    let running = victim(&store, PAUSE_US).start();
    let pid = running.pid();
    // Below what is open already: nothing more can be opened, and what is open stays.
    lose_room_and_get_it_back(
        "RLIMIT_NOFILE",
        &store,
        running,
        || limit(pid, "--nofile=3:4096"),
        || limit(pid, "--nofile=1024:4096"),
    );
}
