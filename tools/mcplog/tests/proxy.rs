//! `mcplog proxy` as a process: what it prints, how it ends, and what it leaves behind.
//!
//! What passes through it is tested inside the crate (`src/proxy/proxy_tests`).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// Long enough for any machine; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(30);

fn mcplog() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("mcplog"));
    command.env_remove("MCPLOG_DIR").env_remove("RUST_LOG");
    command
}

/// A server that lists one tool whatever it is asked; on `/hang` it never answers.
fn upstream() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || serve(stream.unwrap()));
        }
    });
    url
}

fn serve(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut length, mut hangs) = (0, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        hangs |= line.starts_with("POST /hang");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim_end().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    if hangs {
        let _ = reader.read(&mut body);
        return;
    }
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"}]}}"#;
    write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{answer}", answer.len()).unwrap();
}

/// A proxy that runs. Killed when dropped, so that a failed test leaves nothing behind.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    greeting: String,
}

impl Running {
    fn start(dir: &Path, upstream: &str, flags: &[&str]) -> Self {
        let mut child = mcplog()
            .args(["proxy", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", upstream, "--dir"])
            .arg(dir)
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut greeting = String::new();
        while !greeting.contains("Ctrl-C stops it.\n") {
            assert_ne!(stdout.read_line(&mut greeting).unwrap(), 0, "it ended after: {greeting}");
        }
        Self { child, stdout, greeting }
    }

    /// The word of the greeting that comes after that label.
    fn told(&self, label: &str) -> &str {
        let (_, rest) = self.greeting.split_once(label).unwrap();
        rest.split_whitespace().next().unwrap()
    }

    /// Posts a request and returns the response, as far as it comes.
    fn post(&self, path: &str) -> String {
        let mut response = String::new();
        let _ = self.send(path).read_to_string(&mut response);
        response
    }

    fn send(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(host_of(self.told("clients connect to"))).unwrap();
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        let length = body.len();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        stream
    }

    /// Asks the admin address.
    fn admin(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(host_of(self.told("health, metrics"))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    /// Waits until that line is among the metrics.
    fn wait_for_metric(&self, line: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.admin("/metrics").lines().any(|found| found == line) {
            assert!(Instant::now() < deadline, "no {line:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end: how it ended, and what it printed since the greeting.
    fn end(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).unwrap();
        (status, text)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Host and port of a URL.
fn host_of(url: &str) -> &str {
    url.trim_start_matches("http://").split('/').next().unwrap()
}

/// What another command says about the store.
fn ask(dir: &Path, arguments: &[&str]) -> String {
    let output = mcplog().args(arguments).arg("--json").arg("--dir").arg(dir).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The one request on record.
fn row(dir: &Path) -> serde_json::Value {
    serde_json::from_str(&ask(dir, &["logs"])).unwrap()
}

/// A start that should fail: what it says on stderr.
fn refused(arguments: &[&str]) -> String {
    let output: Output = mcplog().arg("proxy").args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn it_says_where_it_is_records_and_ends_on_both_signals() {
    for signal in ["-INT", "-TERM"] {
        let dir = tempfile::tempdir().unwrap();
        let upstream = upstream();
        let proxy = Running::start(dir.path(), &upstream, &["--name", "mine"]);
        assert_eq!(proxy.told("upstream "), upstream);
        assert_eq!(proxy.told("records in"), dir.path().to_str().unwrap());
        assert!(proxy.greeting.contains(&format!("mcplog logs --dir {}", dir.path().display())), "{}", proxy.greeting);
        assert!(proxy.post("/mcp").ends_with(r#"{"tools":[{"name":"a"}]}}"#));
        proxy.signal(signal);
        let (status, text) = proxy.end();
        assert_eq!(status.code(), Some(0), "{text}");
        // The request and the schema.
        assert!(text.contains("2 events appended, 2 folded."), "{text}");
        let row = row(dir.path());
        let found = (&row["method"], &row["status"], &row["proxy"]);
        assert_eq!(found, (&"tools/list".into(), &"ok".into(), &"mine".into()));
    }
}

#[test]
fn a_restart_makes_no_new_version_of_a_schema_that_did_not_change() {
    let dir = tempfile::tempdir().unwrap();
    let upstream = upstream();
    for _ in 0..2 {
        let proxy = Running::start(dir.path(), &upstream, &[]);
        proxy.post("/mcp");
        proxy.signal("-INT");
        assert_eq!(proxy.end().0.code(), Some(0));
    }
    assert_eq!(ask(dir.path(), &["logs"]).lines().count(), 2);
    let changes = ask(dir.path(), &["schema", "--changes"]);
    assert_eq!(changes.lines().count(), 1, "{changes}");
}

#[test]
fn health_and_metrics_have_an_address_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let proxy = Running::start(dir.path(), &upstream(), &[]);
    proxy.post("/mcp");
    assert!(proxy.admin("/healthz").starts_with("HTTP/1.1 200"));
    proxy.wait_for_metric("mcplog_requests_total{status=\"ok\"} 1");
    proxy.wait_for_metric("mcplog_events_folded_total 2");
    proxy.wait_for_metric("mcplog_events_dropped_total 0");
}

#[test]
fn a_request_that_the_shutdown_cuts_off_has_a_row() {
    let dir = tempfile::tempdir().unwrap();
    let proxy = Running::start(dir.path(), &upstream(), &["--drain", "100ms"]);
    let _waiting = proxy.send("/hang");
    proxy.wait_for_metric("mcplog_requests_in_flight 1");
    proxy.signal("-TERM");
    let (status, text) = proxy.end();
    assert_eq!(status.code(), Some(0), "{text}");
    let row = row(dir.path());
    assert_eq!((&row["status"], &row["error_code"]), (&"error".into(), &"proxy_shutdown".into()));
}

#[test]
fn told_not_to_record_it_passes_everything_on_and_leaves_no_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let proxy = Running::start(&store, &upstream(), &["--no-record"]);
    assert!(proxy.greeting.starts_with("mcplog is recording nothing.\n"), "{}", proxy.greeting);
    assert!(proxy.post("/mcp").ends_with(r#"{"tools":[{"name":"a"}]}}"#));
    proxy.wait_for_metric("mcplog_requests_total{status=\"ok\"} 1");
    proxy.signal("-TERM");
    assert_eq!(proxy.end().0.code(), Some(0));
    assert!(!store.exists());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut proxy = Running::start(dir.path(), &upstream(), &["--drain", "24h"]);
    let _waiting = proxy.send("/hang");
    proxy.wait_for_metric("mcplog_requests_in_flight 1");
    proxy.signal("-INT");
    let mut line = String::new();
    proxy.stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "Stopping. Once more ends it at once.\n");
    proxy.signal("-INT");
    assert_eq!(proxy.end().0.code(), Some(130));
}

#[test]
fn what_it_cannot_do_it_refuses_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let store_text = store.to_str().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let config = dir.path().join("proxy.toml");
    std::fs::write(&config, "[[upstream]]\nurl = 'http://h'\ntimeouts = '5s'\n").unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["--dir", store_text], "no upstream"),
        (&["--dir", store_text, "--upstream", "ftp://h"], "expected http or https"),
        (&["--dir", store_text, "--upstream", "http://user:hunter2@h"], "expected no user or password"),
        (&["--dir", store_text, "--upstream", "http://h", "--listen", &address], &address),
        (
            &["--dir", store_text, "--config", config.to_str().unwrap()],
            "proxy.toml:3: no such key: \"timeouts\"; did you mean timeout?",
        ),
    ];
    for (arguments, expected) in cases {
        let error = refused(arguments);
        assert!(error.contains(expected) && !error.contains("hunter2"), "{arguments:?}: {error}");
        assert!(!store.exists(), "{arguments:?}");
    }
    let running = Running::start(&store, &upstream(), &[]);
    let error = refused(&["--dir", store_text, "--upstream", "http://h", "--listen", "127.0.0.1:0"]);
    assert!(error.contains(&running.child.id().to_string()), "{error}");
}
