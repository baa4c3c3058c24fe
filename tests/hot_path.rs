//! A recording thread makes no system call, whatever the rate: counted by strace.

use mcplog::{Config, Request, Status, Store};
use mcplog_fixture::PATIENCE;
use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

/// Set in the process that strace looks at: the store's directory.
const CHILD: &str = "MCPLOG_HOT_PATH_CHILD";
/// Files that don't exist; asking for them marks the recording thread's trace.
const MARKS: [&str; 3] = ["/mcplog-mark-recording", "/mcplog-mark-recorded", "/mcplog-mark-planted"];

/// Not a test by itself: the process that is traced.
#[test]
fn child_records_between_two_marks() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let store = Store::open(Config::new(dir)).expect("open");
    let recorder = store.recorder();
    let message = "e".repeat(400);
    let mut request = Request::new("0197a1c0-7b1e-7cc3-98c4-dc0c0c07398f", 1, "files", "tools/call");
    request.tool = Some("search");
    let mut failed = request;
    failed.status = Status::Error;
    failed.error_msg = Some(&message);
    let record = |events: u32, pause: Duration| {
        for number in 0..events {
            // Every twentieth carries a message that is too long for a place in the channel.
            recorder.record(if number % 20 == 0 { failed } else { request });
            let start = Instant::now();
            while start.elapsed() < pause {
                std::hint::spin_loop();
            }
        }
    };
    let mark = |index: usize| drop(std::fs::metadata(MARKS[index]));
    mark(0);
    // Paced at about 1,000 and 100,000 a second, and as fast as they come.
    record(1000, Duration::from_millis(1));
    record(20_000, Duration::from_micros(10));
    record(10_000, Duration::ZERO);
    mark(1);
    // The harness must see a system call where there is one.
    std::thread::yield_now();
    mark(2);
    assert_eq!(store.shutdown(PATIENCE).dropped, 0);
}

#[test]
fn a_recording_thread_makes_no_system_call() {
    // Tried, not guessed: many containers have strace and refuse ptrace(2).
    let tried = Command::new("strace").args(["--follow-forks", "--output=/dev/null", "true"]).output();
    if !tried.as_ref().is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "strace can't trace here, in CI: {tried:?}");
        let why = format!("strace can't trace here: {tried:?}");
        let command = "cargo test --test hot_path where strace is installed and allowed";
        return mcplog_skipped::skip("a_recording_thread_makes_no_system_call", &why, command);
    }
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    let status = Command::new("strace")
        .args(["--follow-forks", "--output-separately", "--output"])
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child_records_between_two_marks", "--test-threads=1"])
        .env(CHILD, dir.path().join("data"))
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let traces = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let recording = traces
        .filter(|path| path.is_file())
        .map(|path| std::fs::read_to_string(path).unwrap())
        .find(|trace| trace.contains(MARKS[0]))
        .expect("the recording thread's trace");
    let between = |from: &str, to: &str| {
        let mut calls = BTreeMap::new();
        let lines =
            recording.lines().skip_while(|line| !line.contains(from)).skip(1).take_while(|line| !line.contains(to));
        for line in lines {
            *calls.entry(line.split('(').next().unwrap_or_default().to_owned()).or_insert(0) += 1;
        }
        calls
    };
    assert_eq!(between(MARKS[0], MARKS[1]), BTreeMap::new(), "system calls of a recording thread");
    assert_eq!(between(MARKS[1], MARKS[2]).len(), 1, "the harness misses system calls");
}
