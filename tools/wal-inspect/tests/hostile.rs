//! Hostile files and texts: bounded, no panic, nothing raw on a terminal.

mod fixture;

use assert_cmd::Command;
use fixture::{FOLDER, Log, PATIENCE, Running, STORE, TS, inspect, outcome, patch, unwrapped};
use mcplog::position::Offset;
use mcplog::segment::format::{Extent, MARK_BYTES, Mark};
use mcplog::{Request, SchemaVersion, Session, SessionClosed, Status};
use mcplog_terminal::hidden::is_hidden;
use std::os::unix::fs::symlink;

/// Clears the screen, sets the title, reverses the text, hides the rest, and pretends to be a new line.
const HOSTILE: &str =
    "\x1b[2J\x1b]0;owned\x07\u{9b}31m\u{202e}evil\u{2066}\r\n\t\0\x7f\u{feff}\u{e0041}\u{ad}\u{200d}\u{fe01}\u{2028}";

/// What a terminal may be sent besides text: line feeds.
fn assert_harmless(text: &str, what: &str) {
    let bad = text.chars().find(|character| *character != '\n' && is_hidden(*character));
    assert_eq!(bad, None, "{what}: {text:?}");
}

#[test]
fn no_text_of_any_record_reaches_the_terminal_raw() {
    let running = Running::new();
    let recorder = running.store().recorder();
    let mut session = Session::new(HOSTILE, TS, HOSTILE);
    session.client_name = Some(HOSTILE);
    session.client_version = Some(HOSTILE);
    session.client_platform = Some(HOSTILE);
    session.protocol_version = Some(HOSTILE);
    recorder.record(session);
    let mut request = Request::new(HOSTILE, TS, HOSTILE, HOSTILE);
    request.session_id = Some(HOSTILE);
    request.tool = Some(HOSTILE);
    request.status = Status::Error;
    request.error_code = Some(HOSTILE);
    request.error_msg = Some(HOSTILE);
    request.target = Some(HOSTILE);
    request.protocol_version = Some(HOSTILE);
    request.rpc_id = Some(HOSTILE);
    recorder.record(request);
    request.request_id = "another";
    request.tool = None;
    recorder.record(request);
    recorder.record(SchemaVersion::new(TS, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE));
    recorder.record(SessionClosed::new(HOSTILE, TS));
    running.store().flush(PATIENCE).unwrap();
    let log = running.shut_down();
    for arguments in [&["dump"][..], &["dump", "--full"], &["dump", "--hex"], &["tail"], &["verify"], &["list"]] {
        for columns in ["20", "80", "10000"] {
            let mut command = log.inspect(arguments);
            command.env("COLUMNS", columns);
            let (text, code) = outcome(command);
            assert_eq!(code, 0);
            assert_harmless(&text, &format!("{arguments:?} at {columns}"));
        }
    }
    let (json, _) = log.run(&["dump", "--json"]);
    assert_harmless(&json, "JSON");
    let first = json.lines().find(|line| line.contains("\"type\":\"session\"")).unwrap();
    let first: serde_json::Value = serde_json::from_str(first).unwrap();
    for field in ["session_id", "proxy", "client_name", "client_version", "client_platform", "protocol_version"] {
        assert_eq!(first[field], HOSTILE, "JSON is exact: {field}");
    }
}

#[test]
fn file_names_and_error_messages_are_harmless_too() {
    let log = Log::of_samples();
    let name = "evil\x1b[2J\u{202e}.seg";
    std::fs::copy(log.segment(0), log.root().join(name)).unwrap();
    for command in ["list", "dump", "verify", "tail"] {
        let mut tool = inspect(log.root());
        tool.args([command, name]);
        let (text, code) = outcome(tool);
        assert_eq!(code, 0, "{text}");
        assert_harmless(&text, command);
        let output = inspect(log.root()).args([command, "no\x1b[2Jsuch"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_harmless(&String::from_utf8(output.stderr).unwrap(), command);
    }
}

#[test]
fn what_is_no_regular_file_is_never_opened_and_named_for_what_it_is() {
    let log = Log::of_samples();
    rustix::fs::mkfifoat(rustix::fs::CWD, log.file(2), rustix::fs::Mode::RUSR).unwrap();
    symlink("/etc/hostname", log.file(3)).unwrap();
    symlink("nowhere", log.file(4)).unwrap();
    std::fs::create_dir(log.file(5)).unwrap();
    symlink("/dev/zero", log.file(6)).unwrap();
    for command in ["list", "dump", "verify", "tail"] {
        let (text, code) = log.run(&[command]);
        assert_eq!(code, 3, "{command}: {text}");
        for found in ["found a FIFO", "found a symbolic link", "found a directory"] {
            assert!(unwrapped(&text).contains(found), "{command}: {text}");
        }
        for name in [format!("{FOLDER}/000000000002.seg"), format!("{FOLDER}/000000000003.seg")] {
            let mut tool = inspect(log.root());
            tool.args([command, &name]);
            assert_eq!(outcome(tool).1, 3, "{command} {name}");
        }
    }
}

#[test]
fn the_good_segments_beside_a_bad_file_are_still_read() {
    let log = Log::of_segments();
    std::fs::write(log.segment(1), [0xff; 5_000]).unwrap();
    let (text, code) = log.run(&["dump", "--json"]);
    assert_eq!(code, 3);
    let (first, third) = (log.frames(0).1.frames, log.frames(2).1.frames);
    assert!(text.lines().filter(|line| line.contains("\"type\":\"request\"")).count() >= (first + third) as usize);
}

#[test]
fn forged_lengths_counts_and_marks_cost_no_memory_and_no_panic() {
    let extent = |end, frames| Extent { end: Offset(end), frames };
    let marks = [
        Mark { generation: u64::MAX, durable: extent(0xffff_fffc, 1), sealed: None },
        Mark {
            generation: 9,
            durable: extent(0xffff_fffc, 0x0fff_0000),
            sealed: Some(extent(0xffff_fffc, 0x0fff_0000)),
        },
        Mark { generation: 9, durable: extent(4096, 0), sealed: Some(extent(0xffff_fffc, 7)) },
        Mark { generation: 9, durable: extent(4096, 0), sealed: Some(extent(4096, 0)) },
        Mark { generation: 9, durable: extent(4100, 0), sealed: None },
    ];
    for mark in marks {
        let log = Log::killed_before_a_sync();
        let path = log.segment(0);
        let salt = log.reader(&path).header().salt;
        let bytes: [u8; MARK_BYTES] = mark.encode(salt);
        patch(&path, Mark::offset(mark.generation), &bytes);
        for command in ["list", "dump", "verify", "tail"] {
            let (text, code) = log.run(&[command]);
            assert!(matches!(code, 2 | 3), "{command}, {mark:?}: {code}, {text}");
        }
    }
    let log = Log::killed_before_a_sync();
    let (offsets, _) = log.frames(0);
    for length in [1, 0x0100_0000, 0x0100_0001, u32::MAX] {
        patch(&log.segment(0), offsets[3], &length.to_le_bytes());
        for command in ["list", "dump", "verify", "tail"] {
            assert_eq!(log.run(&[command]).1, 2, "{command}, length {length}");
        }
    }
}

#[test]
fn a_sparse_file_of_a_terabyte_is_no_trouble() {
    let log = Log::killed_before_a_sync();
    log.truncate(0, 1 << 40);
    for command in ["list", "verify"] {
        let (text, code) = log.run(&[command]);
        assert_eq!(code, 0, "{command}: {text}");
    }
}

/// The tool on that store, with 256 MB of address space.
fn in_little_memory(log: &Log, arguments: &[&str]) -> (String, i32) {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 262144 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_wal-inspect")]);
    command.args(arguments).arg(STORE).current_dir(log.root()).env("TZ", "UTC").env("COLUMNS", "80");
    outcome(command)
}

#[test]
fn no_file_makes_any_command_take_more_than_256_mb() {
    let extent = |end, frames| Extent { end: Offset(end), frames };
    let everything = extent(0xffff_fffc, 0x0fff_0000);
    let hostile: [&dyn Fn(&Log); 4] = [
        &|log| log.truncate(0, 1 << 40),
        // A length of nearly the format's limit, with a file that has it; and one beyond.
        &|log| {
            patch(&log.segment(0), log.frames(0).0[2], &(16_u32 << 20).to_le_bytes());
            log.truncate(0, 64 << 20);
        },
        &|log| patch(&log.segment(0), log.frames(0).0[2], &[0xff; 12]),
        &|log| {
            let mark = Mark { generation: 9, durable: everything, sealed: Some(everything) };
            let salt = log.reader(&log.segment(0)).header().salt;
            patch(&log.segment(0), Mark::offset(9), &mark.encode(salt));
            log.truncate(0, 64 << 20);
        },
    ];
    for (number, make_hostile) in hostile.iter().enumerate() {
        let log = Log::killed_before_a_sync();
        make_hostile(&log);
        for arguments in [&["list"][..], &["dump", "--full", "--hex"], &["verify"], &["tail"], &["dump", "--json"]] {
            let (text, code) = in_little_memory(&log, arguments);
            assert!(matches!(code, 0 | 2 | 3), "{number}, {arguments:?}: {code}, {text}");
            assert_harmless(&text, &format!("{number}, {arguments:?}"));
        }
    }
}

#[test]
fn nothing_in_the_store_is_changed_by_looking_at_it() {
    let log = Log::of_segments();
    log.flip(0, 4_120);
    log.append(1, b"garbage");
    symlink(STORE, log.root().join("link")).unwrap();
    let bytes = || log.segments().iter().map(|path| std::fs::read(path).unwrap()).collect::<Vec<_>>();
    let names = || std::fs::read_dir(log.wal()).unwrap().count();
    let before = (bytes(), names());
    for command in ["list", "dump", "verify", "tail"] {
        let mut tool = inspect(log.root());
        tool.args([command, "link"]);
        outcome(tool);
    }
    assert!((bytes(), names()) == before);
}
