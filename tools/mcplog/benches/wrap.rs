//! What `mcplog wrap` costs: the server's start, each message, and memory. Bare and wrapped in turn, in one run.
//!
//! `cargo bench -p mcplog-cli --bench wrap`. This program is the client, and the server too: one that answers each line at
//! once, so that all but the pipes is small. Aimed at: 15 ms added to the start, 20 us to a message (p50), 12 MB of
//! anonymous memory.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// The argument that makes this program the server.
const SERVER: &str = "--server";
const STARTS: usize = 60;
const BLOCKS: usize = 40;
const CALLS_OF_BLOCK: usize = 500;
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == SERVER) {
        return serve();
    }
    if arguments.iter().any(|argument| argument == "--test") {
        // `cargo test --benches` only asks whether it runs.
        return;
    }
    // Beside the build, not in /tmp, which may be memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let store = dir.path().join("data");
    starts(&store);
    messages(&store);
}

/// From before the start of the process to the first answer.
fn starts(store: &Path) {
    let mut times: [Vec<Duration>; 2] = Default::default();
    for _ in 0..STARTS {
        for (times, store) in times.iter_mut().zip([None, Some(store)]) {
            let began = Instant::now();
            let mut server = Server::start(store);
            server.call(INITIALIZE);
            times.push(began.elapsed());
            server.end();
        }
    }
    let [bare, wrapped] = times.map(quantiles);
    println!("start to the first answer, {STARTS} of each     p50        p99");
    told("bare", bare);
    told("wrapped", wrapped);
    println!("  added  {:>34.3} ms", ms(wrapped[0]) - ms(bare[0]));
}

/// From before a request is written to behind its answer.
fn messages(store: &Path) {
    let mut servers = [Server::start(None), Server::start(Some(store))];
    let mut times: [Vec<Duration>; 2] = Default::default();
    servers.iter_mut().for_each(|server| server.call(INITIALIZE));
    for block in 0..=BLOCKS {
        for (server, times) in servers.iter_mut().zip(&mut times) {
            for call in 0..CALLS_OF_BLOCK {
                let id = block * CALLS_OF_BLOCK + call + 1;
                let request = format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"add","arguments":{{"a":1,"b":2}}}}}}"#
                );
                let began = Instant::now();
                server.call(&request);
                // The first block warms up.
                if block > 0 {
                    times.push(began.elapsed());
                }
            }
        }
    }
    let [bare, wrapped] = times.map(quantiles);
    println!("request and answer, {} of each           p50        p99", BLOCKS * CALLS_OF_BLOCK);
    told("bare", bare);
    told("wrapped", wrapped);
    let added_us = (ms(wrapped[0]) - ms(bare[0])) * 1e3;
    println!("  added to the two messages {added_us:>15.1} us, to each {:.1} us", added_us / 2.0);
    println!("  ratio {:>35.2}", ms(wrapped[0]) / ms(bare[0]));
    println!("anonymous memory of the wrapper: {} KiB", anonymous_kib(servers[1].child.id()));
    servers.into_iter().for_each(Server::end);
}

fn told(name: &str, [p50, p99]: [Duration; 2]) {
    println!("  {name:<8} {:>33.3} ms {:>7.3} ms", ms(p50), ms(p99));
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The median, and the 99th percentile.
fn quantiles(mut times: Vec<Duration>) -> [Duration; 2] {
    times.sort_unstable();
    [times[times.len() / 2], times[times.len() * 99 / 100]]
}

fn anonymous_kib(pid: u32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("Linux");
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")).expect("a number");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// A server with a client at its pipes.
struct Server {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    line: String,
}

impl Server {
    /// Wrapped, if there is a store.
    fn start(store: Option<&Path>) -> Self {
        let this = std::env::current_exe().expect("this program");
        let mut command = match store {
            None => Command::new(&this),
            Some(store) => {
                let mut wrapper = Command::new(env!("CARGO_BIN_EXE_mcplog"));
                wrapper.args(["wrap", "--dir"]).arg(store).arg("--").arg(&this);
                wrapper
            }
        };
        let mut child = command.arg(SERVER).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a start");
        let (stdin, stdout) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        Self { child, stdin, stdout: BufReader::new(stdout), line: String::new() }
    }

    fn call(&mut self, request: &str) {
        self.stdin.write_all(format!("{request}\n").as_bytes()).expect("a reader");
        self.line.clear();
        self.stdout.read_line(&mut self.line).expect("an answer");
        assert!(self.line.ends_with("}\n"), "{}", self.line);
    }

    fn end(self) {
        let Self { mut child, stdin, .. } = self;
        drop(stdin);
        assert!(child.wait().expect("an end").success());
    }
}

/// Answers each line at once.
fn serve() {
    let (mut stdin, mut stdout, mut line) = (std::io::stdin().lock(), std::io::stdout().lock(), String::new());
    while stdin.read_line(&mut line).is_ok_and(|count| count > 0) {
        let id = line.split_once("\"id\":").and_then(|(_, rest)| rest.split(',').next()).unwrap_or("0");
        let answer = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"content\":[]}}}}\n");
        if stdout.write_all(answer.as_bytes()).and_then(|()| stdout.flush()).is_err() {
            return;
        }
        line.clear();
    }
}
