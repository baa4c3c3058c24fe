//! `mcplog logs --follow`: each request once, while stores come, go, restart and are made anew.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod common;

use common::Fixture;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, ExitStatus};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Nothing that a test waits for takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request of the one millisecond that all requests here are of.
fn request(number: u64) -> String {
    let fields = r#""type":"request","ts":1740823200000,"proxy":"p","method":"tools/call","latency_us":1000"#;
    let (status, tool) = if number.is_multiple_of(2) { ("ok", "even") } else { ("error", "odd") };
    format!("{{{fields},\"request_id\":\"r{number}\",\"tool\":\"{tool}\",\"status\":\"{status}\"}}\n")
}

/// A child that a test which fails does not leave behind.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        // It has ended if the test came so far.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `mcplog logs --follow`, running.
struct Following {
    child: Guarded,
    lines: Receiver<String>,
    notes: Receiver<String>,
}

fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            if sender.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    lines
}

impl Following {
    fn start(fixture: &Fixture, options: &str) -> Self {
        let mut child = Guarded(command(fixture, options).spawn().unwrap());
        let (lines, notes) = (lines_of(child.0.stdout.take().unwrap()), lines_of(child.0.stderr.take().unwrap()));
        Self { child, lines, notes }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line")
    }

    /// The next line that is a row.
    fn row(&self) -> String {
        std::iter::repeat_with(|| self.line()).find(|line| !common::is_last_line(line)).unwrap()
    }

    /// The ids of the next requests.
    fn ids(&self, count: usize) -> Vec<String> {
        let id = |line: String| {
            let object: serde_json::Value = serde_json::from_str(&line).unwrap();
            object["request_id"].as_str().unwrap().to_owned()
        };
        (0..count).map(|_| id(self.row())).collect()
    }

    fn note(&self) -> String {
        self.notes.recv_timeout(PATIENCE).expect("a note")
    }

    /// Ends it with Ctrl-C; returns what it still told, and said.
    fn interrupt(mut self) -> (ExitStatus, Vec<String>, Vec<String>) {
        let pid = self.child.0.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let rows = self.lines.iter().filter(|line| !common::is_last_line(line));
        (self.child.0.wait().unwrap(), rows.collect(), self.notes.iter().collect())
    }

    #[track_caller]
    fn ends_with_nothing_more(self) {
        let (status, lines, notes) = self.interrupt();
        assert_eq!((status.code(), lines, notes), (Some(0), vec![], vec![]));
    }
}

fn command(fixture: &Fixture, options: &str) -> Command {
    fixture.command(["logs", "--follow"].into_iter().chain(options.split_whitespace()))
}

/// Records requests in a process of their own, which keeps the log.
fn record(fixture: &Fixture, numbers: impl IntoIterator<Item = u64>) {
    let file = fixture.root.path().join("events.jsonl");
    std::fs::write(&file, numbers.into_iter().map(request).collect::<String>()).unwrap();
    let mut ingest = fixture.command(["ingest", "--keep-segments"]);
    assert!(ingest.arg(file).output().unwrap().status.success());
}

fn ids(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("r{number}")).collect()
}

#[test]
fn a_store_that_is_not_there_yet_is_waited_for_and_told_from_its_beginning_across_restarts() {
    let fixture = Fixture::new();
    let following = Following::start(&fixture, "--json --limit 1");
    assert!(following.note().contains("Waiting for a store in"));
    record(&fixture, 1..=3);
    assert_eq!(following.ids(3), ids(1..=3));
    record(&fixture, 3..=3);
    record(&fixture, [5, 4]);
    assert_eq!(following.ids(2), ids([5, 4]));
    following.ends_with_nothing_more();
}

#[test]
fn it_begins_with_the_newest_and_goes_on_with_what_the_filter_keeps() {
    let fixture = Fixture::new();
    record(&fixture, 1..=6);
    let following = Following::start(&fixture, "--json --limit 2 --errors --tool odd");
    assert_eq!(following.ids(2), ids([3, 5]));
    record(&fixture, 7..=10);
    assert_eq!(following.ids(2), ids([7, 9]));
    following.ends_with_nothing_more();
}

#[test]
fn a_database_that_is_made_anew_tells_nothing_twice_and_another_store_is_told_whole() {
    let fixture = Fixture::new();
    record(&fixture, 1..=4);
    let following = Following::start(&fixture, "--json --limit 0");
    assert_eq!(following.ids(4), ids(1..=4));
    fixture.run("rebuild --from-log").ok();
    record(&fixture, 5..=6);
    assert_eq!(following.ids(2), ids(5..=6));
    fixture.run("rebuild").ok();
    record(&fixture, 7..=7);
    assert_eq!(following.ids(1), ids([7]));
    std::fs::rename(fixture.dir(), fixture.root.path().join("aside")).unwrap();
    assert!(following.note().contains("Waiting for a store in"));
    record(&fixture, 1..=2);
    assert_eq!(following.ids(2), ids(1..=2));
    following.ends_with_nothing_more();
}

#[test]
fn a_closed_pipe_ends_it_although_nothing_comes() {
    let fixture = Fixture::new();
    record(&fixture, 1..=2);
    let mut child = Guarded(command(&fixture, "--json").spawn().unwrap());
    let mut stdout = BufReader::new(child.0.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    drop(stdout);
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
}

/// Whether all of SQLite's WAL can be copied and the file be emptied: not while anybody reads.
fn wal_is_free(fixture: &Fixture) -> bool {
    fixture
        .database()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0))
        .map(|busy| !busy)
        .unwrap()
}

/// Reads one byte, so that the command is known to write; the rest stays in the pipe, which is soon full.
fn begin(stdout: &mut ChildStdout) {
    stdout.read_exact(&mut [0]).unwrap();
}

#[test]
fn neither_who_waits_nor_a_pager_that_is_not_read_holds_the_wal() {
    let fixture = Fixture::new();
    record(&fixture, 1..=2);
    let following = Following::start(&fixture, "--json");
    following.ids(2);
    record(&fixture, 3..=4);
    assert!(wal_is_free(&fixture));
    following.ids(2);
    following.ends_with_nothing_more();

    record(&fixture, 5..=2_000);
    for options in ["logs --json --limit 0", "logs --json --limit 5000", "logs --follow --json --limit 0"] {
        let mut child = Guarded(fixture.command(options.split(' ')).spawn().unwrap());
        let mut stdout = child.0.stdout.take().unwrap();
        begin(&mut stdout);
        record(&fixture, [0]);
        assert!(wal_is_free(&fixture), "{options}");
    }
}

#[test]
fn people_see_a_table_that_fits_and_what_comes_later_fits_it_too() {
    let fixture = Fixture::new();
    let following = Following::start(&fixture, "");
    following.note();
    record(&fixture, [2]);
    let header = following.line();
    assert!(header.starts_with("2025-03-01") && header.contains("TOOL OR TARGET"), "{header}");
    assert!(following.line().starts_with("10:00:00.000"));
    let long = request(3).replace("odd", &"long_".repeat(40)).replace("tools/call", &"m/".repeat(90));
    fixture.ingest(long).ok();
    let line = following.line();
    assert!(line.starts_with("10:00:00.000") && line.chars().count() <= 80, "{line}");
    // Of another day, which a header must tell.
    fixture.ingest(request(4).replace("1740823200000", "1740909600000")).ok();
    assert!(following.line().starts_with("2025-03-02"));
    assert!(following.line().starts_with("10:00:00.000"));
    following.ends_with_nothing_more();
}

/// Leaves a request in the log that is not folded, as a process that is killed does.
fn record_and_be_killed(fixture: &Fixture, folded: u64, waiting: u64, is_told: impl FnOnce()) {
    let mut ingest = Guarded(fixture.command(["ingest", "-"]).stdin(std::process::Stdio::piped()).spawn().unwrap());
    let mut input = ingest.0.stdin.take().unwrap();
    input.write_all(request(folded).as_bytes()).unwrap();
    is_told();
    let blocker = fixture.database();
    blocker.busy_timeout(PATIENCE).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    input.write_all(request(waiting).as_bytes()).unwrap();
    while fixture.run("logs --json").answer()["unfolded_records"] != 1 {}
    drop(ingest);
    blocker.execute_batch("ROLLBACK").unwrap();
}

#[test]
fn a_follower_says_when_who_recorded_was_killed_and_goes_on_once_that_is_folded() {
    let fixture = Fixture::new();
    record(&fixture, 1..=2);
    let following = Following::start(&fixture, "--json");
    assert_eq!(following.ids(2), ids(1..=2));
    let first: serde_json::Value = serde_json::from_str(&following.line()).unwrap();
    assert_eq!(first["answer"]["complete"], true);

    record_and_be_killed(&fixture, 3, 4, || assert_eq!(following.ids(1), ids([3]), "it records"));
    let note = "1 record in the log is not counted here, and no process here folds it; --fold does.";
    assert!(following.note().contains(note));
    let last: serde_json::Value = serde_json::from_str(&following.line()).unwrap();
    assert_eq!((&last["answer"]["complete"], &last["answer"]["unfolded_records"]), (&false.into(), &1.into()));
    // Another follower has it folded, and both go on.
    let other = Following::start(&fixture, "--json --fold");
    assert_eq!(other.ids(4), ids(1..=4));
    assert_eq!(following.ids(1), ids([4]));
    record(&fixture, [5]);
    assert_eq!((other.ids(1), following.ids(1)), (ids([5]), ids([5])));
    other.ends_with_nothing_more();
    following.ends_with_nothing_more();
}

#[test]
fn a_store_that_is_not_there_is_waited_for_with_fold_too() {
    let fixture = Fixture::new();
    let following = Following::start(&fixture, "--json --fold");
    assert!(following.note().contains("Waiting for a store in"));
    record(&fixture, [1]);
    assert_eq!(following.ids(1), ids([1]));
    following.ends_with_nothing_more();
}
