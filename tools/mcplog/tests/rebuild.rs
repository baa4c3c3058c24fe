//! `mcplog rebuild` and `mcplog slow`, as users run them.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

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
    let made = r#"{"from":"rows","requests":400,"sessions":1,"rollups":1,"folded_records":0,"left_logs":[],"found":{"#;
    assert!(text.starts_with(made) && text.contains(r#""action":"rows""#) && code == 0, "{text}");
    assert_eq!((mcplog(&dir, &["sessions", "--json"]), rollups(&dir)), (sessions, cells));
}

#[test]
fn a_rebuild_takes_its_turn_while_the_store_is_open_and_is_refused_where_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let open = store(&data);
    let (text, error, code) = mcplog(&data, &["rebuild", "--dry-run", "--json"]);
    assert!(code == 0 && text.contains(r#""in_use":true"#), "{text}{error}");
    for (number, arguments) in [&["rebuild"][..], &["rebuild", "--from-log", "--accept-loss"]].into_iter().enumerate() {
        let (text, error, code) = mcplog(&data, arguments);
        assert_eq!((code, error.as_str()), (0, ""), "{text}");
        // Who records goes on, and folds again.
        let id = format!("later {number}");
        open.recorder().record(Request::new(&id, 1_760_000_000_000, "files", "ping"));
        open.wait_folded(PATIENCE).expect("folded");
        assert!(mcplog(&data, &["logs", "--json", "--limit", "0"]).0.contains(&id));
    }
    assert!(open.shutdown(PATIENCE).health.is_ok());
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
        .filter(|line| !line.starts_with("{\"answer\":"))
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["latency_us"].as_i64().unwrap())
        .collect();
    assert_eq!((latencies, code), (vec![1_399, 1_398, 1_397], 0));
}

#[test]
fn a_rebuild_says_which_limits_it_applied_and_what_did_not_come_back() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    let told = |keep_rows_age_ms| {
        let mut config = Config::new(&dir);
        (config.keep_segments_bytes, config.keep_rows_age_ms) = (Some(u64::MAX), keep_rows_age_ms);
        Store::open(config).expect("open")
    };
    let open = told(None);
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    for (id, days) in [("old", 40), ("young", 1)] {
        open.recorder().record(Request::new(id, now - days * 86_400_000, "files", "ping"));
    }
    open.wait_folded(PATIENCE).expect("folded");
    open.shutdown(PATIENCE);
    let open = told(Some(30 * 86_400_000));
    let requests = || mcplog::Query::open(&dir).expect("open").totals().expect("totals").requests;
    while requests() > 1 {
        std::thread::yield_now();
    }
    open.shutdown(PATIENCE);
    let (text, _, code) = mcplog(&dir, &["rebuild", "--from-log"]);
    assert_eq!((code, requests()), (0, 1), "{text}");
    assert!(
        text.contains("1 request from before ") && text.contains(" had expired, and did not come back\n"),
        "{text}"
    );
    assert!(text.contains("the store keeps requests of 30d; all folded log\n"), "{text}");
    assert!(!text.contains("not known"), "{text}");
    // Nobody can ask a database that is none.
    std::fs::write(dir.join("store.db"), "no database").unwrap();
    let told = ["rebuild", "--keep", "30d", "--keep-segments=1GiB"];
    let (_, error, code) = mcplog(&dir, &told);
    assert!(code == 1 && error.contains("all that only store.db has"), "which logs it had folded: {error}");
    let (text, error, code) = mcplog(&dir, &[&told[..], &["--accept-loss"]].concat());
    assert_eq!(code, 0, "{text}{error}");
    assert_eq!(requests(), 1, "{text}");
    assert!(text.contains("the store keeps requests of 30d; 1.0 GiB of folded log\n"), "{text}");
    assert!(text.contains("what it was told before is not known"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80 || line.contains("quarantine/")), "{text}");
}

/// A store whose log is kept, and of which the first page of a table is damaged.
fn damaged(dir: &Path) {
    let mut config = Config::new(dir);
    config.keep_segments_bytes = Some(u64::MAX);
    let store = Store::open(config).expect("open");
    for number in 0..400_i64 {
        let id = format!("0197a1c0-7b1e-7cc3-98c4-{number:012x}");
        store.recorder().record(Request::new(&id, 1_760_000_000_000 + number, "files", "ping"));
    }
    store.wait_folded(PATIENCE).expect("folded");
    store.shutdown(PATIENCE);
    let connection = rusqlite::Connection::open(dir.join("store.db")).unwrap();
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'request_rows'";
    let page: u64 = connection.query_row(root, [], |row| row.get(0)).unwrap();
    drop(connection);
    let file = std::fs::OpenOptions::new().write(true).open(dir.join("store.db")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0x55; 8192], (page - 1) * 8192).unwrap();
}

#[test]
fn it_says_what_there_is_before_it_does_anything_and_a_look_does_nothing() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    damaged(&dir);
    let before = std::fs::read(dir.join("store.db")).unwrap();
    let (text, error, code) = mcplog(&dir, &["rebuild", "--dry-run"]);
    assert_eq!((code, error.as_str()), (0, ""), "{text}");
    for part in
        ["  database  damaged: ", "400 requests", "can't be read", "  log       ", "400 records", "nothing was changed"]
    {
        let (part, text) = [part, &text].map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")).into();
        assert!(text.contains(&part), "{part}: {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(std::fs::read(dir.join("store.db")).unwrap() == before && !dir.join("quarantine").exists());
    let (done, _, code) = mcplog(&dir, &["rebuild"]);
    assert_eq!(code, 0, "{done}");
    let found = text.lines().take_while(|line| line.starts_with(' ')).collect::<Vec<_>>().join("\n");
    assert!(done.starts_with(&found) && done.contains("400 requests, 0 sessions"), "{done}");
    assert!(done.lines().all(|line| line.chars().count() <= 80 || line.contains("quarantine/")), "{done}");
}

#[test]
fn a_disk_without_room_leaves_everything_as_it_was() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    damaged(&dir);
    let files = |dir: &Path| {
        let files = walk(dir);
        files
            .into_iter()
            .filter(|path| !["LOCK", "FOLD", "FOLD.want"].iter().any(|lock| path.ends_with(lock)))
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
    };
    let before: Vec<_> = files(&dir).collect();
    let mut refused = 0;
    // No file may be longer than that: so many units of the shell.
    for units in (16_u32..).step_by(48) {
        let line = format!("ulimit -f {units}; exec \"$0\" rebuild --dir \"$1\"");
        let output = std::process::Command::new("sh")
            .args(["-c", &line])
            .arg(assert_cmd::cargo::cargo_bin!("mcplog"))
            .arg(&dir)
            .output()
            .expect("run");
        if output.status.success() {
            break;
        }
        refused += 1;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let after: Vec<_> = files(&dir).collect();
        assert!(after == before, "{units}: {output:?}");
    }
    assert!(refused > 2, "{refused}");
}

/// The files below a directory, in order.
fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}
