//! docs/json.md against what the command prints: every object, every member, declared once more.

mod common;
#[path = "../../wal-inspect/tests/json_page/mod.rs"]
mod json_page;
mod running;

use common::Fixture;
use json_page::JsonPage;
use mcplog::segment::format::{FORMAT_VERSION, HEADER_BYTES};
use serde_json::Value;
use std::ffi::OsStr;

const REQUEST: &str = "id request_id ts proxy session_id client_name method tool target latency_us status tool_error \
                       error_code error_msg bytes_in bytes_out protocol_version rpc_id http_status transport endpoint \
                       outcome cause direction principal trace_id parent_span_id retry_of input_wait_us notes";

/// The headings of the page, the command lines that print such objects, and the members.
const OBJECTS: [(&str, &str, &str); 9] = [
    ("mcplog logs", "logs", REQUEST),
    ("mcplog slow", "slow", REQUEST),
    (
        "mcplog stats",
        "stats",
        "proxy method tool endpoint direction calls errors timeouts tool_errors cancelled probes redirected ended \
         input_required lost p50_us p95_us p99_us max_us bytes_in bytes_out first_ts last_ts",
    ),
    (
        "mcplog sessions",
        "sessions",
        "session_id proxy started_at last_seen_at ended_at closed_at client_name client_version client_platform \
         protocol_version derived total_calls total_errors total_tool_errors noise_lines",
    ),
    (
        "mcplog sessions --clients",
        "sessions --clients",
        "client_name client_version client_platform sessions open_sessions total_calls total_errors total_tool_errors \
         first_seen_at last_seen_at",
    ),
    ("mcplog unused", "unused --since 1h", "proxy upstream_url tool first_seen_at last_called_at"),
    ("mcplog schema", "schema", "id proxy upstream_url method schema_hash captured_at callers payload"),
    (
        "mcplog schema --changes",
        "schema --changes",
        "id detected_at proxy upstream_url method change_type item_name old_hash new_hash caller",
    ),
    (
        "mcplog writers",
        "writers",
        "writer_id process_id host program program_version started_at last_seen_at ended_at ended folded_records state",
    ),
];

/// What the last line of every answer says.
const ANSWER: &str = "complete in_use unfolded_records unfolded_since log_problem missing_records \
                      dropped_events quarantined_records unreadable_files newer_records kept_since expired cut";
const CHECK: &str = "in_use segments log_bytes records unfolded_records lost_records requests sessions database_bytes \
                     dropped_events quarantined_records unreadable_files newer_records limits clock_steps clock_ahead_ms quarantine_files \
                     findings verdict";
const LIMITS: &str = "keep_rows_age_ms database_bytes_max keep_segments_bytes keep_segments_age_ms session_idle_ms";
const PLAN: &str = "limits segments expiry kept_since rows clock_ahead_ms";
const CHECK_FINDING: &str = "kind verdict file offset bytes sequence records reason next_step";
const REBUILD_FROM_ROWS: &str = "from requests sessions rollups folded_records left_logs found";
const REBUILD_FROM_LOG: &str = "from requests sessions salvaged_requests segments records_before_log expired_requests \
                                kept_since limits limits_from losses left_logs moved_to found";
/// What a rebuild finds, and the parts of that.
const REBUILD_FOUND: [(&str, &str); 8] = [
    ("mcplog rebuild: found", "action database log losses in_use"),
    ("mcplog rebuild: database", "file state reason folded_records tables"),
    ("mcplog rebuild: tables", "table rows at_most from_ts to_ts unreadable only_here unreadable_only_here"),
    ("mcplog rebuild: rows", "rows at_most from_ts to_ts"),
    (
        "mcplog rebuild: log",
        "logs segments quarantined_segments records waiting_records records_before_log holes damaged_places \
         unreadable_files left_logs",
    ),
    ("mcplog rebuild: left logs", "writer file reason"),
    ("mcplog rebuild: losses", "table rows at_most from_ts to_ts unreadable"),
    ("mcplog rebuild: holes", "writer first_record last_record folded"),
];
const BACKUP: &str = "dir began_at requests sessions database_bytes segments log_bytes";
const INGEST: &str = "lines input_bytes blank_lines bad_lines recorded_events folded_records unfolded_records \
                      damage expired late_events record_ms fold_ms recorded_events_per_s folded_records_per_s \
                      interrupted";

const INGEST_EXPIRED: &str = "reason requests from_ts to_ts sessions";

const HEALTH: &str = "status recording reason since events_missed events_recorded events_dropped events_appended \
                      events_folded events_queued lag_records lag_ms log_bytes";
/// What the proxy's admin address answers, and whether the proxy records.
const ANSWERS: [(&str, &str); 2] =
    [("mcplog proxy: /healthz, /readyz", HEALTH), ("mcplog proxy: /livez", "status reason")];

/// Holds an object against the page, and against the list that stands here.
#[track_caller]
fn check(page: &JsonPage, heading: &str, members: &str, object: &Value) {
    page.check(&[heading], object);
    let told: Vec<String> = page.members(heading).into_iter().map(|(name, _)| name).collect();
    assert_eq!(told.join(" "), members, "docs/json.md, {heading}");
}

/// Holds what a rebuild found against the page.
#[track_caller]
fn check_found(page: &JsonPage, found: &Value) {
    let [whole, database, tables, rows, log, left, losses, holes] = REBUILD_FOUND;
    check(page, whole.0, whole.1, found);
    check(page, database.0, database.1, &found["database"]);
    for table in found["database"]["tables"].as_array().expect("a list") {
        check(page, tables.0, tables.1, table);
        check(page, rows.0, rows.1, &table["unreadable"]);
        check(page, rows.0, rows.1, &table["only_here"]);
    }
    check(page, log.0, log.1, &found["log"]);
    check(page, rows.0, rows.1, &found["log"]["records"]);
    for log in found["log"]["left_logs"].as_array().expect("a list") {
        check(page, left.0, left.1, log);
    }
    for loss in found["losses"].as_array().expect("a list") {
        check(page, losses.0, losses.1, loss);
    }
    for hole in found["log"]["holes"].as_array().expect("a list") {
        check(page, holes.0, holes.1, hole);
    }
}

#[test]
fn a_rebuild_that_is_refused_says_what_it_found_as_the_page_lists_it() {
    let (page, fixture) = (JsonPage::read(), Fixture::with_long_log());
    let long = fixture.segments();
    // Another writer's log, which waits for a newer build.
    let file = fixture.root.path().join("newer.jsonl");
    std::fs::write(&file, common::request_line(9_000)).unwrap();
    fixture.run(&format!("ingest --keep-segments {}", file.display())).ok();
    let waiting = fixture.segments().into_iter().find(|path| !long.contains(path)).unwrap();
    let mut newer = std::fs::read(&waiting).unwrap();
    let header = *mcplog::segment::SegmentReader::open(&waiting).unwrap().header();
    newer[..HEADER_BYTES].copy_from_slice(&header.encode_as(FORMAT_VERSION + 1));
    std::fs::write(&waiting, newer).unwrap();
    std::fs::remove_file(&long[1]).unwrap();
    let refused = fixture.run("rebuild --from-log --json");
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    let found: Value = serde_json::from_str(&refused.stdout).unwrap();
    check_found(&page, &found);
    assert!(!found["losses"].as_array().unwrap().is_empty() && !found["log"]["holes"].as_array().unwrap().is_empty());
    let found = &found["log"]["left_logs"];
    assert!(!found.as_array().unwrap().is_empty(), "{found}");
    let looked = fixture.run("rebuild --from-log --json --dry-run");
    assert_eq!((looked.code, &looked.stdout), (1, &refused.stdout));
    assert_eq!(fixture.run("rebuild --dry-run --json").json()[0]["action"], "rows");
}

#[test]
fn every_row_has_the_members_that_the_page_lists() {
    let page = JsonPage::read();
    let fixture = Fixture::with_events();
    for (heading, line, members) in OBJECTS {
        let rows = fixture.run(&format!("{line} --json --limit 0")).json();
        assert!(!rows.is_empty(), "{line} prints nothing");
        for row in &rows {
            check(&page, heading, members, row);
        }
        check(&page, "mcplog: answer", ANSWER, &fixture.run(&format!("{line} --json")).answer());
    }
}

#[test]
fn what_other_commands_print_is_what_the_page_lists() {
    let page = JsonPage::read();
    let fixture = Fixture::new();
    let file = fixture.root.path().join("events.jsonl");
    std::fs::write(&file, common::EVENTS).unwrap();
    let line = [OsStr::new("ingest"), OsStr::new("--keep-segments"), OsStr::new("--json"), file.as_os_str()];
    let ingested: common::Run = fixture.command(line).output().unwrap().into();
    check(&page, "mcplog ingest", INGEST, &ingested.json()[0]);
    let old = Fixture::new();
    let expired = old.run(&format!("ingest --json --keep 1d {}", file.display())).json().remove(0)["expired"].clone();
    check(&page, "mcplog ingest: expired", INGEST_EXPIRED, &expired[0]);
    let rebuilt = fixture.run("rebuild --json").json().swap_remove(0);
    check(&page, "mcplog rebuild: from rows", REBUILD_FROM_ROWS, &rebuilt);
    check_found(&page, &rebuilt["found"]);
    let checked = fixture.run("check --json").json().swap_remove(0);
    check(&page, "mcplog check", CHECK, &checked);
    check(&page, "mcplog check: limits", LIMITS, &checked["limits"]);
    let rebuilt = fixture.run("rebuild --from-log --json").json().swap_remove(0);
    check(&page, "mcplog rebuild: from the log", REBUILD_FROM_LOG, &rebuilt);
    check_found(&page, &rebuilt["found"]);

    let copy = fixture.root.path().join("copy");
    let copied: common::Run =
        fixture.command([OsStr::new("backup"), OsStr::new("--json"), copy.as_os_str()]).output().unwrap().into();
    check(&page, "mcplog backup", BACKUP, &copied.json()[0]);

    // A second segment makes the first a folded one.
    let ingested: common::Run = fixture.command(line).output().unwrap().into();
    check(&page, "mcplog ingest", INGEST, &ingested.json()[0]);
    let limits = fixture.root.path().join("limits.toml");
    std::fs::write(&limits, "[store]\nkeep = '1m'\n").unwrap();
    for config in [String::new(), format!("--config {}", limits.display())] {
        let plan = fixture.run(&format!("check --plan --json {config}")).json().swap_remove(0);
        check(&page, "mcplog check --plan", PLAN, &plan);
        check(&page, "mcplog check: limits", LIMITS, &plan["limits"]);
        check(&page, "mcplog check --plan: segments", "writer segment file bytes fate", &plan["segments"][0]);
        for rows in plan["rows"].as_array().unwrap() {
            check(&page, "mcplog check --plan: rows", "table rows", rows);
        }
        assert_eq!(plan["rows"].as_array().unwrap().is_empty(), config.is_empty());
    }

    std::fs::write(&fixture.segments()[0], b"no segment").unwrap();
    let damaged: Value = serde_json::from_str(&fixture.run("check --json").stdout).unwrap();
    check(&page, "mcplog check", CHECK, &damaged);
    let findings = damaged["findings"].as_array().unwrap();
    assert!(!findings.is_empty());
    for finding in findings {
        check(&page, "mcplog check: findings", CHECK_FINDING, finding);
    }
    std::fs::remove_file(fixture.dir().join("store.db")).unwrap();
    let without: Value = serde_json::from_str(&fixture.run("check --json").stdout).unwrap();
    check(&page, "mcplog check", CHECK, &without);
}

#[test]
fn what_the_proxy_answers_is_what_the_page_lists() {
    let page = JsonPage::read();
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("blocked");
    std::fs::write(&blocked, "no store").unwrap();
    for store in [dir.path().join("store"), blocked] {
        let proxy = running::Running::start(&store, &running::upstream(), &[]);
        for path in ["/healthz", "/readyz"] {
            check(&page, ANSWERS[0].0, ANSWERS[0].1, &proxy.health(path).1);
        }
        check(&page, ANSWERS[1].0, ANSWERS[1].1, &proxy.health("/livez").1);
    }
}

#[test]
fn every_object_of_the_page_is_one_that_is_printed() {
    let held: Vec<&str> = OBJECTS.iter().map(|(heading, ..)| *heading).collect();
    let others = [
        "mcplog: answer",
        "mcplog check",
        "mcplog check: limits",
        "mcplog check: findings",
        "mcplog rebuild: from rows",
        "mcplog rebuild: from the log",
        "mcplog backup",
        // tests/attached.rs prints these: they need clients.
        "mcplog attach, mcplog detach",
        "mcplog attached",
        "mcplog attached: last_session",
    ];
    for heading in JsonPage::read().headings().filter(|heading| heading.starts_with("mcplog")) {
        let is_held = held.contains(&heading)
            || others.contains(&heading)
            || heading.starts_with("mcplog check --plan")
            || heading.starts_with("mcplog ingest")
            || REBUILD_FOUND.iter().any(|(held, _)| *held == heading)
            || ANSWERS.iter().any(|(held, _)| *held == heading)
            || heading.split(", ").all(|part| held.contains(&part));
        assert!(is_held, "no test prints {heading}");
    }
}

#[test]
fn the_same_word_means_the_same_in_totals_and_in_sums() {
    let fixture = Fixture::with_events();
    let sum = |line: &str, member: &str| -> i64 {
        let rows = fixture.run(&format!("{line} --json --limit 0")).json();
        rows.iter().map(|row| row[member].as_i64().unwrap()).sum()
    };
    let without_session =
        fixture.run("logs --json --limit 0").json().iter().filter(|row| row["session_id"].is_null()).count();
    assert_eq!(sum("stats", "calls"), sum("sessions", "total_calls") + i64::try_from(without_session).unwrap());
    assert_eq!(sum("stats", "errors"), sum("sessions", "total_errors"));
    assert_eq!(sum("stats", "errors"), sum("sessions --clients", "total_errors"));
    assert_eq!(sum("stats", "tool_errors"), sum("sessions", "total_tool_errors"));
}
