//! Where a store lies when nobody says: one place for all commands, which each test has for itself.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod common;

use common::{Fixture, Run, request_line};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where everything lies that a user has, with nothing in it.
struct Home(Fixture);

impl Home {
    fn new() -> Self {
        Self(Fixture::new())
    }

    fn path(&self) -> &Path {
        self.0.root.path()
    }

    fn default_dir(&self) -> PathBuf {
        self.path().join(".local/share/mcplog")
    }

    /// The command of that user, in his home, with nothing else set.
    fn command(&self, line: &str) -> Command {
        let mut command = self.0.command(line.split_whitespace());
        command.env_remove("MCPLOG_DIR").env_remove("XDG_DATA_HOME").env("HOME", self.path()).current_dir(self.path());
        command
    }

    fn run(&self, line: &str) -> Run {
        self.command(line).output().unwrap().into()
    }

    /// The command with these variables set.
    fn run_with(&self, variables: &[(&str, &Path)], line: &str) -> Run {
        self.command(line).envs(variables.iter().copied()).output().unwrap().into()
    }

    /// A file with so many requests.
    fn file(&self, requests: u64) -> &'static str {
        let lines: Vec<String> = (0..requests).map(request_line).collect();
        std::fs::write(self.path().join("events.jsonl"), lines.join("\n")).unwrap();
        "events.jsonl"
    }
}

#[test]
fn what_one_command_records_the_next_one_finds() {
    let home = Home::new();
    home.run(&format!("ingest {}", home.file(3))).ok();
    assert!(home.default_dir().join("store.db").exists());
    assert_eq!(home.run("logs").ok().lines().count(), 4);
    for line in
        ["stats", "slow", "sessions", "schema", "unused", "check --quick", "check --plan", "backup copy", "rebuild"]
    {
        home.run(line).ok();
    }
    let shown = home.run("check").ok();
    assert!(shown.contains(home.default_dir().to_str().unwrap()), "{shown}");
}

#[test]
fn the_nearest_that_says_where_counts_and_an_empty_variable_says_nothing() {
    let home = Home::new();
    let (told, share) = (home.path().join("told"), home.path().join("share"));
    home.run(&format!("ingest {}", home.file(1))).ok();
    home.run_with(&[("XDG_DATA_HOME", &share)], &format!("ingest {}", home.file(2))).ok();
    home.run_with(&[("MCPLOG_DIR", &told)], &format!("ingest {}", home.file(3))).ok();
    home.run(&format!("ingest -d flag {}", home.file(4))).ok();
    let empty = Path::new("");
    let rows = |variables: &[(&str, &Path)], line: &str| home.run_with(variables, line).json().len();
    assert_eq!(rows(&[], "logs --json"), 1);
    assert_eq!(rows(&[("MCPLOG_DIR", empty), ("XDG_DATA_HOME", empty)], "logs --json"), 1);
    assert_eq!(rows(&[("XDG_DATA_HOME", &share)], "logs --json"), 2);
    assert_eq!(rows(&[("XDG_DATA_HOME", &share), ("MCPLOG_DIR", empty)], "logs --json"), 2);
    assert_eq!(rows(&[("XDG_DATA_HOME", &share), ("MCPLOG_DIR", &told)], "logs --json"), 3);
    assert_eq!(rows(&[("MCPLOG_DIR", Path::new("told"))], "logs --json"), 3, "from where one is");
    assert_eq!(rows(&[("MCPLOG_DIR", &told)], "logs --json --dir flag"), 4);
    // A relative one would be another place for each program.
    assert_eq!(rows(&[("XDG_DATA_HOME", Path::new("share"))], "logs --json"), 1);
}

#[test]
fn who_finds_no_store_is_told_where_it_was_looked_for_and_why_there() {
    let home = Home::new();
    let default = home.default_dir().display().to_string();
    let told = home.path().join("told");
    let expect = |run: Run, all: &[&str], none: &[&str]| {
        assert_eq!((run.code, run.stdout.as_str()), (1, ""));
        for part in all {
            assert!(run.stderr.contains(part), "{part:?} in {}", run.stderr);
        }
        for part in none {
            assert!(!run.stderr.contains(part), "no {part:?} in {}", run.stderr);
        }
    };
    for line in ["logs", "slow", "stats", "sessions", "sessions --clients", "schema", "unused", "check", "backup copy"]
    {
        expect(home.run(line), &[&default, "by HOME", "--dir", "MCPLOG_DIR"], &["mcplog-data"]);
        let run = home.run_with(&[("MCPLOG_DIR", &told)], line);
        expect(run, &[told.to_str().unwrap(), "MCPLOG_DIR names"], &["HOME"]);
        expect(home.run(&format!("{line} --dir named")), &["named"], &["HOME", "MCPLOG_DIR"]);
    }
    // Where mcplog recorded before there was a place for all.
    home.run(&format!("ingest -d mcplog-data {}", home.file(1))).ok();
    for line in ["logs", "check"] {
        expect(home.run(line), &[&default, "there is a store in ./mcplog-data: say --dir ./mcplog-data"], &[]);
    }
    assert_eq!(home.run("logs --json --dir ./mcplog-data").json().len(), 1);
    // A store that is there and can't be read is no matter of where it lies.
    home.run(&format!("ingest {}", home.file(1))).ok();
    std::fs::write(home.default_dir().join("store.db"), "no database, and longer than the head of one").unwrap();
    expect(home.run("logs"), &[&default], &["by HOME", "mcplog-data:"]);
    assert!(!told.exists());
}

#[test]
fn where_no_place_is_known_it_says_what_to_set_and_makes_nothing() {
    let home = Home::new();
    let file = home.file(1);
    let proxy = "proxy --upstream http://127.0.0.1:9/mcp --listen 127.0.0.1:0";
    for line in ["logs", "stats", "check", "rebuild", &format!("ingest {file}"), proxy] {
        let run: Run = home.command(line).env_remove("HOME").output().unwrap().into();
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{line}");
        for part in ["set MCPLOG_DIR", "HOME", "--dir"] {
            assert!(run.stderr.contains(part), "{line}: {part:?} in {}", run.stderr);
        }
    }
    // What needs no place works.
    for line in ["--help", "logs --help", "proxy --help"] {
        let run: Run = home.command(line).env_remove("HOME").output().unwrap().into();
        assert!(!run.ok().is_empty());
    }
    let run: Run = home.command(&format!("ingest --dir here {file}")).env_remove("HOME").output().unwrap().into();
    run.ok();
    let entries = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = entries.collect();
    names.sort();
    assert_eq!(names, [file, "here"]);
}

#[test]
fn the_help_shows_the_place_and_what_says_so() {
    let home = Home::new();
    // Clap breaks lines, also within a path that is too long for one.
    let shown = |run: Run| run.ok().split_whitespace().collect::<Vec<_>>().join(" ");
    let help = shown(home.run("logs --help"));
    assert!(help.contains(&format!("[default: {}, by HOME]", home.default_dir().display())), "{help}");
    let help = shown(home.run_with(&[("MCPLOG_DIR", Path::new("/told\x1b[31m"))], "stats -h"));
    assert!(help.contains("[default: /told\\u{1b}[31m, by MCPLOG_DIR]"), "{help}");
}
