//! `mcplog attached`: what is attached where, and what is on record of it.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod client_home;
mod common;
#[path = "../../wal-inspect/tests/json_page/mod.rs"]
mod json_page;

use client_home::{CLIENTS, ClientHome};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

const MINUTE_MS: i64 = 60_000;

fn now_ts() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Records a session with so many calls that began then.
fn record(home: &ClientHome, dir: &str, proxy: &str, client: &str, started_at: i64, calls: i64, transport: &str) {
    let id = format!("{proxy}-{client}-{started_at}");
    let mut lines = vec![json!({
        "type": "session", "session_id": id, "proxy": proxy, "started_at": started_at, "client_name": client,
        "client_version": "1.0",
    })];
    lines.extend((0..calls).map(|number| {
        json!({
            "type": "request", "request_id": format!("{id}-{number}"), "ts": started_at + number, "proxy": proxy,
            "session_id": id, "method": "tools/call", "latency_us": 1, "status": "ok", "transport": transport,
        })
    }));
    let lines: Vec<_> = lines.iter().map(Value::to_string).collect();
    home.write("events.jsonl", lines.join("\n"));
    let file = home.path("events.jsonl");
    home.run_words(&["ingest", "--dir", home.path(dir).to_str().unwrap(), file.to_str().unwrap()]).ok();
}

const STORE: &str = ".local/share/mcplog";

#[test]
fn all_that_is_attached_is_listed_with_where_and_how() {
    let home = ClientHome::with_all_clients();
    for client in CLIENTS {
        home.run(&format!("attach {client}")).ok();
    }
    home.run("attach gemini docs --via http://127.0.0.1:4321/mcp").ok();
    let rows = home.run("attached --json").json();
    let clients: Vec<_> = rows.iter().map(|row| row["client"].as_str().unwrap()).collect();
    for client in CLIENTS {
        assert!(clients.contains(&client), "{client} in {clients:?}");
        let own = home.run(&format!("attached {client} --json")).json();
        assert_eq!(own.len(), clients.iter().filter(|of| **of == client).count());
    }
    let docs = rows.iter().find(|row| row["server"] == "docs").unwrap();
    assert_eq!((&docs["how"], &docs["name"]), (&json!("via"), &json!("localhost:3000")));
    let through = home.path("bin/mcplog");
    assert!(rows.iter().all(|row| row["how"] == "via" || row["through"] == through.to_str().unwrap()));
    assert!(rows.iter().all(|row| row["last_session"].is_null() && row["recorded_since"] == false));
    let table = home.run("attached").ok();
    assert_eq!(table.lines().count(), rows.len() + 1);
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    assert!(table.contains("never recorded"), "{table}");
    assert!(home.run("attached --wide").ok().contains("~/work/project/.continue/mcpServers/playwright.yaml"));
}

#[test]
fn the_last_session_is_that_of_the_client_over_a_pipe_since_it_was_attached() {
    let home = ClientHome::with_all_clients();
    let now = now_ts();
    record(&home, STORE, "search", "cursor-vscode", now - 90 * MINUTE_MS, 3, "stdio");
    home.run("attach cursor").ok();
    let row = |home: &ClientHome| home.run("attached cursor --scope user --json").json().swap_remove(0);
    let told = |home: &ClientHome| home.run("attached cursor --scope user --wide").ok();
    let old = row(&home);
    assert_eq!((&old["last_session"]["calls"], &old["recorded_since"]), (&json!(3), &json!(false)));
    assert!(told(&home).contains("1 h ago, 3 calls; not since attached: restart the client"), "{}", told(&home));

    // Of another client, and over another transport.
    record(&home, STORE, "search", "claude-code", now + 1, 7, "stdio");
    record(&home, STORE, "search", "cursor-vscode", now + 2, 8, "http");
    record(&home, STORE, "other", "cursor-vscode", now + 3, 9, "stdio");
    assert_eq!(row(&home)["last_session"]["calls"], 3);

    record(&home, STORE, "search", "Cursor", now + 60 * MINUTE_MS, 12, "stdio");
    let new = row(&home);
    assert_eq!((&new["last_session"]["calls"], &new["recorded_since"]), (&json!(12), &json!(true)));
    assert!(told(&home).contains("just now, 12 calls "), "{}", told(&home));
}

#[test]
fn where_only_another_client_was_recorded_it_is_named() {
    let home = ClientHome::with_all_clients();
    home.run("attach cursor").ok();
    record(&home, STORE, "search", "claude-code", now_ts() + MINUTE_MS, 1, "stdio");
    let shown = home.run("attached cursor --wide").ok();
    assert!(shown.contains("1 call, by claude-code"), "{shown}");
}

#[test]
fn a_server_with_a_store_of_its_own_is_looked_for_there() {
    let home = ClientHome::with_all_clients();
    home.run_words(&["attach", "cursor", "--dir", home.path("mine").to_str().unwrap()]).ok();
    record(&home, "mine", "search", "cursor", now_ts() + MINUTE_MS, 5, "stdio");
    record(&home, STORE, "search", "cursor", now_ts() + MINUTE_MS, 6, "stdio");
    let rows = home.run("attached cursor --json").json();
    assert!(rows.iter().all(|row| row["last_session"]["calls"] == 5), "{rows:?}");
    assert!(rows.iter().all(|row| row["dir"] == home.path("mine").to_str().unwrap()));
}

#[test]
fn a_server_behind_a_proxy_is_looked_for_by_the_proxys_name_for_it() {
    let home = ClientHome::with_all_clients();
    home.run("attach gemini docs --via http://127.0.0.1:4321/mcp").ok();
    record(&home, STORE, "localhost:3000", "gemini-cli-mcp-client", now_ts() + MINUTE_MS, 4, "http");
    let row = home.run("attached gemini --json").json().swap_remove(0);
    assert_eq!((&row["last_session"]["calls"], &row["recorded_since"]), (&json!(4), &json!(true)));
}

#[test]
fn no_store_is_no_error_and_one_that_can_not_be_read_is_said_once() {
    let home = ClientHome::with_all_clients();
    home.run("attach cursor").ok();
    home.run("attach zed").ok();
    let run = home.run("attached --json");
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    home.write(&format!("{STORE}/store.db"), "no database, and longer than the head of one");
    let run = home.run("attached --json");
    assert_eq!((run.code, run.stdout.lines().count()), (2, 4), "{}", run.stdout);
    assert_eq!(run.stderr.matches("error:").count(), 1, "{}", run.stderr);
}

#[test]
fn it_changes_nothing() {
    let home = ClientHome::with_all_clients();
    home.run("attached").ok();
    assert!(!home.path(".local").exists());
    home.run("attach cursor").ok();
    let before = home.all_files();
    let state = home.read(".local/state/mcplog/attached.json");
    home.run("attached").ok();
    assert_eq!((home.all_files(), home.read(".local/state/mcplog/attached.json")), (before, state));
}

#[test]
fn the_page_on_json_has_every_member_and_the_help_too() {
    let page = json_page::JsonPage::read();
    let home = ClientHome::with_all_clients();
    let mut printed = home.run("attach cursor --json").json();
    printed.extend(home.run("attach gemini docs --via http://127.0.0.1:4321/mcp --json").json());
    record(&home, STORE, "search", "cursor", now_ts(), 1, "stdio");
    let attached = home.run("attached --json").json();
    printed.extend(home.run("detach cursor --json").json());
    assert!(printed.len() > 4 && attached.len() > 2);
    for object in &printed {
        page.check(&["mcplog attach"], object);
        page.check(&["mcplog detach"], object);
    }
    for object in &attached {
        page.check(&["mcplog attached"], object);
    }
    let sessions: Vec<_> = attached.iter().map(|row| &row["last_session"]).filter(|last| !last.is_null()).collect();
    assert!(!sessions.is_empty());
    for session in &sessions {
        page.check(&["mcplog attached: last_session"], session);
    }
    for (command, objects) in [("attach", vec![&printed[0]]), ("attached", vec![&attached[0], sessions[0]])] {
        let help = home.run(&format!("{command} --help")).ok();
        for name in objects.iter().flat_map(|object| object.as_object().unwrap().keys()) {
            assert!(help.contains(name.as_str()), "mcplog {command} --help does not name {name}");
        }
    }
}
