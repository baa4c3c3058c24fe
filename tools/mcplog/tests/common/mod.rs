//! The mcplog command on a store of its own, with verbs for what tests do to it.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]
#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses a part of this one")]

use assert_cmd::cargo::cargo_bin;
use rusqlite::types::Value;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Every kind of event, on 2025-03-01 from 10:00 UTC on.
pub(crate) const EVENTS: &str = include_str!("../fixtures/events.jsonl");

/// A directory for one store; removed when dropped.
pub(crate) struct Fixture {
    pub(crate) root: tempfile::TempDir,
}

/// What a run of the command did.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Run {
    /// Its standard output, after making sure that it succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout
    }

    /// Its standard output as JSON, one value per line; of an answer the rows, without the last line.
    #[track_caller]
    pub(crate) fn json(self) -> Vec<serde_json::Value> {
        self.ok().lines().filter(|line| !is_last_line(line)).map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What the last line of an answer says of it.
    #[track_caller]
    pub(crate) fn answer(self) -> serde_json::Value {
        let text = self.ok();
        let mut lines = text.lines().rev();
        let last = lines.next().filter(|line| is_last_line(line)).unwrap_or_else(|| panic!("no last line: {text}"));
        assert!(!lines.any(is_last_line), "{text}");
        serde_json::from_str::<serde_json::Value>(last).unwrap()["answer"].take()
    }
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    /// A store with [`EVENTS`] in it.
    pub(crate) fn with_events() -> Self {
        let fixture = Self::new();
        fixture.ingest(EVENTS).ok();
        fixture
    }

    /// A store that keeps its log, which one writer wrote: three segments at least, of many long requests.
    pub(crate) fn with_long_log() -> Self {
        let fixture = Self::new();
        let message = "x".repeat(480);
        let lines: String = (0..4_000).map(|number| failed_line(number, &message) + "\n").collect();
        let file = fixture.root.path().join("events.jsonl");
        std::fs::write(&file, lines).unwrap();
        let line = [OsStr::new("ingest"), OsStr::new("--keep-segments"), file.as_os_str()];
        Run::from(fixture.command(line).output().unwrap()).ok();
        assert!(fixture.segments().len() > 2, "{:?}", fixture.segments());
        fixture
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// The command, in a terminal of 80 columns in Greenwich.
    pub(crate) fn command(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(cargo_bin!("mcplog"));
        command.args(arguments).env("MCPLOG_DIR", self.dir()).env("COLUMNS", "80").env("TZ", "UTC");
        for variable in ["NO_COLOR", "CLICOLOR_FORCE", "CLICOLOR"] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the command line, split at spaces.
    #[track_caller]
    pub(crate) fn run(&self, line: &str) -> Run {
        self.command(line.split_whitespace()).output().unwrap().into()
    }

    /// Imports lines from a file.
    #[track_caller]
    pub(crate) fn ingest(&self, lines: impl AsRef<[u8]>) -> Run {
        let file = self.root.path().join("events.jsonl");
        std::fs::write(&file, lines).unwrap();
        self.command([OsStr::new("ingest"), OsStr::new("--json"), file.as_os_str()]).output().unwrap().into()
    }

    /// Imports lines from standard input.
    #[track_caller]
    pub(crate) fn ingest_stdin(&self, lines: impl AsRef<[u8]>) -> Run {
        let mut child = self.command(["ingest", "--json", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines.as_ref()).unwrap();
        child.wait_with_output().unwrap().into()
    }

    /// How much memory the command had taken when half of its lines were read. It can't be further then: what is left to
    /// write does not fit into a pipe.
    pub(crate) fn peak_bytes(&self, line: &str, lines: usize) -> usize {
        let mut child = self.command(line.split_whitespace()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        for _ in 0..lines / 2 {
            output.read_line(&mut String::new()).unwrap();
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    /// The rows of a table, without the numbers that depend on the order in the log.
    pub(crate) fn table(&self, table: &str) -> Vec<Vec<Value>> {
        let database = self.database();
        let mut statement = database.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let numbers = ["id", "version_id", "sighting_id"];
        let columns: Vec<usize> = (0..statement.column_count())
            .filter(|index| !numbers.contains(&statement.column_name(*index).unwrap()))
            .collect();
        let mut rows: Vec<Vec<Value>> = statement
            .query_map([], |row| columns.iter().map(|index| row.get(*index)).collect())
            .unwrap()
            .map(Result::unwrap)
            .collect();
        rows.sort_by_key(|row| format!("{row:?}"));
        rows
    }

    /// The database, for tests that look at it or change it behind the command's back.
    pub(crate) fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.dir().join("store.db")).unwrap()
    }

    /// The segments in the log.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        // A folder for each process that recorded.
        let in_dir = |dir: PathBuf| std::fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path());
        let folders = ["wal", "kept"].into_iter().flat_map(|name| in_dir(self.dir().join(name)));
        let mut segments: Vec<_> = folders.flat_map(in_dir).collect();
        segments.retain(|path| path.extension() == Some(OsStr::new("seg")));
        segments.sort();
        segments
    }
}

/// A request line that differs from others by its number, also its time.
pub(crate) fn request_line(number: u64) -> String {
    let ts = 1_740_823_200_000 + number;
    format!(
        r#"{{"type":"request","request_id":"r{number}","ts":{ts},"proxy":"p","method":"ping","latency_us":1,"status":"ok"}}"#
    )
}

/// A request line of a request that failed, and why.
fn failed_line(number: u64, message: &str) -> String {
    request_line(number).replace(r#""status":"ok""#, &format!(r#""status":"error","error_msg":"{message}""#))
}

/// Whether a line of JSON says how complete an answer is.
pub(crate) fn is_last_line(line: &str) -> bool {
    line.starts_with("{\"answer\":")
}

/// Whether the file is there and not empty.
pub(crate) fn is_filled(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0)
}
