//! The JSON output, declared once more: a member that is renamed, dropped or added without docs/json.md fails here.

mod fixture;
mod json_page;

use fixture::{Log, Running, SESSION, TS};
use json_page::JsonPage;
use mcplog::SyncPolicy;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A field that may be null, but not absent.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "a few objects of a test")]
enum Object {
    Request {
        writer_id: String,
        segment: u64,
        file: String,
        offset: u32,
        sequence: u64,
        kind_number: u8,
        kind_version: u8,
        request_id: String,
        ts: i64,
        proxy: String,
        #[serde(deserialize_with = "nullable")]
        session_id: Option<String>,
        method: String,
        #[serde(deserialize_with = "nullable")]
        tool: Option<String>,
        latency_us: i64,
        status: String,
        #[serde(deserialize_with = "nullable")]
        error_code: Option<String>,
        #[serde(deserialize_with = "nullable")]
        error_msg: Option<String>,
        #[serde(deserialize_with = "nullable")]
        bytes_in: Option<i64>,
        #[serde(deserialize_with = "nullable")]
        bytes_out: Option<i64>,
        #[serde(deserialize_with = "nullable")]
        tool_error: Option<bool>,
        #[serde(deserialize_with = "nullable")]
        target: Option<String>,
        #[serde(deserialize_with = "nullable")]
        protocol_version: Option<String>,
        #[serde(deserialize_with = "nullable")]
        rpc_id: Option<String>,
        #[serde(deserialize_with = "nullable")]
        http_status: Option<u16>,
        #[serde(deserialize_with = "nullable")]
        transport: Option<String>,
        #[serde(deserialize_with = "nullable")]
        endpoint: Option<String>,
        #[serde(deserialize_with = "nullable")]
        outcome: Option<String>,
        #[serde(deserialize_with = "nullable")]
        cause: Option<String>,
        #[serde(deserialize_with = "nullable")]
        direction: Option<String>,
        #[serde(deserialize_with = "nullable")]
        principal: Option<String>,
        #[serde(deserialize_with = "nullable")]
        trace_id: Option<String>,
        #[serde(deserialize_with = "nullable")]
        parent_span_id: Option<String>,
        #[serde(deserialize_with = "nullable")]
        retry_of: Option<String>,
        #[serde(deserialize_with = "nullable")]
        input_wait_us: Option<i64>,
        notes: Vec<String>,
    },
    Session {
        writer_id: String,
        segment: u64,
        file: String,
        offset: u32,
        sequence: u64,
        kind_number: u8,
        kind_version: u8,
        session_id: String,
        proxy: String,
        started_at: i64,
        #[serde(deserialize_with = "nullable")]
        client_name: Option<String>,
        #[serde(deserialize_with = "nullable")]
        client_version: Option<String>,
        #[serde(deserialize_with = "nullable")]
        client_platform: Option<String>,
        #[serde(deserialize_with = "nullable")]
        protocol_version: Option<String>,
        derived: bool,
        #[serde(deserialize_with = "nullable")]
        noise_lines: Option<i64>,
    },
    SessionClosed {
        writer_id: String,
        segment: u64,
        file: String,
        offset: u32,
        sequence: u64,
        kind_number: u8,
        kind_version: u8,
        session_id: String,
        ended_at: i64,
    },
    SchemaVersion {
        writer_id: String,
        segment: u64,
        file: String,
        offset: u32,
        sequence: u64,
        kind_number: u8,
        kind_version: u8,
        ts: i64,
        proxy: String,
        upstream_url: String,
        method: String,
        payload: Option<String>,
        content_hash: String,
        caller: String,
    },
    Gap {
        writer_id: String,
        segment: u64,
        file: String,
        offset: u32,
        sequence: u64,
        kind_number: u8,
        kind_version: u8,
        from_ts: i64,
        to_ts: i64,
        events: u64,
    },
    ClockStep {
        writer_id: String,
        segment: u64,
        file: String,
        offset: u32,
        sequence: u64,
        kind_number: u8,
        kind_version: u8,
        from_ts: i64,
        to_ts: i64,
        between_runs: bool,
    },
    Newer {
        writer_id: String,
        segment: u64,
        file: String,
        offset: u32,
        sequence: u64,
        kind_number: u8,
        kind_version: u8,
        reason: String,
        payload_hex: String,
    },
    Undecodable {
        writer_id: String,
        segment: u64,
        file: String,
        offset: u32,
        sequence: u64,
        #[serde(deserialize_with = "nullable")]
        kind_number: Option<u8>,
        #[serde(deserialize_with = "nullable")]
        kind_version: Option<u8>,
        reason: String,
        payload_hex: String,
    },
    Finding {
        #[serde(deserialize_with = "nullable")]
        writer_id: Option<String>,
        #[serde(deserialize_with = "nullable")]
        segment: Option<u64>,
        file: String,
        kind: String,
        #[serde(deserialize_with = "nullable")]
        offset: Option<u32>,
        #[serde(deserialize_with = "nullable")]
        bytes: Option<u64>,
        #[serde(deserialize_with = "nullable")]
        sequence: Option<u64>,
        #[serde(deserialize_with = "nullable")]
        records: Option<u64>,
        reason: String,
        next_step: String,
        verdict: Verdict,
    },
    Segment {
        #[serde(deserialize_with = "nullable")]
        writer_id: Option<String>,
        #[serde(deserialize_with = "nullable")]
        segment: Option<u64>,
        file: String,
        #[serde(deserialize_with = "nullable")]
        state: Option<String>,
        #[serde(deserialize_with = "nullable")]
        created_at: Option<i64>,
        records: u64,
        read_records: u64,
        #[serde(deserialize_with = "nullable")]
        first_sequence: Option<u64>,
        #[serde(deserialize_with = "nullable")]
        last_sequence: Option<u64>,
        bytes: u64,
        #[serde(deserialize_with = "nullable")]
        end_offset: Option<u32>,
        #[serde(deserialize_with = "nullable")]
        durable_offset: Option<u32>,
        #[serde(deserialize_with = "nullable")]
        durable_sequence: Option<u64>,
        #[serde(deserialize_with = "nullable")]
        sealed_offset: Option<u32>,
        lost_records: u64,
        undecodable_records: u64,
        newer_records: u64,
        verdict: Verdict,
    },
    WriterBegan {
        writer_id: String,
        segment: u64,
        file: String,
        offset: u32,
        sequence: u64,
        kind_number: u8,
        kind_version: u8,
        process_id: u64,
        host: String,
        program: String,
        program_version: String,
        started_at: i64,
    },
    WriterEnded {
        writer_id: String,
        segment: u64,
        file: String,
        offset: u32,
        sequence: u64,
        kind_number: u8,
        kind_version: u8,
        ended_at: i64,
    },
    Summary {
        logs: u64,
        segments: u64,
        records: u64,
        bytes: u64,
        lost_records: u64,
        undecodable_records: u64,
        newer_records: u64,
        missing_records: u64,
        verdict: Verdict,
    },
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Sound,
    Attention,
    Unreadable,
    Damaged,
}

fn objects(text: &str) -> Vec<Object> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(parse).collect()
}

/// Segment, sequence and so on are the same for all; only what follows differs.
fn run(log: &Log, arguments: &[&str]) -> Vec<Object> {
    objects(&log.run(&[arguments, &["--json"]].concat()).0)
}

const FILE: &str = "data/wal/abababab-abab-abab-abab-abababababab/000000000001.seg";

fn writer() -> String {
    "abababab-abab-abab-abab-abababababab".to_owned()
}

#[test]
fn every_field_of_every_kind_of_record_is_there() {
    let log = Log::of_samples();
    let (offsets, _) = log.frames(0);
    let text = |text: &str| Some(text.to_owned());
    let file = || FILE.to_owned();
    let found = run(&log, &["dump"]);
    assert_eq!(found.len(), 6);
    assert_eq!(
        found[0],
        Object::Session {
            writer_id: writer(),
            segment: 1,
            file: file(),
            offset: offsets[0],
            sequence: 1,
            kind_number: 2,
            kind_version: 1,
            session_id: SESSION.into(),
            proxy: "files".into(),
            started_at: TS,
            client_name: text("claude-code"),
            client_version: text("2.1.0"),
            client_platform: text("claude"),
            protocol_version: text("2025-11-25"),
            derived: false,
            noise_lines: Some(3),
        }
    );
    assert_eq!(
        found[1],
        Object::SchemaVersion {
            writer_id: writer(),
            segment: 1,
            file: file(),
            offset: offsets[1],
            sequence: 2,
            kind_number: 4,
            kind_version: 1,
            ts: TS + 5,
            proxy: "files".into(),
            upstream_url: "http://127.0.0.1:9000/mcp".into(),
            method: "tools/list".into(),
            payload: Some(r#"{"tools":[{"name":"search"}]}"#.into()),
            content_hash: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into(),
            caller: String::new(),
        }
    );
    assert_eq!(
        found[2],
        Object::Request {
            writer_id: writer(),
            segment: 1,
            file: file(),
            offset: offsets[2],
            sequence: 3,
            kind_number: 1,
            kind_version: 1,
            request_id: "0197a1c0-7b1e-7cc3-98c4-dc0c0c07398f".into(),
            ts: TS + 120,
            proxy: "files".into(),
            session_id: text(SESSION),
            method: "tools/call".into(),
            tool: text("search"),
            latency_us: 1_840,
            status: "ok".into(),
            error_code: None,
            error_msg: None,
            bytes_in: Some(210),
            bytes_out: Some(4_096),
            tool_error: Some(true),
            target: text("index"),
            protocol_version: text("2025-11-25"),
            rpc_id: text("17"),
            http_status: Some(200),
            transport: text("http"),
            endpoint: text("/mcp"),
            outcome: text("tool_error"),
            cause: None,
            direction: text("client"),
            principal: text("who"),
            trace_id: text("abababababababababababababababab"),
            parent_span_id: text("0101010101010101"),
            retry_of: text("r0"),
            input_wait_us: Some(5),
            notes: vec!["late_answer".into()],
        }
    );
    assert_eq!(
        found[5],
        Object::SessionClosed {
            writer_id: writer(),
            segment: 1,
            file: file(),
            offset: offsets[5],
            sequence: 6,
            kind_number: 3,
            kind_version: 1,
            session_id: SESSION.into(),
            ended_at: TS + 86_400_000,
        }
    );
    assert_eq!(run(&log, &["tail"]), found, "tail speaks like dump");
}

#[test]
fn a_step_of_the_clock_says_from_when_to_when() {
    let log = Log::killed_before_a_sync();
    let mut payload = Vec::new();
    let step = mcplog::record::ClockStepRecord { from_ts: TS, to_ts: TS - 90_000, between_runs: false };
    mcplog::record::Record::ClockStep(step).encode(&mut payload);
    log.append_frame(0, &payload);
    let found = run(&log, &["dump", "--kind", "clock_step"]);
    let [Object::ClockStep { kind_number: 6, sequence: 7, from_ts: TS, to_ts, between_runs: false, .. }] = found[..]
    else {
        panic!("{found:?}")
    };
    assert_eq!(to_ts, TS - 90_000);
    let text = log.run(&["dump", "--kind", "clock_step"]).0;
    assert!(text.contains("set back by 1.5 min"), "{text}");
}

#[test]
fn a_gap_says_how_many_events_and_when() {
    let log = Log::killed_before_a_sync();
    let mut payload = Vec::new();
    let gap = mcplog::record::GapRecord { from_ts: TS, to_ts: TS + 9, events: u64::MAX };
    mcplog::record::Record::Gap(gap).encode(&mut payload);
    log.append_frame(0, &payload);
    let found = run(&log, &["dump", "--kind", "gap"]);
    assert!(
        matches!(found[..], [Object::Gap { kind_number: 5, sequence: 7, from_ts: TS, events: u64::MAX, .. }]),
        "{found:?}"
    );
}

#[test]
fn what_can_not_be_decoded_is_an_object_with_its_bytes() {
    let log = Log::killed_before_a_sync();
    let (_, extent) = log.frames(0);
    log.append_frame(0, &[9, 1, 0xff, 0x1b]);
    log.append_frame(0, &[7]);
    let found = run(&log, &["dump", "--from-sequence", "7", "--kind", "session"]);
    let newer = Object::Newer {
        writer_id: writer(),
        segment: 1,
        file: FILE.into(),
        offset: extent.end.0,
        sequence: 7,
        kind_number: 9,
        kind_version: 1,
        reason: "record kind 9, version 1: this build knows the kinds 1 to 8; a newer mcplog reads it".into(),
        payload_hex: "0901ff1b".into(),
    };
    let undecodable = Object::Undecodable {
        writer_id: writer(),
        segment: 1,
        file: FILE.into(),
        offset: extent.end.0 + 16,
        sequence: 8,
        kind_number: Some(7),
        kind_version: None,
        reason: "expected a record kind and version, found 1 bytes".into(),
        payload_hex: "07".into(),
    };
    assert_eq!(found, [newer, undecodable]);
    let verified = run(&log, &["verify"]);
    let [.., Object::Summary { newer_records, undecodable_records, .. }] = &verified[..] else {
        panic!("{verified:?}")
    };
    assert_eq!((*newer_records, *undecodable_records), (1, 1));
}

#[test]
fn damage_and_bytes_behind_a_seal_are_objects_with_their_place() {
    let log = Log::of_samples();
    let (offsets, extent) = log.frames(0);
    log.flip(0, offsets[1] + 20);
    log.append(0, b"garbage");
    let found = run(&log, &["dump", "--kind", "session"]);
    let [behind, Object::Session { .. }, damage] = &found[..] else { panic!("{found:?}") };
    assert!(
        matches!(damage, Object::Finding { segment: Some(1), kind, offset, sequence: Some(2), bytes, records: Some(1), verdict: Verdict::Damaged, .. }
            if kind == "damaged_place" && *offset == Some(offsets[1]) && *bytes == Some((offsets[2] - offsets[1]).into())),
        "{damage:?}"
    );
    assert!(
        matches!(behind, Object::Finding { kind, offset, bytes: Some(7), verdict: Verdict::Sound, .. }
            if kind == "bytes_behind_seal" && *offset == Some(extent.end.0)),
        "{behind:?}"
    );
}

#[test]
fn list_and_verify_sum_up_every_segment() {
    let log = Log::of_segments();
    let count = log.segments().len();
    let (_, extent) = log.frames(0);
    let listed = run(&log, &["list"]);
    let mut verified = run(&log, &["verify"]);
    let summary = verified.pop().unwrap();
    assert_eq!(listed, verified, "a sound log looks the same to both");
    assert_eq!(listed.len(), count);
    let bytes: u64 = log.segments().iter().map(|path| std::fs::metadata(path).unwrap().len()).sum();
    assert_eq!(
        summary,
        Object::Summary {
            logs: 1,
            segments: count as u64,
            records: Log::RECORDS,
            bytes,
            lost_records: 0,
            undecodable_records: 0,
            newer_records: 0,
            missing_records: 0,
            verdict: Verdict::Sound,
        }
    );
    assert_eq!(
        listed[0],
        Object::Segment {
            writer_id: Some(writer()),
            segment: Some(1),
            file: FILE.into(),
            state: Some("sealed".into()),
            created_at: Some(TS - 1_000),
            records: u64::from(extent.frames),
            read_records: u64::from(extent.frames),
            first_sequence: Some(1),
            last_sequence: Some(u64::from(extent.frames)),
            bytes: u64::from(extent.end.0),
            end_offset: Some(extent.end.0),
            durable_offset: Some(extent.end.0),
            durable_sequence: Some(u64::from(extent.frames)),
            sealed_offset: Some(extent.end.0),
            lost_records: 0,
            undecodable_records: 0,
            newer_records: 0,
            verdict: Verdict::Sound,
        }
    );
}

#[test]
fn findings_of_other_sorts_parse_too_and_those_of_the_log_are_about_its_directory() {
    let log = Log::of_segments();
    log.change_header(1, |header| header.writer_id = mcplog::position::WriterId([1; 16]));
    std::fs::remove_file(log.segment(2)).unwrap();
    std::fs::write(log.file(9), b"no segment").unwrap();
    let found = run(&log, &["verify"]);
    let verdict_of = |kind: &str, segment: Option<u64>| {
        let of_kind = |object: &&Object| matches!(object, Object::Finding { kind: of, segment: at, .. } if of == kind && *at == segment);
        let Some(Object::Finding { verdict, .. }) = found.iter().find(of_kind) else { panic!("{kind}: {found:?}") };
        verdict
    };
    assert_eq!(verdict_of("misnamed_segment", Some(2)), &Verdict::Damaged);
    assert_eq!(verdict_of("lost_first_page", Some(9)), &Verdict::Damaged);
    let (first, last) =
        (u64::from(log.frames(0).1.frames) + 1, log.reader(&log.segment(2)).header().base_sequence.0 - 1);
    let missing = |object: &Object| {
        matches!(object, Object::Finding { segment: None, file, sequence: Some(from), records: Some(records), .. }
            if file.starts_with("data/wal") && (*from, *records) == (first, last + 1 - first))
    };
    assert!(found.iter().any(missing), "{found:?}");
    let has = |test: fn(&Object) -> bool| assert!(found.iter().any(test), "{found:?}");
    has(|object| matches!(object, Object::Segment { segment: Some(9), state: None, created_at: None, .. }));
    has(|object| matches!(object, Object::Summary { verdict: Verdict::Damaged, .. }));
}

#[test]
fn a_segment_that_is_not_yet_durable_says_so() {
    let running = Running::with(|config| config.sync = SyncPolicy::Never);
    running.record(1..=3);
    let found = run(&running.killed(), &["list"]);
    let [Object::Segment { state: Some(state), durable_sequence, sealed_offset, records, .. }] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!((state.as_str(), *durable_sequence, *sealed_offset, *records), ("unsealed", Some(0), None, 4));
}

/// Under which headings of the page an object's members are.
fn headings(kind: &str) -> Vec<&str> {
    const EVERY_OBJECT: &str = "wal-inspect: every object";
    match kind {
        "summary" => vec!["summary"],
        "segment" | "finding" => vec![EVERY_OBJECT, kind],
        record => vec![EVERY_OBJECT, "wal-inspect: every record", record],
    }
}

#[test]
fn the_page_lists_every_member_of_every_type_and_no_other() {
    let page = JsonPage::read();
    let sound = Log::of_samples();
    let damaged = Log::of_segments();
    damaged.change_header(1, |header| header.writer_id = mcplog::position::WriterId([1; 16]));
    std::fs::remove_file(damaged.segment(2)).unwrap();
    std::fs::write(damaged.file(9), b"no segment").unwrap();
    fixture::patch(&damaged.segment(0), 200, b"x");
    let killed = Log::killed_before_a_sync();
    let mut payload = Vec::new();
    let gap = mcplog::record::GapRecord { from_ts: TS, to_ts: TS + 9, events: 7 };
    mcplog::record::Record::Gap(gap).encode(&mut payload);
    killed.append_frame(0, &payload);
    let step = mcplog::record::ClockStepRecord { from_ts: TS, to_ts: TS - 90_000, between_runs: true };
    payload.clear();
    mcplog::record::Record::ClockStep(step).encode(&mut payload);
    killed.append_frame(0, &payload);
    killed.append_frame(0, &[9, 1, 0xff]);
    killed.append_frame(0, &[1, 1, 0xff]);
    let ended = Running::new();
    ended.record_samples();
    let ended = ended.shut_down();
    let torn = Log::of_samples();
    torn.flip(0, torn.frames(0).0[1] + 20);
    torn.append(0, b"garbage");

    let mut seen = std::collections::BTreeSet::new();
    for log in [&sound, &damaged, &killed, &torn, &ended] {
        for command in ["dump", "tail", "list", "verify"] {
            for line in log.run(&[command, "--json"]).0.lines() {
                let mut object: Value = serde_json::from_str(line).unwrap();
                let kind = object["type"].as_str().unwrap().to_owned();
                if kind == "summary" {
                    object.as_object_mut().unwrap().remove("type");
                }
                page.check(&headings(&kind), &object);
                seen.insert(kind);
            }
        }
    }
    let types = "clock_step finding gap newer request schema_version segment session session_closed summary undecodable \
         writer_began writer_ended";
    assert_eq!(seen.into_iter().collect::<Vec<_>>().join(" "), types, "each type was printed");
}

#[test]
fn the_page_check_notices_a_member_that_is_lost_gained_or_of_another_type() {
    let page = JsonPage::read();
    let sound = serde_json::json!({ "session_id": "s", "ended_at": 1 });
    page.check(&["session_closed"], &sound);
    for planted in [
        serde_json::json!({ "session_id": "s" }),
        serde_json::json!({ "session_id": "s", "ended_at": 1, "ended_by": "x" }),
        serde_json::json!({ "session_id": "s", "ended_at": null }),
        serde_json::json!({ "session_id": 7, "ended_at": 1 }),
    ] {
        let checked = std::panic::catch_unwind(|| page.check(&["session_closed"], &planted));
        assert!(checked.is_err(), "{planted}");
    }
}

#[test]
fn the_command_prints_the_page() {
    let log = Log::of_samples();
    let mut command = fixture::inspect(log.root());
    command.arg("json");
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/json.md")).unwrap();
    assert_eq!(fixture::outcome(command), (page, 0));
}
