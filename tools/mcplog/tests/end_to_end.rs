//! The whole way with real processes: real MCP clients talk through the built `mcplog proxy` to real MCP servers, or start
//! them behind `mcplog wrap`, and the store is read back with plain SQL.
//!
//! The clients, the servers and what is checked are in `tests/e2e/` (its README says how it is built). Their packages
//! are installed by `tests/e2e/setup.sh`; where that has not run, these tests say so and pass, except under `CI` or
//! `MCPLOG_E2E=1`, where they fail.

#![cfg(unix)]

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::Once,
};

/// Where the scripts are.
fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/e2e")
}

/// Whether everything is installed; says loudly that it is not, or fails where that must not be.
fn is_set_up() -> bool {
    let check = Command::new("bash").arg(scripts().join("setup.sh")).arg("--check").output().expect("bash runs");
    if check.status.success() {
        return true;
    }
    let missing = String::from_utf8_lossy(&check.stdout);
    let missing = missing.trim();
    let must_run = ["CI", "MCPLOG_E2E"].iter().any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()));
    assert!(!must_run, "the end-to-end tests are not set up: {missing}; run tests/e2e/setup.sh");
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        let command = "tests/e2e/setup.sh and cargo test -p mcplog-cli --test end_to_end";
        mcplog_skipped::skip("all end-to-end tests", missing, command);
    });
    false
}

/// Runs one scenario against the binary under test; its last words become this test's verdict.
fn run_scenario(arguments: &[&str]) {
    if !is_set_up() {
        return;
    }
    let (is_right, said) = played(arguments);
    assert!(is_right, "{arguments:?}:\n{said}");
    println!("{said}");
}

/// Whether a scenario found everything right, and what it said.
fn played(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(scripts().join(".installed/mcp1/bin/python"))
        .arg(scripts().join("run.py"))
        .args(["--mcplog", env!("CARGO_BIN_EXE_mcplog")])
        .args(arguments)
        .output()
        .expect("python runs");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), said)
}

#[test]
fn a_session_era_client_sees_the_same_through_the_proxy() {
    run_scenario(&["same-view", "session-era"]);
}

#[test]
fn a_session_era_client_sees_the_same_when_the_server_answers_in_json() {
    run_scenario(&["same-view", "session-era-json"]);
}

#[test]
fn a_client_of_the_oldest_transport_sees_the_same_through_the_proxy() {
    run_scenario(&["same-view", "oldest-transport"]);
}

#[test]
fn a_new_client_falls_back_to_an_old_server_through_the_proxy() {
    run_scenario(&["same-view", "new-client-old-server"]);
}

#[test]
fn an_old_client_sees_the_same_of_a_new_server() {
    run_scenario(&["same-view", "old-client-new-server"]);
}

#[test]
fn a_new_client_in_the_session_era_sees_the_same() {
    run_scenario(&["same-view", "new-client-in-session-era"]);
}

#[test]
fn a_sessionless_client_sees_the_same_through_the_proxy() {
    run_scenario(&["same-view", "sessionless-era"]);
}

#[test]
fn a_sessionless_client_sees_the_same_when_the_server_answers_in_json() {
    run_scenario(&["same-view", "sessionless-era-json"]);
}

#[test]
fn the_python_client_sees_the_same_of_the_reference_server() {
    run_scenario(&["same-view", "everything-python"]);
}

#[test]
fn the_typescript_client_sees_the_same_of_the_reference_server() {
    run_scenario(&["same-view", "everything-typescript"]);
}

#[test]
fn schema_changes_are_recorded_in_the_session_era() {
    run_scenario(&["schema-change", "session"]);
}

#[test]
fn schema_changes_are_recorded_in_the_sessionless_era() {
    run_scenario(&["schema-change", "sessionless"]);
}

#[test]
fn clients_of_both_eras_at_once_are_kept_apart() {
    run_scenario(&["clients-at-once"]);
}

#[test]
fn odd_traffic_passes_unchanged_and_is_recorded() {
    run_scenario(&["odd-traffic"]);
}

#[test]
fn a_proxy_killed_in_dense_traffic_loses_nothing_that_was_answered_before_the_window() {
    run_scenario(&["kill-nine", "raw"]);
}

#[test]
fn a_proxy_killed_under_an_sdk_client_loses_nothing_that_was_answered_before_the_window() {
    run_scenario(&["kill-nine", "sdk"]);
}

#[test]
fn every_official_client_has_its_rows_with_every_server_in_every_way_it_answers() {
    if !is_set_up() {
        return;
    }
    // A hundred conversations at once: on a busy machine a client may give up, or be gone, before its own words got through,
    // so that both ends are right and differ. What is wrong each time is not that; races are what the long set is for.
    for attempt in 1..=3 {
        let (is_right, said) = played(&["matrix"]);
        println!("{said}");
        if is_right {
            return;
        }
        assert!(attempt < 3, "wrong three times:\n{said}");
    }
}

#[test]
fn the_harness_notices_what_is_wrong() {
    run_scenario(&["harness-proof"]);
}

#[test]
fn a_dozen_wrapped_servers_at_once_pass_every_byte_and_are_recorded() {
    run_scenario(&["wrap-view"]);
}

#[test]
fn fifty_calls_to_a_wrapped_server_are_fifty_rows_and_the_client_prints_the_same() {
    run_scenario(&["wrap-fifty"]);
}

#[test]
fn whoever_around_a_wrapper_is_killed_nobody_stays_behind_and_the_rows_say_what_happened() {
    run_scenario(&["wrap-kills"]);
}

#[test]
fn other_programs_do_under_and_around_the_wrapper_what_they_do_without_it() {
    run_scenario(&["wrap-tools"]);
}

#[test]
fn a_client_configured_by_its_own_file_starts_the_attached_server_and_the_detached_one() {
    run_scenario(&["wrap-attached"]);
}

#[test]
fn the_checks_of_wrapped_servers_notice_what_is_wrong() {
    run_scenario(&["wrap-proof"]);
}
