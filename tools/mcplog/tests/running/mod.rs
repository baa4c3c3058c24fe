//! `mcplog proxy` as a process, with verbs for what tests do to it, and a server behind it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses a part of this one")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Long enough for any machine; reaching it is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn mcplog() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("mcplog"));
    command.env_remove("RUST_LOG");
    nowhere(&mut command);
    command
}

/// Leaves the command no place for a store but the one that it is told: nobody's own is touched.
pub(crate) fn nowhere(command: &mut Command) {
    for variable in ["MCPLOG_DIR", "XDG_DATA_HOME", "HOME"] {
        command.env_remove(variable);
    }
}

/// A server that lists one tool whatever it is asked; on `/hang` it never answers.
pub(crate) fn upstream() -> String {
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
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) stdout: BufReader<Box<dyn Read>>,
    pub(crate) greeting: String,
    stderr: Arc<Mutex<String>>,
}

impl Running {
    pub(crate) fn start(dir: &Path, upstream: &str, flags: &[&str]) -> Self {
        Self::start_as(mcplog(), dir, upstream, flags)
    }

    /// The same with a command of the test's own, to which the arguments are added.
    pub(crate) fn start_as(mut command: Command, dir: &Path, upstream: &str, flags: &[&str]) -> Self {
        let mut child = command
            .args(["proxy", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", upstream, "--dir"])
            .arg(dir)
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = gather(child.stderr.take().unwrap());
        let stdout: Box<dyn Read> = Box::new(child.stdout.take().unwrap());
        let mut stdout = BufReader::new(stdout);
        let mut greeting = String::new();
        while !greeting.contains("Ctrl-C stops it.\n") {
            let read = stdout.read_line(&mut greeting).unwrap();
            assert_ne!(read, 0, "it ended after: {greeting}{}", stderr.lock().unwrap());
        }
        Self { child, stdout, greeting, stderr }
    }

    /// One that is not read: its streams are what the test gives it, and its addresses what the test chose. Waits until it
    /// serves.
    pub(crate) fn start_unread(
        dir: &Path,
        upstream: &str,
        stdout: Stdio,
        stderr: Stdio,
        configure: impl Fn(&mut Command),
    ) -> Self {
        let [listen, admin] = free_addresses();
        let mut command = mcplog();
        command.args(["proxy", "--listen", &listen, "--admin", &admin, "--upstream", upstream, "--dir"]).arg(dir);
        configure(&mut command);
        let child = command.stdout(stdout).stderr(stderr).spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(&admin).is_err() || TcpStream::connect(&listen).is_err() {
            assert!(Instant::now() < deadline, "it does not serve");
            std::thread::sleep(Duration::from_millis(5));
        }
        let greeting = format!("clients connect to http://{listen}/ health, metrics http://{admin}/");
        let (nothing, _) = std::io::pipe().unwrap();
        Self { child, stdout: BufReader::new(Box::new(nothing)), greeting, stderr: Arc::default() }
    }

    /// What it said on standard error so far.
    pub(crate) fn diagnostics(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Waits until it said that on standard error.
    pub(crate) fn wait_for_diagnostics(&self, part: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.diagnostics().contains(part) {
            assert!(Instant::now() < deadline, "it does not say {part:?}: {}", self.diagnostics());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What the admin address answers: the code, and the body as JSON.
    pub(crate) fn health(&self, path: &str) -> (u16, serde_json::Value) {
        let response = self.admin(path);
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        (code, serde_json::from_str(body).unwrap())
    }

    /// Waits until the admin address answers with that code.
    pub(crate) fn wait_for_code(&self, path: &str, code: u16) -> serde_json::Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (found, body) = self.health(path);
            if found == code {
                return body;
            }
            assert!(Instant::now() < deadline, "{path} stays {found}: {body}\n{}", self.diagnostics());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The word of the greeting that comes after that label.
    pub(crate) fn told(&self, label: &str) -> &str {
        let (_, rest) = self.greeting.split_once(label).unwrap();
        rest.split_whitespace().next().unwrap()
    }

    /// Posts a request and returns the response, as far as it comes.
    pub(crate) fn post(&self, path: &str) -> String {
        let mut response = String::new();
        let _ = self.send(path).read_to_string(&mut response);
        response
    }

    pub(crate) fn send(&self, path: &str) -> TcpStream {
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
    pub(crate) fn admin(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(host_of(self.told("health, metrics"))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    /// Waits until that line is among the metrics.
    pub(crate) fn wait_for_metric(&self, line: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.admin("/metrics").lines().any(|found| found == line) {
            assert!(Instant::now() < deadline, "no {line:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end: how it ended, and what it printed since the greeting.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
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
        if std::thread::panicking() {
            eprintln!("{}{}", self.greeting, self.diagnostics());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads on a thread of its own, so that who writes is never held up.
fn gather(mut stream: ChildStderr) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let gathered = text.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            gathered.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    });
    text
}

/// Two addresses that are free now.
fn free_addresses() -> [String; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().to_string())
}

/// Host and port of a URL.
pub(crate) fn host_of(url: &str) -> &str {
    url.trim_start_matches("http://").split('/').next().unwrap()
}

/// What another command says about the store; of an answer the rows.
pub(crate) fn ask(dir: &Path, arguments: &[&str]) -> String {
    let output = mcplog().args(arguments).arg("--json").arg("--dir").arg(dir).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<_> = text.split_inclusive('\n').filter(|line| !line.starts_with("{\"answer\":")).collect();
    rows.concat()
}

/// The one request on record.
pub(crate) fn row(dir: &Path) -> serde_json::Value {
    serde_json::from_str(&ask(dir, &["logs"])).unwrap()
}

/// A start that should fail: what it says on stderr.
pub(crate) fn refused(arguments: &[&str]) -> String {
    refused_as(mcplog().arg("proxy").args(arguments))
}

/// The same with a command of the test's own.
pub(crate) fn refused_as(command: &mut Command) -> String {
    let output: Output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    String::from_utf8(output.stderr).unwrap()
}
