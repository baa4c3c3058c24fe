//! `mcplog proxy` that takes over from another one in the middle of sessions: they go on as what they were.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod running;

use running::{PATIENCE, Running, host_of};
use rusqlite::Connection;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Instant;

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","clientInfo":{"name":"NAME","version":"1"}}}"#;
const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const MODERN: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","_meta":{"io.modelcontextprotocol/clientInfo":{"name":"modern","version":"1"},"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;

/// A server that agrees on 2025-06-18 with whoever asks, and begins a session for each on `/mcp`, named as its client.
fn upstream() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().for_each(|stream| serve(stream.unwrap())));
    url
}

fn serve(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let start = head.len();
        assert_ne!(reader.read_line(&mut head).unwrap(), 0);
        if let Some(value) = head[start..].to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    let client = body.split_once(r#""name":""#).and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default();
    let is_handshake = body.contains(r#""initialize""#);
    let session = if is_handshake && head.starts_with("POST /mcp ") {
        format!("mcp-session-id: of-{client}\r\n")
    } else {
        String::new()
    };
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18"}}"#;
    let length = answer.len();
    let content_type = "content-type: application/json\r\n";
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{content_type}{session}content-length: {length}\r\n");
    stream.write_all(format!("{head}\r\n{answer}").as_bytes()).unwrap();
}

/// What one client does.
struct Client<'a>(&'a Running);

impl Client<'_> {
    fn ask(&self, verb: &str, path: &str, session: Option<&str>, body: &str) {
        let mut stream = TcpStream::connect(host_of(self.0.told("clients connect to"))).unwrap();
        let session = session.map(|id| format!("mcp-session-id: {id}\r\n")).unwrap_or_default();
        let length = body.len();
        let head = format!("{verb} {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{session}");
        stream.write_all(format!("{head}content-length: {length}\r\n\r\n{body}").as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    }

    fn begin_sessions(&self) {
        for name in ["goes-on", "ends"] {
            self.ask("POST", "/mcp", None, &INITIALIZE.replace("NAME", name));
        }
        self.ask("POST", "/stateless", None, &INITIALIZE.replace("NAME", "stateless"));
        self.ask("POST", "/modern", None, MODERN);
    }

    fn go_on(&self) {
        self.ask("DELETE", "/mcp", Some("of-ends"), "");
        self.ask("POST", "/mcp", Some("of-goes-on"), PING);
        self.ask("POST", "/stateless", None, PING);
        self.ask("POST", "/modern", None, MODERN);
    }
}

/// Waits until that is on record.
fn wait_for(dir: &Path, sql: &str, expected: i64) {
    let deadline = Instant::now() + PATIENCE;
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    loop {
        // The thread that folds makes the database, some time after the proxy began.
        let database = Connection::open_with_flags(dir.join("store.db"), flags);
        let found = database.and_then(|database| database.query_row(sql, [], |row| row.get::<_, i64>(0)));
        if found.as_ref().is_ok_and(|found| *found == expected) {
            return;
        }
        assert!(Instant::now() < deadline, "{sql} stays {found:?}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Each session: its client, its revision, how many calls it has, whether it was closed.
fn sessions(dir: &Path) -> Vec<(Option<String>, Option<String>, i64, bool)> {
    let database = Connection::open(dir.join("store.db")).unwrap();
    let sql = "SELECT client_name, protocol_version, total_calls, closed_at IS NOT NULL FROM session_state ORDER BY 1";
    let mut select = database.prepare(sql).unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

const SESSIONS: &str = "SELECT count(*) FROM session_state";
const REQUESTS: &str = "SELECT count(*) FROM requests";

fn expected(calls: i64) -> Vec<(Option<String>, Option<String>, i64, bool)> {
    let session = |client: &str, version: &str, calls, is_closed| {
        (Some(client.to_owned()), Some(version.to_owned()), calls, is_closed)
    };
    vec![
        session("ends", "2025-06-18", 1, true),
        session("goes-on", "2025-06-18", calls, false),
        session("modern", "2026-07-28", calls, false),
        session("stateless", "2025-06-18", calls, false),
    ]
}

#[test]
fn sessions_go_on_behind_the_proxy_that_follows_one_that_was_stopped_or_killed() {
    for signal in ["-TERM", "-KILL"] {
        let root = tempfile::tempdir().unwrap();
        let (dir, upstream) = (root.path().join("store"), upstream());
        let first = Running::start(&dir, &upstream, &[]);
        Client(&first).begin_sessions();
        wait_for(&dir, SESSIONS, 4);
        first.signal(signal);
        first.end();
        let second = Running::start(&dir, &upstream, &[]);
        Client(&second).go_on();
        second.signal("-TERM");
        assert_eq!(second.end().0.code(), Some(0));
        assert_eq!(sessions(&dir), expected(2), "{signal}");
        let database = Connection::open(dir.join("store.db")).unwrap();
        let sql = "SELECT count(*) FROM requests WHERE protocol_version IS NULL OR session_id IS NULL";
        assert_eq!(database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap(), 0, "{signal}");
    }
}

#[test]
fn a_proxy_beside_another_one_knows_its_sessions() {
    let root = tempfile::tempdir().unwrap();
    let (dir, upstream) = (root.path().join("store"), upstream());
    let first = Running::start(&dir, &upstream, &[]);
    Client(&first).begin_sessions();
    wait_for(&dir, SESSIONS, 4);
    let second = Running::start(&dir, &upstream, &[]);
    // As a load balancer does while the old one drains: a client that is heard of now is not made up anew.
    Client(&second).ask("POST", "/stateless", None, PING);
    Client(&first).ask("POST", "/modern", None, MODERN);
    first.signal("-TERM");
    first.end();
    Client(&second).go_on();
    second.signal("-TERM");
    second.end();
    wait_for(&dir, REQUESTS, 9);
    let mut expected = expected(2);
    (expected[2].2, expected[3].2) = (3, 3);
    assert_eq!(sessions(&dir), expected);
}

#[test]
fn a_database_that_cannot_be_read_keeps_nobody_from_being_served() {
    let root = tempfile::tempdir().unwrap();
    let (dir, upstream) = (root.path().join("store"), upstream());
    let first = Running::start(&dir, &upstream, &[]);
    Client(&first).begin_sessions();
    first.signal("-TERM");
    first.end();
    let database = Connection::open(dir.join("store.db")).unwrap();
    database.execute_batch("DROP TABLE session_digest").unwrap();
    drop(database);
    let second = Running::start(&dir, &upstream, &[]);
    Client(&second).ask("POST", "/mcp", Some("of-goes-on"), PING);
    second.signal("-TERM");
    second.end();
}
