//! `mcplog proxy` as a process: what it prints, how it ends, and what it leaves behind.
//!
//! What passes through it is tested inside the crate (`src/proxy/proxy_tests`).

mod running;

use running::{Running, ask, refused, row, upstream};
use std::io::BufRead;
use std::net::TcpListener;

#[test]
fn it_says_where_it_is_records_and_ends_on_both_signals() {
    for signal in ["-INT", "-TERM"] {
        let dir = tempfile::tempdir().unwrap();
        let upstream = upstream();
        let proxy = Running::start(dir.path(), &upstream, &["--name", "mine"]);
        assert_eq!(proxy.told("upstream "), upstream);
        assert_eq!(proxy.told("records in"), dir.path().to_str().unwrap());
        assert!(proxy.greeting.contains(&format!("mcplog logs --dir {}", dir.path().display())), "{}", proxy.greeting);
        assert!(proxy.post("/mcp").ends_with(r#"{"tools":[{"name":"a"}]}}"#));
        proxy.signal(signal);
        let (status, text) = proxy.end();
        assert_eq!(status.code(), Some(0), "{text}");
        // The request and the schema.
        assert!(text.contains("2 events appended, 2 folded."), "{text}");
        let row = row(dir.path());
        let found = (&row["method"], &row["status"], &row["proxy"]);
        assert_eq!(found, (&"tools/list".into(), &"ok".into(), &"mine".into()));
    }
}

#[test]
fn a_restart_makes_no_new_version_of_a_schema_that_did_not_change() {
    let dir = tempfile::tempdir().unwrap();
    let upstream = upstream();
    for _ in 0..2 {
        let proxy = Running::start(dir.path(), &upstream, &[]);
        proxy.post("/mcp");
        proxy.signal("-INT");
        assert_eq!(proxy.end().0.code(), Some(0));
    }
    assert_eq!(ask(dir.path(), &["logs"]).lines().count(), 2);
    let changes = ask(dir.path(), &["schema", "--changes"]);
    assert_eq!(changes.lines().count(), 1, "{changes}");
}

#[test]
fn health_and_metrics_have_an_address_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let proxy = Running::start(dir.path(), &upstream(), &[]);
    proxy.post("/mcp");
    assert!(proxy.admin("/healthz").starts_with("HTTP/1.1 200"));
    proxy.wait_for_metric("mcplog_requests_total{status=\"ok\"} 1");
    proxy.wait_for_metric("mcplog_events_folded_total 2");
    proxy.wait_for_metric("mcplog_events_dropped_total 0");
}

#[test]
fn a_request_that_the_shutdown_cuts_off_has_a_row() {
    let dir = tempfile::tempdir().unwrap();
    let proxy = Running::start(dir.path(), &upstream(), &["--drain", "100ms"]);
    let _waiting = proxy.send("/hang");
    proxy.wait_for_metric("mcplog_requests_in_flight 1");
    proxy.signal("-TERM");
    let (status, text) = proxy.end();
    assert_eq!(status.code(), Some(0), "{text}");
    let row = row(dir.path());
    assert_eq!((&row["status"], &row["error_code"]), (&"error".into(), &"proxy_shutdown".into()));
}

#[test]
fn told_not_to_record_it_passes_everything_on_and_leaves_no_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let proxy = Running::start(&store, &upstream(), &["--no-record"]);
    assert!(proxy.greeting.starts_with("mcplog is recording nothing.\n"), "{}", proxy.greeting);
    assert!(proxy.post("/mcp").ends_with(r#"{"tools":[{"name":"a"}]}}"#));
    proxy.wait_for_metric("mcplog_requests_total{status=\"ok\"} 1");
    proxy.signal("-TERM");
    assert_eq!(proxy.end().0.code(), Some(0));
    assert!(!store.exists());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut proxy = Running::start(dir.path(), &upstream(), &["--drain", "24h"]);
    let _waiting = proxy.send("/hang");
    proxy.wait_for_metric("mcplog_requests_in_flight 1");
    proxy.signal("-INT");
    let mut line = String::new();
    proxy.stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "Stopping. Once more ends it at once.\n");
    proxy.signal("-INT");
    let (status, text) = proxy.end();
    assert_eq!((status.code(), text.as_str()), (Some(130), ENDED_AT_ONCE));
}

const ENDED_AT_ONCE: &str = "Ended at once. Open requests have no row; what was recorded is safe.\n";

#[test]
fn a_hangup_reads_the_settings_again_and_ends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("proxy.toml");
    let write = |text: &str| std::fs::write(&config, text).unwrap();
    write("drain = '24h'");
    let upstream = upstream();
    let mut proxy = Running::start(dir.path(), &upstream, &["--config", config.to_str().unwrap()]);
    let _waiting = proxy.send("/hang");
    proxy.wait_for_metric("mcplog_requests_in_flight 1");
    write("drain = 5");
    proxy.signal("-HUP");
    proxy.wait_for_diagnostics("proxy.toml:1: drain: expected a duration");
    write("drain = '100ms'\n[[upstream]]\nno_error_text = true\n[store]\nsync = 'always'");
    proxy.signal("-HUP");
    proxy.wait_for_diagnostics("[store]");
    let mut line = String::new();
    proxy.stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "Settings read again: drain is 100ms, texts of errors are not kept.\n");
    // What was read counts: with the day that was there before, the end would never come.
    proxy.signal("-TERM");
    let (status, text) = proxy.end();
    assert_eq!(status.code(), Some(0), "{text}");
    assert_eq!(row(dir.path())["error_code"], "proxy_shutdown");
}

#[test]
fn signals_that_mean_nothing_end_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let proxy = Running::start(dir.path(), &upstream(), &[]);
    for (signal, number) in [("-USR1", "signal=\"SIGUSR1\""), ("-USR2", "signal=\"SIGUSR2\"")] {
        proxy.signal(signal);
        proxy.wait_for_diagnostics(number);
    }
    proxy.signal("-PIPE");
    assert!(proxy.post("/mcp").ends_with(r#"{"tools":[{"name":"a"}]}}"#));
    proxy.signal("-TERM");
    assert_eq!(proxy.end().0.code(), Some(0));
}

#[test]
fn a_quit_ends_it_at_once_and_loses_nothing_that_was_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let proxy = Running::start(dir.path(), &upstream(), &[]);
    proxy.post("/mcp");
    proxy.wait_for_metric("mcplog_events_appended_total 2");
    proxy.signal("-QUIT");
    assert_eq!(proxy.end().0.code(), None);
    let proxy = Running::start(dir.path(), &upstream(), &[]);
    proxy.signal("-TERM");
    assert_eq!(proxy.end().0.code(), Some(0));
    assert_eq!(ask(dir.path(), &["logs"]).lines().count(), 1);
}

#[test]
fn what_it_cannot_do_it_refuses_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let store_text = store.to_str().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let config = dir.path().join("proxy.toml");
    std::fs::write(&config, "[[upstream]]\nurl = 'http://h'\ntimeouts = '5s'\n").unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["--dir", store_text], "no upstream"),
        (&["--dir", store_text, "--upstream", "ftp://h"], "expected http or https"),
        (&["--dir", store_text, "--upstream", "http://user:hunter2@h"], "expected no user or password"),
        (&["--dir", store_text, "--upstream", "http://h", "--listen", &address], &address),
        (&["--dir", store_text, "--upstream", "http://h", "--listen", "127.0.0.1:0", "--admin", &address], &address),
        (
            &["--dir", store_text, "--upstream", "https://h", "--listen", "127.0.0.1:0", "--ca-file", "missing.pem"],
            "missing.pem",
        ),
        (
            &["--dir", store_text, "--config", config.to_str().unwrap()],
            "proxy.toml:3: no such key: \"timeouts\"; did you mean timeout?",
        ),
    ];
    for (arguments, expected) in cases {
        let error = refused(arguments);
        assert!(error.contains(expected) && !error.contains("hunter2"), "{arguments:?}: {error}");
        assert!(!store.exists(), "{arguments:?}");
    }
}
