//! What the proxy says in its diagnostics and in the access log: as the page has it, once, without a word of payload, and
//! without holding up anybody.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod running;

use running::{PATIENCE, Running, host_of, mcplog, refused, upstream};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
/// In arguments, in a header, in a path's query, in a session's id.
const SECRET: &str = "S3CR3T";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The sources in a folder and below.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The levels at which each target says something, by the macros in the sources.
fn told_in_sources() -> BTreeMap<String, BTreeSet<String>> {
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (folder, name) in [("src", "mcplog"), ("tools/observe/src", "mcplog_observe"), ("tools/mcplog/src", "mcplog")] {
        let mut files = Vec::new();
        sources(&root().join(folder), &mut files);
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            let below = file.parent().unwrap().strip_prefix(root().join(folder)).unwrap();
            let parts = below.components().map(|part| part.as_os_str().to_str().unwrap());
            let target = std::iter::once(name).chain(parts).collect::<Vec<_>>().join("::");
            for level in LEVELS.iter().filter(|level| text.contains(&format!("tracing::{level}!"))) {
                told.entry(target.clone()).or_default().insert((*level).to_owned());
            }
        }
    }
    told
}

#[test]
fn the_page_lists_every_target_and_level_that_says_something_and_no_other() {
    let page = std::fs::read_to_string(root().join("docs/operating.md")).unwrap();
    let (_, table) = page.split_once("| target | error | warn | info | debug | trace |").unwrap();
    let mut listed = BTreeMap::new();
    for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let levels = LEVELS.iter().zip(&cells[2..]).filter(|(_, cell)| !cell.is_empty());
        let levels: BTreeSet<String> = levels.map(|(level, _)| (*level).to_owned()).collect();
        listed.insert(cells[1].trim_matches('`').to_owned(), levels);
    }
    assert_eq!(listed, told_in_sources());
}

/// Calls a tool with a secret wherever a client can put one.
fn call(proxy: &Running, path: &str) {
    let mut stream = TcpStream::connect(host_of(proxy.told("clients connect to"))).unwrap();
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"search","arguments":{{"q":"{SECRET}"}}}}}}"#
    );
    let length = body.len();
    write!(
        stream,
        "POST {path}?key={SECRET} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {SECRET}\r\nmcp-session-id: {SECRET}\r\n\
         connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let _ = stream.read_to_string(&mut String::new());
}

fn wait_for_lines(path: &Path, lines: usize) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.lines().count() >= lines {
            return text;
        }
        assert!(Instant::now() < deadline, "{lines} lines are wanted: {text}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn every_line_is_json_where_asked_and_none_has_a_word_of_payload() {
    let dir = tempfile::tempdir().unwrap();
    let [store, access] = ["store", "access.log"].map(|name| dir.path().join(name));
    // Whatever a store can't be opened for is told too.
    std::fs::write(&store, "no store").unwrap();
    let flags = ["--log-level", "trace", "--log-format", "json", "--access-log", access.to_str().unwrap()];
    // A hostile answer to colours that are forced.
    let mut command = mcplog();
    command.env("CLICOLOR_FORCE", "1");
    let proxy = Running::start_as(command, &store, &upstream(), &flags);
    call(&proxy, "/mcp");
    call(&proxy, "/mcp");
    std::fs::remove_file(&store).unwrap();
    proxy.signal("-HUP");
    proxy.wait_for_code("/readyz", 200);
    call(&proxy, "/mcp");
    let lines = wait_for_lines(&access, 3);
    for line in lines.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        let found = ["method", "tool", "status", "outcome"].map(|member| object[member].as_str().unwrap().to_owned());
        assert_eq!(found, ["tools/call", "search", "ok", "ok"]);
        assert!(object["latency_us"].as_i64().unwrap() >= 0 && object["http_status"] == 200, "{line}");
    }
    proxy.signal("-INT");
    proxy.wait_for_diagnostics("nothing is recorded");
    let said = proxy.diagnostics();
    assert!(said.lines().count() > 3, "{said}");
    for line in said.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(object["level"].is_string() && object["target"].is_string(), "{line}");
    }
    assert_eq!(said.matches("\"nothing is recorded; the proxy").count(), 1, "{said}");
    assert_eq!(said.matches("\"recording begins; what was missed before is a gap").count(), 1, "{said}");
    for text in [&said, &lines] {
        assert!(!text.contains(SECRET) && !text.contains('\u{1b}'), "{text}");
    }
    assert!(proxy.end().0.success());
}

#[test]
fn an_access_log_that_was_moved_away_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let [store, access, moved] = ["store", "access.log", "access.log.1"].map(|name| dir.path().join(name));
    let proxy = Running::start(&store, &upstream(), &["--access-log", access.to_str().unwrap()]);
    proxy.post("/mcp");
    let line = wait_for_lines(&access, 1);
    assert!(line.contains(" method=tools/list tool=- client=- status=ok outcome=ok http_status=200 "), "{line}");
    std::fs::rename(&access, &moved).unwrap();
    proxy.signal("-HUP");
    let deadline = Instant::now() + PATIENCE;
    while !access.exists() {
        assert!(Instant::now() < deadline, "it is not opened anew");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    proxy.post("/mcp");
    wait_for_lines(&access, 1);
    assert_eq!(wait_for_lines(&moved, 1).lines().count(), 1);
}

#[test]
fn an_access_log_that_nobody_reads_holds_up_nothing_and_says_what_it_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&[b'x'; 64 * 1024]).unwrap();
    let stderr = dir.path().join("diagnostics");
    let file = std::fs::File::create(&stderr).unwrap();
    let proxy =
        Running::start_unread(&dir.path().join("store"), &upstream(), Stdio::from(writer), file.into(), |command| {
            command.args(["--access-log", "-", "--color", "always"]);
        });
    // More than may wait.
    let requests = 8_192 + 10;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    std::thread::scope(|scope| {
        for of_thread in [requests / 2, requests - requests / 2] {
            let address = host_of(proxy.told("clients connect to"));
            scope.spawn(move || {
                for _ in 0..of_thread {
                    let mut stream = TcpStream::connect(address).unwrap();
                    let head = "POST /mcp HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length:";
                    write!(stream, "{head} {}\r\n\r\n{body}", body.len()).unwrap();
                    let mut answer = String::new();
                    stream.read_to_string(&mut answer).unwrap();
                    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                }
            });
        }
    });
    let said = wait_for_lines(&stderr, 1);
    let told = std::fs::read_to_string(&stderr).unwrap();
    assert_eq!(told.matches("lines of the access log are left out").count(), 1, "{said}");
    assert!(told.contains("mcplog is recording.") && !told.contains('\u{1b}'), "{told}");
    drop(reader);
    proxy.signal("-INT");
    assert!(proxy.end().0.success());
}

#[test]
fn an_access_log_on_a_full_device_says_so_and_has_whole_lines_only() {
    const ROOM: usize = 65_536;
    let dir = tempfile::tempdir().unwrap();
    let access = dir.path().join("access.log");
    // Room for half a line: the limit on a file's size stands for a device that is full.
    let earlier = format!("{{\"earlier\":\"{}\"}}\n", "x".repeat(ROOM - 100 - 15));
    assert_eq!(earlier.len(), ROOM - 100);
    std::fs::write(&access, &earlier).unwrap();
    let mut command = std::process::Command::new("prlimit");
    command.arg(format!("--fsize={ROOM}:unlimited")).arg(mcplog().get_program()).env_remove("RUST_LOG");
    running::nowhere(&mut command);
    let flags = ["--log-format", "json", "--access-log", access.to_str().unwrap()];
    let proxy = Running::start_as(command, &dir.path().join("store"), &upstream(), &flags);
    for _ in 0..3 {
        assert!(proxy.post("/mcp").starts_with("HTTP/1.1 200"));
    }
    let begins = "lines of the access log are left out: they can't be written";
    proxy.wait_for_diagnostics(begins);
    let limit = ["--fsize=unlimited", "--pid", &proxy.child.id().to_string()].map(str::to_owned);
    assert!(std::process::Command::new("prlimit").args(limit).status().unwrap().success());
    proxy.post("/mcp");
    let deadline = Instant::now() + PATIENCE;
    // Each is told of in one way or the other.
    let (mut written, mut left_out) = (0, 0);
    while written + left_out < 4 {
        assert!(Instant::now() < deadline, "{written} lines, and {left_out} left out");
        std::thread::sleep(std::time::Duration::from_millis(5));
        let lines = std::fs::read_to_string(&access).unwrap();
        let lines = lines[earlier.len()..].lines().flat_map(serde_json::from_str::<serde_json::Value>);
        let (told, whole) = lines.partition::<Vec<_>, _>(|line| line["left_out"].is_u64());
        left_out = told.iter().filter_map(|line| line["left_out"].as_u64()).sum();
        written = whole.len() as u64;
    }
    assert!(left_out > 0 && written > 0, "{written} lines, and {left_out} left out");
    let lines = std::fs::read_to_string(&access).unwrap();
    assert!(lines.starts_with(&earlier));
    for line in lines.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    proxy.signal("-INT");
    proxy.wait_for_diagnostics("no more lines of the access log are left out");
    let said = proxy.diagnostics();
    assert_eq!(said.matches(begins).count(), 1, "{said}");
    assert!(said.contains("File too large"), "{said}");
    assert!(proxy.end().0.success());
}

#[test]
fn an_upstream_that_refuses_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy =
        Running::start(dir.path(), &format!("http://{nobody}/mcp"), &["--log-level", "warn,mcplog::proxy=debug"]);
    for _ in 0..20 {
        assert!(proxy.post("/mcp").starts_with("HTTP/1.1 502"));
    }
    proxy.wait_for_diagnostics("the upstream, again: ");
    assert_eq!(proxy.diagnostics().matches("the upstream: ").count(), 1, "{}", proxy.diagnostics());
}

#[test]
fn what_is_no_level_and_no_file_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let start = |flag: &str, value: &str| {
        refused(&[
            "--upstream",
            "http://127.0.0.1:1/",
            "--listen",
            "127.0.0.1:0",
            "--dir",
            store.to_str().unwrap(),
            flag,
            value,
        ])
    };
    assert!(start("--log-level", "wran").contains("expected a level (off, error, warn, info, debug, trace)"));
    assert!(
        start("--access-log", "/nowhere/access.log").contains("opening the access log /nowhere/access.log: No such")
    );
    assert!(start("--access-log", "/dev/full").contains("expected a regular file"));
    assert!(!store.exists(), "a store was made for nothing");
}

#[test]
fn why_the_proxy_does_not_start_is_a_line_of_the_format_and_nothing_else_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let [store, config] = ["store", "proxy.toml"].map(|name| dir.path().join(name));
    std::fs::write(&store, "no store").unwrap();
    std::fs::write(&config, "log_format = \"json\"\n").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let [json, file] = [["--log-format", "json"], ["--config", config.to_str().unwrap()]];
    let refused = |flags: &[&str]| {
        let fixed = ["--dir", store.to_str().unwrap(), "--upstream", "http://127.0.0.1:1/"];
        refused(&[&fixed[..], flags].concat())
    };
    let cases = [
        (["--listen", &taken], "Address already in use"),
        (["--require-recording", "--listen=127.0.0.1:0"], "--require-recording says that this is no start: "),
    ];
    for (flags, reason) in cases {
        for format in [json, file] {
            let said = refused(&[&flags[..], &format].concat());
            let [line] = said.lines().collect::<Vec<_>>()[..] else { panic!("{said}") };
            let object: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert_eq!((&object["level"], object["target"].is_string()), (&"ERROR".into(), true), "{line}");
            assert!(object["fields"]["message"].as_str().unwrap().contains(reason), "{line}");
        }
        let said = refused(&flags);
        assert!(said.starts_with("error: ") && said.contains(reason), "{said}");
        assert!(!said.contains("the proxy serves"), "{said}");
    }
}
