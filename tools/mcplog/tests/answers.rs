//! Every answer says how complete it is: after `kill -9`, beside a process that records, with `--fold` and without.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod common;
mod running;

use common::{Fixture, Run};
use running::{Running, upstream};
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Nothing that a test waits for takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The commands that don't answer from the database. A new command is one of these, or says how complete its answer is.
/// `attached` answers from clients' files, and asks the database only for the last session of each.
const NOT_ASKING: [&str; 11] =
    ["proxy", "wrap", "demo", "check", "backup", "rebuild", "ingest", "attach", "detach", "attached", "help"];

/// Options that make another answer of a command.
const VARIANTS: [&str; 2] = ["sessions --clients", "schema --changes"];

/// The names of all commands, as the help lists them.
fn commands(fixture: &Fixture) -> Vec<String> {
    let help = fixture.run("--help").ok();
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // What continues a description is indented further.
    let names = lines.filter(|line| !line.starts_with("   ")).map(|line| line.split_whitespace().next().unwrap());
    names.map(str::to_owned).collect()
}

/// The command lines that answer from the database.
fn questions(fixture: &Fixture) -> Vec<String> {
    let all = commands(fixture);
    assert!(NOT_ASKING.iter().all(|name| all.iter().any(|found| found == name)), "{all:?}");
    let asking = all.into_iter().filter(|name| !NOT_ASKING.contains(&name.as_str()));
    let asking: Vec<_> = asking.chain(VARIANTS.map(str::to_owned)).collect();
    assert!(asking.len() > 7, "{asking:?}");
    asking
}

/// Keeps rows from being folded until it is dropped, as another writer of the database does.
struct Blocker(rusqlite::Connection);

impl Blocker {
    fn new(fixture: &Fixture) -> Self {
        let database = fixture.database();
        database.busy_timeout(PATIENCE).unwrap();
        database.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self(database)
    }
}

impl Drop for Blocker {
    fn drop(&mut self) {
        self.0.execute_batch("ROLLBACK").unwrap();
    }
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A proxy whose calls go to the log and no further.
fn blocked(fixture: &Fixture, calls: u64) -> (Running, Blocker) {
    let proxy = Running::start(&fixture.dir(), &upstream(), &["--keep", "30d", "--max-size", "1GiB"]);
    wait_until("the store is open", || fixture.dir().join("store.db").exists() && proxy.health("/readyz").0 == 200);
    let blocker = Blocker::new(fixture);
    let health = || proxy.health("/healthz").1;
    let folded = health()["events_folded"].as_u64().unwrap();
    (0..calls).for_each(|_| drop(proxy.post("/mcp")));
    // And two records of the log's own telling: who writes it, and the session that the calls are.
    wait_until("they are in the log", || health()["lag_records"].as_u64().unwrap() >= calls + 2);
    assert_eq!(health()["events_folded"], folded);
    (proxy, blocker)
}

/// A store whose proxy was killed with calls in the log that are not folded. Returns how many records these are.
fn killed(fixture: &Fixture) -> u64 {
    let (proxy, blocker) = blocked(fixture, 3);
    let waiting = proxy.health("/healthz").1["lag_records"].as_u64().unwrap();
    proxy.signal("-KILL");
    drop(proxy);
    drop(blocker);
    waiting
}

/// Notes are broken where the terminal ends.
fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn limits(fixture: &Fixture) -> Vec<Vec<rusqlite::types::Value>> {
    let mut meta = fixture.table("meta");
    // Who folded last is no limit.
    meta.retain(|row| row[0] != rusqlite::types::Value::Text("last_folder".to_owned()));
    meta
}

#[test]
fn after_a_kill_a_question_folds_what_waits_or_says_how_much_does_and_fold_takes_its_time() {
    let fixture = Fixture::new();
    let (proxy, blocker) = blocked(&fixture, 3);
    let waiting = proxy.health("/healthz").1["lag_records"].as_u64().unwrap();
    proxy.signal("-KILL");
    drop(proxy);
    // As long as somebody else holds the database, it can't be folded.
    let note =
        format!("{waiting} records in the log are not counted here, and no process here folds them; --fold does.");
    for line in ["logs", "stats"] {
        let text = in_one_line(&fixture.run(line).ok());
        assert!(text.ends_with(&note), "{line}: {text}");
        assert!(!text.contains("Nothing is recorded"), "{line}: {text}");
        let json = fixture.run(&format!("{line} --json"));
        assert!(json.stderr.contains(&note), "{line}: {}", json.stderr);
        let answer = json.answer();
        assert_eq!(answer["complete"], false, "{line}");
        assert_eq!((&answer["in_use"], &answer["unfolded_records"]), (&false.into(), &waiting.into()), "{line}");
        assert!(answer["unfolded_since"].is_i64(), "{line}: {answer}");
    }
    let unknown = fixture.run("logs --session 0197");
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains(&format!("({waiting} records in the log not looked at;")), "{}", unknown.stderr);
    drop(blocker);

    let limits_before = limits(&fixture);
    for line in &questions(&fixture) {
        for line in [format!("{line} --json"), format!("{line} --fold --json")] {
            let answered = fixture.run(&line);
            assert!(!answered.stderr.contains("fold"), "{line}: {}", answered.stderr);
            let answer = answered.answer();
            assert_eq!(
                (&answer["complete"], &answer["unfolded_records"]),
                (&true.into(), &0.into()),
                "{line}: {answer}"
            );
        }
    }
    assert_eq!(fixture.run("logs --json").json().len(), 3);
    assert_eq!(limits(&fixture), limits_before, "opening the store changed what it keeps");
    assert!(format!("{limits_before:?}").contains("2592000000"), "{limits_before:?}");
}

#[test]
fn who_has_the_store_open_folds_and_is_waited_for() {
    let fixture = Fixture::new();
    let (proxy, blocker) = blocked(&fixture, 2);
    let mut child = fixture.command(["logs", "--fold", "--json"]).spawn().unwrap();
    let mut said = child.stderr.take().unwrap();
    let expected = "Waiting until ";
    let mut text = vec![0; expected.len()];
    said.read_exact(&mut text).unwrap();
    assert_eq!(String::from_utf8_lossy(&text), expected);
    drop(blocker);
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("Ctrl-C ends that.\n"), "{rest}");
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!(run.json().len(), 2);
    let answer = fixture.run("logs --json --fold").answer();
    assert_eq!((&answer["complete"], &answer["in_use"]), (&true.into(), &true.into()), "{answer}");
    drop(proxy);
}

#[test]
fn what_the_recording_process_has_not_folded_for_long_is_told() {
    let fixture = Fixture::with_events();
    let mut ingest = fixture.command(["ingest", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    wait_until("the store is open", || mcplog::writer_lock::is_held(&fixture.dir()));
    let blocker = Blocker::new(&fixture);
    let mut input = ingest.stdin.take().unwrap();
    for number in 1..=3 {
        std::io::Write::write_all(&mut input, format!("{}\n", common::request_line(number)).as_bytes()).unwrap();
    }
    let told = || fixture.run("stats --json").answer();
    // And one that says who records them, from when: some seconds ago it has to be.
    wait_until("they are in the log", || told()["unfolded_records"] == 4);
    wait_until("they are for long", || told()["complete"] == false);
    let answer = told();
    assert_eq!((&answer["in_use"], answer["unfolded_since"].is_i64()), (&true.into(), true), "{answer}");
    let text = in_one_line(&fixture.run("stats").ok());
    assert!(text.contains("4 records in the log, from "), "{text}");
    assert!(text.ends_with("on, are not counted here: the process that records has not folded them yet."), "{text}");
    drop((blocker, input));
    assert!(ingest.wait_with_output().unwrap().status.success());
    assert_eq!(told()["complete"], true);
}

#[test]
fn a_store_that_can_not_be_opened_is_answered_from_all_the_same() {
    let fixture = Fixture::new();
    let waiting = killed(&fixture);
    std::fs::remove_file(fixture.dir().join("LOCK")).unwrap();
    std::os::unix::fs::symlink("/dev/null", fixture.dir().join("LOCK")).unwrap();
    let run = fixture.run("logs --fold --json");
    assert!(run.stderr.starts_with("Nothing can be folded first: open "), "{}", run.stderr);
    // What the proxy recorded last may not have been counted yet.
    assert!(run.answer()["unfolded_records"].as_u64() >= Some(waiting));
}

#[test]
fn a_store_that_is_not_there_is_not_made() {
    let fixture = Fixture::new();
    for line in questions(&fixture) {
        let run = fixture.run(&format!("{line} --fold"));
        assert_eq!(run.code, 1, "{line}");
        assert!(run.stderr.contains("no store here"), "{line}: {}", run.stderr);
        assert!(!fixture.dir().exists(), "{line}");
    }
}

#[test]
fn ctrl_c_ends_the_wait_and_nothing_is_answered() {
    let fixture = Fixture::new();
    let (proxy, blocker) = blocked(&fixture, 1);
    let mut child = fixture.command(["logs", "--fold"]).spawn().unwrap();
    let mut said = child.stderr.take().unwrap();
    said.read_exact(&mut [0]).unwrap();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.stdout.as_str()), (130, ""));
    assert!(rest.contains("interrupted while records were being folded"), "{rest}");
    drop(blocker);
    drop(proxy);
}

#[test]
fn ctrl_c_ends_a_long_answer_as_without_fold() {
    let fixture = Fixture::new();
    fixture.ingest((1..=5_000).map(|number| common::request_line(number) + "\n").collect::<String>()).ok();
    // Its output stays in the pipe, which is soon full.
    let mut child = fixture.command(["logs", "--fold", "--json", "--limit", "0"]).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0]).unwrap();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(2), "{status}");
}

#[test]
fn a_limit_that_cut_the_answer_is_told_in_json_too() {
    let fixture = Fixture::with_events();
    for (limit, is_cut) in [(11, true), (12, false)] {
        let answer = fixture.run(&format!("logs --json --limit {limit}")).answer();
        assert_eq!((&answer["cut"], &answer["complete"]), (&is_cut.into(), &true.into()), "{limit}");
    }
}

#[test]
fn what_was_lost_expired_or_can_not_be_read_is_in_the_last_line() {
    let fixture = Fixture::with_events();
    let cases = [
        ("INSERT INTO gaps VALUES (90, 1740823202000, 1740823203000, 7, 0, 1, 90)", "dropped_events", 7),
        ("INSERT INTO newer_records VALUES (91, 1, 91, 1, 4096, 200, 1, 1740823202000, x'c801')", "newer_records", 1),
        (
            "INSERT INTO quarantine (writer, segment, offset, bytes, sequence, reason, noted_at)
             VALUES (1, 1, 4096, 64, 92, 'r', 1740823202000)",
            "quarantined_records",
            1,
        ),
        ("INSERT INTO retention VALUES (1, 1740823202000, 0)", "kept_since", 1_740_823_202_000_i64),
    ];
    for (sql, member, number) in cases {
        let database = fixture.database();
        database.execute(sql, []).unwrap();
        let early = fixture.run("stats --json --since 2025-03-01T10:00:01Z").answer();
        assert_eq!((&early[member], &early["complete"]), (&number.into(), &false.into()), "{early}");
        let late = fixture.run("stats --json --since 2025-03-01T10:00:04Z").answer();
        assert_eq!(late["complete"], true, "{late}");
        assert_eq!(early["expired"], member == "kept_since");
        let table = sql.split(' ').nth(2).unwrap();
        database.execute(&format!("DELETE FROM {table}"), []).unwrap();
    }
    let text = fixture.run("logs --json --since 2025-03-01T10:00:01Z");
    assert_eq!(text.stderr, "");
}
