//! `mcplog demo`, as a process: it works the first time and the second, and what it tells people to type works too.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod common;

use common::{Fixture, Run};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs the demo with `parent` as the place for temporary files.
fn demo(fixture: &Fixture, parent: &Path, arguments: &[&str]) -> String {
    let mut command = fixture.command(["demo"]);
    let run: Run = command.args(arguments).env("TMPDIR", parent).output().unwrap().into();
    assert_eq!(run.stderr, "");
    run.ok()
}

/// The directory that the demo names.
fn dir(text: &str) -> PathBuf {
    let mut lines = text.lines().skip_while(|line| *line != "Where it is").skip(1);
    PathBuf::from(lines.next().unwrap())
}

#[test]
fn the_demo_records_everything_it_promises_and_its_commands_work() {
    let fixture = Fixture::new();
    let text = demo(&fixture, fixture.root.path(), &[]);
    assert_eq!(dir(&text), fixture.root.path().join("mcplog-demo-1"));

    // The lines that people are told to type, as a shell sees them.
    let shown = text.lines().filter_map(|line| line.strip_prefix("$ "));
    let next = text.lines().skip_while(|line| *line != "Try next").skip(1);
    let next = next.map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let commands: Vec<&str> = shown.chain(next).collect();
    assert_eq!(commands.len(), 7, "{commands:#?}");
    for command in commands {
        // The proxy would go on for ever; whether its options exist can be asked.
        let line = if command.contains(" proxy ") { format!("{command} --help") } else { command.to_owned() };
        let mut shell = Command::new("sh");
        let run: Run = shell.args(["-c", &line]).stdin(Stdio::null()).output().unwrap().into();
        assert!(!run.ok().is_empty(), "{command}");
    }

    let rows = |line: &str| fixture.run(&format!("{line} --limit 0 --json --dir {}", dir(&text).display())).json();
    let text_of = |value: &serde_json::Value, field: &str| value[field].as_str().unwrap_or("").to_owned();
    let requests = rows("logs");
    let outcomes: BTreeSet<String> = requests.iter().map(|row| text_of(row, "status")).collect();
    assert_eq!(outcomes, ["error", "ok", "timeout"].map(str::to_owned).into());
    assert!(requests.iter().any(|row| row["tool_error"] == true));
    assert!(requests.iter().any(|row| row["target"] == "shop://bestsellers"));
    assert_eq!(requests.iter().filter(|row| row["tool"] == "search_books").count(), 19);
    // Six tools on pages of four: every list takes two requests.
    assert_eq!(requests.iter().filter(|row| row["method"] == "tools/list").count(), 12);

    let sessions = rows("sessions");
    let clients: BTreeSet<String> = sessions.iter().map(|row| text_of(row, "client_name")).collect();
    let expected = ["Visual Studio Code", "claude-ai", "cursor-vscode", "mcp-inspector", "openai-mcp"];
    assert_eq!(clients, expected.map(str::to_owned).into());
    let closed = sessions.iter().filter(|row| row["closed_at"].is_i64());
    let closed: BTreeSet<String> = closed.map(|row| text_of(row, "client_name")).collect();
    assert_eq!(closed, ["Visual Studio Code", "claude-ai", "cursor-vscode"].map(str::to_owned).into());
    let derived: Vec<_> = sessions.iter().filter(|row| row["derived"] == true).collect();
    assert_eq!(derived.len(), 1);
    assert_eq!(derived[0]["client_name"], "openai-mcp");

    let changes = rows("schema --changes");
    let changes: BTreeSet<_> =
        changes.iter().map(|row| (text_of(row, "change_type"), text_of(row, "item_name"))).collect();
    for (change, item) in
        [("tool_added", "track_order"), ("tool_removed", "print_catalogue"), ("tool_modified", "search_books")]
    {
        assert!(changes.contains(&(change.to_owned(), item.to_owned())), "{changes:?}");
    }
    // Names of prompts, resources and arguments are shown; what was said in the calls is nowhere.
    assert!(!text.contains("Le Guin"));
}

#[test]
fn a_second_demo_works_beside_the_first_and_in_its_directory() {
    let fixture = Fixture::new();
    let first = dir(&demo(&fixture, fixture.root.path(), &[]));
    let second = dir(&demo(&fixture, fixture.root.path(), &[]));
    assert_ne!(first, second);

    let count = || fixture.run(&format!("logs --limit 0 --json --dir {}", first.display())).json().len();
    let before = count();
    let again = demo(&fixture, fixture.root.path(), &["--dir", first.to_str().unwrap()]);
    assert_eq!(dir(&again), first);
    assert_eq!(count(), 2 * before);
}

#[test]
fn the_demo_fits_80_columns() {
    let fixture = Fixture::new();
    for line in demo(&fixture, fixture.root.path(), &[]).lines() {
        // Commands are as long as the way to this build; everything else is ours.
        if !line.contains("--dir") && !line.contains(" proxy --upstream") {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
