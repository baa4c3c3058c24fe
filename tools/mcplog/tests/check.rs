//! `mcplog check`, and `mcplog rebuild` where the database is damaged or gone, as users run them.

mod common;

use common::Fixture;
use mcplog::segment::list;
use serde_json::Value;
use std::ffi::OsStr;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A store that keeps its log.
fn with_kept_log() -> Fixture {
    let fixture = Fixture::new();
    let path = fixture.root.path().join("events.jsonl");
    std::fs::write(&path, common::EVENTS).expect("write");
    fixture.run(&format!("ingest --keep-segments {}", path.display())).ok();
    // As a process leaves it that was killed when all was folded, and before the log was put aside.
    let [kept] = folders(&fixture.dir().join("kept")).try_into().expect("one folder");
    std::fs::rename(&kept, fixture.dir().join("wal").join(kept.file_name().expect("a name"))).expect("moved back");
    fixture
}

fn folders(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).expect("list").map(|entry| entry.expect("list").path()).collect()
}

fn verdict(fixture: &Fixture) -> (String, i32) {
    let run = fixture.run("check --json");
    let report: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    (report["verdict"].as_str().expect("a verdict").to_owned(), run.code)
}

fn first_segment(dir: &Path) -> PathBuf {
    let [folder] = folders(&dir.join("wal")).try_into().expect("one folder");
    list(&folder).expect("list")[0].path.clone()
}

/// Where the record after the one that says who writes lies: an event.
fn first_event(segment: &Path) -> u64 {
    let mut reader = mcplog::segment::SegmentReader::open(segment).expect("a segment");
    let mut frames = Vec::new();
    while frames.len() < 2 {
        match reader.next().expect("read") {
            mcplog::segment::Item::Frame(frame) => frames.push(frame.offset),
            other => panic!("{other:?}"),
        }
    }
    frames[1].0.into()
}

fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    let file = std::fs::OpenOptions::new().write(true).open(path).expect("open");
    file.write_all_at(bytes, offset).expect("write");
}

/// Every row that people read, in a comparable form.
fn contents(fixture: &Fixture) -> Vec<String> {
    ["logs --limit 0", "sessions --limit 0", "stats --limit 0", "schema --limit 0", "schema --changes --limit 0"]
        .map(|line| fixture.run(&format!("{line} --json")).ok())
        .into()
}

#[test]
fn a_sound_store_is_called_so_in_five_lines_of_80_columns() {
    let fixture = with_kept_log();
    assert_eq!(verdict(&fixture), ("sound".to_owned(), 0));
    let text = fixture.run("check").ok();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.ends_with("\nsound\n") && text.contains("0 to be folded"), "{text}");
}

#[test]
fn a_directory_without_a_store_is_an_error_and_stays_as_it_is() {
    let fixture = Fixture::new();
    let run = fixture.run("check");
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("no store"), "{}", run.stderr);
    assert!(!fixture.dir().exists());
}

#[test]
fn every_kind_of_damage_is_named_with_file_and_offset() {
    type Damage = fn(&Path);
    let cases: [(&str, Damage, &str); 4] = [
        (
            "a damaged record",
            |dir| overwrite(&first_segment(dir), 4096 + 20, b"XXXX"),
            "wal/WRITER/000000000001.seg, offset 4096",
        ),
        (
            "a damaged header",
            |dir| overwrite(&first_segment(dir), 30, b"XXXX"),
            "wal/WRITER/000000000001.seg, offset 0",
        ),
        ("a damaged database", |dir| overwrite(&dir.join("store.db"), 3 * 8192, &[0x55; 4096]), "store.db"),
        ("no database", |dir| std::fs::remove_file(dir.join("store.db")).expect("remove"), "there is no database"),
    ];
    for (name, damage, expected) in cases {
        let fixture = with_kept_log();
        let writer = folders(&fixture.dir().join("wal"))[0].file_name().expect("a name").display().to_string();
        damage(&fixture.dir());
        assert_eq!(verdict(&fixture), ("damaged".to_owned(), 3), "{name}");
        let text = fixture.run("check").stdout;
        let in_one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(in_one_line.contains(&expected.replace("WRITER", &writer)), "{name}: {text}");
        assert!(text.contains("\n    Next: "), "{name}: {text}");
    }
}

#[test]
fn what_is_no_damage_is_not_called_so_and_its_exit_code_says_what_it_is() {
    type Change = fn(&Path);
    let cases: [(&str, Change, &str, i32, &str); 6] = [
        ("an open directory", |dir| chmod(dir, 0o755), "attention", 2, "Next: `chmod 700` closes it"),
        ("an open file", |dir| chmod(&dir.join("store.db"), 0o644), "attention", 2, "Next: `chmod 600` closes it"),
        ("no log", |dir| std::fs::remove_dir_all(dir.join("wal")).expect("remove"), "attention", 2, "there is no log"),
        (
            "a newer database",
            |dir| {
                let database = rusqlite::Connection::open(dir.join("store.db")).expect("open");
                let sql = "PRAGMA user_version = 1000; UPDATE meta SET value = '1000' WHERE key = 'oldest_reader'";
                database.execute_batch(sql).expect("newer");
            },
            "unreadable",
            1,
            "database version 1000 is not supported",
        ),
        (
            "a newer segment",
            |dir| {
                let path = first_segment(dir);
                let header = *mcplog::segment::SegmentReader::open(&path).expect("a segment").header();
                overwrite(&path, 0, &header.encode_as(2));
            },
            "unreadable",
            1,
            "format version 2 is not supported",
        ),
        (
            "an old database",
            |dir| {
                let quarantine = dir.join("quarantine");
                std::fs::create_dir(&quarantine).expect("create");
                chmod(&quarantine, 0o700);
                std::fs::copy(dir.join("store.db"), quarantine.join("store.db.1")).expect("copy");
            },
            "sound",
            0,
            "a database that was set aside",
        ),
    ];
    for (name, change, expected, code, says) in cases {
        let fixture = with_kept_log();
        change(&fixture.dir());
        assert_eq!(verdict(&fixture), (expected.to_owned(), code), "{name}");
        let run = fixture.run("check");
        assert!(run.stdout.contains(says) && run.code == code, "{name}: {}{}", run.stdout, run.stderr);
        assert!(run.stdout.ends_with(&format!("\n{expected}\n")), "{name}: {}", run.stdout);
    }
}

#[test]
fn every_line_fits_whatever_the_store_is_called_and_wherever_it_lies() {
    for columns in ["80", "60", "40"] {
        let fixture = with_kept_log();
        let long = fixture.root.path().join(format!("a store in {}", "a directory with a long name ".repeat(4)));
        std::fs::rename(fixture.dir(), &long).expect("rename");
        chmod(&long, 0o755);
        overwrite(&first_segment(&long), 4096 + 20, b"XXXX");
        let line = [OsStr::new("check"), OsStr::new("--dir"), long.as_os_str()];
        let run: common::Run = fixture.command(line).env("COLUMNS", columns).output().expect("run").into();
        let columns: usize = columns.parse().expect("a number");
        assert!(run.stdout.lines().all(|line| line.chars().count() <= columns), "{columns}: {}", run.stdout);
        let joined = run.stdout.split_whitespace().collect::<String>();
        let name = long.display().to_string().split_whitespace().collect::<String>();
        assert!(joined.starts_with(&name), "nothing of it is left out: {}", run.stdout);
    }
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("chmod");
}

#[test]
fn sums_that_differ_from_the_rows_are_damage_that_a_rebuild_mends() {
    let fixture = with_kept_log();
    let connection = rusqlite::Connection::open(fixture.dir().join("store.db")).expect("open");
    connection
        .execute_batch("UPDATE rollups SET calls = calls + 1; UPDATE session_state SET total_calls = 9")
        .expect("wreck");
    drop(connection);
    assert_eq!(verdict(&fixture).1, 3);
    fixture.run("rebuild").ok();
    assert_eq!(verdict(&fixture), ("sound".to_owned(), 0));
}

#[test]
fn what_a_killed_process_leaves_wants_attention_and_is_no_damage() {
    let fixture = with_kept_log();
    // Of the log only, as if nothing of it was folded yet: that is what the newest segment looks like after a kill.
    let connection = rusqlite::Connection::open(fixture.dir().join("store.db")).expect("open");
    connection.execute_batch("UPDATE checkpoint SET sequence = sequence - 3").expect("rewind");
    drop(connection);
    assert_eq!(verdict(&fixture), ("attention".to_owned(), 2));
    assert!(fixture.run("check").stdout.contains("3 records not folded yet"));
}

#[test]
fn a_damaged_or_lost_database_is_made_anew_from_the_kept_log() {
    type Damage = fn(&Path);
    let cases: [(&str, Damage); 3] = [
        ("garbage in the middle", |dir| overwrite(&dir.join("store.db"), 2 * 8192, &[0xaa; 8192])),
        ("no database at all", |dir| overwrite(&dir.join("store.db"), 0, &[b'x'; 100])),
        ("gone", |dir| std::fs::remove_file(dir.join("store.db")).expect("remove")),
    ];
    for (name, damage) in cases {
        let fixture = with_kept_log();
        let before = contents(&fixture);
        damage(&fixture.dir());
        // Nobody knows which writers' logs one had folded that says nothing any more, and whether all of them are kept.
        let accept = if name == "no database at all" {
            let refused = fixture.run("rebuild");
            assert!(refused.code == 1 && refused.stderr.contains("all that only store.db has"), "{}", refused.stderr);
            " --accept-loss"
        } else {
            ""
        };
        let run = fixture.run(&format!("rebuild --json{accept}")).ok();
        let report: serde_json::Value = serde_json::from_str(&run).expect("JSON");
        let from = if name == "garbage in the middle" { "salvage" } else { "log" };
        assert_eq!((&report["from"], &report["records_before_log"]), (&from.into(), &0.into()), "{name}: {run}");
        assert_eq!(report["moved_to"].is_null(), name == "gone", "{name}: {run}");
        assert_eq!(contents(&fixture), before, "{name}");
        assert_eq!(verdict(&fixture), ("sound".to_owned(), 0), "{name}");
        // Nothing of the old one is deleted, and doing it again hurts nothing.
        assert_eq!(fixture.dir().join("quarantine/store.db.1").exists(), name != "gone", "{name}");
        fixture.run("rebuild --from-log").ok();
        assert_eq!(contents(&fixture), before, "{name}");
    }
}

#[test]
fn a_rebuild_from_a_log_that_lost_its_beginning_says_how_many_records_are_older() {
    let fixture = Fixture::with_long_log();
    let first = fixture.segments().remove(0);
    let mut older = 0;
    let mut reader = mcplog::segment::SegmentReader::open(&first).expect("a segment");
    while let mcplog::segment::Item::Frame(_) = reader.next().expect("read") {
        older += 1;
    }
    std::fs::remove_file(first).expect("remove");
    let rows = contents(&fixture);
    let refused = fixture.run("rebuild --from-log");
    assert_eq!((refused.code, contents(&fixture)), (1, rows), "{}", refused.stderr);
    let told = refused.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains(" older records had been folded, and are not in the log any more"), "{}", refused.stdout);
    let found = fixture.run("rebuild --from-log --dry-run --json").stdout;
    let found: Value = serde_json::from_str(&found).expect("JSON");
    assert_eq!(found["log"]["records_before_log"], older, "{found}");
    // All but the one that says who writes are requests.
    let lost = format!("{} requests from 2025-03-01 ", older - 1);
    for part in ["nothing was changed", &lost, "that the log does not have", "without --from-log", "--accept-loss"] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    let accepted = fixture.run("rebuild --from-log --accept-loss").ok();
    assert!(accepted.contains("a copy of the old database is in"), "{accepted}");
    assert_eq!(fixture.run("logs --limit 0 --json").json().len(), 4_001 - older);
    // A writer whose log is gone altogether is nobody's to fold: its rows count as lost, too.
    let fixture = Fixture::with_events();
    fixture.ingest(common::request_line(1)).ok();
    let refused = fixture.run("rebuild --from-log");
    assert!(refused.code == 1 && refused.stderr.contains("13 requests from 20"), "{}", refused.stderr);
    fixture.run("rebuild --from-log --accept-loss").ok();
    assert_eq!(fixture.run("logs --limit 0 --json").json().len(), 0);
}

#[test]
fn what_is_intact_in_a_quarantined_segment_is_in_a_new_database_too() {
    let fixture = with_kept_log();
    let requests = |fixture: &Fixture| fixture.run("logs --limit 0 --json").json().len();
    let before = requests(&fixture);
    let (segment, writer) = (first_segment(&fixture.dir()), folders(&fixture.dir().join("wal")).remove(0));
    let writer = writer.file_name().expect("a name").to_owned();
    overwrite(&segment, first_event(&segment) + 20, b"XXXX");
    let said = fixture.run("rebuild --from-log");
    // Only the database has that record now.
    assert_eq!(said.code, 1);
    fixture.run("rebuild --from-log --accept-loss").ok();
    assert_eq!(requests(&fixture), before - 1);
    // The new database knows of the damage, and the segment goes to quarantine when somebody folds.
    fixture.run(&format!("ingest --keep-segments {}", later(&fixture))).ok();
    let quarantined = fixture.dir().join("quarantine").join(writer).join("000000000001.seg");
    for number in 0..2 {
        fixture.run("rebuild --from-log").ok();
        assert!(quarantined.exists(), "{number}");
        assert_eq!(requests(&fixture), before, "{number}");
    }
}

/// A file with one request more.
fn later(fixture: &Fixture) -> String {
    let path = fixture.root.path().join("later.jsonl");
    std::fs::write(&path, common::request_line(1)).expect("write");
    path.display().to_string()
}

#[test]
fn a_clock_that_was_set_back_between_two_runs_is_told_by_check_and_beside_statistics() {
    let fixture = with_kept_log();
    let later = fixture.root.path().join("later.jsonl");
    let request = r#"{"type":"request","request_id":"later","ts":4102444799000,"proxy":"p","method":"ping","latency_us":1,"status":"ok"}"#;
    std::fs::write(&later, request).expect("write");
    let ingest = format!("ingest --keep-segments {}", later.display());
    fixture.run(&ingest).ok();
    assert!(!fixture.run("check").ok().contains("  clock"), "nobody has looked yet");
    fixture.run(&ingest).ok();
    let report: Value = serde_json::from_str(&fixture.run("check --json").ok()).expect("JSON");
    assert_eq!((&report["clock_steps"], &report["clock_ahead_ms"]), (&1.into(), &Value::Null), "{report}");
    let text = fixture.run("check").ok();
    assert!(text.contains("  clock     set 1 time; table clock_steps says when\n"), "{text}");
    let told = "The clock was set back by ";
    assert!(fixture.run("stats").ok().contains(told), "{}", fixture.run("stats").stdout);
    assert!(fixture.run("stats --json").stderr.contains(told));
    assert!(!fixture.run("stats --until 2026-01-01").ok().contains(told), "it was set after that");
}

#[test]
fn a_plan_says_which_segments_and_rows_a_configuration_lets_go_and_changes_nothing() {
    let fixture = with_kept_log();
    // The newest segment always stays: another one makes the first a folded one.
    let later = fixture.root.path().join("later.jsonl");
    let request = r#"{"type":"request","request_id":"later","ts":1760000000000,"proxy":"p","method":"ping","latency_us":1,"status":"ok"}"#;
    std::fs::write(&later, request).expect("write");
    fixture.run(&format!("ingest --keep-segments {}", later.display())).ok();
    let plan = |line: &str| -> Value {
        serde_json::from_str(&fixture.run(&format!("check --plan --json {line}")).ok()).expect("JSON")
    };
    let config = fixture.root.path().join("proxy.toml");
    std::fs::write(&config, "[store]\nkeep = '1m'\nkeep_segments_size = '0'\n").expect("write");
    let limited = format!("--config {}", config.display());
    let as_told = plan("");
    assert_eq!(as_told["segments"][0]["fate"], "kept", "{as_told}");
    assert_eq!((&as_told["expiry"], &as_told["kept_since"]), (&Value::Null, &Value::Null));
    let found = plan(&limited);
    assert_eq!((&found["segments"][0]["fate"], &found["expiry"]), (&"beyond_bytes".into(), &"age".into()), "{found}");
    let requests = found["rows"].as_array().expect("rows").iter().find(|row| row["table"] == "request_rows");
    assert!(requests.expect("requests")["rows"].as_u64() > Some(0), "{found}");
    // Everything is old by the clock. The newest request says how old, until the clock has stood for a while.
    assert!(found["kept_since"].as_i64() <= Some(1_760_000_000_000), "{found}");
    assert!(found["clock_ahead_ms"].as_i64() > Some(0), "{found}");
    let text = fixture.run(&format!("check --plan {limited}")).ok();
    assert!(text.contains("expiry is held back"), "{text}");
    assert!(text.contains("  request_rows") && text.contains("expires: it is too old"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.contains("segment 000000000001") && text.contains("deleted: folded, and not to be kept"), "{text}");
    // The size is by the disk.
    let kept = ["With that file the store keeps requests of 1m, in ", "; no folded log."];
    assert!(kept.iter().all(|part| text.contains(part)), "{text}");
    let text = fixture.run("check --plan").ok();
    let kept = ["As mcplog proxy would open it, the store keeps all requests, in ", "; all folded log."];
    assert!(kept.iter().all(|part| text.contains(part)), "{text}");
    let again = plan(&limited);
    assert_eq!((&again["rows"], &again["segments"]), (&found["rows"], &found["segments"]), "looking changes nothing");
    assert_eq!(fixture.run("check --config x").code, 1);
}

#[test]
fn a_database_of_another_store_is_named_by_every_command_that_would_write_and_answers_those_that_ask() {
    let (a, b) = (Fixture::with_events(), with_kept_log());
    std::fs::copy(a.dir().join("store.db"), b.dir().join("store.db")).expect("copy");
    let segments = b.segments();
    let rows = a.run("logs --json --limit 0").json();
    let events = b.root.path().join("events.jsonl");
    for (line, code) in [
        ("check".to_owned(), 3),
        ("check --plan".to_owned(), 1),
        ("rebuild".to_owned(), 1),
        (format!("ingest {}", events.display()), 1),
    ] {
        let run = b.run(&line);
        let text = run.stdout + &run.stderr;
        // Findings are wrapped.
        let unwrapped = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(unwrapped.contains("store.db belongs to another store"), "{line}: {text}");
        assert!(unwrapped.contains("rebuild --from-log"), "{line} says what to do next: {text}");
        assert!(!unwrapped.contains("the next one who opens"), "nobody can: {text}");
        assert_eq!(run.code, code, "{line}: {text}");
        assert_eq!(b.segments(), segments, "{line}");
        assert!(!b.dir().join("quarantine").exists(), "{line}");
    }
    assert_eq!(b.run("logs --json --limit 0").json(), rows);
    let refused = b.run("rebuild --from-log");
    assert!(refused.code == 1 && refused.stderr.contains("is another store's"), "{}", refused.stderr);
    assert_eq!(b.run("logs --json --limit 0").json(), rows);
    b.run("rebuild --from-log --accept-loss").ok();
    assert_eq!(verdict(&b), ("sound".to_owned(), 0));
    assert!(b.dir().join("quarantine/store.db.1").exists());
}
