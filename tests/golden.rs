//! Segments written by released versions are read for ever. None is released yet: until version 1 is, its bytes may change,
//! and the files under tests/golden with them, on purpose. From then on they are never made again, but for `folded.txt`, which
//! says what a store makes of them: tables beside the five that other tools read may change.
//!
//! `MCPLOG_MAKE_GOLDEN=1 cargo test --test golden` makes them, and then fails, because the checksums here are of other ones.

use mcplog::event::{DetailValue, Direction, Note, Notes, Outcome, Transport};
use mcplog::record::{Record, RequestRecord};
use mcplog::segment::{Item, SegmentReader};
use mcplog::{Recorder, Request, SchemaVersion, Session, SessionClosed, Status};
use mcplog_fixture::Fixture;
use rusqlite::types::Value;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

/// Where the files are, made if that is wanted.
static GOLDEN: LazyLock<PathBuf> = LazyLock::new(|| {
    let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1"));
    if std::env::var_os("MCPLOG_MAKE_GOLDEN").is_some() {
        make(&dir);
    }
    dir
});

const SESSION: &str = "0123456789abcdef0123456789abcdef";

/// Every kind, every form of an id, every field, absent and present.
fn record_all(recorder: &Recorder) {
    let mut request = Request::new("0197a1c0-7b1e-7cc3-98c4-dc0c0c07398f", 1_760_000_000_123, "files", "tools/call");
    (request.session_id, request.tool, request.latency_us) = (Some(SESSION), Some("search"), 1840);
    (request.status, request.error_code, request.error_msg) =
        (Status::Error, Some("-32602"), Some("Invalid params: hé"));
    (request.bytes_in, request.bytes_out, request.tool_error) = (Some(129), Some(2000), Some(true));
    (request.protocol_version, request.rpc_id) = (Some("2025-11-25"), Some("17"));
    recorder.record(request);
    let mut request = Request::new("any text", -1, "", "resources/read");
    (request.session_id, request.latency_us) = (Some("0197a1c0-7b1e-7cc3-98c4-dc0c0c07398f"), i64::MAX);
    (request.status, request.tool_error, request.target) = (Status::Timeout, Some(false), Some("file:///a"));
    recorder.record(request);
    let mut request = Request::new(SESSION, 1_760_000_000_124, "files", "example/unlisted");
    (request.session_id, request.protocol_version) = (Some("plain"), Some("2099-01-01"));
    recorder.record(request);
    let mut request = Request::new("0197a1c0-7b1e-7cc3-98c4-dc0c0c073990", 1_760_000_000_125, "files", "tools/call");
    (request.http_status, request.transport, request.endpoint) = (Some(200), Some(Transport::Sse), Some("/mcp"));
    (request.outcome, request.cause, request.direction) =
        (Some(Outcome::Lost), Some("connection reset"), Some(Direction::Server));
    (request.principal, request.trace_id, request.parent_span_id) = (Some("who"), Some([0xab; 16]), Some([0xcd; 8]));
    (request.retry_of, request.input_wait_us) = (Some("0197a1c0-7b1e-7cc3-98c4-dc0c0c07398f"), Some(-1));
    (request.notes, request.tool_error) = (Notes::from_bits(1 << 63).with(Note::LenientId), Some(true));
    recorder.record(request);
    let mut session = Session::new(SESSION, 1_760_000_000_000, "files");
    (session.client_name, session.client_version) = (Some("claude-code"), Some("1.2.3"));
    (session.client_platform, session.protocol_version) = (Some("claude"), Some("2025-11-25"));
    recorder.record(session);
    let mut session = Session::new("derived-1", 1, "files");
    session.derived = true;
    recorder.record(session);
    recorder.record(SessionClosed::new(SESSION, 1_760_000_001_000));
    let hash = "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7";
    let tools = r#"{"tools":[{"name":"search"}]}"#;
    let url = "http://127.0.0.1:9000/mcp";
    recorder.record(SchemaVersion::new(1_760_000_000_500, "files", url, "tools/list", tools, hash));
    let mut again = SchemaVersion::seen_again(1_760_000_000_600, "files", url, "tools/list", hash);
    again.caller = "claude-code";
    recorder.record(again);
    // Too large for a segment of this size: dropped, and so there is a gap.
    let large = "x".repeat(40_000);
    recorder.record(SchemaVersion::new(1, "files", url, "tools/list", &large, hash));
}

/// Makes the files: a segment as it is while its writer lives, the same one sealed, and what is read from each.
fn make(dir: &Path) {
    let mut fixture = Fixture::with(|config| {
        config.segment_bytes = 64 * 1024;
        config.keep_segments_bytes = Some(u64::MAX);
    });
    // From the year 2100: the next run, whose segment this is about, takes it for a clock that somebody set back.
    fixture.recorder().record(Request::new("later", 4_102_444_800_000, "files", "ping"));
    fixture.fold();
    fixture.reopen();
    record_all(&fixture.recorder());
    let patience = Duration::from_secs(60);
    // The gap comes when nothing else does.
    mcplog_fixture::wait_until("the gap", || {
        fixture.store().flush(patience).expect("durable");
        std::fs::read(fixture.segment(1)).is_ok_and(|bytes| !bytes.is_empty()) && gaps(&fixture.segment(1)) == 1
    });
    let mut live = std::fs::read(fixture.segment(1)).expect("the segment");
    // What follows is zero as well, to the end of the file.
    live.truncate(8192);
    std::fs::write(dir.join("killed.seg"), live).expect("write");
    fixture.shut_down();
    std::fs::copy(fixture.segment(1), dir.join("sealed.seg")).expect("copy");
    for name in ["sealed", "killed"] {
        std::fs::write(dir.join(format!("{name}.txt")), describe(&dir.join(format!("{name}.seg")))).expect("write");
    }
    std::fs::write(dir.join("folded.txt"), describe_tables(&folded(&dir.join("sealed.seg")))).expect("write");
}

fn gaps(path: &Path) -> usize {
    describe(path).lines().filter(|line| line.contains("Gap")).count()
}

/// Everything a reader sees in a segment, as text.
fn describe(path: &Path) -> String {
    let mut reader = SegmentReader::open(path).expect("a segment");
    let mut text = format!("{:?}\n{:?}\n", reader.header(), reader.mark());
    loop {
        match reader.next().expect("readable") {
            Item::Frame(frame) => {
                let record = match Record::decode(frame.payload).expect("a record") {
                    Record::Request(request) => describe_request(&request),
                    other => format!("{other:?}"),
                };
                writeln!(text, "{} {} {record}", frame.offset, frame.sequence).expect("memory");
            }
            Item::Damage(damage) => panic!("{damage:?}"),
            Item::WrongMark(wrong) => panic!("{wrong}"),
            Item::Stop(stop) => {
                writeln!(text, "{stop:?}").expect("memory");
                return text;
            }
        }
    }
}

/// What a request has, by name: a field that is added later changes nothing here.
fn describe_request(request: &RequestRecord<'_>) -> String {
    let RequestRecord { request_id, ts, proxy, session_id, method, tool, latency_us, status, .. } = request;
    let mut text = format!(
        "Request {request_id:?} ts {ts} proxy {proxy:?} session {session_id:?} method {method:?} tool {tool:?} \
         latency_us {latency_us} status {status:?}"
    );
    let mut details = Vec::new();
    request.put_details(&mut details);
    for (name, value) in details {
        if let Some(value) = value.filter(|value| *value != DetailValue::Notes(Notes::NONE)) {
            write!(text, " {name} {value:?}").expect("memory");
        }
    }
    text
}

/// Once version 1 is released, a change that needs one of these files made again needs a new version instead. Until then,
/// whoever makes them again writes the new checksums here, and says why.
#[test]
fn the_golden_files_of_version_1_do_not_change_by_accident() {
    let dir = &*GOLDEN;
    let checksums = [
        ("killed.seg", 0xf439_81eb),
        ("killed.txt", 0x47e7_8d8b),
        ("sealed.seg", 0x6f0e_df5b),
        ("sealed.txt", 0x16f0_8516),
    ];
    for (name, checksum) in checksums {
        let bytes = std::fs::read(dir.join(name)).expect(name);
        assert_eq!(crc32fast::hash(&bytes), checksum, "{name} changed");
    }
}

#[test]
fn segments_of_version_1_are_read_as_they_were_written() {
    let dir = &*GOLDEN;
    for name in ["sealed", "killed"] {
        let expected = std::fs::read_to_string(dir.join(format!("{name}.txt"))).expect("the description");
        assert_eq!(describe(&dir.join(format!("{name}.seg"))), expected, "{name}");
    }
}

/// All rows of all tables and views but for what differs from database to database, as text.
fn describe_tables(fixture: &Fixture) -> String {
    let mut text = String::new();
    let names =
        "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY name";
    for name in fixture.rows(names) {
        let [Value::Text(name)] = name.as_slice() else { panic!("{name:?}") };
        writeln!(text, "{name}").expect("memory");
        for row in fixture.rows(&format!("SELECT * FROM {name} ORDER BY 1")) {
            let differs = ["created_at", "caller_salt"].map(|key| Value::Text(key.into()));
            if row.first().is_none_or(|key| !differs.contains(key)) {
                let columns: Vec<_> = row.iter().map(describe_value).collect();
                writeln!(text, "    {}", columns.join(" | ")).expect("memory");
            }
        }
    }
    text
}

fn describe_value(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => format!("{text:?}"),
        Value::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

#[test]
fn segments_of_version_1_are_opened_and_folded_to_the_rows_that_they_always_gave() {
    let golden = &*GOLDEN;
    let expected = std::fs::read_to_string(golden.join("folded.txt")).expect("the description");
    // The writer of one died before it was sealed. Both hold the same records.
    for name in ["sealed.seg", "killed.seg"] {
        let fixture = folded(&golden.join(name));
        assert_eq!(describe_tables(&fixture), expected, "{name}");
    }
}

/// A store that found that segment as its log, and has folded it.
fn folded(segment: &Path) -> Fixture {
    let mut fixture = Fixture::new();
    // What a silent session is does not depend on the day of the test.
    fixture.config.session_idle_ms = Some(0);
    std::fs::create_dir_all(fixture.wal()).expect("the log's directory");
    let number = SegmentReader::open(segment).expect("a segment").header().segment_id;
    std::fs::copy(segment, fixture.wal().join(format!("{:012}.seg", number.0))).expect("copy");
    fixture.open();
    fixture.fold();
    let report = fixture.shut_down();
    assert!(report.health.is_ok(), "{}: {}", segment.display(), report.health);
    fixture
}
