//! Two writers, neither of whom waits for the other; a directory that is not ours.

use mcplog::error::OpenError;
use mcplog::{Config, Store};
use mcplog_faults::{Holdings, Victim, event, skip};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
/// The number of the second one's first event.
const SECOND: u64 = 1 << 32;
/// Nobody, on every Linux.
const NOBODY: u32 = 65_534;

fn victim(dir: &std::path::Path) -> Victim {
    Victim::new(env!("CARGO_BIN_EXE_victim"), dir)
}

#[test]
fn a_second_process_records_beside_the_first_and_neither_waits_for_the_other() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = dir.path().join("data");
    let mut first = victim(&store).with(["--tell-every", "16"]).start();
    assert!(first.listen_until(|said| said.appended > 0), "the victim ended by itself");
    let second = Store::open(Config::new(&store)).expect("a second writer");
    let recorder = second.recorder();
    assert!((SECOND..SECOND + 100).all(|number| event::record(&recorder, number)), "recorded beside the first");
    second.flush(PATIENCE).expect("durable");
    let seen = first.said().appended;
    assert!(first.listen_until(|said| said.appended > seen), "the first one stopped");
    let report = second.shutdown(PATIENCE);
    assert_eq!((report.appended, report.dropped), (100, 0));
    let said = first.kill();
    let holdings = Holdings::of(&store);
    assert!(holdings.prefix(0) >= said.appended, "{} appended, {} found", said.appended, holdings.prefix(0));
    assert_eq!(holdings.prefix(SECOND), 100);
}

#[test]
fn a_program_that_was_started_by_a_writer_does_not_inherit_the_lock() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = Store::open(Config::new(dir.path().join("data"))).expect("open");
    // When this returns, the child runs another program than this one.
    let mut child = Command::new("sleep").arg("60").spawn().expect("start sleep");
    let [ours, its] = [std::process::id(), child.id()].map(open_files);
    child.kill().expect("kill");
    child.wait().expect("wait");
    store.shutdown(PATIENCE);
    let lock = dir.path().join("data").join("LOCK");
    assert!(ours.contains(&lock), "the lock is no open file of its holder: {ours:?}");
    let inherited: Vec<_> = its.iter().filter(|path| path.starts_with(dir.path())).collect();
    assert!(!its.is_empty() && inherited.is_empty(), "{inherited:?} of {its:?}");
}

/// The files that a process has open.
fn open_files(process: u32) -> Vec<PathBuf> {
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).expect("it runs");
    // One that was closed meanwhile is not open.
    descriptors.filter_map(|descriptor| std::fs::read_link(descriptor.ok()?.path()).ok()).collect()
}

#[test]
fn a_directory_of_another_user_is_refused_untouched() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = dir.path().join("data");
    std::fs::create_dir(&store).expect("create");
    if chown(&store, Some(NOBODY), Some(NOBODY)).is_err() {
        return skip("a_directory_of_another_user_is_refused_untouched", "giving a directory away wants root");
    }
    let error = Store::open(Config::new(&store)).expect_err("a directory of somebody else");
    assert!(matches!(error, OpenError::ForeignOwner { .. }), "{error}");
    assert_eq!(std::fs::read_dir(&store).expect("list").count(), 0);
}

#[test]
fn a_user_without_rights_is_refused_with_the_path() {
    let dir = tempfile::tempdir().expect("temporary directory");
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).expect("chmod");
    let as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let victim_as_nobody = |arguments: &[&std::ffi::OsStr]| {
        let mut command = Command::new(as_nobody[0]);
        command.args(&as_nobody[1..]).arg(env!("CARGO_BIN_EXE_victim")).args(arguments).output()
    };
    if !victim_as_nobody(&["--help".as_ref()]).is_ok_and(|output| output.status.success()) {
        return skip("a_user_without_rights_is_refused_with_the_path", "another user can't run the victim");
    }
    let store = dir.path().join("data");
    Store::open(Config::new(&store)).expect("open").shutdown(PATIENCE);
    let output = victim_as_nobody(&[store.as_os_str(), "--events".as_ref(), "1".as_ref()]).expect("run the victim");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("data"), "{error}");
}
