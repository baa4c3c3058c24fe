//! `mcplog proxy` where its store can't be opened, or goes away: it serves, says so, tries again, and tells what it missed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod running;

use running::{Running, ask, host_of, mcplog, nowhere, refused, refused_as, upstream};
use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

/// A store's place, and what is wrong with it.
struct Place {
    _root: tempfile::TempDir,
    dir: PathBuf,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("store");
        Self { _root: root, dir }
    }

    /// One with a store in it, which has a database and no row.
    fn with_store() -> Self {
        let place = Self::new();
        let line = place.dir.with_file_name("closed.jsonl");
        std::fs::write(&line, r#"{"type":"session_closed","session_id":"of nobody","ended_at":1760000000000}"#)
            .unwrap();
        let output = mcplog().arg("ingest").arg("--dir").arg(&place.dir).arg(line).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        place
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.file("store.db")).unwrap()
    }

    /// What the database says in one number.
    fn number(&self, sql: &str) -> i64 {
        self.database().query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

/// A trouble that keeps a store from being opened: what is said of it, and how it comes to an end.
struct Trouble {
    place: Place,
    said: &'static str,
    /// The command that starts the proxy.
    command: Command,
    mend: Box<dyn FnOnce(&Running)>,
}

impl Trouble {
    fn new(place: Place, said: &'static str, mend: impl FnOnce(&Running) + 'static) -> Self {
        Self { place, said, command: mcplog(), mend: Box::new(mend) }
    }

    /// As a process of an earlier mcplog locks it, which records alone.
    fn locked() -> Self {
        let place = Place::with_store();
        let lock = File::open(place.file("LOCK")).unwrap();
        lock.lock().unwrap();
        Self::new(place, "in use by", move |_| drop(lock))
    }

    fn newer_database() -> Self {
        let place = Place::with_store();
        let version = place.number("PRAGMA user_version");
        place.database().pragma_update(None, "user_version", 9_999).unwrap();
        let path = place.file("store.db");
        Self::new(place, "version 9999 is not supported", move |_| {
            rusqlite::Connection::open(path).unwrap().pragma_update(None, "user_version", version).unwrap();
        })
    }

    fn file_in_its_place() -> Self {
        let place = Place::new();
        std::fs::write(&place.dir, "no store").unwrap();
        let path = place.dir.clone();
        Self::new(place, "found a file", move |_| std::fs::remove_file(path).unwrap())
    }

    fn dangling_link() -> Self {
        let place = Place::new();
        symlink("/nowhere/at/all", &place.dir).unwrap();
        let path = place.dir.clone();
        Self::new(place, "found a symbolic link", move |_| std::fs::remove_file(path).unwrap())
    }

    /// A parent that is no directory.
    fn no_such_parent() -> Self {
        let mut place = Place::new();
        let parent = place.dir.clone();
        std::fs::write(&parent, "no directory").unwrap();
        place.dir = parent.join("store");
        Self::new(place, "Not a directory", move |_| std::fs::remove_file(parent).unwrap())
    }

    /// No room for what says whose store it is: the limit on a file's size stands for a disk that is full, and gets room.
    fn full_disk() -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", r#"ulimit -S -f 0; exec "$0" "$@""#]).arg(mcplog().get_program());
        command.env_remove("RUST_LOG");
        nowhere(&mut command);
        let mend = |proxy: &Running| {
            let pid = proxy.child.id().to_string();
            let status = Command::new("prlimit").args(["--fsize=unlimited", "--pid", &pid]).status().unwrap();
            assert!(status.success());
        };
        Self { command, ..Self::new(Place::new(), "File too large", mend) }
    }

    fn all() -> Vec<Self> {
        vec![
            Self::locked(),
            Self::newer_database(),
            Self::file_in_its_place(),
            Self::dangling_link(),
            Self::no_such_parent(),
            Self::full_disk(),
        ]
    }
}

/// Waits until the request and its schema are in the database that the proxy has open.
fn wait_until_folded(proxy: &Running, events: u64) {
    proxy.wait_for_metric(&format!("mcplog_events_folded_total {events}"));
}

#[test]
fn whatever_keeps_the_store_shut_the_proxy_serves_says_so_and_records_once_it_can() {
    for Trouble { place, said, command, mend } in Trouble::all() {
        let dir = &place.dir;
        let proxy = Running::start_as(command, dir, &upstream(), &[]);
        assert!(
            proxy.greeting.starts_with("mcplog passes everything on, but IS NOT RECORDING.\n"),
            "{}",
            proxy.greeting
        );
        let flat = proxy.greeting.replace('\n', " ");
        assert!(flat.contains(said), "{said}: {}", proxy.greeting);
        proxy.wait_for_diagnostics("nothing is recorded");
        assert!(proxy.post("/mcp").ends_with(r#"{"tools":[{"name":"a"}]}}"#), "{said}");
        proxy.wait_for_metric("mcplog_events_missed_total 1");
        proxy.wait_for_metric("mcplog_events_dropped_total 1");
        assert_eq!(proxy.health("/livez").0, 200, "{said}");
        assert_eq!(proxy.health("/readyz").0, 503, "{said}");
        let (code, health) = proxy.health("/healthz");
        assert_eq!((code, &health["status"], &health["recording"]), (503, &"degraded".into(), &false.into()), "{said}");
        assert_eq!(health["events_missed"], 1, "{said}");
        assert!(health["reason"].as_str().unwrap().contains(said), "{said}: {health}");
        let since = health["since"].as_i64().unwrap();

        mend(&proxy);
        proxy.wait_for_code("/readyz", 200);
        proxy.wait_for_diagnostics("recording begins");
        proxy.post("/mcp");
        // Two requests would be recorded, and the one schema that both saw; the first was missed.
        wait_until_folded(&proxy, 2);
        let (code, health) = proxy.health("/healthz");
        assert_eq!((code, &health["reason"], &health["since"]), (200, &().into(), &().into()), "{said}: {health}");
        proxy.signal("-TERM");
        let (status, text) = proxy.end();
        assert_eq!(status.code(), Some(0), "{said}: {text}");
        assert!(text.contains("2 events appended, 2 folded.\n1 events were lost"), "{said}: {text}");
        assert_eq!(ask(dir, &["logs"]).lines().count(), 1, "{said}");
        assert_eq!(ask(dir, &["schema", "--changes"]).lines().count(), 1, "{said}");
        assert_eq!(place.number("SELECT sum(events) FROM gaps"), 1, "{said}");
        let from_ts = place.number("SELECT min(from_ts) FROM gaps");
        assert!(from_ts >= since, "{said}: the gap begins at {from_ts}, and trouble at {since}");
    }
}

#[test]
fn where_recording_is_required_the_start_is_refused_and_nothing_is_changed() {
    for Trouble { place, said, mut command, .. } in Trouble::all() {
        let dir = place.dir.to_str().unwrap();
        let arguments = ["--dir", dir, "--upstream", "http://h", "--listen", "127.0.0.1:0", "--require-recording"];
        let error = refused_as(command.arg("proxy").args(arguments));
        assert!(error.contains(said), "{said}: {error}");
    }
    let place = Place::new();
    let running = Running::start(&place.dir, &upstream(), &["--require-recording"]);
    assert!(running.greeting.starts_with("mcplog is recording.\n"), "{}", running.greeting);
}

/// Two may record into one store. Not behind one address: the second says that it is taken, and touches nothing.
#[test]
fn a_second_proxy_on_an_address_in_use_is_refused() {
    let place = Place::new();
    let first = Running::start(&place.dir, &upstream(), &[]);
    let (dir, listen) = (place.dir.to_str().unwrap(), host_of(first.told("clients connect to")));
    let error = refused(&["--dir", dir, "--upstream", "http://h", "--listen", listen]);
    assert!(error.contains(listen) && error.contains("in use"), "{error}");
    assert!(first.post("/mcp").ends_with(r#"{"tools":[{"name":"a"}]}}"#));
}

#[test]
fn a_store_that_takes_long_to_open_does_not_keep_the_proxy_from_serving() {
    if Command::new("strace").arg("--version").output().is_err() {
        let test = "a_store_that_takes_long_to_open_does_not_keep_the_proxy_from_serving";
        mcplog_skipped::skip(test, "no strace", "apt-get install strace");
        return;
    }
    let place = Place::new();
    let mut command = Command::new("strace");
    // The lock is asked for in vain for twelve seconds. The proxy is the child, and strace a grandchild.
    command.args(["-D", "-f", "-o", "/dev/null", "-e", "trace=flock", "-e", "inject=flock:delay_enter=12000000"]);
    command.arg("-P").arg(place.file("LOCK"));
    command.arg(mcplog().get_program()).env_remove("RUST_LOG");
    nowhere(&mut command);
    let proxy = Running::start_as(command, &place.dir, &upstream(), &[]);
    assert!(proxy.greeting.contains("the store is being opened"), "{}", proxy.greeting);
    proxy.post("/mcp");
    assert_eq!(proxy.health("/livez").0, 200);
    assert_eq!(proxy.health("/readyz").1["events_missed"], 1);
    proxy.wait_for_code("/readyz", 200);
    proxy.post("/mcp");
    wait_until_folded(&proxy, 2);
    proxy.signal("-TERM");
    assert_eq!(proxy.end().0.code(), Some(0));
    assert_eq!(place.number("SELECT sum(events) FROM gaps"), 1);
}

#[test]
fn a_proxy_that_takes_over_records_beside_its_predecessor_and_none_waits_for_the_other() {
    let place = Place::new();
    let upstream = upstream();
    let first = Running::start(&place.dir, &upstream, &[]);
    first.post("/mcp");
    wait_until_folded(&first, 2);
    let second = Running::start(&place.dir, &upstream, &[]);
    assert!(second.greeting.starts_with("mcplog is recording.\n"), "{}", second.greeting);
    second.post("/mcp");
    first.post("/mcp");
    first.signal("-TERM");
    assert_eq!(first.end().0.code(), Some(0));
    second.post("/mcp");
    second.signal("-TERM");
    assert_eq!(second.end().0.code(), Some(0));
    assert_eq!(ask(&place.dir, &["logs"]).lines().count(), 4);
    assert_eq!(ask(&place.dir, &["schema", "--changes"]).lines().count(), 1, "what is on record is not recorded again");
    assert_eq!(place.number("SELECT count(*) FROM gaps"), 0);
    assert_eq!(place.number("SELECT count(*) FROM writers WHERE ended = 'closed'"), 2);
}

#[test]
fn a_proxy_records_and_says_that_folding_waits_while_another_program_holds_the_database() {
    let place = Place::with_store();
    let holder = place.database();
    holder.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; UPDATE meta SET value = value;").unwrap();
    let proxy = Running::start(&place.dir, &upstream(), &[]);
    assert!(proxy.greeting.starts_with("mcplog is recording.\n"), "{}", proxy.greeting);
    proxy.post("/mcp");
    proxy.wait_for_metric("mcplog_events_appended_total 2");
    proxy.wait_for_code("/healthz", 503);
    assert_eq!(proxy.health("/readyz").0, 200);
    drop(holder);
    proxy.wait_for_code("/healthz", 200);
    wait_until_folded(&proxy, 2);
}

#[test]
fn a_damaged_database_is_told_and_what_passes_is_in_the_log_all_the_same() {
    let place = Place::with_store();
    let garbage = vec![b'x'; 64 * 1024];
    std::fs::write(place.file("store.db"), &garbage).unwrap();
    let proxy = Running::start(&place.dir, &upstream(), &[]);
    assert!(proxy.greeting.starts_with("mcplog is recording.\n"), "{}", proxy.greeting);
    proxy.post("/mcp");
    proxy.wait_for_metric("mcplog_events_appended_total 2");
    // A thread of the store finds out, perhaps after the greeting.
    proxy.wait_for_code("/healthz", 503);
    assert_eq!((proxy.health("/livez").0, proxy.health("/readyz").0), (200, 200));
    let (code, health) = proxy.health("/healthz");
    assert_eq!((code, &health["recording"]), (503, &true.into()), "{health}");
    proxy.signal("-INT");
    let (status, text) = proxy.end();
    assert_eq!(status.code(), Some(0), "{text}");
    assert_eq!(std::fs::read(place.file("store.db")).unwrap(), garbage, "nobody touched it");
    // Of the import before, nothing is left.
    let rebuilt = mcplog().args(["rebuild", "--accept-loss", "--dir"]).arg(&place.dir).output().unwrap();
    assert!(rebuilt.status.success(), "{rebuilt:?}");
    assert_eq!(ask(&place.dir, &["logs"]).lines().count(), 1);
}

#[test]
fn a_store_whose_directory_is_taken_away_is_followed_by_a_new_one() {
    let place = Place::new();
    let upstream = upstream();
    let proxy = Running::start(&place.dir, &upstream, &[]);
    proxy.post("/mcp");
    wait_until_folded(&proxy, 2);
    let moved = place.dir.with_file_name("moved");
    std::fs::rename(&place.dir, &moved).unwrap();
    proxy.wait_for_diagnostics("removed or replaced");
    proxy.wait_for_diagnostics("recording begins");
    proxy.post("/mcp");
    proxy.wait_for_metric("mcplog_requests_total{status=\"ok\"} 2");
    proxy.signal("-TERM");
    let (status, text) = proxy.end();
    assert_eq!(status.code(), Some(0), "{text}");
    for dir in [&place.dir, &moved] {
        assert_eq!(ask(dir, &["logs"]).lines().count(), 1, "{}: {text}", dir.display());
        assert_eq!(ask(dir, &["schema", "--changes"]).lines().count(), 1, "{}", dir.display());
    }
}

#[test]
fn who_never_gets_a_store_says_at_the_end_what_was_missed() {
    let place = Place::new();
    std::fs::write(&place.dir, "no store").unwrap();
    let proxy = Running::start(&place.dir, &upstream(), &[]);
    proxy.post("/mcp");
    proxy.wait_for_metric("mcplog_events_missed_total 1");
    proxy.signal("-TERM");
    let (status, text) = proxy.end();
    assert_eq!(status.code(), Some(0), "{text}");
    assert!(text.contains("1 events are not on record"), "{text}");
    assert_eq!(std::fs::read(&place.dir).unwrap(), b"no store");
}

#[test]
fn a_hangup_has_the_store_tried_at_once() {
    let place = Place::new();
    std::fs::write(&place.dir, "no store").unwrap();
    let proxy = Running::start(&place.dir, &upstream(), &[]);
    std::fs::remove_file(&place.dir).unwrap();
    proxy.signal("-HUP");
    proxy.wait_for_code("/readyz", 200);
}
