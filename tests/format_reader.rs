//! A reader in another language, written from format.md alone, reads what this code writes.

use mcplog::event::{Direction, Note, Notes, Outcome, Transport};
use mcplog::segment::{LogItem, LogReader, Owner, Place, WriterFolder, writer_folders};
use mcplog::{Request, SchemaVersion, Session, SessionClosed, Status};
use mcplog_fixture::Fixture;
use serde_json::{Value, json};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the reader prints, and its exit code; `None` without Python.
fn read(paths: &[&Path]) -> Option<(Vec<Value>, i32)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/format_reader.py");
    let Ok(output) = Command::new("python3").arg(script).args(paths).output() else {
        assert!(std::env::var_os("CI").is_none(), "python3 is missing");
        let command = "apt-get install python3 and cargo test --test format_reader";
        mcplog_skipped::skip("the reader in another language", "there is no python3", command);
        return None;
    };
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    Some((lines, output.status.code().expect("an exit code")))
}

fn every_kind() -> Fixture {
    let mut fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
    let recorder = fixture.recorder();
    let mut request = Request::new("0197a1c0-7b1e-7cc3-98c4-dc0c0c07398f", -5, "p\u{e9}", "tools/call");
    (request.status, request.latency_us, request.bytes_out) = (Status::Timeout, i64::MAX, Some(i64::MIN));
    (request.session_id, request.tool_error) = (Some("0123456789abcdef0123456789abcdef"), Some(true));
    (request.error_msg, request.rpc_id) = (Some("\u{1b}[31mred"), Some("17"));
    recorder.record(request);
    let mut detailed = Request::new("r2", 1, "p", "ping");
    (detailed.http_status, detailed.transport, detailed.endpoint) = (Some(404), Some(Transport::Sse), Some("/mcp"));
    (detailed.outcome, detailed.cause) = (Some(Outcome::Lost), Some("gone"));
    (detailed.notes, detailed.direction) = (Notes::from_bits(1 << 63).with(Note::LateAnswer), Some(Direction::Server));
    (detailed.principal, detailed.trace_id, detailed.parent_span_id) = (Some("who"), Some([0xab; 16]), Some([1; 8]));
    (detailed.input_wait_us, detailed.retry_of) = (Some(-1), Some("0123456789abcdef0123456789abcdef"));
    recorder.record(detailed);
    let mut session = Session::new("plain", 7, "p");
    (session.client_name, session.derived, session.noise_lines) = (Some("claude"), true, Some(i64::MAX));
    recorder.record(session);
    recorder.record(SessionClosed::new("plain", 9));
    recorder.record(SchemaVersion::new(3, "p", "http://u", "tools/list", "{\"tools\":[]}", "hash"));
    let mut again = SchemaVersion::seen_again(4, "p", "http://u", "tools/list", "hash");
    again.caller = "who";
    recorder.record(again);
    // Too large for a segment of this size: dropped, and so there is a gap.
    let large = "x".repeat(40_000);
    request.target = Some(&large);
    recorder.record(request);
    drop(recorder);
    fixture.shut_down();
    fixture
}

/// The segments of the one log, which is folded.
fn kept(fixture: &Fixture) -> Vec<PathBuf> {
    let folders = writer_folders(&fixture.dir().join("kept")).expect("kept").folders;
    assert_eq!(folders.len(), 1, "{folders:?}");
    mcplog::segment::list(&folders[0].path).expect("list").into_iter().map(|segment| segment.path).collect()
}

/// A run of numbers: the first, the last, and the segment that they are taken from.
type Taken = (u64, u64, u64);

/// What the library reads from a log: the numbers by segment, and the holes.
fn taken(folder: &WriterFolder) -> (Vec<Taken>, Vec<(u64, u64)>) {
    let mut reader = LogReader::open(folder, None, Place::START).expect("a log");
    let (mut taken, mut holes) = (Vec::<Taken>::new(), Vec::new());
    loop {
        match reader.next(Owner::Dead).expect("readable") {
            LogItem::Frame { segment, frame } => match taken.last_mut() {
                Some(run) if (run.1 + 1, run.2) == (frame.sequence.0, segment.0) => run.1 += 1,
                _ => taken.push((frame.sequence.0, frame.sequence.0, segment.0)),
            },
            LogItem::Hole { first, last, .. } => holes.push((first.0, last.0)),
            LogItem::End => return (taken, holes),
            _ => {}
        }
    }
}

#[test]
fn a_store_of_several_writers_is_read_alike_second_writings_and_holes_included() {
    let store = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1/store"));
    let Some((lines, code)) = read(&[store]) else { return };
    assert_eq!(code, 2, "a torn tail, and a hole that a power cut left");
    let folders = writer_folders(&store.join("wal")).expect("logs").folders;
    assert_eq!(folders.len(), 3);
    for folder in folders {
        let is_its = |line: &&Value| line["writer"] == json!(folder.writer.to_string());
        let line = lines.iter().find(is_its).unwrap_or_else(|| panic!("{}: {lines:?}", folder.writer));
        let (taken, holes) = taken(&folder);
        assert_eq!((&line["taken"], &line["missing"]), (&json!(taken), &json!(holes)), "{line}");
    }
    let kinds: std::collections::BTreeSet<_> = lines.iter().filter_map(|line| line["kind"].as_u64()).collect();
    assert_eq!(kinds, (1..=8).collect(), "every kind is there");
    assert!(lines.iter().all(|line| line.get("error").is_none_or(Value::is_null) && line.get("unknown").is_none()));
}

#[test]
fn every_field_of_every_kind_is_read_as_it_was_recorded() {
    let fixture = every_kind();
    let segments = kept(&fixture);
    let Some((mut lines, code)) = read(&segments.iter().map(AsRef::as_ref).collect::<Vec<_>>()) else { return };
    assert_eq!(code, 0);
    let end = lines.pop().expect("an end");
    assert_eq!((&end["end"], &end["corrupt"]), (&json!("sealed"), &json!([])));
    assert_eq!((&end["verdict"], &end["header"]), (&json!("sound"), &json!("intact")));
    let ended = lines.pop().expect("the writer's end");
    assert_eq!((&ended["kind"], &ended["sequence"]), (&json!(8), &json!(9)));
    let gap = lines.pop().expect("a gap");
    assert_eq!((&gap["kind"], &gap["events"], &gap["sequence"]), (&json!(5), &json!(1), &json!(8)));
    assert!(gap["from_ts"].as_i64() <= gap["to_ts"].as_i64());
    let began = lines.remove(0);
    assert_eq!((&began["kind"], &began["sequence"]), (&json!(7), &json!(1)));
    assert_eq!(began["process_id"], json!(std::process::id()));
    assert!(began["started_at"].as_i64() <= ended["ended_at"].as_i64(), "{began}, {ended}");
    let mut expected = [
        json!({"kind": 1, "request_id": "0197a1c0-7b1e-7cc3-98c4-dc0c0c07398f", "ts": -5, "proxy": "p\u{e9}",
               "session_id": "0123456789abcdef0123456789abcdef", "method": "tools/call", "tool": null, "latency_us": i64::MAX,
               "status": "timeout", "error_code": null, "error_msg": "\u{1b}[31mred", "bytes_in": null,
               "bytes_out": i64::MIN, "tool_error": true, "target": null, "protocol_version": null, "rpc_id": "17",
               "http_status": null, "transport": null, "endpoint": null, "outcome": null, "cause": null, "notes": [],
               "direction": null, "principal": null, "trace_id": null, "parent_span_id": null, "input_wait_us": null,
               "retry_of": null}),
        json!({"kind": 1, "request_id": "r2", "ts": 1, "proxy": "p", "session_id": null, "method": "ping", "tool": null,
               "latency_us": 0, "status": "ok", "error_code": null, "error_msg": null, "bytes_in": null, "bytes_out": null,
               "tool_error": null, "target": null, "protocol_version": null, "rpc_id": null,
               "http_status": 404, "transport": "sse", "endpoint": "/mcp", "outcome": "lost", "cause": "gone",
               "notes": ["late_answer", "note_63"], "direction": "server", "principal": "who",
               "trace_id": "abababababababababababababababab", "parent_span_id": "0101010101010101", "input_wait_us": -1,
               "retry_of": "0123456789abcdef0123456789abcdef"}),
        json!({"kind": 2, "session_id": "plain", "proxy": "p", "started_at": 7, "client_name": "claude",
               "client_version": null, "client_platform": null, "protocol_version": null, "derived": true,
               "noise_lines": i64::MAX}),
        json!({"kind": 3, "session_id": "plain", "ended_at": 9}),
        json!({"kind": 4, "ts": 3, "proxy": "p", "upstream_url": "http://u", "method": "tools/list",
               "payload": "{\"tools\":[]}", "content_hash": "hash", "caller": ""}),
        json!({"kind": 4, "ts": 4, "proxy": "p", "upstream_url": "http://u", "method": "tools/list", "payload": null,
               "content_hash": "hash", "caller": "who"}),
    ];
    for (index, record) in expected.iter_mut().enumerate() {
        record["segment"] = lines[index]["segment"].clone();
        record["offset"] = lines[index]["offset"].clone();
        record["sequence"] = json!(index + 2);
        record["version"] = json!(1);
    }
    assert_eq!(lines, expected);
}

#[test]
fn both_readers_agree_on_every_single_flipped_byte() {
    let fixture = every_kind();
    let path = &kept(&fixture)[0];
    let bytes = std::fs::read(path).unwrap();
    let dir = tempfile::tempdir().unwrap();
    // A file each for some forty positions over header, marks and frames.
    let positions = (0..96).step_by(9).chain((512..544).step_by(5)).chain((4096..bytes.len()).step_by(13));
    for position in positions {
        let copy = dir.path().join(path.file_name().unwrap());
        std::fs::write(&copy, &bytes).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&copy).unwrap();
        file.write_all_at(&[bytes[position] ^ 0x40], position as u64).unwrap();
        let Some((lines, code)) = read(&[&copy]) else { return };
        let here = format!("byte {position}: exit code {code}, {:?}", lines.last());
        let Ok(mut reader) = mcplog::segment::SegmentReader::open(&copy) else {
            assert!(matches!(code, 1 | 3), "{here}");
            continue;
        };
        let (mut sequences, mut damage) = (Vec::new(), 0);
        loop {
            match reader.next().unwrap() {
                mcplog::segment::Item::Frame(frame) => sequences.push(frame.sequence.0),
                mcplog::segment::Item::Damage(_) => damage += 1,
                mcplog::segment::Item::WrongMark(wrong) => panic!("{wrong}"),
                mcplog::segment::Item::Stop(_) => break,
            }
        }
        let theirs: Vec<_> = lines.iter().filter_map(|line| line["sequence"].as_u64()).collect();
        assert_eq!(theirs, sequences, "{here}");
        assert_eq!(code == 3, damage > 0, "{here}");
    }
}
