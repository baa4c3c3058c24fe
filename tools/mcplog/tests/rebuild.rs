//! `mcplog rebuild` and `mcplog slow`, as users run them.

use assert_cmd::Command;
use mcplog::{Config, Request, Store};
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

fn store(dir: &Path) -> Store {
    let store = Store::open(Config::new(dir)).expect("open");
    let recorder = store.recorder();
    for number in 0..400_i64 {
        let id = format!("0197a1c0-7b1e-7cc3-98c4-{number:012x}");
        let mut request = Request::new(&id, 1_760_000_000_000 + number * 50, "files", "tools/call");
        request.tool = Some("search");
        request.session_id = Some("one");
        request.latency_us = 1_000 + number;
        recorder.record(request);
    }
    store.wait_folded(PATIENCE).expect("folded");
    store
}

fn mcplog(dir: &Path, arguments: &[&str]) -> (String, String, i32) {
    let output =
        Command::cargo_bin("mcplog").expect("built").args(arguments).arg("--dir").arg(dir).output().expect("run");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (text(output.stdout), text(output.stderr), output.status.code().expect("an exit code"))
}

/// The roll-ups: how many cells, and what they count together.
fn rollups(dir: &Path) -> (i64, i64) {
    let connection = rusqlite::Connection::open(dir.join("store.db")).expect("open");
    let sums = "SELECT count(*), ifnull(sum(calls), 0) FROM rollups";
    connection.query_row(sums, [], |row| Ok((row.get(0)?, row.get(1)?))).expect(sums)
}

#[test]
fn wrecked_sums_are_right_again_after_a_rebuild() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("data");
    store(&dir).shutdown(PATIENCE);
    let (sessions, cells) = (mcplog(&dir, &["sessions", "--json"]), rollups(&dir));
    let connection = rusqlite::Connection::open(dir.join("store.db")).unwrap();
    let wreck = "UPDATE session_state SET total_calls = 7; DELETE FROM rollups; DELETE FROM session_digest";
    connection.execute_batch(wreck).unwrap();
    drop(connection);
    assert_ne!(mcplog(&dir, &["sessions", "--json"]), sessions);
    assert_eq!(rollups(&dir), (0, 0));
    let (text, _, code) = mcplog(&dir, &["rebuild", "--json"]);
    assert_eq!((text.as_str(), code), ("{\"from\":\"rows\",\"requests\":400,\"sessions\":1,\"rollups\":1}\n", 0));
    assert_eq!((mcplog(&dir, &["sessions", "--json"]), rollups(&dir)), (sessions, cells));
}

#[test]
fn a_rebuild_is_refused_while_the_store_is_open_and_where_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let open = store(&dir.path().join("data"));
    let (_, error, code) = mcplog(&dir.path().join("data"), &["rebuild"]);
    assert_eq!(code, 1);
    assert!(error.contains(&std::process::id().to_string()), "{error}");
    drop(open);
    let nowhere = dir.path().join("nowhere");
    assert_eq!(mcplog(&nowhere, &["rebuild"]).2, 1);
    assert!(!nowhere.exists());
}

#[test]
fn slow_shows_the_slowest_first() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("data");
    store(&dir).shutdown(PATIENCE);
    let (text, _, code) = mcplog(&dir, &["slow", "--limit", "3", "--json"]);
    let latencies: Vec<i64> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["latency_us"].as_i64().unwrap())
        .collect();
    assert_eq!((latencies, code), (vec![1_399, 1_398, 1_397], 0));
}
