//! docs/json.md against what the command prints: every object, every member, declared once more.

mod common;
#[path = "../../wal-inspect/tests/json_page/mod.rs"]
mod json_page;
mod running;

use common::Fixture;
use json_page::JsonPage;
use serde_json::Value;
use std::ffi::OsStr;

const REQUEST: &str = "id request_id ts proxy session_id client_name method tool target latency_us status tool_error \
                       error_code error_msg bytes_in bytes_out protocol_version rpc_id http_status transport endpoint \
                       outcome cause direction principal trace_id parent_span_id retry_of input_wait_us notes";

/// The headings of the page, the command lines that print such objects, and the members.
const OBJECTS: [(&str, &str, &str); 8] = [
    ("mcplog logs", "logs", REQUEST),
    ("mcplog slow", "slow", REQUEST),
    (
        "mcplog stats",
        "stats",
        "proxy method tool calls errors timeouts tool_errors cancelled probes redirected ended input_required lost \
         p50_us p95_us p99_us max_us bytes_in bytes_out first_ts last_ts",
    ),
    (
        "mcplog sessions",
        "sessions",
        "session_id proxy started_at last_seen_at ended_at closed_at client_name client_version client_platform \
         protocol_version derived total_calls total_errors total_tool_errors",
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
];

/// What the last line of every answer says.
const ANSWER: &str = "complete in_use unfolded_records unfolded_since log_problem set_aside_records dropped_events \
                      quarantined_records newer_records kept_since expired cut";
const CHECK: &str = "in_use segments log_bytes records unfolded_records lost_records requests sessions database_bytes \
                     dropped_events quarantined_records newer_records limits clock_steps clock_ahead_ms quarantine_files \
                     findings verdict";
const LIMITS: &str = "keep_rows_age_ms database_bytes_max keep_segments_bytes keep_segments_age_ms session_idle_ms";
const PLAN: &str = "limits segments expiry kept_since rows clock_ahead_ms";
const CHECK_FINDING: &str = "kind verdict file offset reason next_step";
const REBUILD_FROM_ROWS: &str = "from requests sessions rollups";
const REBUILD_FROM_LOG: &str = "from requests sessions segments records_before_log expired_requests kept_since limits \
                                limits_from moved_to";
const BACKUP: &str = "dir began_at requests sessions folded_records database_bytes quarantine_files";
const INGEST: &str = "lines input_bytes blank_lines bad_lines recorded_events folded_records unfolded_records \
                      record_ms fold_ms recorded_events_per_s folded_records_per_s interrupted";

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
    check(&page, "mcplog rebuild: from rows", REBUILD_FROM_ROWS, &fixture.run("rebuild --json").json()[0]);
    let checked = fixture.run("check --json").json().swap_remove(0);
    check(&page, "mcplog check", CHECK, &checked);
    check(&page, "mcplog check: limits", LIMITS, &checked["limits"]);
    check(&page, "mcplog rebuild: from the log", REBUILD_FROM_LOG, &fixture.run("rebuild --from-log --json").json()[0]);

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
        check(&page, "mcplog check --plan: segments", "segment file bytes fate", &plan["segments"][0]);
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
    ];
    for heading in JsonPage::read().headings().filter(|heading| heading.starts_with("mcplog")) {
        let is_held = held.contains(&heading)
            || others.contains(&heading)
            || heading.starts_with("mcplog check --plan")
            || heading == "mcplog ingest"
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
