//! A store of several writers: merged by time, one of them, one folder, one file; living and dead, followed while they come.

#![expect(clippy::unwrap_used, reason = "a store that can't be made fails the test")]

mod fixture;

use fixture::following::{Following, is_record};
use fixture::{TS, inspect, outcome, unwrapped};
use mcplog::position::{SegmentId, Sequence, StoreId, WriterId};
use mcplog::record::{LEVEL, Record, WriterBeganRecord, WriterEndedRecord};
use mcplog::segment::directory::file_name;
use mcplog::segment::format::SegmentHeader;
use mcplog::{Event, Request};
use mcplog_fixture::segment;
use serde_json::Value;
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

const STORE_ID: StoreId = StoreId([5; 16]);

/// A store's directory with the logs of several writers, which are byte for byte what the tests say.
struct Logs {
    root: tempfile::TempDir,
}

/// One writer's log, which grows segment by segment and record by record.
struct Writer {
    folder: PathBuf,
    id: WriterId,
    segment: u64,
    next: u64,
    /// Held by a writer that lives.
    lock: Option<File>,
}

/// Payloads of records.
fn began(id: u8, started_at: i64) -> Vec<u8> {
    let program = ["one", "other"][usize::from(id) % 2];
    encode(Record::WriterBegan(WriterBeganRecord {
        process_id: 100 + u64::from(id),
        host: "host",
        program,
        program_version: "1.0",
        started_at,
    }))
}

fn ended(ended_at: i64) -> Vec<u8> {
    encode(Record::WriterEnded(WriterEndedRecord { ended_at }))
}

fn request(id: &str, ts: i64) -> Vec<u8> {
    encode(Record::from(Event::from(Request::new(id, ts, "files", "ping"))))
}

fn encode(record: Record<'_>) -> Vec<u8> {
    let mut payload = Vec::new();
    record.encode(&mut payload);
    payload
}

impl Logs {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("data/wal")).unwrap();
        std::fs::write(root.path().join("data/store-id"), format!("{STORE_ID}\n")).unwrap();
        Self { root }
    }

    fn wal(&self) -> PathBuf {
        self.root.path().join("data/wal")
    }

    /// A folder without segments, of a writer that lives.
    fn writer(&self, id: u8) -> Writer {
        let id = WriterId([id; 16]);
        // As a writer does it: nobody sees the folder under its name before it is locked.
        let (unborn, folder) = (self.wal().join(format!(".new-{id}")), self.wal().join(id.to_string()));
        std::fs::create_dir(&unborn).unwrap();
        let lock = File::open(&unborn).unwrap();
        lock.try_lock().unwrap();
        std::fs::rename(&unborn, &folder).unwrap();
        Writer { folder, id, segment: 0, next: 1, lock: Some(lock) }
    }

    /// A dead writer's log of one sealed segment.
    fn dead(&self, id: u8, payloads: &[Vec<u8>]) -> Writer {
        let mut writer = self.writer(id);
        writer.segment(payloads, true);
        writer.die();
        writer
    }

    /// What the tool prints, and its exit code.
    fn run(&self, arguments: &[&str]) -> (String, i32) {
        let mut command = inspect(self.root.path());
        command.args(arguments);
        outcome(command)
    }

    fn objects(&self, arguments: &[&str]) -> Vec<Value> {
        objects(&self.run(&[arguments, &["--json"]].concat()).0)
    }
}

impl Writer {
    fn path(&self, segment: u64) -> PathBuf {
        self.folder.join(file_name(SegmentId(segment)))
    }

    /// The next segment, with these records.
    fn segment(&mut self, payloads: &[Vec<u8>], is_sealed: bool) {
        self.segment += 1;
        let header = SegmentHeader {
            needs: LEVEL,
            salt: 7,
            store_id: STORE_ID,
            writer_id: self.id,
            segment_id: SegmentId(self.segment),
            base_sequence: Sequence(self.next),
            created_at: TS,
        };
        let prepared = self.folder.join("prepared.new");
        segment::forge(&prepared, &header, payloads, is_sealed);
        std::fs::rename(prepared, self.path(self.segment)).unwrap();
        self.next += payloads.len() as u64;
    }

    fn append(&mut self, payload: &[u8]) {
        segment::append_frame(&self.path(self.segment), payload);
        self.next += 1;
    }

    fn die(&mut self) {
        // Closing it is not enough: a child that another test is just starting has it open until it is another program.
        self.lock.take().unwrap().unlock().unwrap();
    }
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The first byte of the writer, and the number, of each record.
fn order(objects: &[Value]) -> Vec<(u8, u64)> {
    let records = objects.iter().filter(|object| is_record(object));
    let key = |object: &Value| {
        let writer = WriterId::from_text(object["writer_id"].as_str().unwrap()).unwrap();
        (writer.0[0], object["sequence"].as_u64().unwrap())
    };
    records.map(key).collect()
}

/// Three dead writers, of which the second's clock steps back, and two record at one instant.
fn three() -> (Logs, [Writer; 3]) {
    let logs = Logs::new();
    let one = logs.dead(1, &[began(1, TS), request("a", TS + 10), request("b", TS + 30), ended(TS + 50)]);
    let two = logs.dead(2, &[began(2, TS + 5), request("c", TS + 40), request("d", TS + 20), request("e", TS + 30)]);
    let three = logs.dead(3, &[began(3, TS + 30), request("f", TS + 60)]);
    (logs, [one, two, three])
}

#[test]
fn logs_are_merged_by_time_and_by_writer_where_that_is_equal_and_each_keeps_its_order() {
    let (logs, _) = three();
    let found = logs.objects(&["dump", "data"]);
    let expected = [(1, 1), (2, 1), (1, 2), (1, 3), (3, 1), (2, 2), (2, 3), (2, 4), (1, 4), (3, 2)];
    assert_eq!(order(&found), expected);
    assert_eq!(order(&logs.objects(&["dump", "data/wal"])), expected);
    assert_eq!(order(&logs.objects(&["tail", "-n", "100", "data"])), expected);
    assert_eq!(order(&logs.objects(&["tail", "-n", "3", "data"])), expected[7..]);
    assert_eq!(order(&logs.objects(&["dump", "-n", "4", "data"])), expected[..4]);
    let requests = order(&logs.objects(&["tail", "-n", "2", "--kind", "request", "data"]));
    assert_eq!(requests, [(2, 4), (3, 2)]);
    let began = &found[0];
    let said = (began["type"].as_str(), began["process_id"].as_u64(), began["program"].as_str());
    assert_eq!(said, (Some("writer_began"), Some(101), Some("other")));
}

#[test]
fn text_tells_the_writer_of_each_record_and_that_the_order_is_none_of_cause_and_effect() {
    let (logs, _) = three();
    let (text, code) = logs.run(&["dump", "data"]);
    assert_eq!(code, 0, "{text}");
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("2025-10-09") && lines[0].contains("no order of cause and effect"), "{text}");
    assert!(lines[1].starts_with("01010101       1  ") && lines[1].contains("other 1.0  process 101  host"), "{text}");
    assert!(lines[2].starts_with("02020202       1  "), "{text}");
    assert_eq!(lines.len(), 11, "{text}");
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{text}");
    // One writer needs no such column.
    let (text, _) = logs.run(&["dump", "data", "--writer", "03"]);
    assert!(text.starts_with("segment 1  2025-10-09") && text.lines().count() == 3, "{text}");
}

#[test]
fn one_writers_log_is_named_by_the_beginning_of_its_id_or_by_its_folder_wherever_that_lies() {
    let (logs, writers) = three();
    let folder = format!("data/wal/{}", writers[1].id);
    let file = format!("{folder}/000000000001.seg");
    let expected = [(2, 1), (2, 2), (2, 3), (2, 4)];
    let copy = logs.root.path().join("copy");
    mcplog_fixture::directory::copy(&writers[1].folder, &copy);
    for named in
        [&["--writer", "02020202-0202", "data"][..], &["--writer", "02", "data/wal"], &[&folder], &["copy"], &[&file]]
    {
        for command in ["dump", "tail"] {
            assert_eq!(order(&logs.objects(&[&[command], named].concat())), expected, "{command} {named:?}");
        }
        for command in ["list", "verify"] {
            let found = logs.objects(&[&[command], named].concat());
            let segments: Vec<_> = found.iter().filter(|object| object["type"] == "segment").collect();
            assert_eq!(segments.len(), 1, "{command} {named:?}: {found:?}");
            assert_eq!(segments[0]["writer_id"], writers[1].id.to_string(), "{command} {named:?}");
        }
    }
    let mut within = inspect(&writers[1].folder);
    within.args(["dump", "--json", "."]);
    assert_eq!(order(&objects(&outcome(within).0)), expected, "from within");
}

#[test]
fn a_writer_that_there_is_not_is_an_error_and_what_is_no_id_is_wrong_usage() {
    let (logs, _) = three();
    for (prefix, told) in
        [("0202", None), ("fe", Some("no log of a writer whose id begins with fe")), ("x", Some("hexadecimal"))]
    {
        for command in ["list", "dump", "verify", "tail"] {
            let mut tool = inspect(logs.root.path());
            tool.args([command, "--writer", prefix, "data"]);
            let output = tool.output().unwrap();
            let error = String::from_utf8(output.stderr).unwrap();
            let expected = if told.is_some() { Some(1) } else { Some(0) };
            assert_eq!(output.status.code(), expected, "{command} {prefix}: {error}");
            assert!(unwrapped(&error).contains(told.unwrap_or("")), "{command} {prefix}: {error}");
        }
    }
}

#[test]
fn list_and_verify_show_each_writers_segments_together_the_oldest_log_first() {
    let (logs, _) = three();
    for command in ["list", "verify"] {
        let (text, code) = logs.run(&[command, "data"]);
        assert_eq!(code, 0, "{text}");
        let writers: Vec<_> = text.lines().filter(|line| line.starts_with("writer ")).collect();
        let expected = [1, 2, 3].map(|id| format!("writer {}  data/wal", WriterId([id; 16])));
        assert_eq!(writers, expected, "{command}: {text}");
    }
    let (text, _) = logs.run(&["verify", "data"]);
    assert!(text.contains("sound: 3 logs, 3 segments, 10 records"), "{text}");
    let summary = logs.objects(&["verify", "data"]).pop().unwrap();
    assert_eq!((&summary["logs"], &summary["segments"]), (&3.into(), &3.into()));
}

#[test]
fn what_is_no_frame_yet_is_a_torn_tail_once_its_writer_is_dead_and_nothing_before() {
    let logs = Logs::new();
    let mut writer = logs.writer(1);
    writer.segment(&[began(1, TS), request("a", TS + 1)], false);
    let path = writer.path(1);
    let (_, extent) = segment::frames(&path);
    segment::patch(&path, u64::from(extent.end.0), &[9, 0, 0, 0, 2, 0, 0, 0]);
    for command in ["dump", "verify", "list", "tail"] {
        let (text, code) = logs.run(&[command, "data"]);
        assert_eq!(code, 0, "{command}, it lives: {text}");
    }
    writer.die();
    for command in ["dump", "verify", "list", "tail"] {
        let (text, code) = logs.run(&[command, "data"]);
        assert!(code == 2 && text.contains("torn tail"), "{command}, it is dead: {text}");
    }
}

#[test]
fn a_dead_writers_log_whose_name_a_power_cut_took_back_is_shown_and_one_that_is_being_born_is_not() {
    let (logs, writers) = three();
    let unborn = |id: WriterId| logs.wal().join(format!(".new-{id}"));
    std::fs::rename(&writers[0].folder, unborn(writers[0].id)).unwrap();
    for command in ["dump", "tail", "list", "verify"] {
        let shown = logs.objects(&[command, "data"]);
        let id = writers[0].id.to_string();
        assert!(shown.iter().any(|object| object["writer_id"] == *id), "{command}: {shown:?}");
    }
    assert_eq!(order(&logs.objects(&["dump", "data"])).len(), 10);
    let lock = File::open(unborn(writers[0].id)).unwrap();
    lock.try_lock().unwrap();
    let of_others = order(&logs.objects(&["dump", "data"]));
    assert!(!of_others.is_empty() && of_others.iter().all(|(writer, _)| *writer != 1), "{of_others:?}");
}

#[test]
fn damage_in_one_log_is_told_and_costs_the_others_nothing() {
    let (logs, writers) = three();
    let (offsets, _) = segment::frames(&writers[1].path(1));
    segment::flip(&writers[1].path(1), offsets[1] + 14);
    let found = logs.objects(&["dump", "data"]);
    assert_eq!(order(&found).len(), 9, "{found:?}");
    let told: Vec<_> = found.iter().filter(|object| object["type"] == "finding").collect();
    assert!(told.iter().any(|finding| finding["kind"] == "damaged_place"), "{told:?}");
    assert!(told.iter().all(|finding| finding["writer_id"] == writers[1].id.to_string()), "{told:?}");
    assert_eq!(logs.run(&["verify", "data"]).1, 3);
}

#[test]
fn a_log_that_needs_a_newer_mcplog_is_named_and_read_as_far_as_it_is_known() {
    let (logs, writers) = three();
    segment::change_header(&writers[0].path(1), |header| header.needs = LEVEL + 1);
    let (text, code) = logs.run(&["dump", "data"]);
    assert_eq!(code, 1, "{text}");
    assert!(unwrapped(&text).contains(&format!("records of level {} are not supported", LEVEL + 1)), "{text}");
    assert_eq!(order(&logs.objects(&["dump", "data"])).len(), 10);
}

#[test]
fn a_store_of_an_earlier_build_is_named_and_not_read() {
    let (logs, writers) = three();
    std::fs::copy(writers[0].path(1), logs.wal().join(file_name(SegmentId(1)))).unwrap();
    for command in ["list", "dump", "verify", "tail"] {
        let mut tool = inspect(logs.root.path());
        tool.args([command, "data"]);
        let output = tool.output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && error.contains("unreleased mcplog"), "{command}: {error}");
    }
}

#[test]
fn more_logs_than_the_process_may_have_files_are_merged_where_the_system_lets_it_have_more() {
    let logs = Logs::new();
    for id in 1..=120 {
        logs.dead(id, &[began(id, TS + i64::from(id)), ended(TS + 1_000)]);
    }
    let tool = env!("CARGO_BIN_EXE_wal-inspect");
    for (limit, expected) in [("-Sn 100", Some(0)), ("-n 100", Some(1))] {
        let script = format!("ulimit {limit} && exec {tool} dump --json data");
        let output = Command::new("sh").args(["-c", &script]).current_dir(logs.root.path()).output().unwrap();
        let found = objects(&String::from_utf8(output.stdout).unwrap());
        assert_eq!(output.status.code(), expected, "{limit}: {}", String::from_utf8_lossy(&output.stderr));
        let told = found.iter().filter(|object| object["kind"] == "unreadable_directory").count();
        // Of a log that can't be opened something is said, and nothing of it is shown.
        assert_eq!(order(&found).len(), 2 * (120 - told), "{limit}");
        assert_eq!(told > 0, expected == Some(1), "{limit}");
    }
}

/// Waits for a record of that writer.
fn wait_for_record(following: &mut Following, writer: &Writer, sequence: u64) {
    let id = writer.id.to_string();
    following.wait_for_one(&format!("{id} {sequence}"), |object| {
        is_record(object) && object["writer_id"] == *id && object["sequence"] == sequence
    });
}

#[test]
fn all_writers_are_followed_those_that_come_later_too_from_segment_to_segment_each_record_once() {
    let logs = Logs::new();
    let mut following = Following::start(&logs.wal(), &[]);
    let mut one = logs.writer(1);
    one.segment(&[began(1, TS)], false);
    wait_for_record(&mut following, &one, 1);
    let mut two = logs.writer(2);
    two.segment(&[began(2, TS)], false);
    for number in 2..20 {
        one.append(&request(&format!("one {number}"), TS + number));
        two.append(&request(&format!("two {number}"), TS + number));
        if number % 5 == 0 {
            two.segment(&[], false);
        }
    }
    wait_for_record(&mut following, &one, 19);
    wait_for_record(&mut following, &two, 19);
    // One ends in good order, the other in the middle of a frame.
    one.append(&ended(TS + 30));
    one.die();
    let path = two.path(two.segment);
    let (_, extent) = segment::frames(&path);
    segment::patch(&path, u64::from(extent.end.0), &[9, 0, 0, 0, 4]);
    two.die();
    let mut three = logs.writer(3);
    three.segment(&[began(3, TS + 40), request("three", TS + 41)], false);
    wait_for_record(&mut following, &one, 20);
    wait_for_record(&mut following, &three, 2);
    following.wait_for_one("the torn tail", |object| object["kind"] == "torn_tail");
    for writer in [&one, &two, &three] {
        let own: Vec<_> = order(following.seen()).into_iter().filter(|(id, _)| *id == writer.id.0[0]).collect();
        let expected: Vec<_> = (1..writer.next).map(|number| (writer.id.0[0], number)).collect();
        assert_eq!(own, expected);
    }
    let told: Vec<_> = following.seen().iter().filter(|object| !is_record(object)).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["writer_id"], two.id.to_string());
}

#[test]
fn following_one_writer_shows_no_other_and_ends_with_it() {
    let logs = Logs::new();
    let [mut one, mut two] = [1, 2].map(|id| logs.writer(id));
    one.segment(&[began(1, TS)], false);
    two.segment(&[began(2, TS)], false);
    let mut folder = Following::start(&one.folder.clone(), &[]);
    let mut prefix = Following::start(&logs.wal(), &["--writer", "01"]);
    for number in 2..10 {
        two.append(&request(&format!("two {number}"), TS + number));
        one.append(&request(&format!("one {number}"), TS + number));
    }
    wait_for_record(&mut folder, &one, 9);
    wait_for_record(&mut prefix, &one, 9);
    one.die();
    let status = folder.wait();
    assert_eq!(status.code(), Some(0), "a log whose writer is dead gets no more");
    for following in [&folder, &prefix] {
        assert_eq!(order(following.seen()), (1..10).map(|number| (1, number)).collect::<Vec<_>>());
    }
}

#[test]
fn a_log_that_is_folded_and_removed_while_it_is_followed_ends_and_the_others_go_on() {
    let logs = Logs::new();
    let [mut one, mut two] = [1, 2].map(|id| logs.writer(id));
    one.segment(&[began(1, TS)], false);
    two.segment(&[began(2, TS)], false);
    let mut following = Following::start(&logs.wal(), &[]);
    wait_for_record(&mut following, &one, 1);
    wait_for_record(&mut following, &two, 1);
    one.append(&ended(TS + 1));
    wait_for_record(&mut following, &one, 2);
    one.die();
    std::fs::remove_dir_all(&one.folder).unwrap();
    two.append(&request("two", TS + 2));
    wait_for_record(&mut following, &two, 2);
    assert!(following.seen().iter().all(is_record), "{:?}", following.seen());
}
