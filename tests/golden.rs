//! What released versions wrote is read for ever: a store of several writers, byte for byte. The files under tests/golden are
//! never made again, but for `folded.txt`, which says what a store makes of them: tables beside the five that other tools read
//! may change.
//!
//! `MCPLOG_MAKE_GOLDEN=1 cargo test --test golden` makes the files of a version that is not released yet, the same ones each
//! time; where they differ, the checksums here are of other ones, and it fails.

use mcplog::event::{DetailValue, Direction, Note, Notes, Outcome, Transport};
use mcplog::position::{Offset, SegmentId, Sequence, StoreId, WriterId};
use mcplog::record::{ClockStepRecord, GapRecord, LEVEL, Record, RequestRecord, WriterBeganRecord, WriterEndedRecord};
use mcplog::segment::directory::file_name;
use mcplog::segment::format::{Extent, Mark, SegmentHeader};
use mcplog::segment::{LogItem, LogReader, Owner, Place, SegmentReader, WriterFolder, writer_folders};
use mcplog::{Event, Request, SchemaVersion, Session, SessionClosed, Status};
use mcplog_fixture::{Fixture, directory, segment, wait_until};
use rusqlite::types::Value;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Where the files are, made if that is wanted.
static GOLDEN: LazyLock<PathBuf> = LazyLock::new(|| {
    let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1"));
    if std::env::var_os("MCPLOG_MAKE_GOLDEN").is_some() {
        make(&dir);
    }
    dir
});

const STORE: StoreId = StoreId(*b"golden\x40\x00\x80\x00-store");
/// Ended in good order, every kind of record in its log.
const ENDED: WriterId = WriterId(*b"golden\x40\x00\x80\x00-ended");
/// A sync failed, what was not durable was written again, and a kill left the end torn.
const KILLED: WriterId = WriterId(*b"golden\x40\x00\x80\x00-kill9");
/// A power cut took a segment.
const CUT: WriterId = WriterId(*b"golden\x40\x00\x80\x00-power");

const SESSION: &str = "0123456789abcdef0123456789abcdef";

/// Every kind of event, every form of an id, every field, absent and present.
fn events() -> Vec<Event<'static>> {
    let mut events = Vec::new();
    let mut request = Request::new("0197a1c0-7b1e-7cc3-98c4-dc0c0c07398f", 1_760_000_000_123, "files", "tools/call");
    (request.session_id, request.tool, request.latency_us) = (Some(SESSION), Some("search"), 1840);
    (request.status, request.error_code, request.error_msg) =
        (Status::Error, Some("-32602"), Some("Invalid params: hé"));
    (request.bytes_in, request.bytes_out, request.tool_error) = (Some(129), Some(2000), Some(true));
    (request.protocol_version, request.rpc_id) = (Some("2025-11-25"), Some("17"));
    events.push(request.into());
    let mut request = Request::new("any text", -1, "", "resources/read");
    (request.session_id, request.latency_us) = (Some("0197a1c0-7b1e-7cc3-98c4-dc0c0c07398f"), i64::MAX);
    (request.status, request.tool_error, request.target) = (Status::Timeout, Some(false), Some("file:///a"));
    events.push(request.into());
    let mut request = Request::new(SESSION, 1_760_000_000_124, "files", "example/unlisted");
    (request.session_id, request.protocol_version) = (Some("plain"), Some("2099-01-01"));
    events.push(request.into());
    let mut request = Request::new("0197a1c0-7b1e-7cc3-98c4-dc0c0c073990", 1_760_000_000_125, "files", "tools/call");
    (request.http_status, request.transport, request.endpoint) = (Some(200), Some(Transport::Sse), Some("/mcp"));
    (request.outcome, request.cause, request.direction) =
        (Some(Outcome::Lost), Some("connection reset"), Some(Direction::Server));
    (request.principal, request.trace_id, request.parent_span_id) = (Some("who"), Some([0xab; 16]), Some([0xcd; 8]));
    (request.retry_of, request.input_wait_us) = (Some("0197a1c0-7b1e-7cc3-98c4-dc0c0c07398f"), Some(-1));
    (request.notes, request.tool_error) = (Notes::from_bits(1 << 63).with(Note::LenientId), Some(true));
    events.push(request.into());
    let mut session = Session::new(SESSION, 1_760_000_000_000, "files");
    (session.client_name, session.client_version) = (Some("claude-code"), Some("1.2.3"));
    (session.client_platform, session.protocol_version) = (Some("claude"), Some("2025-11-25"));
    events.push(session.into());
    let mut session = Session::new("derived-1", 1, "files");
    (session.derived, session.noise_lines) = (true, Some(300));
    events.push(session.into());
    events.push(SessionClosed::new(SESSION, 1_760_000_001_000).into());
    let hash = "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7";
    let tools = r#"{"tools":[{"name":"search"}]}"#;
    let url = "http://127.0.0.1:9000/mcp";
    events.push(SchemaVersion::new(1_760_000_000_500, "files", url, "tools/list", tools, hash).into());
    let mut again = SchemaVersion::seen_again(1_760_000_000_600, "files", url, "tools/list", hash);
    again.caller = "claude-code";
    events.push(again.into());
    events
}

fn began(process_id: u64, program: &str) -> Vec<u8> {
    let began = WriterBeganRecord {
        process_id,
        host: "h\u{e9}",
        program,
        program_version: "0.1.0",
        started_at: 1_760_000_000_000,
    };
    encode(&Record::WriterBegan(began))
}

fn numbered(number: i64) -> Vec<u8> {
    let id = format!("request {number}");
    let request = Request::new(&id, 1_760_000_010_000 + number, "files", "ping");
    encode(&Record::from(Event::from(request)))
}

fn encode(record: &Record<'_>) -> Vec<u8> {
    let mut payload = Vec::new();
    record.encode(&mut payload);
    payload
}

/// A log while it is made.
struct Log {
    folder: PathBuf,
    writer: WriterId,
}

/// How a segment ends.
enum End {
    Sealed,
    /// It is durable up to so many frames, and zeros follow the last one.
    Open {
        durable_frames: u32,
    },
}

impl Log {
    fn new(store: &Path, writer: WriterId) -> Self {
        let folder = store.join("wal").join(writer.to_string());
        std::fs::create_dir_all(&folder).expect("a folder");
        Self { folder, writer }
    }

    fn segment(&self, id: u64, base: u64, payloads: &[Vec<u8>], end: &End) -> PathBuf {
        let path = self.folder.join(file_name(SegmentId(id)));
        let header = SegmentHeader {
            needs: LEVEL,
            salt: u32::from(self.writer.0[12]) << 8 | u32::try_from(id).expect("a few segments"),
            store_id: STORE,
            writer_id: self.writer,
            segment_id: SegmentId(id),
            base_sequence: Sequence(base),
            created_at: 1_760_000_000_000,
        };
        segment::forge(&path, &header, payloads, true);
        if let End::Open { durable_frames } = end {
            let (offsets, extent) = segment::frames(&path);
            let offset = offsets.get(*durable_frames as usize).copied().unwrap_or(extent.end.0);
            let durable = Extent { end: Offset(offset), frames: *durable_frames };
            segment::write_mark(&path, Mark { generation: 1, durable, sealed: None });
            if *durable_frames == 0 {
                segment::patch(&path, u64::from(Mark::offset(1)), &[0; 32]);
            }
            segment::append(&path, &[0; 64]);
        }
        path
    }
}

/// Makes the files, and what is read from them.
fn make(dir: &Path) {
    let store = dir.join("store");
    let _ = std::fs::remove_dir_all(&store);
    let ended = Log::new(&store, ENDED);
    std::fs::write(store.join("store-id"), format!("{STORE}\n")).expect("write");
    let mut payloads = vec![began(1, "ended")];
    payloads.extend(events().into_iter().map(|event| encode(&Record::from(event))));
    ended.segment(1, 1, &payloads, &End::Sealed);
    let gap = GapRecord { from_ts: 1_760_000_000_700, to_ts: 1_760_000_000_800, events: 3 };
    let step = ClockStepRecord { from_ts: 1_760_000_000_900, to_ts: 1_759_990_000_900, between_runs: false };
    let end = WriterEndedRecord { ended_at: 1_760_000_002_000 };
    let last = [Record::Gap(gap), Record::ClockStep(step), Record::WriterEnded(end)].map(|record| encode(&record));
    ended.segment(2, payloads.len() as u64 + 1, &last, &End::Sealed);

    let killed = Log::new(&store, KILLED);
    let of = |numbers: std::ops::RangeInclusive<i64>| numbers.map(numbered).collect::<Vec<_>>();
    killed.segment(1, 1, &[vec![began(2, "killed")], of(2..=4)].concat(), &End::Sealed);
    // Its sync failed behind number 6. The next segment had been begun by then.
    killed.segment(2, 5, &of(5..=8), &End::Open { durable_frames: 2 });
    killed.segment(3, 9, &of(9..=10), &End::Open { durable_frames: 0 });
    let again = killed.segment(4, 7, &of(7..=12), &End::Open { durable_frames: 1 });
    let (_, extent) = segment::frames(&again);
    segment::patch(&again, u64::from(extent.end.0), &[40, 0, 0, 0, 6]);

    let cut = Log::new(&store, CUT);
    cut.segment(1, 1, &[vec![began(300, "cut")], of(102..=103)].concat(), &End::Open { durable_frames: 3 });
    cut.segment(3, 7, &of(107..=108), &End::Open { durable_frames: 0 });

    std::fs::write(dir.join("store.txt"), describe(&store)).expect("write");
    std::fs::write(dir.join("folded.txt"), describe_tables(&folded(&store))).expect("write");
}

/// Everything a reader sees in a store, as text: the segments by themselves, then what there is of each log.
fn describe(store: &Path) -> String {
    let mut text = String::new();
    for folder in writer_folders(&store.join("wal")).expect("logs").folders {
        writeln!(text, "log {}", folder.writer).expect("memory");
        for file in mcplog::segment::list(&folder.path).expect("segments") {
            let reader = SegmentReader::open(&file.path).expect("a segment");
            writeln!(text, "{:?}\n{:?}", reader.header(), reader.mark()).expect("memory");
        }
        describe_log(&folder, &mut text);
    }
    text
}

fn describe_log(folder: &WriterFolder, text: &mut String) {
    let mut reader = LogReader::open(folder, Some(STORE), Place::START).expect("a log");
    loop {
        match reader.next(Owner::Dead).expect("readable") {
            LogItem::Frame { segment, frame } => {
                let record = match Record::decode(frame.payload).expect("a record") {
                    Record::Request(request) => describe_request(&request),
                    other => format!("{other:?}"),
                };
                writeln!(text, "{segment} {} {} {record}", frame.offset, frame.sequence).expect("memory");
            }
            LogItem::End => return,
            other => writeln!(text, "{other:?}").expect("memory"),
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

/// A change that needs one of these files made again needs a new version instead.
#[test]
fn the_golden_files_of_version_1_do_not_change() {
    let dir = &*GOLDEN;
    let text = std::fs::read(dir.join("store.txt")).expect("the description");
    assert_eq!(crc32fast::hash(&text), 0x0a65_f4e0, "store.txt changed");
    let (mut all, contents) = (crc32fast::Hasher::new(), directory::contents(&dir.join("store")));
    contents.values().for_each(|bytes| all.update(bytes));
    assert_eq!((contents.len(), all.finalize()), (9, 0x7329_ae9c), "a file of the store changed");
}

#[test]
fn a_store_of_version_1_is_read_as_it_was_written() {
    let dir = &*GOLDEN;
    let expected = std::fs::read_to_string(dir.join("store.txt")).expect("the description");
    assert_eq!(describe(&dir.join("store")), expected);
}

/// All rows of all tables and views but for what differs from database to database, as text.
fn describe_tables(fixture: &Fixture) -> String {
    let mut text = String::new();
    let names =
        "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY name";
    for name in fixture.rows(names) {
        let [Value::Text(name)] = name.as_slice() else { panic!("{name:?}") };
        writeln!(text, "{name}").expect("memory");
        for mut row in fixture.rows(&format!("SELECT * FROM {name} ORDER BY 1")) {
            forget_when_it_was_found(&mut row);
            let differs = ["created_at", "caller_salt", "last_folder"].map(|key| Value::Text(key.into()));
            if row.first().is_none_or(|key| !differs.contains(key)) {
                let columns: Vec<_> = row.iter().map(describe_value).collect();
                writeln!(text, "    {}", columns.join(" | ")).expect("memory");
            }
        }
    }
    text
}

/// When a writer is found dead depends on who looks when.
fn forget_when_it_was_found(row: &mut [Value]) {
    if let Some(died) = row.iter().position(|value| *value == Value::Text("died".into())) {
        row[died - 1] = Value::Null;
    }
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
fn a_store_of_version_1_is_folded_to_the_rows_that_it_always_gave() {
    let golden = &*GOLDEN;
    let expected = std::fs::read_to_string(golden.join("folded.txt")).expect("the description");
    assert_eq!(describe_tables(&folded(&golden.join("store"))), expected);
}

/// That store, all of it folded.
fn folded(store: &Path) -> Fixture {
    let mut fixture = Fixture::new();
    // What a silent session is does not depend on the day of the test.
    fixture.config.session_idle_ms = Some(0);
    directory::copy(store, fixture.dir());
    fixture.open();
    wait_until("all logs are folded", || writer_folders(&fixture.wal()).is_ok_and(|found| found.folders.is_empty()));
    let report = fixture.shut_down();
    // What the power cut took is told, and nothing else.
    let told = report.health.to_string();
    assert!(told.ends_with("are missing in its log, and lost: numbers 4 to 6") && told.lines().count() == 1, "{told}");
    fixture
}
