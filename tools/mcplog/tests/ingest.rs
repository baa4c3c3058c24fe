//! `mcplog ingest`, as a process: events in, tables out.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod common;
mod running;

use common::{EVENTS, Fixture, request_line};
use running::{Running, upstream};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// For what happens within milliseconds; only a broken build waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

const TABLES: [&str; 4] = ["requests", "sessions", "server_schema", "schema_changes"];

fn tables(fixture: &Fixture) -> Vec<Vec<Vec<rusqlite::types::Value>>> {
    TABLES.iter().map(|table| fixture.table(table)).collect()
}

#[test]
fn every_kind_of_event_reaches_its_table() {
    let fixture = Fixture::new();
    let summary = fixture.ingest(EVENTS).json().remove(0);
    for (field, expected) in
        [("lines", 20), ("recorded_events", 20), ("folded_records", 20), ("bad_lines", 0), ("unfolded_records", 0)]
    {
        assert_eq!(summary[field], expected, "{field} of {summary}");
    }
    assert_eq!(summary["interrupted"], false);
    let rows: Vec<_> = TABLES.iter().map(|table| fixture.table(table).len()).collect();
    assert_eq!(rows, [12, 4, 2, 5]);

    // One row of each, by every column that a line can set.
    let row = &fixture.run("logs --json --method resources/read --errors").json()[0];
    let expected = serde_json::json!({
        "id": row["id"], "request_id": "0195511c-0008-7cc3-98c4-dc0c0c07398f", "ts": 1_740_823_205_000_i64,
        "proxy": "books", "session_id": "b0b5c0de-0000-4000-8000-00000000000b", "client_name": "Visual Studio Code",
        "method": "resources/read", "tool": null, "target": "file:///etc/passwd", "latency_us": 700, "status": "error",
        "tool_error": null, "error_code": "-32002", "error_msg": "no such resource\n\u{1b}[31mred\u{202e}esrever",
        "bytes_in": null, "bytes_out": null, "protocol_version": null, "rpc_id": "\"three\"", "http_status": null,
        "transport": null, "endpoint": null, "outcome": "error", "cause": null, "direction": "client", "principal": null,
        "trace_id": null, "parent_span_id": null, "retry_of": null, "input_wait_us": null, "notes": [],
    });
    assert_eq!(*row, expected);
    let session = &fixture.run("sessions --json --session 01955120").json()[0];
    let expected = serde_json::json!({
        "session_id": "derived-01955120-7b1e-7cc3-98c4-00000000000c", "proxy": "books",
        "started_at": 1_740_823_206_100_i64, "last_seen_at": 1_740_823_206_100_i64,
        "ended_at": 1_740_823_206_100_i64,
        "closed_at": null, "client_name": "openai-mcp", "client_version": "1.0.0", "client_platform": "chatgpt",
        "protocol_version": "2026-07-28", "derived": true, "total_calls": 1, "total_errors": 1, "total_tool_errors": 0,
        "noise_lines": null,
    });
    assert_eq!(*session, expected);
}

#[test]
fn any_order_of_the_lines_gives_the_same_tables() {
    let lines: Vec<&str> = EVENTS.lines().collect();
    let expected = tables(&Fixture::with_events());
    // 7 and 13 are coprime to the number of lines, so each is a permutation.
    assert_eq!(lines.len(), 20);
    let reversed: Vec<&str> = lines.iter().rev().copied().collect();
    let orders = [7, 13].map(|step| (0..lines.len()).map(|index| lines[index * step % lines.len()]).collect());
    for order in orders.into_iter().chain([reversed]) {
        let fixture = Fixture::new();
        fixture.ingest(order.join("\n")).ok();
        assert_eq!(tables(&fixture), expected, "{order:#?}");
    }
}

#[test]
fn importing_twice_changes_nothing() {
    let fixture = Fixture::with_events();
    let once = tables(&fixture);
    fixture.ingest(EVENTS).ok();
    assert_eq!(tables(&fixture), once);
}

#[test]
fn standard_input_is_as_good_as_a_file() {
    let fixture = Fixture::new();
    fixture.ingest_stdin(EVENTS).ok();
    assert_eq!(tables(&fixture), tables(&Fixture::with_events()));
}

#[test]
fn packed_files_and_pipes_with_or_without_a_mark_are_as_good_as_plain_ones() {
    let plain = Fixture::with_events();
    let marked = format!("\u{feff}{EVENTS}");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(marked.as_bytes()).unwrap();
    for packed in [gzip.finish().unwrap(), zstd::stream::encode_all(marked.as_bytes(), 3).unwrap(), marked.into_bytes()]
    {
        let from_file = Fixture::new();
        from_file.ingest(&packed).ok();
        assert_eq!(tables(&from_file), tables(&plain));
        let from_pipe = Fixture::new();
        from_pipe.ingest_stdin(&packed).ok();
        assert_eq!(tables(&from_pipe), tables(&plain));
    }
}

#[test]
fn a_packed_file_that_is_cut_off_keeps_what_was_read_and_says_so() {
    let fixture = Fixture::new();
    let lines: String = (0..20_000).map(|number| request_line(number) + "\n").collect();
    let mut packed = zstd::stream::encode_all(lines.as_bytes(), 1).unwrap();
    packed.truncate(packed.len() - 10);
    let run = fixture.ingest(&packed);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("can't read on"), "{}", run.stderr);
    assert!(run.stdout.contains("recorded_events"), "{}", run.stdout);
}

#[test]
fn what_a_few_bytes_unpack_to_is_not_held() {
    let fixture = Fixture::new();
    // 512 MiB without a line's end, in some 50 KB.
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    let zeros = vec![b'x'; 1 << 20];
    (0..512).for_each(|_| encoder.write_all(&zeros).unwrap());
    let file = fixture.root.path().join("bomb");
    std::fs::write(&file, encoder.finish().unwrap()).unwrap();
    // The address space that it may take; what it maps without touching counts too.
    let command = format!("ulimit -v 1500000; exec \"$0\" ingest --json {}", file.display());
    let program = assert_cmd::cargo::cargo_bin!("mcplog");
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]).arg(program).env("MCPLOG_DIR", fixture.dir());
    let output = shell.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), text.as_str()), (Some(2), "line 1: longer than 16 MiB\n"));
}

#[test]
fn times_in_seconds_are_refused_with_their_lines_and_what_they_would_be() {
    let fixture = Fixture::new();
    let seconds = request_line(1).replace("1740823200001", "1740823200");
    let run = fixture.ingest(format!("{}\n{seconds}\n{seconds}\n", request_line(2)));
    assert_eq!(run.code, 2);
    let expected =
        "lines 2 to 3: `ts` is no time from 2000 to 2100 in Unix milliseconds; it would be 2025-03-01 in seconds\n";
    assert_eq!(run.stderr, expected);
    assert_eq!(fixture.table("requests").len(), 1);
}

#[test]
fn escapes_arrive_as_the_characters_they_stand_for() {
    let fixture = Fixture::new();
    let line = request_line(1).replace("\"ping\"", r#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\u0000é""#);
    fixture.ingest(line).ok();
    let row = &fixture.run("logs --json").json()[0];
    assert_eq!(row["method"], "a\"\\/\u{8}\u{c}\n\r\té😀\0é");
}

#[test]
fn bad_lines_are_reported_by_number_without_their_payload_and_the_rest_goes_on() {
    let fixture = Fixture::new();
    let lines = [
        &*request_line(1),
        "SECRET",
        "",
        r#"{"type":"SECRET"}"#,
        r#"{"type":"session_closed","session_id":"s","ended_at":"SECRET"}"#,
        r#"{"type":"session_closed","session_id":"s","ended_at":"SECRET"}"#,
        r#"{"type":"session_closed","session_id":"SECRET"}"#,
        "   ",
        &request_line(2),
    ];
    let run = fixture.ingest(lines.join("\n"));
    assert_eq!(run.code, 2);
    let expected = "\
line 2: not a JSON object
line 4: `type` is wrong: expected request, session, session_closed or schema_version
lines 5 to 6: `ended_at` is wrong: expected a whole number
line 7: `ended_at` is missing
";
    assert_eq!(run.stderr, expected);
    let summary: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    for (field, expected) in
        [("lines", 9), ("blank_lines", 2), ("bad_lines", 5), ("recorded_events", 2), ("folded_records", 2)]
    {
        assert_eq!(summary[field], expected, "{field} of {summary}");
    }
    assert_eq!(fixture.table("requests").len(), 2);
}

#[test]
fn a_line_without_end_is_left_out_and_the_next_one_is_read() {
    let fixture = Fixture::new();
    let mut lines = format!("{}\n{{\"type\":\"request\",\"x\":\"", request_line(1)).into_bytes();
    lines.resize(lines.len() + 17 * 1024 * 1024, b'x');
    lines.extend_from_slice(format!("\"}}\n{}\n", request_line(2)).as_bytes());
    let run = fixture.ingest(&lines);
    assert_eq!((run.code, run.stderr.as_str()), (2, "line 2: longer than 16 MiB\n"));
    assert_eq!(fixture.table("requests").len(), 2);
}

#[test]
fn an_event_that_no_segment_holds_is_a_bad_line() {
    let fixture = Fixture::new();
    let payload = "x".repeat(8 * 1024 * 1024);
    let line = format!(
        r#"{{"type":"schema_version","ts":1740823200000,"proxy":"p","upstream_url":"u","method":"m","payload":"{payload}","content_hash":"h"}}"#
    );
    let run = fixture.ingest(format!("{line}\n{}", request_line(1)));
    assert_eq!(run.code, 2);
    assert!(run.stderr.starts_with("line 1: too large: the event takes 83"), "{}", run.stderr);
    assert_eq!(fixture.table("requests").len(), 1);
}

#[test]
fn the_log_stays_only_when_it_is_kept() {
    let message = "x".repeat(500);
    let line = |number| request_line(number).replace("\"ok\"", &format!(r#""error","error_msg":"{message}""#));
    let lines: Vec<String> = (0..50_000).map(line).collect();
    let lines = lines.join("\n");
    // Three segments' worth.
    assert!(lines.len() > 24 * 1024 * 1024);

    let fixture = Fixture::new();
    fixture.ingest(&lines).ok();
    assert_eq!(fixture.segments(), [""; 0].map(std::path::PathBuf::from), "folded, and nobody's");
    let kept = Fixture::new();
    kept.ingest_stdin(request_line(0)).ok();
    let file = fixture.root.path().join("events.jsonl");
    kept.run(&format!("ingest --keep-segments {}", file.display())).ok();
    assert!(kept.segments().len() > 2, "{:?}", kept.segments());
    assert_eq!(kept.table("requests").len(), 50_000);
}

#[test]
fn what_people_read_says_how_many_and_how_fast() {
    let fixture = Fixture::new();
    let file = fixture.root.path().join("events");
    std::fs::write(&file, format!("{EVENTS}\nnonsense")).unwrap();
    let run = fixture.run(&format!("ingest {}", file.display()));
    assert_eq!(run.code, 2);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", run.stdout);
    assert!(lines[0].starts_with("Recorded  20 events in ") && lines[0].ends_with(" events/s"), "{}", lines[0]);
    assert!(lines[1].starts_with("Folded    20 records in ") && lines[1].ends_with(" records/s"), "{}", lines[1]);
    assert_eq!(lines[2], "Left out  1 bad line of 22; see above");
}

#[test]
fn what_is_found_lost_in_the_log_is_said_at_the_end() {
    let fixture = Fixture::with_events();
    let file = fixture.root.path().join("events");
    std::fs::write(&file, EVENTS).unwrap();
    let ingest = format!("ingest {}", file.display());
    assert!(!fixture.run(&ingest).ok().contains("Damaged"));
    // What another import leaves that is killed while nobody folds.
    let blocker = fixture.database();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut killed = start(&fixture);
    feed(&mut killed, &request_line(1));
    let is_there = || fixture.run("stats --json").answer()["unfolded_records"].as_u64() > Some(1);
    let start = Instant::now();
    while !is_there() {
        assert!(start.elapsed() < PATIENCE, "the request does not arrive in the log");
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    drop(blocker);
    let [left] = fixture.segments().try_into().unwrap();
    std::fs::OpenOptions::new().write(true).open(&left).unwrap().write_all(&[0xff; 96]).unwrap();
    let run = fixture.run(&ingest).ok();
    let damaged: Vec<&str> = run.lines().filter(|line| line.starts_with("Damaged   ")).collect();
    assert_eq!(damaged.len(), 1, "{run}");
    let writer = left.parent().unwrap().file_name().unwrap().to_string_lossy();
    assert!(damaged[0].contains(&format!("{writer}, segment 000000000001")), "{run}");
    assert!(damaged[0].ends_with("says what is lost"), "{run}");
}

#[test]
fn what_can_not_be_read_is_an_error_that_names_it() {
    let fixture = Fixture::new();
    let run = fixture.run("ingest /nowhere/events.jsonl");
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("can't open /nowhere/events.jsonl: No such file"), "{}", run.stderr);
    let run = fixture.run("ingest /");
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("can't read /: it is a directory"), "{}", run.stderr);
    assert!(!fixture.dir().exists(), "a store was made for nothing");
}

#[test]
fn an_import_beside_a_running_proxy_and_another_import_holds_up_neither_and_loses_nothing_to_ctrl_c() {
    let fixture = Fixture::new();
    let proxy = Running::start(&fixture.dir(), &upstream(), &[]);
    proxy.post("/mcp");
    let mut first = start(&fixture);
    feed(&mut first, &request_line(1));
    // Another one, from its beginning to its end.
    let second = fixture.ingest(EVENTS).json().remove(0);
    assert_eq!((&second["recorded_events"], &second["unfolded_records"]), (&20.into(), &0.into()), "{second}");
    let mut third = start(&fixture);
    feed(&mut third, &request_line(2));
    feed(&mut first, &request_line(3));
    wait_for_requests(&fixture, 1 + 12 + 3);
    // Its input stays open: it ends in the middle of it.
    assert!(Command::new("kill").args(["-INT", &third.id().to_string()]).status().unwrap().success());
    assert_eq!(third.wait().unwrap().code(), Some(130));
    proxy.post("/mcp");
    feed(&mut first, &request_line(4));
    drop(first.stdin.take());
    assert_eq!(first.wait().unwrap().code(), Some(0));
    proxy.signal("-TERM");
    assert_eq!(proxy.end().0.code(), Some(0));
    assert_eq!(fixture.table("requests").len(), 2 + 12 + 4);
    assert_eq!(fixture.table("writers").len(), 4);
    assert_eq!(fixture.table("gaps").len() + fixture.table("quarantine").len(), 0);
    assert_eq!(std::fs::read_dir(fixture.dir().join("wal")).unwrap().count(), 0, "a log that is folded and nobody's");
    assert!(fixture.run("check").code == 0);
}

#[test]
fn an_interruption_keeps_what_was_read_and_says_so() {
    for signal in ["INT", "TERM"] {
        let fixture = Fixture::new();
        let mut child = start(&fixture);
        feed(&mut child, EVENTS.trim_end());
        wait_for_requests(&fixture, 12);
        let kill = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        // Its input stays open: it has to end all the same.
        let input = child.stdin.take();
        let output = child.wait_with_output().unwrap();
        drop(input);
        assert_eq!(output.status.code(), Some(130), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("Recorded  20 events") && text.contains("Interrupted after line 20"), "{text}");
        assert_eq!(fixture.table("requests").len(), 12);
    }
}

#[test]
fn an_import_onto_a_crowded_disk_says_what_it_waits_for_and_loses_nothing() {
    let fixture = Fixture::new();
    let path = fixture.root.path().join("events.jsonl");
    std::fs::write(&path, EVENTS).unwrap();
    let path = path.to_str().unwrap();
    // No disk is that large.
    let mut command = fixture.command(["ingest", "--min-free", "8000000TiB", path]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
    assert!(said.starts_with("waiting: the store is degraded: "), "{said}");
    assert!(said.contains("left to others (min_free)"), "{said}");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(fixture.table("requests").len(), 0);
    fixture.run(&format!("ingest --min-free 0 {path}")).ok();
    assert_eq!(fixture.table("requests").len(), 12);
}

/// A request of a session, that many minutes after 2025-03-01 10:00.
fn request_at(minute: i64, number: i64) -> String {
    let ts = 1_740_823_200_000 + minute * 60_000;
    format!(
        r#"{{"type":"request","request_id":"r{minute}-{number}","ts":{ts},"proxy":"p","session_id":"s{}","method":"ping","latency_us":1,"status":"ok"}}"#,
        minute / 60
    )
}

#[test]
fn sessions_that_fell_silent_ended_with_their_last_event_and_those_of_now_are_open() {
    let fixture = Fixture::new();
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let session = |id: &str, ts: u128| {
        format!(
            r#"{{"type":"session","session_id":"{id}","proxy":"p","started_at":{ts}}}
{{"type":"request","request_id":"of-{id}","ts":{},"proxy":"p","session_id":"{id}","method":"ping","latency_us":1,"status":"ok"}}"#,
            ts + 5_000
        )
    };
    let lines = [session("old", now - 86_400_000), session("of-now", now - 10_000)].join("\n");
    fixture.ingest(&lines).ok();
    let ended = |id: &str| fixture.run(&format!("sessions --json --session {id}")).json().remove(0)["ended_at"].clone();
    assert_eq!(ended("old"), serde_json::json!(now - 86_400_000 + 5_000));
    assert_eq!(ended("of-now"), serde_json::Value::Null);
    let clients = fixture.run("sessions --clients --json").json().remove(0);
    assert_eq!((&clients["sessions"], &clients["open_sessions"]), (&2.into(), &1.into()));
}

#[test]
fn an_import_says_what_the_store_does_not_keep_and_a_second_one_changes_nothing() {
    let fixture = Fixture::new();
    let lines: String = (0..400).flat_map(|minute| (0..80).map(move |n| request_at(minute, n) + "\n")).collect();
    let file = fixture.root.path().join("events.jsonl");
    std::fs::write(&file, &lines).unwrap();
    let line = format!("ingest --keep 365000d --max-size 2MiB {}", file.display());
    assert_eq!(fixture.run(&line).code, 1, "out of range");
    let line = format!("ingest --max-size 2MiB {}", file.display());
    let text = fixture.run(&line).ok();
    let expired = text.lines().find(|line| line.starts_with("Expired ")).unwrap();
    assert!(
        expired.contains(" requests and ") && expired.ends_with("sessions: more than 2.0 MiB (max-size)"),
        "{text}"
    );
    assert!(text.contains("          from 2025-03-01 10:00:00 to 2025-03-01 "), "{text}");
    assert!(!text.contains("Too old"), "{text}");
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    let bytes = std::fs::metadata(fixture.dir().join("store.db")).unwrap().len();
    assert!(bytes <= 2 << 20, "{bytes}");
    let once = tables(&fixture);
    assert!(!once[0].is_empty() && !once[1].is_empty());

    let summary = fixture.run(&format!("ingest --json {}", file.display())).json().remove(0);
    assert_eq!(tables(&fixture), once);
    assert_eq!(summary["late_events"], 32_000 - once[0].len(), "{summary}");
    assert_eq!(summary["expired"], serde_json::json!([]), "{summary}");

    // All of it is older than that.
    let by_age = Fixture::new();
    let summary = by_age.run(&format!("ingest --json --keep 30d {}", file.display())).json().remove(0);
    let from_ts = 1_740_823_200_000_i64;
    let expired = serde_json::json!([{
        "reason": "age", "requests": 32_000, "from_ts": from_ts, "to_ts": from_ts + 399 * 60_000, "sessions": 7,
    }]);
    assert_eq!((&summary["expired"], &summary["late_events"]), (&expired, &0.into()));
    assert!(by_age.table("requests").is_empty() && by_age.table("sessions").is_empty());
}

fn start(fixture: &Fixture) -> Child {
    fixture.command(["ingest", "-"]).stdin(Stdio::piped()).spawn().unwrap()
}

fn feed(child: &mut Child, lines: &str) {
    let input = child.stdin.as_mut().unwrap();
    input.write_all(lines.as_bytes()).unwrap();
    input.write_all(b"\n").unwrap();
}

/// Waits until that many requests are in the database.
fn wait_for_requests(fixture: &Fixture, requests: usize) {
    let start = Instant::now();
    while fixture.run("logs --limit 0 --json").stdout.lines().count() <= requests {
        assert!(start.elapsed() < PATIENCE, "the requests do not arrive");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_import_leaves_what_the_store_keeps_as_a_proxy_was_told_and_changes_it_only_where_it_is_told() {
    let fixture = Fixture::new();
    let told = |keep_segments_bytes| {
        let mut config = mcplog::Config::new(fixture.dir());
        (config.keep_segments_bytes, config.keep_rows_age_ms) = (keep_segments_bytes, Some(36_000 * 86_400_000));
        mcplog::Store::open(config).unwrap().shutdown(std::time::Duration::from_secs(60));
    };
    told(Some(256 << 20));
    for number in 0..3 {
        assert_eq!(fixture.ingest(request_line(number)).json()[0]["recorded_events"], 1);
    }
    // Each import has a log of its own.
    let kept = || std::fs::read_dir(fixture.dir().join("kept")).unwrap().count();
    assert_eq!(kept(), 3);
    let limits = || fixture.run("check --json").json().swap_remove(0)["limits"].clone();
    let before = limits();
    assert_eq!(
        (&before["keep_segments_bytes"], &before["keep_rows_age_ms"]),
        (&(256 << 20).into(), &(36_000 * 86_400_000_u64).into())
    );
    let text = fixture.run("check").ok();
    assert!(text.contains("keeps     requests of 36000d; 256 MiB of folded log\n"), "{text}");
    let file = fixture.root.path().join("events.jsonl");
    let ingest = |flags: &str| fixture.run(&format!("ingest {flags} {}", file.display())).ok();
    ingest("--keep unlimited --max-size 1GiB");
    let after = limits();
    assert_eq!(
        (&after["keep_rows_age_ms"], &after["database_bytes_max"]),
        (&serde_json::Value::Null, &(1 << 30).into())
    );
    assert_eq!(after["keep_segments_bytes"], before["keep_segments_bytes"]);
    ingest("--keep-segments --max-size unlimited");
    assert_eq!(
        (&limits()["keep_segments_bytes"], &limits()["database_bytes_max"]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
    ingest("--keep-segments=0");
    assert_eq!(kept(), 0, "told to keep none");
    assert_eq!(fixture.run(&format!("ingest --keep 5s {}", file.display())).code, 1, "out of range");
}
