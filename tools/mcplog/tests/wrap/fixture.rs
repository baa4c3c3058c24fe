//! A wrapped server with a store of its own, with verbs for what its client, and fate, do to it.

use super::server::SERVER;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Long enough for any machine; reaching it is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A directory, and the store in it.
pub(crate) struct Fixture {
    pub(crate) root: tempfile::TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A step with a path behind it.
    pub(crate) fn step(&self, verb: &str, name: &str) -> String {
        format!("{verb}:{}", self.path(name).display())
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// A wrapper before a server that plays that script, not started yet.
    pub(crate) fn wrapper(&self, flags: &[&str], script: &[impl AsRef<OsStr>]) -> Command {
        let mut command = mcplog();
        command.args(["wrap", "--dir"]).arg(self.store()).args(flags).arg("--").arg(this()).arg(SERVER).args(script);
        command
    }

    /// The same, started.
    pub(crate) fn start(&self, flags: &[&str], script: &[impl AsRef<OsStr>]) -> Running {
        Running::start(self.wrapper(flags, script))
    }

    /// What a command says about the store, as JSON; of an answer the rows.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Vec<serde_json::Value> {
        let output = mcplog().args(arguments).arg("--json").arg("--dir").arg(self.store()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let rows = text.lines().filter(|line| !line.starts_with("{\"answer\":"));
        rows.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The rows, when there are so many: another process may fold them.
    pub(crate) fn rows(&self, count: usize) -> Vec<serde_json::Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let rows =
                if self.store().join("store.db").exists() { self.ask(&["logs", "--limit", "0"]) } else { Vec::new() };
            if rows.len() >= count {
                return rows;
            }
            assert!(Instant::now() < deadline, "{} of {count}: {rows:?}", rows.len());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The command, which finds nobody's own store.
pub(crate) fn mcplog() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("mcplog"));
    for variable in ["MCPLOG_DIR", "XDG_DATA_HOME", "HOME", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command
}

/// This program.
pub(crate) fn this() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// A server that plays that script, without a wrapper.
pub(crate) fn bare(script: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(this());
    command.arg(SERVER).args(script);
    command
}

/// Gives a command that input, and gets all that comes of it.
pub(crate) fn run(mut command: Command, input: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A server need not take all of it.
    let writing = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    output
}

/// A process with a client at its streams. Killed when dropped, so that a failed test leaves nothing behind.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) stdout: Option<BufReader<ChildStdout>>,
    errors: Arc<(Mutex<String>, Condvar)>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (mut stderr, errors) = (child.stderr.take().unwrap(), Arc::new((Mutex::default(), Condvar::new())));
        let gathered: Arc<(Mutex<String>, Condvar)> = errors.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut buffer) {
                gathered.0.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
                gathered.1.notify_all();
            }
        });
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().map(BufReader::new));
        Self { child, stdin, stdout, errors }
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// The next line of its output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        line
    }

    /// Sends a request, and gets the answer.
    pub(crate) fn call(&mut self, id: i64, method: &str, params: &str) -> serde_json::Value {
        self.send(&format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":{params}}}\n"));
        serde_json::from_str(&self.line()).unwrap()
    }

    pub(crate) fn initialize(&mut self) {
        let client =
            r#"{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"tester","version":"7"}}"#;
        self.call(0, "initialize", client);
        self.send("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
    }

    /// What it said on standard error so far.
    pub(crate) fn errors(&self) -> String {
        self.errors.0.lock().unwrap().clone()
    }

    /// Waits until it said that on standard error.
    #[track_caller]
    pub(crate) fn wait_for_errors(&self, part: &str) {
        let (errors, said) = &*self.errors;
        let (errors, waited) =
            said.wait_timeout_while(errors.lock().unwrap(), PATIENCE, |errors| !errors.contains(part)).unwrap();
        assert!(!waited.timed_out(), "it does not say {part:?}: {errors}");
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end: {}", self.errors());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The server has its end of input then.
        self.stdin = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap().success());
}

/// Waits until a script says by that file which process it is.
#[track_caller]
pub(crate) fn pid_in(path: &Path) -> u32 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(pid) = std::fs::read_to_string(path).ok().and_then(|text| text.parse().ok()) {
            return pid;
        }
        assert!(Instant::now() < deadline, "no {}", path.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The state of a process: `T` is stopped, `Z` or nothing is gone.
pub(crate) fn state_of(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Waits until a process is in that state.
#[track_caller]
pub(crate) fn wait_for_state(pid: u32, is_it: impl Fn(Option<char>) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_it(state_of(pid)) {
        assert!(Instant::now() < deadline, "{pid} is {:?}", state_of(pid));
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until a process is gone.
#[track_caller]
pub(crate) fn wait_for_end(pid: u32) {
    wait_for_state(pid, |state| state.is_none_or(|state| state == 'Z'));
}
