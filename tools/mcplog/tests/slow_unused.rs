//! `mcplog slow` and `mcplog unused`, as processes.

mod common;

use common::Fixture;
use insta::assert_snapshot;

/// The store of [`common::EVENTS`], with a tool on offer that nobody called.
fn fixture() -> Fixture {
    let fixture = Fixture::new();
    let list = r#"{"type":"schema_version","ts":1740823209000,"proxy":"books","upstream_url":"http://127.0.0.1:9000/mcp","method":"tools/list","payload":"{\"tools\":[{\"name\":\"search_books\"},{\"name\":\"burn_books\"}]}","content_hash":"33"}"#;
    fixture.ingest(format!("{}{list}\n", common::EVENTS)).ok();
    fixture
}

#[test]
fn tables_at_80_columns() {
    let fixture = fixture();
    for (name, line) in [("slow", "slow --limit 5"), ("unused", "unused"), ("unused_since", "unused --since 1h")] {
        let table = fixture.run(line).ok();
        assert!(table.lines().all(|row| row.chars().count() <= 80), "{table}");
        assert_snapshot!(name, table);
    }
}

#[test]
fn the_slowest_come_first_and_filters_narrow() {
    let fixture = fixture();
    let latencies = |line: &str| -> Vec<i64> {
        fixture.run(line).json().iter().map(|row| row["latency_us"].as_i64().unwrap()).collect()
    };
    let mut of_logs = latencies("logs --limit 0 --json");
    of_logs.sort_by_key(|latency_us| std::cmp::Reverse(*latency_us));
    assert_eq!(latencies("slow --limit 0 --json"), of_logs);
    assert_eq!(latencies("slow --limit 3 --json"), of_logs[..3]);
    assert_eq!(latencies("slow --json --tool search_books").len(), 2);
    assert_eq!(latencies("slow --json --since 2025-03-02"), [] as [i64; 0]);
}

#[test]
fn a_tool_that_was_called_in_the_span_is_used() {
    let fixture = fixture();
    let tools = |line: &str| -> Vec<String> {
        fixture.run(line).json().iter().map(|row| row["tool"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(tools("unused --json"), ["burn_books"]);
    assert_eq!(tools("unused --json --since 1h"), ["burn_books", "search_books"]);
    assert_eq!(tools("unused --json --since 1h --limit 1"), ["burn_books"]);
    let rows = fixture.run("unused --json --since 1h").json();
    assert!(rows[0]["last_called_at"].is_null() && rows[1]["last_called_at"].is_i64(), "{rows:?}");
    assert_eq!(tools("unused --json --proxy others"), [] as [&str; 0]);
}

#[test]
fn the_help_documents_every_field_of_the_json() {
    let fixture = fixture();
    for line in ["slow", "unused"] {
        let mut help = fixture.run(&format!("{line} --help")).ok();
        if help.contains("JSON fields: those of `mcplog logs`.") {
            help = fixture.run("logs --help").ok();
        }
        for field in fixture.run(&format!("{line} --json")).json()[0].as_object().unwrap().keys() {
            assert!(help.contains(field.as_str()), "{line} --help does not explain {field}");
        }
    }
}

#[test]
fn what_there_is_to_say_without_rows_is_said() {
    let empty = Fixture::new();
    for line in ["slow", "unused"] {
        let run = empty.run(line);
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{line}");
    }
    empty.ingest("").ok();
    for line in ["slow", "unused"] {
        assert!(empty.run(line).ok().starts_with("Nothing is recorded in "), "{line}");
    }
    let fixture = fixture();
    assert!(fixture.run("slow --limit 2").ok().ends_with("Cut at the slowest 2 requests; --limit 0 shows all.\n"));
    assert!(fixture.run("slow --tool none").ok().starts_with("No request matches. 12 requests are on record"));
    assert!(fixture.run("unused --proxy others").ok().starts_with("No list of tools matches."));
    let call = r#"{"type":"request","request_id":"x","ts":1740823209999,"proxy":"books","method":"tools/call","tool":"burn_books","latency_us":1,"status":"ok"}"#;
    fixture.ingest(format!("{call}\n")).ok();
    assert_eq!(fixture.run("unused").ok(), "Every tool on offer was called.\n");
}

#[test]
fn however_many_rows_are_asked_for_few_are_held() {
    const ROWS: usize = 4_000;
    let fixture = Fixture::new();
    let (target, message) = ("t".repeat(2_000), "é".repeat(500));
    let line = |number| {
        let ts = 1_740_823_200_000 + number;
        format!(
            r#"{{"type":"request","request_id":"r{number}","ts":{ts},"proxy":"p","method":"resources/read","latency_us":{number},"status":"error","target":"{target}","endpoint":"{target}","error_msg":"{message}"}}"#
        ) + "\n"
    };
    let lines: String = (0..ROWS).map(line).collect();
    fixture.ingest(&lines).ok();
    let few = fixture.peak_bytes("slow --limit 100 --json", 100);
    for line in ["slow --limit 0 --json", "logs --limit 0 --json"] {
        let peak = fixture.peak_bytes(line, ROWS);
        assert!(peak < few + lines.len() / 2, "{line}: {peak} bytes, {few} for a few of {}", lines.len());
    }
}
