//! Standard output and standard error that are closed, full, gone or not read: nothing that is printed decides anything.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod common;
mod running;

use common::{EVENTS, Fixture};
use running::{Running, mcplog, row, upstream};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};

/// A pipe whose reader is gone.
fn left_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// A device without room.
fn full_device() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// A pipe that nobody empties, full to its brim; it stays so for as long as the first is kept.
fn clogged_pipe() -> (std::io::PipeReader, Stdio) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    // As much as a pipe holds by default.
    writer.write_all(&[b'x'; 64 * 1024]).unwrap();
    (reader, writer.into())
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or(-1)
}

/// The proxy records a request that its end cuts off, whatever became of its streams.
fn cut_off(proxy: Running, dir: &Path) {
    let _waiting = proxy.send("/hang");
    proxy.wait_for_metric("mcplog_requests_in_flight 1");
    proxy.signal("-INT");
    let (status, text) = proxy.end();
    assert_eq!(code(status), 0, "{text}");
    assert_eq!(row(dir)["error_code"], "proxy_shutdown");
}

const DRAIN: [&str; 2] = ["--drain", "100ms"];

#[test]
fn a_proxy_whose_reader_went_away_ends_in_good_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut proxy = Running::start(dir.path(), &upstream(), &DRAIN);
    // As `| head` does, and `| tee` on Ctrl-C.
    proxy.stdout = std::io::BufReader::new(Box::new(std::io::empty()));
    cut_off(proxy, dir.path());
}

#[test]
fn a_proxy_serves_and_ends_in_good_order_whatever_its_streams_are() {
    let upstream = upstream();
    type Streams = fn() -> (Option<std::io::PipeReader>, Stdio);
    let kinds: [(&str, Streams); 4] = [
        ("left", || (None, left_pipe())),
        ("full", || (None, full_device())),
        ("clogged", || {
            let (reader, writer) = clogged_pipe();
            (Some(reader), writer)
        }),
        ("null", || (None, Stdio::null())),
    ];
    for (name, stream) in kinds {
        let dir = tempfile::tempdir().unwrap();
        let ((_out, stdout), (_err, stderr)) = (stream(), stream());
        let proxy = Running::start_unread(dir.path(), &upstream, stdout, stderr, |command| {
            command.args(DRAIN).env("RUST_LOG", "trace");
        });
        for number in 0..50 {
            let _aborted = proxy.post("/nobody-reads-what-is-said-of-this");
            let metric = format!("mcplog_requests_total{{status=\"ok\"}} {}", number + 1);
            proxy.wait_for_metric(&metric);
        }
        let _waiting = proxy.send("/hang");
        proxy.wait_for_metric("mcplog_requests_in_flight 1");
        proxy.signal("-TERM");
        assert_eq!(code(proxy.end().0), 0, "{name}");
        let output = mcplog().args(["logs", "--json", "--outcome", "lost", "--dir"]).arg(dir.path()).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("proxy_shutdown"), "{name}: {output:?}");
    }
}

#[test]
fn a_proxy_without_any_stream_serves_and_says_nothing_into_the_void_of_another_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("store"), "no store, so that there is something to complain of").unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"exec "$0" "$@" <&- >&- 2>&-"#]).arg(mcplog().get_program());
    shell.args(["proxy", "--upstream", &upstream(), "--listen", &port.to_string(), "--dir"]);
    let mut child = shell.arg(dir.path().join("store")).spawn().unwrap();
    let deadline = std::time::Instant::now() + running::PATIENCE;
    let mut answer = String::new();
    while answer.is_empty() {
        assert!(std::time::Instant::now() < deadline && child.try_wait().unwrap().is_none());
        if let Ok(mut stream) = std::net::TcpStream::connect(port) {
            write!(stream, "POST /mcp HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").unwrap();
            let _ = stream.read_to_string(&mut answer);
        }
    }
    assert!(answer.ends_with(r#"{"tools":[{"name":"a"}]}}"#), "{answer}");
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert_eq!(code(child.wait().unwrap()), 0);
}

/// Runs a command with that standard output, and reads what it says on standard error.
fn run(fixture: &Fixture, line: &str, stdout: Stdio) -> (i32, String) {
    let Output { status, stderr, .. } = fixture.command(line.split_whitespace()).stdout(stdout).output().unwrap();
    (code(status), String::from_utf8(stderr).unwrap())
}

/// What shows something, and what it ends with when all is well.
const SHOWING: [&str; 14] = [
    "logs",
    "logs --json --limit 0",
    "stats",
    "stats --json",
    "slow",
    "sessions",
    "sessions --clients",
    "unused",
    "schema",
    "schema --changes --json",
    "check",
    "check --json",
    "--help",
    "proxy --help",
];

#[test]
fn a_reader_that_went_away_is_no_error_and_a_full_device_is_one() {
    let fixture = Fixture::with_events();
    for line in SHOWING {
        assert_eq!(run(&fixture, line, left_pipe()), (0, String::new()), "{line}");
        let (code, error) = run(&fixture, line, full_device());
        assert_eq!(code, 1, "{line}: {error}");
        assert!(!error.contains("panicked"), "{line}: {error}");
        assert!(line.contains("help") || error.contains("No space left on device"), "{line}: {error}");
    }
}

#[test]
fn what_stands_beside_the_output_decides_nothing() {
    let fixture = Fixture::with_events();
    for stderr in [left_pipe, full_device] {
        // A note beside JSON: that rows were cut. There is one row, and the last line.
        let output = fixture.command(["logs", "--json", "--limit", "1"]).stderr(stderr()).output().unwrap();
        assert_eq!((code(output.status), output.stdout.iter().filter(|byte| **byte == b'\n').count()), (0, 2));
        // An error that nobody gets to see.
        let missing = ["logs", "--dir", "/nowhere/at/all"];
        assert_eq!(code(fixture.command(missing).stderr(stderr()).status().unwrap()), 1);
        assert_eq!(code(fixture.command(["no-such-command"]).stderr(stderr()).status().unwrap()), 1);
        let proxy = ["proxy", "--upstream", "ftp://h"];
        assert_eq!(code(fixture.command(proxy).stderr(stderr()).status().unwrap()), 1);
    }
}

#[test]
fn work_that_is_done_ends_with_its_own_code_though_nobody_reads_of_it() {
    let fixture = Fixture::with_events();
    let file = fixture.root.path().join("more.jsonl");
    std::fs::write(&file, format!("{EVENTS}no event\n")).unwrap();
    let line = format!("ingest {}", file.display());
    assert_eq!(run(&fixture, &line, left_pipe()).0, 2, "a line was bad");
    let (code, error) = run(&fixture, &line, full_device());
    assert_eq!(code, 1, "{error}");
    assert_eq!(run(&fixture, "rebuild", left_pipe()).0, 0);
    std::fs::write(fixture.dir().join("store.db"), vec![b'x'; 8192]).unwrap();
    for line in ["check", "check --json"] {
        assert_eq!(run(&fixture, line, left_pipe()).0, 3, "{line}");
    }
}

#[test]
fn an_import_outlives_its_terminal() {
    let fixture = Fixture::new();
    let mut child = fixture.command(["ingest", "--json", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(EVENTS.as_bytes()).unwrap();
    // The store is there when signals are long caught.
    while !fixture.dir().join("store.db").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(output.status), 0, "{output:?}");
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["recorded_events"], EVENTS.lines().filter(|line| !line.trim().is_empty()).count());
}
