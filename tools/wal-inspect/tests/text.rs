//! What people see, at 80 columns and wider, with colours and without.

mod fixture;

use fixture::{Log, PATIENCE, Running, STORE, inspect, outcome};
use insta::assert_snapshot;
use mcplog::{Request, Status};
use mcplog_terminal::style::BAD;

#[test]
fn list_at_80_columns() {
    assert_snapshot!(Log::of_segments().run(&["list"]).0);
}

#[test]
fn list_uses_a_wider_terminal() {
    let log = Log::of_samples();
    let mut command = log.inspect(&["list"]);
    command.env("COLUMNS", "120");
    assert_snapshot!(outcome(command).0);
}

#[test]
fn dump_at_80_columns() {
    assert_snapshot!(Log::of_samples().run(&["dump"]).0);
}

#[test]
fn dump_with_offsets_and_every_field() {
    assert_snapshot!(Log::of_samples().run(&["dump", "--offsets", "--full", "--kind", "request,session"]).0);
}

#[test]
fn dump_shows_the_very_bytes_of_a_frame() {
    let log = Log::of_samples();
    let (text, _) = log.run(&["dump", "--hex", "--limit", "3"]);
    let hex: String = text
        .lines()
        .filter(|line| line.starts_with("  0000"))
        .flat_map(|line| line[12..61].split_whitespace())
        .collect();
    let bytes = std::fs::read(log.segment(0)).unwrap();
    let (offsets, _) = log.frames(0);
    let expected: String =
        bytes[offsets[0] as usize..offsets[3] as usize].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, expected);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn verify_at_80_columns() {
    assert_snapshot!(Log::of_segments().run(&["verify"]).0);
}

#[test]
fn damage_is_explained_within_80_columns() {
    let log = Log::of_samples();
    let (offsets, _) = log.frames(0);
    log.flip(0, offsets[2] + 20);
    let mut shown = String::new();
    for command in ["dump", "verify", "tail"] {
        let (text, _) = log.run(&[command]);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        shown.push_str(&text);
    }
    // The checksums depend on the random salt.
    let words: Vec<String> = shown
        .split(' ')
        .map(|word| match word.find("0x") {
            Some(at) => format!("{}0x…{}", &word[..at], &word[(at + 10).min(word.len())..]),
            None => word.to_owned(),
        })
        .collect();
    assert_snapshot!(words.join(" "));
}

#[test]
fn tail_begins_where_it_is_told_and_crosses_segments() {
    let log = Log::of_segments();
    let (_, extent) = log.frames(log.segments().len() - 1);
    let count = u64::from(extent.frames) + 5;
    let (text, code) = log.run(&["tail", "-n", &count.to_string()]);
    let sequences: Vec<u64> = text.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    assert_eq!(sequences, (Log::RECORDS + 1 - count..=Log::RECORDS).collect::<Vec<_>>());
    assert_eq!(code, 0);
    assert_eq!(text.lines().filter(|line| line.starts_with("segment ")).count(), 2, "{text}");
}

#[test]
fn filters_and_limit_choose_the_records() {
    let log = Log::of_samples();
    let cases: &[(&[&str], &[u64])] = &[
        (&["--kind", "session,closed"], &[1, 6]),
        (&["--session", "0123"], &[1, 3, 4, 6]),
        (&["--tool", "search", "--status", "error"], &[4]),
        (&["--since", "2025-10-09 08:53:30"], &[5, 6]),
        (&["--until", "2025-10-09T08:53:20.100Z"], &[1, 2]),
        (&["--from-sequence", "4", "--limit", "2"], &[4, 5]),
        (&["--request", "not-a"], &[5]),
        (&["--method", "tools/list"], &[2]),
    ];
    for (arguments, expected) in cases {
        let (text, _) = log.run(&[&["dump"], *arguments].concat());
        let sequences: Vec<u64> =
            text.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
        assert_eq!(sequences, *expected, "{arguments:?}");
    }
}

#[test]
fn every_form_of_a_time_is_understood_and_anything_else_is_told_what_is() {
    let log = Log::of_samples();
    for (when, expected) in [
        ("2025-10-09", 6),
        ("2025-10-09T08:53:30", 2),
        ("2025-10-09T10:53:30+02:00", 2),
        ("1760000010000", 2),
        ("14:03", 0),
        ("2h", 0),
        ("100 years", 6),
    ] {
        let (text, code) = log.run(&["dump", "--json", "--since", when]);
        assert_eq!((text.lines().count(), code), (expected, 0), "{when}");
    }
    for when in ["soon", "15", "1760000010"] {
        let output = log.inspect(&["dump", "--since", when]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(mcplog_terminal::moment::SPELLING), "{error}");
    }
}

#[test]
fn no_color_is_honoured_and_colours_can_be_asked_for() {
    let log = Log::of_samples();
    let coloured = |name: &str, arguments: &[&str]| {
        let mut command = log.inspect(arguments);
        command.env("CLICOLOR_FORCE", "1").env(name, "1");
        outcome(command).0.contains('\x1b')
    };
    for command in ["list", "dump", "verify", "tail"] {
        assert!(coloured("UNRELATED", &[command]), "{command}");
        assert!(!coloured("NO_COLOR", &[command]), "{command}");
        assert!(coloured("NO_COLOR", &[command, "--color", "always"]), "{command}");
        assert!(!log.run(&[command]).0.contains('\x1b'), "a pipe gets no colours: {command}");
    }
}

#[test]
fn what_a_tool_that_failed_said_looks_as_bad_as_the_message_of_an_error() {
    let running = Running::new();
    for (id, status, tool_error) in [("failed", Status::Ok, Some(true)), ("refused", Status::Error, None)] {
        let mut request = Request::new(id, 1_760_000_000_000, "files", "tools/call");
        (request.status, request.tool_error, request.error_msg) = (status, tool_error, Some("gone"));
        running.recorder().record(request);
    }
    running.store().flush(PATIENCE).unwrap();
    let (text, _) = running.shut_down().run(&["dump", "--color", "always"]);
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(&format!("{BAD}gone"))).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].contains("tool error") && !lines[1].contains("tool error"), "{text}");
}

#[test]
fn lines_in_a_pipe_are_not_cut() {
    let log = Log::of_samples();
    let mut command = log.inspect(&["dump"]);
    command.env_remove("COLUMNS");
    let (text, _) = outcome(command);
    assert!(!text.contains('…'), "{text}");
    assert!(text.contains("request 0197a1c0-7b1e-7cc3-98c4-dc0c0c07398f"), "{text}");
}

#[test]
fn a_running_store_shows_its_active_segment_and_is_not_disturbed() {
    let running = Running::new();
    running.record_samples();
    let mut command = inspect(running.root());
    command.args(["list", STORE]);
    let (text, code) = outcome(command);
    assert!(text.contains("active"), "{text}");
    assert_eq!(code, 0);
    running.store().recorder().record(Request::new("later", 1, "files", "ping"));
    running.store().flush(fixture::PATIENCE).unwrap();
    let (text, _) = running.killed().run(&["list"]);
    assert!(text.contains("unsealed"), "nobody holds the lock of the copy: {text}");
}

#[test]
fn every_help_has_examples_and_the_exit_codes() {
    for command in ["", "list", "dump", "verify", "tail"] {
        let mut help = inspect(std::env::temp_dir().as_path());
        help.args(command.split_whitespace()).arg("--help");
        let (text, code) = outcome(help);
        assert_eq!(code, 0);
        for part in ["Examples:\n  wal-inspect", "Exit codes:\n  0  sound\n  1  ", "\n  2  attention", "\n  3  damaged"]
        {
            assert!(text.contains(part), "{command}: {text}");
        }
    }
}
