//! `mcplog backup`, as users run it: a copy that every other command takes for a store, or nothing at all. And readers
//! that stop in the middle, which must not keep the database's file from being a copy.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod common;

use common::{Fixture, Run, request_line};
use mcplog::{Config, Request, Store};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn copy(fixture: &Fixture) -> PathBuf {
    fixture.root.path().join("copy")
}

fn backup(fixture: &Fixture, arguments: &[&str]) -> Run {
    let line = ["backup"].iter().chain(arguments).map(OsStr::new).map(OsStr::to_owned);
    fixture.command(line.chain([copy(fixture).into()])).output().unwrap().into()
}

/// What a command says of the store in that directory.
fn ask(fixture: &Fixture, dir: &Path, line: &str) -> String {
    let run: Run = fixture.command(line.split(' ')).arg("--dir").arg(dir).output().unwrap().into();
    run.ok()
}

fn beside(fixture: &Fixture) -> Vec<String> {
    let names = std::fs::read_dir(fixture.root.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_command_takes_the_copy_for_the_store() {
    let fixture = Fixture::with_events();
    let told = backup(&fixture, &[]).ok();
    assert!(told.starts_with(&format!("copied to {}\n", copy(&fixture).display())), "{told}");
    for line in ["logs --json --limit 0", "stats --json", "sessions --json", "schema --json", "schema --changes --json"]
    {
        assert_eq!(ask(&fixture, &copy(&fixture), line), fixture.run(line).ok(), "{line}");
    }
    let checked = ask(&fixture, &copy(&fixture), "check");
    assert!(checked.ends_with("\nsound\n"), "{checked}");
    let more = fixture.root.path().join("more.jsonl");
    std::fs::write(&more, request_line(1)).unwrap();
    let ingested: Run = fixture.command(["ingest", "--dir"]).arg(copy(&fixture)).arg(&more).output().unwrap().into();
    ingested.ok();
    let count = |dir: &Path| ask(&fixture, dir, "logs --json --limit 0").lines().count();
    assert_eq!(count(&copy(&fixture)), count(&fixture.dir()) + 1);
}

#[test]
fn a_place_that_is_taken_is_refused_with_what_to_do() {
    let fixture = Fixture::with_events();
    backup(&fixture, &[]).ok();
    let again = backup(&fixture, &["--json"]);
    assert_eq!((again.code, again.stdout.as_str()), (1, ""));
    assert!(again.stderr.contains("not empty; name a directory that does not exist"), "{}", again.stderr);
    let nowhere = Fixture::new();
    let none = backup(&nowhere, &[]);
    assert_eq!(none.code, 1);
    assert!(none.stderr.contains("no store here"), "{}", none.stderr);
    assert_eq!(beside(&nowhere), [""; 0]);
}

#[test]
fn ctrl_c_leaves_nothing() {
    let fixture = Fixture::new();
    fixture.ingest((0..3_000).map(|number| request_line(number) + "\n").collect::<String>()).ok();
    let before = beside(&fixture);
    loop {
        let mut child = fixture.command(["backup"]).arg(copy(&fixture)).spawn().unwrap();
        // Signals are caught before anything is made.
        wait_until("the copy is begun", || beside(&fixture) != before);
        let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(signal.success());
        match child.wait().unwrap().code() {
            Some(130) => break,
            // The signal came too late.
            code => assert_eq!(code, Some(0)),
        }
        std::fs::remove_dir_all(copy(&fixture)).unwrap();
    }
    assert_eq!(beside(&fixture), before);
}

#[test]
fn a_limit_on_files_or_a_full_disk_is_an_error_and_leaves_nothing() {
    let fixture = Fixture::new();
    fixture.ingest((0..5_000).map(|number| request_line(number) + "\n").collect::<String>()).ok();
    let before = beside(&fixture);
    // The database has more than that, in blocks of 512 or 1024 bytes.
    let script = "ulimit -f 200; exec \"$0\" \"$@\"";
    let mcplog = fixture.command(["backup"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(mcplog.get_program()).args(mcplog.get_args()).arg(copy(&fixture));
    let run: Run = shell.arg("--dir").arg(fixture.dir()).output().unwrap().into();
    assert_eq!(run.code, 1, "{}{}", run.stdout, run.stderr);
    assert_eq!(beside(&fixture), before, "{}", run.stderr);
    assert_eq!(fixture.run("logs --limit 0 --json").json().len(), 5_000);
}

#[test]
fn a_reader_that_stops_in_the_middle_does_not_keep_rows_out_of_the_database() {
    const ROWS: u64 = 3_000;
    let fixture = Fixture::new();
    let store = Store::open(Config::new(fixture.dir())).unwrap();
    let (recorder, mut recorded) = (store.recorder(), 0);
    let mut record = |number: u64| {
        for _ in 0..number {
            let (id, session) = (format!("request-{recorded:040}"), format!("session-{recorded:040}"));
            let ts = 1_760_000_000_000_i64.checked_add_unsigned(recorded).unwrap();
            let mut request = Request::new(&id, ts, "files", "tools/call");
            (request.tool, request.session_id) = (Some("search"), Some(session.as_str()));
            recorder.record(request);
            recorded += 1;
        }
        store.wait_folded(PATIENCE).unwrap();
        recorded
    };
    record(ROWS);
    let wal_bytes = || std::fs::metadata(fixture.dir().join("store.db-wal")).map_or(0, |metadata| metadata.len());
    for line in ["logs --limit 0 --json", "slow --limit 0", "sessions --limit 0", "slow --limit 9000 --json"] {
        let rows = record(0);
        let mut child = fixture.command(line.split(' ')).stderr(Stdio::null()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        output.read_line(&mut text).unwrap();
        record(200);
        wait_until(line, || wal_bytes() == 0);
        // It was in the middle all the while: what is left to write does not fit into a pipe.
        assert!(child.try_wait().unwrap().is_none(), "{line}");
        let told = output.lines().map_while(Result::ok).count() as u64;
        assert!((rows..rows + 20).contains(&(told + 1)), "{line}: {told} lines of {rows} rows");
        assert!(child.wait().unwrap().success(), "{line}");
    }
}
