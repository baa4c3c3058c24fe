//! What of a wrapped server is on record, and what is not.

use super::fixture::{Fixture, mcplog, run};
use super::server::SERVER;
use std::path::Path;
use std::process::Command;

/// A client's whole session: so many calls.
fn session(fixture: &Fixture, flags: &[&str], calls: i64) {
    let mut wrapped = fixture.start(flags, &["answer"]);
    wrapped.initialize();
    wrapped.call(1, "tools/list", "{}");
    for id in 2..2 + calls {
        let answer = wrapped.call(id, "tools/call", r#"{"name":"add","arguments":{}}"#);
        assert_eq!(answer["id"], id);
    }
    wrapped.stdin = None;
    assert!(wrapped.end().success());
    assert_eq!(wrapped.errors(), "");
}

pub(crate) fn every_call_is_a_row_and_the_process_a_closed_session() {
    let fixture = Fixture::new();
    session(&fixture, &["--name", "adder"], 50);
    // At once: the wrapper has folded what it recorded.
    let rows = fixture.ask(&["logs", "--limit", "0"]);
    assert_eq!(rows.len(), 52, "{rows:?}");
    let [session] = &fixture.ask(&["sessions"])[..] else { panic!("one session") };
    assert_eq!(session["client_name"], "tester");
    assert_eq!(session["protocol_version"], "2025-06-18");
    assert_eq!(session["total_calls"], 52);
    assert!(session["closed_at"].is_i64() && session["derived"] == true, "{session}");
    for row in &rows {
        assert_eq!(
            (&row["proxy"], &row["transport"], &row["direction"]),
            (&"adder".into(), &"stdio".into(), &"client".into())
        );
        assert_eq!((&row["status"], &row["session_id"]), (&"ok".into(), &session["session_id"]));
    }
    assert_eq!(rows.iter().filter(|row| row["tool"] == "add").count(), 50);
    let [writer] = &fixture.ask(&["writers"])[..] else { panic!("one writer") };
    assert_eq!((&writer["program"], &writer["state"]), (&"mcplog wrap".into(), &"closed".into()));
}

pub(crate) fn a_restart_makes_no_version_of_what_stayed_the_same() {
    let fixture = Fixture::new();
    for _ in 0..3 {
        session(&fixture, &["--name", "adder"], 1);
    }
    let schemas = fixture.ask(&["schema"]);
    let list = schemas.iter().filter(|schema| schema["method"] == "tools/list").count();
    assert_eq!((schemas.len(), list), (2, 1), "the handshake, and the list: {schemas:?}");
    assert!(schemas.iter().all(|schema| schema["upstream_url"] == "stdio:adder"), "{schemas:?}");
    assert_eq!(fixture.ask(&["schema", "--changes"]).len(), 2, "nothing changed");
}

pub(crate) fn ten_at_once_share_a_store() {
    let fixture = Fixture::new();
    std::thread::scope(|scope| {
        for number in 0..10 {
            let fixture = &fixture;
            scope.spawn(move || session(fixture, &["--name", &format!("server-{number}")], 20));
        }
    });
    let rows = fixture.rows(10 * 22);
    for number in 0..10 {
        let name = format!("server-{number}");
        assert_eq!(rows.iter().filter(|row| row["proxy"] == *name).count(), 22, "{name}");
    }
    let sessions = fixture.ask(&["sessions"]);
    assert!(sessions.len() == 10 && sessions.iter().all(|session| session["total_calls"] == 22), "{sessions:?}");
}

/// The row of a call that was open when a server died, which said that on standard error.
fn row_of_a_death(flags: &[&str], death: &str) -> serde_json::Value {
    let fixture = Fixture::new();
    let script = ["answer:1", "read-line", "read-line", "err:Traceback\\x0aKeyError: \\x1b[31m'x'\\x0a", death];
    let mut wrapped = fixture.start(flags, &script);
    wrapped.initialize();
    wrapped.send("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"add\"}}\n");
    assert_eq!(wrapped.line(), "");
    wrapped.end();
    assert!(wrapped.errors().contains("KeyError"), "the last words pass, too");
    let row = fixture.rows(2).into_iter().find(|row| row["method"] == "tools/call");
    row.unwrap()
}

pub(crate) fn a_server_that_dies_fails_its_open_calls_with_its_last_words() {
    for (death, cause) in [("exit:3", "exit code 3"), ("exit:0", "exit code 0"), ("die:9", "killed by SIGKILL")] {
        let row = row_of_a_death(&[], death);
        assert_eq!(row["status"], "error", "{row}");
        assert_eq!(row["cause"], format!("{cause}: Traceback | KeyError: \u{1b}[31m'x'"), "{row}");
    }
}

pub(crate) fn no_words_of_a_server_are_kept_where_nobody_wants_them() {
    let row = row_of_a_death(&["--no-error-text"], "exit:3");
    assert_eq!(row["cause"], "exit code 3", "{row}");
}

pub(crate) fn what_a_server_asks_is_a_row_of_its_own() {
    let fixture = Fixture::new();
    let mut wrapped = fixture.start(&[], &["answer:1", "read-line", "ask:roots/list", "answer"]);
    wrapped.initialize();
    let asked: serde_json::Value = serde_json::from_str(&wrapped.line()).unwrap();
    assert_eq!(asked["method"], "roots/list");
    wrapped.send("{\"jsonrpc\":\"2.0\",\"id\":\"asked\",\"result\":{\"roots\":[]}}\n");
    wrapped.call(1, "ping", "{}");
    wrapped.stdin = None;
    assert!(wrapped.end().success());
    let rows = fixture.rows(3);
    let [row] = &rows.iter().filter(|row| row["direction"] == "server").collect::<Vec<_>>()[..] else {
        panic!("{rows:?}")
    };
    assert_eq!((&row["method"], &row["status"]), (&"roots/list".into(), &"ok".into()));
}

pub(crate) fn stray_lines_are_counted_and_pass() {
    let fixture = Fixture::new();
    let mut wrapped =
        fixture.start(&[], &["out:Listening on stdio\\x0a", "answer:1", "out:s3cret\\x0a[1]\\x0a", "answer"]);
    assert_eq!(wrapped.line(), "Listening on stdio\n");
    wrapped.initialize();
    assert_eq!(wrapped.line() + &wrapped.line(), "s3cret\n[1]\n");
    wrapped.call(1, "ping", "{}");
    wrapped.stdin = None;
    assert!(wrapped.end().success());
    assert_eq!(fixture.rows(2).len(), 2);
    assert_eq!(fixture.ask(&["sessions"])[0]["noise_lines"], 3);
    assert!(!holds(&fixture.store(), "s3cret"));
}

pub(crate) fn a_command_leaves_none_of_its_arguments_in_the_store() {
    let fixture = Fixture::new();
    let mut wrapper = mcplog();
    wrapper.args(["wrap", "--dir"]).arg(fixture.store()).arg("--").arg(super::fixture::this());
    wrapper.args([SERVER, "answer", "exit:0", "--key=s3cret-argument"]);
    let input = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"add\",\"arguments\":\"s3cret-argument\"}}\n";
    assert!(run(wrapper, input).status.success());
    let rows = fixture.rows(1);
    assert!(rows[0]["proxy"].as_str().is_some_and(|name| name.starts_with("wrap")), "the program's name: {rows:?}");
    assert!(holds(&fixture.store(), "tools/call") && !holds(&fixture.store(), "s3cret-argument"));
}

/// Whether any file in that directory has these bytes.
fn holds(dir: &Path, text: &str) -> bool {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).any(|path| match path.is_dir() {
        true => holds(&path, text),
        false => std::fs::read(&path).unwrap().windows(text.len()).any(|window| window == text.as_bytes()),
    })
}

/// Stores that nothing can be recorded into, and words of what is said about that.
fn troubles(fixture: &Fixture) -> Vec<(Command, &'static str)> {
    let (file, layout) = (fixture.path("file"), fixture.path("layout"));
    std::fs::write(&file, "").unwrap();
    std::fs::create_dir_all(layout.join("wal")).unwrap();
    std::fs::write(layout.join("wal/0000000000000001.seg"), "").unwrap();
    let newer = fixture.path("newer");
    std::fs::create_dir(&newer).unwrap();
    let database = rusqlite::Connection::open(newer.join("store.db")).unwrap();
    database.execute_batch("PRAGMA user_version = 1000000; CREATE TABLE t (x);").unwrap();
    let wrapping = |dir: Option<&Path>| {
        let mut wrapper = mcplog();
        wrapper.arg("wrap");
        dir.map(|dir| wrapper.arg("--dir").arg(dir));
        wrapper.arg("--").arg(super::fixture::this()).args([SERVER, "answer", "err:end\\x0a", "exit:3"]);
        wrapper
    };
    let unwritable = fixture.path("unwritable");
    let unlimited = wrapping(Some(&unwritable));
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 0; exec \"$@\"", "sh"]).arg(unlimited.get_program()).args(unlimited.get_args());
    vec![
        (limited, "unwritable"),
        (wrapping(None), "MCPLOG_DIR"),
        (wrapping(Some(&file)), "file"),
        (wrapping(Some(&file.join("below"))), "below"),
        (wrapping(Some(Path::new("/proc/no-store-here"))), "/proc"),
        (wrapping(Some(&newer)), "newer"),
    ]
}

pub(crate) fn trouble_with_the_store_is_said_once_and_touches_nothing() {
    let fixture = Fixture::new();
    let request = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n";
    for (wrapper, words) in troubles(&fixture) {
        let expected = run(super::fixture::bare(&["answer", "err:end\\x0a", "exit:3"]), request);
        let wrapped = run(wrapper, request);
        assert_eq!((wrapped.status, &wrapped.stdout), (expected.status, &expected.stdout), "{words}");
        let errors = String::from_utf8(wrapped.stderr).unwrap();
        let (own, servers): (Vec<_>, Vec<_>) = errors.lines().partition(|line| line.starts_with("mcplog wrap: "));
        assert_eq!(servers, ["end"], "{errors}");
        assert!(own.len() == 1 && own[0].contains(words) && own[0].contains("--dir DIR"), "{words}: {errors}");
    }
}

pub(crate) fn a_quiet_wrapper_says_nothing() {
    let mut wrapper = mcplog();
    wrapper.args(["wrap", "--quiet", "--"]).arg(super::fixture::this()).args([SERVER, "read-all"]);
    let output = run(wrapper, b"");
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
