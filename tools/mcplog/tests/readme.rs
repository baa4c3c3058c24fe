//! The commands in README.md, run as they stand there, in a fresh directory.
//!
//! `tests/tidy` sees to it that every other command of the README is one that CI runs.

#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A line of each kind, for `mcplog ingest`.
const EVENTS: &str = r#"{"type":"session","session_id":"s1","proxy":"p","started_at":1760000000000,"client_name":"claude-code"}
{"type":"request","request_id":"r1","ts":1760000000100,"proxy":"p","session_id":"s1","method":"tools/call","tool":"search","latency_us":1840,"status":"ok"}
{"type":"request","request_id":"r2","ts":1760000000200,"proxy":"p","session_id":"s1","method":"tools/call","tool":"search","latency_us":900,"status":"error","error_code":"-32602"}
{"type":"schema_version","ts":1760000000050,"proxy":"p","upstream_url":"http://u","method":"tools/list","payload":"{\"tools\":[]}","content_hash":"00"}
{"type":"session_closed","session_id":"s1","ended_at":1760000000300}
"#;

/// The README's commands that start with one of our programs.
fn commands() -> Vec<String> {
    let readme =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).expect("README.md");
    let blocks = readme.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    let ours = |line: &&str| line.starts_with("mcplog ") || line.starts_with("wal-inspect ");
    blocks.flat_map(str::lines).filter(ours).map(str::to_owned).collect()
}

fn program(name: &str) -> PathBuf {
    // Cargo names the programs of this package only; the other one is built into the same folder.
    Path::new(env!("CARGO_BIN_EXE_mcplog")).with_file_name(name)
}

fn command(dir: &Path, line: &str) -> Command {
    let mut words = line.split_whitespace();
    let mut command = Command::new(program(words.next().expect("a program")));
    command.args(words).current_dir(dir).env("HOME", dir).env_remove("XDG_DATA_HOME").env_remove("MCPLOG_DIR");
    command
}

fn run(dir: &Path, line: &str) -> Output {
    command(dir, line).output().unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn the_query_import_and_log_commands_work_as_the_readme_shows_them() {
    let commands = commands();
    let (ingest, others): (Vec<_>, Vec<_>) =
        commands.iter().filter(|line| !line.starts_with("mcplog proxy")).partition(|line| line.contains(" ingest "));
    assert!(ingest.len() == 1 && others.len() > 5, "{commands:?}");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("events.jsonl"), EVENTS).unwrap();
    let imported = run(dir.path(), ingest[0]);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    // The log is there for as long as somebody records: what the import left is folded, and gone.
    let mut recording = command(dir.path(), "mcplog ingest -").stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(recording.stdin.as_mut().unwrap(), EVENTS.as_bytes()).unwrap();
    let wal_dir = mcplog_dir(dir.path()).join("wal");
    let has_log = || std::fs::read_dir(&wal_dir).is_ok_and(|found| found.flatten().any(|entry| is_log(&entry.path())));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !has_log() {
        assert!(std::time::Instant::now() < deadline, "nothing is recorded");
        std::thread::yield_now();
    }
    for line in others {
        if line.starts_with("wal-inspect ") && !program("wal-inspect").exists() {
            let strict = std::env::var_os("CI").is_some() || std::env::var_os("MCPLOG_E2E").is_some();
            assert!(!strict, "wal-inspect is not built: test the whole workspace");
            mcplog_skipped::skip(line, "wal-inspect is not built", "cargo test --workspace");
            continue;
        }
        let output = run(dir.path(), line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        // What the commands with `--since` are asked about is long ago.
        assert!(line.contains("--since") || !output.stdout.is_empty(), "{line} printed nothing");
    }
    drop(recording.stdin.take());
    assert!(recording.wait().unwrap().success());
}

/// Where the store is that the commands mean who are told no other.
fn mcplog_dir(home: &Path) -> PathBuf {
    home.join(".local/share/mcplog")
}

/// Whether it is the folder of a log, and no longer one that is being made.
fn is_log(path: &Path) -> bool {
    path.join("000000000001.seg").exists() && !path.display().to_string().contains("/.new-")
}

#[test]
fn the_proxy_command_starts_says_where_it_is_and_ends_at_sigterm() {
    let line = commands().into_iter().find(|line| line.starts_with("mcplog proxy")).expect("a proxy command");
    // Any free port: the one of the README may be taken here.
    let line = line.replace("127.0.0.1:3000", "127.0.0.1:0");
    assert!(line.contains("127.0.0.1:0"), "{line}");
    let dir = tempfile::tempdir().unwrap();
    let mut proxy = command(dir.path(), &line).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    let mut said = BufReader::new(proxy.stdout.take().unwrap()).lines().map_while(Result::ok);
    let address = said.find(|line| line.contains("http://127.0.0.1:")).expect("where it listens");
    assert!(!address.contains(":0/"), "{address}");
    // It lies where every command looks.
    assert!(said.any(|line| line.ends_with(" mcplog logs")));
    assert!(dir.path().join(".local/share/mcplog/store.db").exists());
    let killed = Command::new("kill").arg(proxy.id().to_string()).status().unwrap();
    assert!(killed.success());
    let rest: Vec<_> = said.collect();
    assert!(proxy.wait().unwrap().success(), "{rest:?}");
}
