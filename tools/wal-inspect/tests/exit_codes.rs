//! Every exit code: 0 sound, 1 usage or I/O, 2 attention, 3 damaged.

mod fixture;

use fixture::{FOLDER, Log, Running, STORE, inspect, patch, unwrapped};
use mcplog::SyncPolicy;
use mcplog::position::{Offset, WriterId};
use mcplog::segment::format::{Extent, MARK_OFFSETS, Mark};
use std::fs::Permissions;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// The commands that look at segments, and what they need besides a path.
const COMMANDS: [&str; 4] = ["list", "dump", "verify", "tail"];

fn verify(log: &Log) -> i32 {
    let (text, code) = log.run(&["verify"]);
    let (json, json_code) = log.run(&["verify", "--json"]);
    assert_eq!(code, json_code, "{text}{json}");
    code
}

#[test]
fn a_sound_log_is_clean_sealed_or_live_or_killed() {
    for command in COMMANDS {
        assert_eq!(Log::of_segments().run(&[command]).1, 0, "{command}");
        assert_eq!(Log::killed_before_a_sync().run(&[command]).1, 0, "{command}");
        let running = Running::new();
        running.record(1..=2_000);
        let mut live = inspect(running.root());
        live.args([command, STORE]);
        assert_eq!(fixture::outcome(live).1, 0, "{command}");
    }
}

#[test]
fn a_store_of_which_all_is_folded_is_sound_and_has_no_log() {
    let mut store = Running::new();
    store.record(1..=100);
    store.drop_store();
    assert!(store.names("wal").is_empty());
    for command in COMMANDS {
        let mut idle = inspect(store.root());
        idle.args([command, "--json", STORE]);
        let output = idle.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        let summary = String::from_utf8(output.stdout).unwrap();
        let expected = if command == "verify" { "\"segments\":0" } else { "" };
        assert!(summary.contains(expected) && summary.lines().count() == usize::from(command == "verify"), "{summary}");
    }
    // What is kept of it can be looked at like any log.
    let kept = format!("{STORE}/kept/{}", store.names("kept")[0]);
    for command in COMMANDS {
        assert_eq!(
            fixture::outcome({
                let mut looked_at = inspect(store.root());
                looked_at.args([command, &kept]);
                looked_at
            })
            .1,
            0,
            "{command}"
        );
    }
}

#[test]
fn wrong_usage_is_1() {
    let cases: &[&[&str]] =
        &[&[], &["frobnicate"], &["list"], &["dump", "--limit", "many", "x"], &["dump", "--since", "soonish", "x"]];
    for arguments in cases {
        let output = inspect(&std::env::temp_dir()).args(*arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn what_is_not_there_is_1_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("fresh/wal")).unwrap();
    std::fs::create_dir(dir.path().join("photos")).unwrap();
    std::fs::write(dir.path().join("photos/cat.jpg"), b"meow").unwrap();
    let cases = [
        ("absent", "No such file"),
        ("photos", "name a store's directory"),
        ("fresh", "no segments yet; start the proxy"),
        ("fresh/wal", "no segments yet; start the proxy"),
    ];
    for command in COMMANDS {
        for (path, advice) in cases {
            let output = inspect(dir.path()).args([command, path]).output().unwrap();
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{command} {path}");
            assert!(error.starts_with("error: ") && error.contains(advice), "{command} {path}: {error}");
        }
    }
    let output = inspect(dir.path()).args(["tail", "--follow", "photos/cat.jpg"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("only a directory can be followed"));
}

#[test]
fn what_nobody_may_look_into_is_1_and_not_told_as_having_no_segments() {
    const NOBODY: u32 = 65534;
    let log = Log::of_segments();
    let tool = log.root().join("wal-inspect");
    let built = assert_cmd::cargo::cargo_bin!("wal-inspect");
    std::fs::hard_link(built, &tool).or_else(|_| std::fs::copy(built, &tool).map(drop)).unwrap();
    if std::fs::metadata(log.root()).unwrap().uid() != 0 {
        let why = "modes mean nothing to root, and becoming somebody else wants it";
        return mcplog_skipped::skip("what_nobody_may_look_into", why, "cargo test -p wal-inspect, as root");
    }
    std::fs::set_permissions(log.root(), Permissions::from_mode(0o755)).unwrap();
    let as_stranger = |command: &str| {
        let mut tool = Command::new(&tool);
        tool.args([command, STORE]).current_dir(log.root()).uid(NOBODY).gid(NOBODY);
        let output = tool.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (store, wal) in [(0o700, 0o700), (0o744, 0o755), (0o711, 0o700)] {
        std::fs::set_permissions(log.dir(), Permissions::from_mode(store)).unwrap();
        std::fs::set_permissions(log.wal(), Permissions::from_mode(wal)).unwrap();
        for command in COMMANDS {
            let (code, error) = as_stranger(command);
            assert_eq!(code, Some(1), "{command} {store:o} {wal:o}: {error}");
            let told = error.contains("Permission denied") && error.contains("belongs to user root (0)");
            assert!(told && !error.contains("no segments"), "{command} {store:o} {wal:o}: {error}");
        }
    }
    // Somebody who may do everything would be no test.
    for (path, mode) in [(log.dir().to_owned(), 0o755), (log.wal(), 0o755), (log.folder().to_owned(), 0o755)] {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    log.segments().iter().for_each(|path| std::fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap());
    assert_eq!(as_stranger("verify"), (Some(0), String::new()));
}

#[test]
fn a_newer_format_is_1_and_nothing_is_said_of_its_content() {
    let log = Log::of_samples();
    log.make_newer(0);
    let (text, code) = log.run(&["verify"]);
    assert_eq!(code, 1);
    assert!(unwrapped(&text).contains("format version 2 is not supported"), "{text}");
}

#[test]
fn a_torn_tail_is_2_in_every_command() {
    type Tear = fn(&Log);
    let tears: &[(&str, Tear)] = &[
        ("half a frame", |log| log.truncate(0, u64::from(log.frames(0).0[5] + 30))),
        ("half a header", |log| log.truncate(0, u64::from(log.frames(0).0[5] + 6))),
        ("a changed payload", |log| log.flip(0, log.frames(0).0[5] + 20)),
        ("a length word that never came", |log| patch(&log.segment(0), log.frames(0).0[5], &[0; 4])),
        ("garbage", |log| patch(&log.segment(0), log.frames(0).1.end.0, b"garbage!")),
        ("garbage far behind the end", |log| patch(&log.segment(0), 60_000, b"x")),
        ("a huge length", |log| patch(&log.segment(0), log.frames(0).1.end.0, &[0xff; 4])),
    ];
    for (name, tear) in tears {
        let log = Log::killed_before_a_sync();
        tear(&log);
        for command in COMMANDS {
            let (text, code) = log.run(&[command]);
            assert_eq!(code, 2, "{name}, {command}: {text}");
            assert!(unwrapped(&text).contains(": torn tail of"), "{name}, {command}: {text}");
        }
    }
}

#[test]
fn bytes_behind_a_seal_are_a_note_and_sound_and_nobody_is_to_cut_them_off() {
    let log = Log::of_samples();
    log.append(0, b"garbage");
    for command in COMMANDS {
        let (text, code) = log.run(&[command]);
        assert_eq!(code, 0, "{command}: {text}");
        assert!(unwrapped(&text).contains("7 bytes behind the end that it was sealed at"), "{command}: {text}");
        assert!(!text.contains("cuts it off"), "{command}: {text}");
    }
}

#[test]
fn segments_that_were_never_started_are_2() {
    for bytes in [0, 65_536] {
        let log = Log::of_samples();
        std::fs::write(log.file(2), vec![0; bytes]).unwrap();
        assert_eq!(verify(&log), 2, "{bytes} zeros");
    }
}

#[test]
fn a_file_that_lost_its_first_page_is_3_and_2_where_a_power_cut_may_have_taken_that_and_no_record_is_lost() {
    type Lose = fn(&Log);
    let losses: &[(&str, Lose, i32)] = &[
        ("zeros, and frames behind them", |log| patch(&log.segment(1), 0, &[0; 4096]), 2),
        ("a header of zeros", |log| patch(&log.segment(1), 0, &[0; 96]), 2),
        ("cut to its header", |log| log.truncate(1, 96), 3),
        ("cut within its first page", |log| log.truncate(1, 4_095), 3),
        ("cut within its header", |log| log.truncate(1, 10), 3),
    ];
    let folded = Log::of_segments().folded();
    for (name, lose, expected) in losses {
        let lost = |log: Log, expected: i32| {
            lose(&log);
            for command in COMMANDS {
                // Tail looks no further than its ten records.
                let arguments = if command == "tail" { vec![command, "-n", "100000"] } else { vec![command] };
                let (text, code) = log.run(&arguments);
                assert_eq!(code, expected, "{name}, {command}: {text}");
                assert!(!text.contains("nothing that was durable is lost"), "{name}, {command}: {text}");
            }
        };
        lost(Log::of_segments(), *expected);
        lost(folded.copied(), *expected);
        // Not folded, and durable once, as the segments behind it prove.
        let log = folded.copied();
        log.fold_up_to(1_180);
        lost(log, 3);
    }
}

#[test]
fn a_seal_whose_frames_never_reached_the_disk_is_2() {
    let running = Running::with(|config| config.sync = SyncPolicy::Never);
    running.record(1..=6);
    let log = running.shut_down();
    // Shutting down syncs; before that, a segment that is sealed under this policy is not.
    log.forget_syncs(0);
    let (offsets, extent) = log.frames(0);
    let zeros = vec![0; (extent.end.0 - offsets[4]) as usize];
    patch(&log.segment(0), offsets[4], &zeros);
    let (text, code) = log.run(&["verify"]);
    assert_eq!(code, 2, "{text}");
    assert!(unwrapped(&text).contains("torn tail"), "{text}");
}

#[test]
fn every_flipped_byte_of_what_is_vouched_for_is_3_also_in_the_version_and_one_in_a_mark_is_2() {
    let log = Log::of_samples();
    let path = log.segment(0);
    let whole = std::fs::read(&path).unwrap();
    let (offsets, extent) = log.frames(0);
    let header = (0..96).step_by(7).chain(8..10);
    let frames = (offsets[0]..extent.end.0).step_by(13);
    for offset in header.chain(frames) {
        std::fs::write(&path, &whole).unwrap();
        log.flip(0, offset);
        let (text, code) = log.run(&["verify"]);
        assert_eq!(code, 3, "offset {offset}: {text}");
    }
    std::fs::write(&path, &whole).unwrap();
    // A place that was written; the other may not have been.
    let written = MARK_OFFSETS.into_iter().filter(|at| whole[*at as usize..][..32].iter().any(|byte| *byte != 0));
    for offset in written.flat_map(|at| (at..at + 32).step_by(5)) {
        std::fs::write(&path, &whole).unwrap();
        log.flip(0, offset);
        for command in ["verify", "dump"] {
            let (text, code) = log.run(&[command]);
            assert_eq!(code, 2, "{command}, offset {offset}: {text}");
        }
    }
    std::fs::write(&path, &whole).unwrap();
    MARK_OFFSETS.into_iter().for_each(|at| patch(&path, at, &[0x5a; 32]));
    let (text, code) = log.run(&["verify"]);
    assert!(code == 3 && unwrapped(&text).contains("both marks are damaged"), "{code}: {text}");
}

#[test]
fn damage_below_the_durable_mark_is_3_however_the_file_was_hurt() {
    type Hurt = fn(&Log);
    let hurts: &[(&str, Hurt)] = &[
        ("cut", |log| log.truncate(0, 4_200)),
        ("zeroed", |log| patch(&log.segment(0), 4_096, &[0; 300])),
        ("another writer", |log| log.change_header(1, |header| header.writer_id = WriterId([1; 16]))),
        ("another name", |log| std::fs::rename(log.segment(1), log.file(77)).unwrap()),
        ("no segment at all", |log| std::fs::write(log.segment(1), [b'x'; 9_000]).unwrap()),
    ];
    for (name, hurt) in hurts {
        let log = Log::of_segments();
        hurt(&log);
        let (text, code) = log.run(&["verify"]);
        assert_eq!(code, 3, "{name}: {text}");
        let (text, code) = log.run(&["dump", "--limit", "100000"]);
        assert_eq!(code, 3, "{name}: {text}");
    }
}

#[test]
fn a_segment_that_was_written_again_is_a_note_and_its_records_come_once() {
    let log = Log::of_segments();
    // The last one twice, as a failed sync leaves it.
    let last = log.segments().len() - 1;
    std::fs::copy(log.segment(last), log.file(99)).unwrap();
    mcplog_fixture::segment::change_header(&log.file(99), |header| header.segment_id.0 = 99);
    let (text, code) = log.run(&["verify"]);
    assert_eq!(code, 0, "{text}");
    assert!(unwrapped(&text).contains("written again after a failed sync"), "{text}");
    assert!(text.contains("sound: 5 segments, 4,000 records"), "{text}");
    let (dumped, code) = log.run(&["dump", "--json"]);
    assert_eq!((records(&dumped), code), ((1..=Log::RECORDS).collect(), 0));
}

/// The numbers of the records in the JSON output.
fn records(json: &str) -> Vec<u64> {
    let objects = json.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    objects
        .filter(|object| object.get("kind_number").is_some())
        .map(|object| object["sequence"].as_u64().expect("a number"))
        .collect()
}

#[test]
fn a_seal_that_was_forged_shorter_hides_no_record_from_any_command() {
    let log = Log::of_segments();
    let path = log.segment(1);
    let (offsets, _) = log.frames(1);
    let reader = log.reader(&path);
    let shorter = Extent { end: Offset(offsets[700]), frames: 700 };
    let generation = reader.mark().generation + 1;
    patch(
        &path,
        Mark::offset(generation),
        &Mark { generation, durable: shorter, sealed: Some(shorter) }.encode(reader.header().salt),
    );
    for command in COMMANDS {
        let arguments = if command == "tail" { vec![command, "-n", "100000"] } else { vec![command] };
        let (text, code) = log.run(&arguments);
        assert_eq!(code, 3, "{command}: {text}");
        assert!(unwrapped(&text).contains("the mark is wrong"), "{command}: {text}");
    }
    for arguments in [&["dump", "--json"][..], &["tail", "--json", "-n", "100000"]] {
        assert_eq!(records(&log.run(arguments).0), (1..=Log::RECORDS).collect::<Vec<_>>(), "{arguments:?}");
    }
    for arguments in [&["verify"], &["list"]] {
        let (text, _) = log.run(arguments);
        assert!(text.contains("1,180  1181–2360"), "{arguments:?}: {text}");
    }
}

#[test]
fn corruption_outweighs_a_torn_tail() {
    let running = Running::new();
    running.record(1..=3);
    running.store().flush(fixture::PATIENCE).unwrap();
    running.record(4..=6);
    let log = running.killed();
    patch(&log.segment(0), log.frames(0).1.end.0, b"garbage!");
    log.flip(0, 4_120);
    let (text, code) = log.run(&["verify"]);
    assert_eq!(code, 3, "{text}");
    assert!(unwrapped(&text).contains("torn tail"), "{text}");
}

#[test]
fn missing_numbers_are_lost_above_the_checkpoint_folded_below_it_and_without_a_database_nobody_can_say() {
    let log = Log::of_segments().folded();
    let (first, last) =
        (u64::from(log.frames(0).1.frames) + 1, log.reader(&log.segment(2)).header().base_sequence.0 - 1);
    let count = last + 1 - first;
    std::fs::remove_file(log.segment(1)).unwrap();
    let expect = |what: &str, told: &str, code: i32| {
        for command in COMMANDS {
            let arguments = if command == "tail" { vec![command, "-n", "100000"] } else { vec![command] };
            let (text, found) = log.run(&arguments);
            assert_eq!(found, code, "{what}, {command}: {text}");
            assert!(unwrapped(&text).contains(told), "{what}, {command}: {text}");
        }
        let summary: serde_json::Value =
            serde_json::from_str(log.run(&["verify", "--json"]).0.lines().last().unwrap()).unwrap();
        summary["missing_records"].as_u64().unwrap()
    };
    let numbers = format!("{count} records, {first} to {last},");
    assert_eq!(expect("all is folded", &format!("{numbers} not in the log before segment"), 0), 0);
    log.fold_up_to(first - 1);
    assert_eq!(expect("nothing of it", &format!("{numbers} lost before segment"), 3), count);
    log.fold_up_to(first + 9);
    let rest = format!("{} records, {} to {last}, lost", count - 10, first + 10);
    assert_eq!(expect("ten of them are folded", &rest, 3), count - 10);
    std::fs::write(log.dir().join("store.db"), "no database").unwrap();
    assert_eq!(expect("it can't be read", &format!("{numbers} not in the log"), 2), 0);
    log.remove_database();
    assert_eq!(expect("there is none", &format!("{numbers} not in the log"), 2), 0);
}

#[test]
fn what_is_folded_is_asked_whether_the_writer_lives_or_not_and_nothing_is_left_behind() {
    let log = Log::of_segments().folded();
    std::fs::remove_file(log.segment(1)).unwrap();
    let files = || mcplog_fixture::directory::contents(log.dir());
    let before = files();
    let (text, code) = log.run(&["verify"]);
    assert!(code == 0 && unwrapped(&text).contains("and folded"), "{code}: {text}");
    let _writer = log.come_alive();
    let (text, code) = log.run(&["verify"]);
    assert!(code == 0 && unwrapped(&text).contains("and folded"), "it lives: {code}: {text}");
    assert!(files() == before, "looking leaves no file behind");
}

#[test]
fn a_record_of_a_newer_build_is_clean_and_one_that_no_build_writes_is_3() {
    let log = Log::killed_before_a_sync();
    log.append_frame(0, &[200, 1, 2, 3]);
    let (text, code) = log.run(&["verify"]);
    let text = unwrapped(&text);
    assert!(code == 0 && text.contains("record kind 200, version 1") && text.contains("1 of a newer mcplog"), "{text}");
    assert!(text.contains("A store keeps records that it does not know"), "{text}");
    let (text, code) = log.run(&["dump"]);
    assert!(code == 0 && unwrapped(&text).contains("newer, 4 bytes: record kind 200"), "{text}");
    log.append_frame(0, &[1, 1, 0xff]);
    for command in ["dump", "verify", "tail"] {
        let (text, code) = log.run(&[command]);
        assert_eq!(code, 3, "{text}");
        assert!(unwrapped(&text).contains("the fields don't decode"), "{text}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let log = Log::of_segments();
    for arguments in [&["dump"][..], &["dump", "--json"], &["tail", "-n", "3000"], &["dump", "--full", "--hex"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wal-inspect"))
            .args(arguments)
            .arg(log.wal())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut head = [0; 10];
        child.stdout.take().unwrap().read_exact(&mut head).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The tool on the log, with that standard output: its exit code, and what it says on standard error.
fn run_into(log: &Log, arguments: &[&str], stdout: Stdio) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wal-inspect"));
    command.args(arguments).stdout(stdout);
    if !arguments.contains(&"--help") && arguments != ["json"] {
        command.arg(log.wal());
    }
    let output = command.output().expect("the tool starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_full_device_is_an_error_and_a_reader_that_never_was_there_is_none() {
    let log = Log::of_segments();
    let commands = [&["list"][..], &["dump"], &["dump", "--json"], &["verify"], &["tail"], &["json"], &["--help"]];
    for arguments in commands {
        let (reader, left) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(run_into(&log, arguments, left.into()), (Some(0), String::new()), "{arguments:?}");
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let (code, error) = run_into(&log, arguments, full.into());
        assert_eq!(code, Some(1), "{arguments:?}: {error}");
        assert!(!error.contains("panicked"), "{arguments:?}: {error}");
    }
}

#[test]
fn what_verify_found_is_its_code_though_nobody_reads_on() {
    let log = Log::of_segments();
    log.flip(0, 4_120);
    for arguments in [&["verify"][..], &["verify", "--json"]] {
        let (reader, left) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(run_into(&log, arguments, left.into()), (Some(3), String::new()), "{arguments:?}");
    }
}

#[test]
fn an_error_that_nobody_gets_to_see_is_one_all_the_same() {
    for arguments in [&["list", "/nowhere/at/all"][..], &["frobnicate"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let status = Command::new(env!("CARGO_BIN_EXE_wal-inspect")).args(arguments).stderr(full).status().unwrap();
        assert_eq!(status.code(), Some(1), "{arguments:?}");
    }
}

#[test]
fn files_may_be_named_one_by_one_and_a_damaged_neighbour_does_not_matter() {
    let log = Log::of_segments();
    log.flip(0, 4_120);
    let mut command = inspect(log.root());
    command.args(["verify", &format!("{FOLDER}/000000000002.seg"), &format!("{FOLDER}/000000000003.seg")]);
    assert_eq!(fixture::outcome(command).1, 0);
    let mut command = inspect(log.root());
    command.args(["verify", "data/wal"]);
    assert_eq!(fixture::outcome(command).1, 3);
}
