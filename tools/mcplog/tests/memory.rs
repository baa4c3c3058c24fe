//! What a hundred hostile connections make `mcplog proxy` hold, measured from outside; ordinary calls go on beside them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use mcplog_packing::{Way, pack};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const CONNECTIONS: usize = 100;
/// What they may make the proxy grow by, in KiB.
const GROWTH_KIB_MAX: u64 = 64 * 1024;
/// How much each of them sends at most, in bytes, before it keeps the proxy waiting.
const BODY_BYTES: usize = 3 * 1024 * 1024;
/// Long enough for any machine; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(60);
const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;

/// A server that answers what is ordinary, and takes what is not without end.
fn upstream() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || serve(stream.unwrap()));
        }
    });
    format!("http://{address}/mcp")
}

fn serve(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    let mut is_hostile = false;
    while reader.read_line(&mut line).unwrap_or(0) > 2 {
        is_hostile |= line.starts_with("POST /hostile");
        line.clear();
    }
    if is_hostile {
        let _ = std::io::copy(&mut reader, &mut std::io::sink());
    } else {
        let length = ANSWER.len();
        // A connection may be gone before it asked for anything.
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{ANSWER}");
    }
}

/// A proxy that runs. Killed when dropped.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    fn start(dir: &std::path::Path) -> Self {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("mcplog"))
            .args(["proxy", "--listen", "127.0.0.1:0", "--upstream", &upstream(), "--dir"])
            .arg(dir)
            .env_remove("RUST_LOG")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let greeting: Vec<String> = lines.map(Result::unwrap).take_while(|line| line != "Ctrl-C stops it.").collect();
        let line = greeting.iter().find(|line| line.contains("clients connect to")).unwrap();
        let address = line.split("http://").nth(1).unwrap().trim_end_matches("/mcp").to_owned();
        Self { child, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// An ordinary call.
    fn call(&self) {
        let mut stream = self.connect();
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let length = body.len();
        write!(stream, "POST /mcp HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with(ANSWER), "{answer}");
    }

    /// Sends a hostile body, most of which is still to come.
    fn attack(&self, coding: &str, body: &[u8]) -> TcpStream {
        let mut stream = self.connect();
        let head = format!(
            "POST /hostile HTTP/1.1\r\nhost: h\r\ncontent-encoding: {coding}\r\ncontent-length: 1000000000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        stream
    }

    /// The most that it held at once, in KiB.
    fn held_most_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_hundred_hostile_connections_make_the_proxy_hold_little() {
    let dir = tempfile::tempdir().unwrap();
    let proxy = Running::start(&dir.path().join("store"));
    proxy.call();
    let before_kib = proxy.held_most_kib();

    let long = "x".repeat(8 * 1024);
    let members = format!("{{{}", format!(r#""method":"{long}","#).repeat(BODY_BYTES / long.len()));
    let names = format!(r#"{{"id":"{long}","method":"tools/call","params":{{"name":"{long}"}}}},"#);
    let batch = format!("[{}", names.repeat(BODY_BYTES / names.len()));
    let mut bodies = vec![("identity", members.clone().into_bytes()), ("identity", batch.into_bytes())];
    for way in [Way::Gzip, Way::Brotli, Way::Zstd] {
        bodies.push((way.name(), pack(&[way], members.as_bytes())));
        // Most of a large window.
        bodies.push((way.name(), mcplog_packing::bomb(way, 2 * BODY_BYTES)));
    }
    let held: Vec<TcpStream> = std::thread::scope(|scope| {
        let attack = |(coding, body): &(&'static str, Vec<u8>)| proxy.attack(coding, body);
        let threads: Vec<_> =
            bodies.iter().cycle().take(CONNECTIONS).map(|body| scope.spawn(move || attack(body))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(held.len(), CONNECTIONS);
    proxy.call();
    let growth_kib = proxy.held_most_kib() - before_kib;
    assert!(growth_kib < GROWTH_KIB_MAX, "{growth_kib} KiB more than before");
}
