//! Everything that counts or filters requests, on one store that has every kind of row, against `docs/counting.md`.
//!
//! What a row counts as is worked out here once more, by a plain reading of that page; then rows, sums by tool, by session
//! and by client, filters, tables, views and metrics have to agree with it, and so with each other.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod common;
mod running;

use common::Fixture;
use running::{PATIENCE, Running, ask, host_of};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};

/// The outcomes by the status that each has.
const OUTCOMES: [(&str, &[&str]); 3] = [
    ("ok", &["ok", "tool_error", "ended", "input_required"]),
    ("error", &["error", "cancelled", "probe", "redirected", "lost"]),
    ("timeout", &["timeout"]),
];
const FAILURES: [&str; 2] = ["error", "timeout"];
const TROUBLE: [&str; 3] = ["error", "timeout", "tool_error"];
const REFUSALS: [&str; 7] = ["-32601", "-32600", "-32602", "-32000", "http_400", "http_404", "http_405"];
/// Members of the statistics, and the outcomes that each counts. Plain results are what is left of `calls`.
const MEMBERS: [(&str, &[&str]); 9] = [
    ("errors", &FAILURES),
    ("timeouts", &["timeout"]),
    ("tool_errors", &["tool_error"]),
    ("cancelled", &["cancelled"]),
    ("probes", &["probe"]),
    ("redirected", &["redirected"]),
    ("ended", &["ended"]),
    ("input_required", &["input_required"]),
    ("lost", &["lost"]),
];
const METHODS: [&str; 4] = ["tools/call", "ping", "server/discover", "subscriptions/listen"];
/// Above the number of requests up to which `stats` reads rows: all together, it has to go by roll-ups.
const COPIES: usize = 3;
const START_TS: i64 = 1_740_823_200_000;

/// A request, and what it counts as.
#[derive(Clone, Debug)]
struct Row {
    id: String,
    ts: i64,
    latency_us: i64,
    method: &'static str,
    tool: Option<String>,
    session: Option<String>,
    direction: &'static str,
    status: &'static str,
    outcome: &'static str,
}

impl Row {
    fn is(&self, outcomes: &[&str]) -> bool {
        outcomes.contains(&self.outcome)
    }

    fn has_latency(&self) -> bool {
        self.outcome != "ended"
    }

    fn call(&self) -> (String, Option<String>, String) {
        (self.method.to_owned(), self.tool.clone(), self.direction.to_owned())
    }

    fn is_by_server(&self) -> bool {
        self.direction == "server"
    }
}

/// What a request counts as, by the page.
fn counted_as(
    status: &'static str,
    told: Option<&'static str>,
    is_error: Option<bool>,
    method: &str,
    code: Option<&str>,
) -> &'static str {
    let of_status = OUTCOMES.iter().find(|(name, _)| *name == status).unwrap().1;
    let told = told.filter(|told| of_status.contains(told) && !["ok", "error", "timeout"].contains(told));
    match (status, told) {
        ("ok", _) if is_error == Some(true) => "tool_error",
        (_, Some(told)) => told,
        ("ok", None) if method == "subscriptions/listen" => "ended",
        ("error", None) if method == "server/discover" && code.is_some_and(|code| REFUSALS.contains(&code)) => "probe",
        _ => status,
    }
}

/// Each status with each outcome that may be told, each flag, method and some codes; and the lines that record them.
fn every_kind() -> (Vec<Row>, String) {
    let (mut rows, mut lines) = (Vec::new(), String::new());
    let told = || OUTCOMES.iter().flat_map(|(_, outcomes)| outcomes.iter().copied().map(Some)).chain([None]);
    for (status, told) in OUTCOMES.iter().flat_map(|(status, _)| told().map(move |told| (*status, told))) {
        for (method, is_error) in
            METHODS.iter().flat_map(|method| [None, Some(false), Some(true)].map(|flag| (*method, flag)))
        {
            for code in [None, Some("-32601"), Some("http_400"), Some("-32603")] {
                for _ in 0..COPIES {
                    let number = rows.len();
                    // Who asks is told of some.
                    let direction = [None, Some("client"), Some("server")][number % 11 % 3];
                    let is_by_server = direction == Some("server");
                    // No method of a server's request means anything.
                    let outcome = counted_as(status, told, is_error, if is_by_server { "" } else { method }, code);
                    let row = Row {
                        id: format!("r{number}"),
                        // Over some hours, so that there are cells of several levels.
                        ts: START_TS + 2_711 * i64::try_from(number).unwrap(),
                        // No two alike, in no order.
                        latency_us: 1 + (7_919 * i64::try_from(number).unwrap()) % 100_003,
                        method,
                        // A tool for each outcome, so that some are only ever called in one way. What servers ask uses none.
                        tool: (method == "tools/call")
                            .then(|| if is_by_server { "never".to_owned() } else { format!("t_{outcome}") }),
                        session: (number % 5 > 0).then(|| format!("s{}", number % 7)),
                        direction: direction.unwrap_or("client"),
                        status,
                        outcome,
                    };
                    let mut event = serde_json::json!({
                        "type": "request", "request_id": row.id, "ts": row.ts, "proxy": "p", "method": method,
                        "latency_us": row.latency_us, "status": status, "tool": row.tool, "session_id": row.session,
                        "tool_error": is_error, "error_code": code, "outcome": told, "direction": direction,
                    });
                    event.as_object_mut().unwrap().retain(|_, value| !value.is_null());
                    writeln!(lines, "{event}").unwrap();
                    rows.push(row);
                }
            }
        }
    }
    for session in 0..7 {
        let session = serde_json::json!({
            "type": "session", "session_id": format!("s{session}"), "started_at": START_TS, "proxy": "p",
            "client_name": format!("c{}", session % 2),
        });
        writeln!(lines, "{session}").unwrap();
    }
    let tools: BTreeSet<_> = rows.iter().filter_map(|row| row.tool.clone()).chain(["never".to_owned()]).collect();
    let tools: Vec<_> = tools.into_iter().map(|name| serde_json::json!({ "name": name })).collect();
    let schema = serde_json::json!({
        "type": "schema_version", "ts": START_TS, "proxy": "p", "upstream_url": "http://u", "method": "tools/list",
        "payload": serde_json::json!({ "tools": tools }).to_string(), "content_hash": "h",
    });
    writeln!(lines, "{schema}").unwrap();
    (rows, lines)
}

/// The store with every kind of row.
struct Counted {
    fixture: Fixture,
    rows: Vec<Row>,
}

impl Counted {
    fn new() -> Self {
        let (rows, lines) = every_kind();
        let fixture = Fixture::new();
        fixture.ingest(lines).ok();
        assert!(rows.len() > 4_000, "so few are read row by row");
        Self { fixture, rows }
    }

    fn json(&self, line: &str) -> Vec<Value> {
        self.fixture.run(&format!("{line} --json --limit 0")).json()
    }

    fn count(&self, outcomes: &[&str]) -> i64 {
        count(self.rows.iter().filter(|row| row.is(outcomes)).count())
    }

    /// The ids that a command shows.
    fn ids(&self, line: &str) -> BTreeSet<String> {
        self.json(line).iter().map(|row| row["request_id"].as_str().unwrap().to_owned()).collect()
    }

    fn ids_where(&self, keeps: impl Fn(&Row) -> bool) -> BTreeSet<String> {
        self.rows.iter().filter(|row| keeps(row)).map(|row| row.id.clone()).collect()
    }

    /// Statistics are those of the rows that are kept, row by row and together; with filters, and by roll-ups without.
    fn assert_statistics(&self, filter: &str, keeps: impl Fn(&Row) -> bool) {
        let kept: Vec<&Row> = self.rows.iter().filter(|row| keeps(row)).collect();
        let mut of_call: BTreeMap<_, Vec<&Row>> = BTreeMap::new();
        kept.iter().for_each(|row| of_call.entry(row.call()).or_default().push(row));
        let stats = self.json(&format!("stats {filter}"));
        assert_eq!(stats.len(), of_call.len(), "stats {filter}");
        for found in &stats {
            let [method, direction] = ["method", "direction"].map(|name| found[name].as_str().unwrap().to_owned());
            let call = (method, found["tool"].as_str().map(str::to_owned), direction);
            let rows = &of_call[&call];
            assert_eq!(number(&found["calls"]), count(rows.len()), "stats {filter}: {found}");
            for (member, outcomes) in MEMBERS {
                let expected = count(rows.iter().filter(|row| row.is(outcomes)).count());
                assert_eq!(number(&found[member]), expected, "stats {filter}, {member}: {found}");
            }
            let slowest = rows.iter().filter(|row| row.has_latency()).map(|row| row.latency_us).max();
            assert_eq!(found["max_us"].as_i64(), slowest, "stats {filter}: {found}");
            assert_eq!(found["p50_us"].is_null(), slowest.is_none(), "stats {filter}: {found}");
        }
        let of = |outcomes: &[&str]| count(kept.iter().filter(|row| row.is(outcomes)).count());
        let others = [
            ("tool_error", "tool errors"),
            ("cancelled", "cancelled"),
            ("probe", "probes"),
            ("redirected", "redirected"),
            ("ended", "subscriptions ended"),
            ("input_required", "asked for input"),
            ("lost", "lost"),
        ];
        let all = count(self.rows.len());
        let of_all = if kept.len() == self.rows.len() { String::new() } else { format!(" of {}", grouped(all)) };
        let mut last_line =
            format!("{} requests{of_all}, {} failed", grouped(count(kept.len())), grouped(of(&FAILURES)));
        if of(&["timeout"]) > 0 {
            write!(last_line, " ({} timed out)", grouped(of(&["timeout"]))).unwrap();
        }
        for (outcome, words) in others.iter().filter(|(outcome, _)| of(&[outcome]) > 0) {
            write!(last_line, ", {} {words}", grouped(of(&[outcome]))).unwrap();
        }
        last_line.push('.');
        let by_servers = count(kept.iter().filter(|row| row.is_by_server()).count());
        if by_servers > 0 {
            write!(last_line, " Servers asked {} of them.", grouped(by_servers)).unwrap();
        }
        // Whatever is shown of the rows, the last line is about all of them.
        for limit in [0, 1, 3] {
            let text = self.fixture.run(&format!("stats {filter} --limit {limit}")).ok();
            assert!(in_one_line(&text).contains(&last_line), "stats {filter} --limit {limit}: {last_line} in\n{text}");
        }
        let text = self.fixture.run(&format!("stats {filter} --limit 0 --wide")).ok();
        for (header, outcomes) in [("ERRORS", &FAILURES[..]), ("TIMEOUTS", &["timeout"]), ("ISERROR", &["tool_error"])]
        {
            assert_eq!(column_sum(&text, header), of(outcomes), "stats {filter}, {header} in\n{text}");
        }
        assert_eq!(column_sum(&text, "CALLS"), count(kept.len()), "stats {filter}:\n{text}");
    }
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap()
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// As people read numbers.
fn grouped(number: i64) -> String {
    mcplog_terminal::units::count(number)
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The sum of the numbers below each heading with that name, up to an empty line.
fn column_sum(text: &str, header: &str) -> i64 {
    let (mut sum, mut end) = (0, None);
    for line in text.lines() {
        if let Some(start) = line.find(header) {
            end = Some(line[..start].chars().count() + header.len());
        } else if line.is_empty() {
            end = None;
        } else if let Some(end) = end {
            let before: Vec<char> = line.chars().take(end).collect();
            let cell: String = before.iter().rev().take_while(|cell| !cell.is_whitespace()).collect();
            let digits: String = cell.chars().rev().filter(|digit| *digit != ',').collect();
            sum += if digits == "·" {
                0
            } else {
                digits.parse::<i64>().unwrap_or_else(|_| panic!("{digits:?} in {line}"))
            };
        }
    }
    sum
}

#[test]
fn everything_that_counts_or_filters_says_the_same_of_one_store() {
    let counted = Counted::new();
    each_row_says_what_it_counts_as(&counted);
    statistics(&counted);
    sums_over_sessions(&counted);
    filters(&counted);
    what_is_slow(&counted);
    // The same from rows that are read anew: roll-ups and sums are made again from them.
    counted.fixture.run("rebuild").ok();
    let checked = counted.fixture.run("check");
    assert_eq!(checked.code, 0, "{}", checked.stdout);
    statistics(&counted);
    sums_over_sessions(&counted);
}

fn each_row_says_what_it_counts_as(counted: &Counted) {
    let database = counted.fixture.database();
    let sql = "SELECT request_id, status, outcome, direction FROM requests";
    let mut statement = database.prepare(sql).unwrap();
    let read =
        |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, [row.get::<_, String>(1)?, row.get(2)?, row.get(3)?]));
    let view: BTreeMap<_, _> = statement.query_map([], read).unwrap().map(Result::unwrap).collect();
    let logs: BTreeMap<_, _> =
        counted.json("logs").into_iter().map(|row| (row["request_id"].as_str().unwrap().to_owned(), row)).collect();
    assert_eq!((view.len(), logs.len()), (counted.rows.len(), counted.rows.len()));
    for row in &counted.rows {
        let expected = [row.status, row.outcome, row.direction];
        assert_eq!(view[&row.id], expected, "{row:?}");
        assert_eq!(["status", "outcome", "direction"].map(|name| &logs[&row.id][name]), expected, "{row:?}");
    }
    // People see who asked, too.
    let asked = counted.fixture.run("logs --limit 0 --direction server").ok();
    assert_eq!(asked.matches("← ").count(), counted.ids_where(Row::is_by_server).len());
    assert!(!counted.fixture.run("logs --limit 0 --direction client").ok().contains("← "));
}

fn statistics(counted: &Counted) {
    counted.assert_statistics("", |_| true);
    counted.assert_statistics("--errors", |row| row.is(&TROUBLE));
    counted.assert_statistics("--method tools/call", |row| row.method == "tools/call");
    counted.assert_statistics("--method subscriptions/listen", |row| row.method == "subscriptions/listen");
    for direction in ["client", "server"] {
        let line = format!("--direction {direction}");
        counted.assert_statistics(&line, |row| row.direction == direction);
        counted.assert_statistics(&format!("{line} --errors"), |row| row.direction == direction && row.is(&TROUBLE));
    }
    counted.assert_statistics("--session s3", |row| row.session.as_deref() == Some("s3"));
    let since = START_TS + 3_600_123;
    counted.assert_statistics(&format!("--since {since}"), |row| row.ts >= since);
}

fn sums_over_sessions(counted: &Counted) {
    let sums = [
        ("total_calls", None),
        ("total_errors", Some(&FAILURES[..])),
        ("total_tool_errors", Some(&["tool_error"][..])),
    ];
    let is_counted = |row: &Row, outcomes: Option<&[&str]>| outcomes.is_none_or(|outcomes| row.is(outcomes));
    let database = counted.fixture.database();
    for session in counted.json("sessions") {
        let id = session["session_id"].as_str().unwrap();
        for (member, outcomes) in sums {
            let of_session = |row: &&Row| row.session.as_deref() == Some(id) && is_counted(row, outcomes);
            let expected = count(counted.rows.iter().filter(of_session).count());
            assert_eq!(number(&session[member]), expected, "{member} of {id}");
            let sql = format!("SELECT {member} FROM sessions WHERE session_id = ?");
            assert_eq!(database.query_row(&sql, [id], |row| row.get::<_, i64>(0)), Ok(expected), "{member} of {id}");
        }
    }
    for client in counted.json("sessions --clients") {
        let name = client["client_name"].as_str().unwrap();
        for (member, outcomes) in sums {
            let of_client = |row: &&Row| {
                let session = row.session.as_deref().and_then(|id| id.strip_prefix('s')?.parse::<u32>().ok());
                session.is_some_and(|session| format!("c{}", session % 2) == name) && is_counted(row, outcomes)
            };
            let expected = count(counted.rows.iter().filter(of_client).count());
            assert_eq!(number(&client[member]), expected, "{member} of {name}");
        }
    }
    for line in ["sessions --wide", "sessions --clients --wide"] {
        let text = counted.fixture.run(line).ok();
        for (header, outcomes) in [("ERRORS", &FAILURES[..]), ("ISERROR", &["tool_error"])] {
            let of_sessions = counted.rows.iter().filter(|row| row.session.is_some() && row.is(outcomes));
            assert_eq!(column_sum(&text, header), count(of_sessions.count()), "{line}, {header} in\n{text}");
        }
    }
}

fn filters(counted: &Counted) {
    for (status, outcomes) in OUTCOMES {
        let line = format!("logs --status {status}");
        assert_eq!(counted.ids(&line), counted.ids_where(|row| row.is(outcomes)), "{line}");
        for outcome in outcomes {
            let line = format!("logs --outcome {outcome}");
            assert_eq!(counted.ids(&line), counted.ids_where(|row| row.outcome == *outcome), "{line}");
            let stats = counted.json(&format!("stats --outcome {outcome}"));
            let calls: i64 = stats.iter().map(|row| number(&row["calls"])).sum();
            assert_eq!(calls, counted.count(&[outcome]), "stats --outcome {outcome}");
        }
    }
    assert_eq!(counted.ids("logs --errors"), counted.ids_where(|row| row.is(&TROUBLE)));
    assert_eq!(counted.ids("logs --outcome ok --status error"), BTreeSet::new());
    // How many there are is known beyond what is shown, and by roll-ups.
    let troubles = counted.count(&TROUBLE);
    let cut = counted.fixture.run(&format!("logs --errors --limit {}", troubles - 1)).ok();
    assert!(cut.contains("--limit 0 shows all"), "{cut}");
    let whole = counted.fixture.run(&format!("logs --errors --limit {troubles}")).ok();
    assert!(!whole.contains("--limit 0 shows all"));
    let unused: Vec<_> = counted.json("unused").iter().map(|row| row["tool"].clone()).collect();
    assert_eq!(unused, ["never"], "however a call ended, its tool was called; what a server asks calls none");
    for direction in ["client", "server"] {
        let line = format!("logs --direction {direction}");
        assert_eq!(counted.ids(&line), counted.ids_where(|row| row.direction == direction), "{line}");
    }
    let troubled: BTreeSet<_> =
        counted.rows.iter().filter(|row| row.is(&TROUBLE)).filter_map(|row| row.session.clone()).collect();
    assert_eq!(counted.json("sessions --errors").len(), troubled.len());
}

fn what_is_slow(counted: &Counted) {
    // How long a client takes to answer is no slowness, unless it is asked for.
    let slowest = |direction: &str| -> Vec<&Row> {
        let is_it = |row: &&Row| row.has_latency() && row.direction == direction;
        let mut slowest: Vec<&Row> = counted.rows.iter().filter(is_it).collect();
        slowest.sort_by_key(|row| std::cmp::Reverse((row.latency_us, row.ts)));
        slowest
    };
    let ids = |rows: &[&Row]| -> Vec<_> { rows.iter().map(|row| Value::from(row.id.clone())).collect() };
    let (expected, slowest_asked, slowest) = (ids(&slowest("client")), ids(&slowest("server")), slowest("client"));
    let shown = |line: &str| -> Vec<Value> {
        counted.fixture.run(line).json().iter().map(|row| row["request_id"].clone()).collect()
    };
    assert_eq!(shown("slow --json --limit 0"), expected);
    assert_eq!(shown("slow --json --limit 0 --direction client"), expected);
    assert_eq!(shown("slow --json --limit 0 --direction server"), slowest_asked);
    assert_eq!(shown("slow --json --limit 20"), expected[..20]);
    assert_eq!(shown("slow --json --method subscriptions/listen --outcome ended"), [Value::Null; 0]);
    let troubles = slowest.iter().filter(|row| row.is(&TROUBLE)).map(|row| Value::from(row.id.clone()));
    assert_eq!(shown("slow --json --errors --limit 20"), troubles.take(20).collect::<Vec<_>>());
    let slower = counted.ids_where(|row| row.has_latency() && row.latency_us > 50_000);
    assert_eq!(counted.ids("logs --slower-than 50ms"), slower);
}

/// What the scripted server answers on a path: a status, further lines of the head, and a body.
const ANSWERS: [(&str, &str, &str); 7] = [
    ("/ok", "200 OK", r#"{"id":1,"result":{}}"#),
    ("/tool_error", "200 OK", r#"{"id":1,"result":{"isError":true}}"#),
    ("/error", "200 OK", r#"{"id":1,"error":{"code":-32603,"message":"m"}}"#),
    ("/probe", "400 Bad Request", r#"{"id":null,"error":{"code":-32000,"message":"Server not initialized"}}"#),
    ("/redirected", "307 Temporary Redirect\r\nlocation: /elsewhere", ""),
    ("/input_required", "200 OK", r#"{"id":1,"result":{"resultType":"input_required"}}"#),
    ("/no_stream", "405 Method Not Allowed", ""),
];

/// A server that answers as [`ANSWERS`] says; on `/ended` it opens a stream and waits, elsewhere it is silent.
fn scripted_upstream() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || answer(stream.unwrap()));
        }
    });
    url
}

fn answer(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim_end().is_empty() {
            break;
        }
        head.push(line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let path = head[0].split(' ').nth(1).unwrap();
    if String::from_utf8_lossy(&body).contains("notifications/") {
        write!(stream, "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    } else if let Some((_, status, answer)) = ANSWERS.iter().find(|(of, ..)| *of == path) {
        let length = answer.len();
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}");
        write!(stream, "{head}\r\nconnection: close\r\n\r\n{answer}").unwrap();
    } else {
        if path == "/ended" {
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: open\n\n").unwrap();
        }
        // Until the proxy lets go.
        let _ = reader.read_to_end(&mut Vec::new());
    }
}

/// Sends a request to the proxy.
fn send(proxy: &Running, verb: &str, path: &str, body: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(host_of(proxy.told("clients connect to"))).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let head = format!("{verb} {path} HTTP/1.1\r\nhost: h\r\nmcp-session-id: s\r\ncontent-length: {length}");
    write!(stream, "{head}\r\nconnection: close\r\n\r\n{body}").unwrap();
    BufReader::new(stream)
}

fn exchange(proxy: &Running, verb: &str, path: &str, body: &str) {
    let _ = send(proxy, verb, path, body).read_to_end(&mut Vec::new());
}

/// The samples of a family of metrics, by the value of their label.
fn samples(proxy: &Running, family: &str) -> BTreeMap<String, i64> {
    let sample = |line: &str| {
        let (label, value) = line.strip_prefix(family)?.strip_prefix('{')?.split_once("\"} ")?;
        Some((label.split_once('"')?.1.to_owned(), value.parse().unwrap()))
    };
    proxy.admin("/metrics").lines().filter_map(sample).collect()
}

#[test]
fn the_metrics_of_a_proxy_count_what_its_store_counts() {
    let dir = tempfile::tempdir().unwrap();
    let proxy = Running::start(dir.path(), &scripted_upstream(), &["--upstream-timeout", "1s"]);
    let call =
        |id: u32, method: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{"name":"t"}}}}"#);
    for (path, method) in [
        ("/ok", "ping"),
        ("/tool_error", "tools/call"),
        ("/error", "tools/call"),
        ("/probe", "server/discover"),
        ("/redirected", "ping"),
        ("/input_required", "tools/call"),
        ("/timeout", "ping"),
    ] {
        exchange(&proxy, "POST", path, &call(1, method));
    }
    // No calls, whatever they are answered with.
    exchange(&proxy, "GET", "/no_stream", "");
    exchange(&proxy, "DELETE", "/no_stream", "");
    // A subscription whose client goes once it is open.
    let mut subscription = send(&proxy, "POST", "/ended", &call(2, "subscriptions/listen"));
    let mut line = String::new();
    while !line.contains(": open") {
        line.clear();
        assert!(subscription.read_line(&mut line).unwrap() > 0, "it ended");
    }
    drop(subscription);
    proxy.wait_for_metric(r#"mcplog_requests_by_outcome_total{outcome="ended"} 1"#);
    // A call that is taken back.
    let taken_back = send(&proxy, "POST", "/silent", &call(3, "tools/call"));
    proxy.wait_for_metric("mcplog_requests_in_flight 1");
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}"#;
    exchange(&proxy, "POST", "/silent", cancel);
    proxy.wait_for_metric(r#"mcplog_requests_by_outcome_total{outcome="cancelled"} 1"#);
    drop(taken_back);

    let by_outcome = samples(&proxy, "mcplog_requests_by_outcome_total");
    let each = |outcome: &str| if outcome == "lost" { 0 } else { 1 };
    let expected: BTreeMap<_, _> = OUTCOMES
        .iter()
        .flat_map(|(_, outcomes)| outcomes.iter().map(|outcome| ((*outcome).to_owned(), each(outcome))))
        .collect();
    assert_eq!(by_outcome, expected);
    let by_status = samples(&proxy, "mcplog_requests_total");
    for (status, outcomes) in OUTCOMES {
        assert_eq!(by_status[status], outcomes.iter().map(|outcome| by_outcome[*outcome]).sum::<i64>(), "{status}");
    }
    assert!(proxy.admin("/metrics").contains("\nmcplog_tool_errors_total 1\n"));
    proxy.signal("-TERM");
    assert!(proxy.end().0.success());

    let rows = ask(dir.path(), &["logs", "--limit", "0"]);
    let mut of_store: BTreeMap<String, i64> = expected.keys().map(|outcome| (outcome.clone(), 0)).collect();
    for row in rows.lines().map(|row| serde_json::from_str::<Value>(row).unwrap()) {
        *of_store.get_mut(row["outcome"].as_str().unwrap()).unwrap() += 1;
    }
    assert_eq!(of_store, by_outcome);
    assert_eq!(ask(dir.path(), &["slow"]).lines().filter(|row| row.contains("subscriptions/listen")).count(), 0);
}
