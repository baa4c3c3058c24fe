//! A store's directory in which somebody put what does not belong there: opening it ends soon, within 256 MB of address
//! space, follows no link, changes nothing outside, and says what is wrong in words that a terminal can stand.

use mcplog::position::Offset;
use mcplog::segment::format::{Extent, FRAMES_OFFSET, Mark};
use mcplog::segment::{Item, SegmentReader};
use mcplog::{Config, Store};
use mcplog_fixture::{Fixture, PATIENCE, event, segment, wait_until};
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Set in the process that opens the store: its directory.
const CHILD: &str = "MCPLOG_HOSTILE_CHILD";
const ADDRESS_SPACE_BYTES: u64 = 256 * 1024 * 1024;

/// Not a test by itself: the process that opens the store, and says what came of it.
#[test]
fn child_opens_the_store_in_little_memory() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    setrlimit(Resource::As, Rlimit { current: Some(ADDRESS_SPACE_BYTES), maximum: Some(ADDRESS_SPACE_BYTES) })
        .expect("a limit");
    match Store::open(config(Path::new(&dir))) {
        Ok(store) => {
            event::record_or_drop(&store.recorder(), 1_000_000);
            store.wait_folded(PATIENCE).ok();
            // What others left is folded, or it is said why not.
            wait_until("the log of before is folded, or named", || {
                let own = store.writer().map(|writer| writer.to_string());
                let folders = std::fs::read_dir(store.dir().join("wal")).expect("list").flatten();
                let mut others = folders.map(|folder| folder.path()).filter(|folder| {
                    folder.is_dir() && folder.file_name().and_then(|name| name.to_str()) != own.as_deref()
                });
                let is_folded =
                    others.all(|folder| mcplog::segment::list(&folder).is_ok_and(|segments| segments.is_empty()));
                is_folded || !store.stats().health.is_ok()
            });
            println!("\nOUTCOME opened {}", store.shutdown(PATIENCE).health);
        }
        Err(error) => println!("\nOUTCOME refused {error}"),
    }
}

fn config(dir: &Path) -> Config {
    let mut config = Config::new(dir);
    config.segment_bytes = 64 * 1024;
    config.channel_events = 4096;
    config.keep_segments_bytes = Some(u64::MAX);
    config
}

/// What came of opening the store in a process of its own: `opened` or `refused`, and why.
fn open(dir: &Path) -> String {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "child_opens_the_store_in_little_memory", "--nocapture"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("start");
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().expect("wait").is_none() {
        if Instant::now() > deadline {
            child.kill().expect("kill");
            panic!("opening the store hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().expect("output");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let outcome = text.lines().find_map(|line| line.strip_prefix("OUTCOME "));
    let outcome = outcome.unwrap_or_else(|| panic!("{}: {text}", output.status)).to_owned();
    assert!(output.status.success(), "{outcome}");
    assert!(!outcome.chars().any(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c)), "{outcome:?}");
    outcome
}

/// A log of one sealed segment with ten events, the record of who writes and that of its end, and no database.
fn log() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.config = config(&fixture.config.dir);
    fixture.open();
    fixture.record(1..=10);
    fixture.shut_down_unfolded();
    fixture
}

/// The folder of its log.
fn folder(fixture: &Fixture) -> PathBuf {
    fixture.folders().remove(0)
}

/// What lies in that directory of the store for the writer of the log.
fn names(fixture: &Fixture, dir: &str, folder: &Path) -> Vec<String> {
    fixture.names(Path::new(dir).join(folder.file_name().expect("a folder")).to_str().expect("UTF-8"))
}

/// Forges a mark of the first segment, and opens the store.
fn open_with_mark(fixture: &Fixture, forged: Mark) -> String {
    segment::write_mark(&fixture.segment(0), forged);
    open(&fixture.config.dir)
}

fn rows(fixture: &Fixture) -> i64 {
    fixture.number("SELECT count(*) FROM requests")
}

fn quarantined(fixture: &Fixture) -> i64 {
    fixture.number("SELECT count(*) FROM quarantine")
}

#[test]
fn what_is_no_file_in_the_place_of_a_segment_is_moved_aside_unopened() {
    for kind in ["fifo", "directory"] {
        let fixture = log();
        let folder = folder(&fixture);
        let path = folder.join("000000000002.seg");
        match kind {
            "fifo" => mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap(),
            _ => {
                std::fs::create_dir(&path).unwrap();
                std::fs::write(path.join("inside"), "somebody else's").unwrap();
            }
        }
        let outcome = open(&fixture.config.dir);
        assert!(
            outcome.starts_with("opened degraded") && outcome.contains("segment 000000000002"),
            "{kind}: {outcome}"
        );
        assert_eq!((rows(&fixture), quarantined(&fixture)), (11, 1), "{kind}: {outcome}");
        assert_eq!(fixture.names("wal"), Vec::<String>::new(), "{kind}");
        let aside = names(&fixture, "quarantine", &folder);
        assert_eq!(aside, ["000000000002.seg", "000000000002.seg.json"], "{kind}");
        if kind == "directory" {
            let quarantine = fixture.config.dir.join("quarantine").join(folder.file_name().unwrap());
            let inside = quarantine.join("000000000002.seg/inside");
            assert_eq!(std::fs::read_to_string(inside).unwrap(), "somebody else's");
        }
    }
}

#[test]
fn an_empty_file_in_the_place_of_a_segment_was_never_started() {
    let fixture = log();
    std::fs::write(folder(&fixture).join("000000000002.seg"), "").unwrap();
    assert_eq!(open(&fixture.config.dir), "opened ok");
    assert_eq!((rows(&fixture), quarantined(&fixture)), (11, 0));
    assert_eq!(fixture.names("wal"), Vec::<String>::new());
}

#[test]
fn a_link_in_the_place_of_a_segment_is_moved_aside_unfollowed() {
    for target in ["outside", "nowhere", "/dev/zero"] {
        let fixture = log();
        let outside = fixture.config.dir.with_file_name("outside");
        std::fs::write(&outside, "somebody else's").unwrap();
        let target = if target == "outside" { outside.clone() } else { target.into() };
        let folder = folder(&fixture);
        symlink(&target, folder.join("000000000002.seg")).unwrap();
        let outcome = open(&fixture.config.dir);
        for text in ["opened degraded", "segment 000000000002", "found a symbolic link"] {
            assert!(outcome.contains(text), "{target:?}: {outcome}");
        }
        assert_eq!((rows(&fixture), quarantined(&fixture)), (11, 1), "{target:?}: {outcome}");
        assert_eq!(fixture.names("wal"), Vec::<String>::new(), "{target:?}");
        let aside = names(&fixture, "quarantine", &folder);
        assert_eq!(aside, ["000000000002.seg", "000000000002.seg.json"], "{target:?}");
        let moved = fixture.config.dir.join("quarantine").join(folder.file_name().unwrap()).join("000000000002.seg");
        assert_eq!(std::fs::read_link(moved).unwrap(), target);
        assert_eq!(std::fs::read_to_string(outside).unwrap(), "somebody else's");
    }
}

#[test]
fn a_directory_that_is_a_link_or_a_file_is_refused() {
    for name in ["wal", "quarantine"] {
        for kind in ["link", "file", "fifo"] {
            let fixture = log();
            let path = fixture.config.dir.join(name);
            let elsewhere = fixture.config.dir.with_file_name("elsewhere");
            if path.exists() {
                std::fs::rename(&path, &elsewhere).unwrap();
            } else {
                std::fs::create_dir(&elsewhere).unwrap();
                // Something that belongs into quarantine.
                std::fs::write(folder(&fixture).join("000000000009.seg"), [b'x'; 5_000]).unwrap();
            }
            let before = std::fs::read_dir(&elsewhere).unwrap().count();
            match kind {
                "link" => symlink(&elsewhere, &path).unwrap(),
                "file" => std::fs::write(&path, "x").unwrap(),
                _ => mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap(),
            }
            let outcome = open(&fixture.config.dir);
            assert!(outcome.starts_with("refused") && outcome.contains(name), "{name} is a {kind}: {outcome}");
            assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), before, "{name} is a {kind}");
        }
    }
}

#[test]
fn a_lock_or_database_that_is_no_file_is_refused() {
    for name in ["LOCK", "store.db"] {
        for kind in ["link", "directory", "fifo"] {
            let fixture = log();
            let path = fixture.config.dir.join(name);
            let _ = std::fs::remove_file(&path);
            let outside = fixture.config.dir.with_file_name("outside");
            match kind {
                "link" => symlink(&outside, &path).unwrap(),
                "directory" => std::fs::create_dir(&path).unwrap(),
                _ => mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap(),
            }
            let outcome = open(&fixture.config.dir);
            assert!(outcome.starts_with("refused") && outcome.contains(name), "{name} is a {kind}: {outcome}");
            assert!(!outside.exists(), "{name} is a {kind}: the link was followed");
        }
    }
}

#[test]
fn a_segment_of_a_terabyte_costs_no_memory_and_loses_no_record() {
    for behind in [false, true] {
        let fixture = log();
        let file = OpenOptions::new().write(true).open(&fixture.segments()[0]).unwrap();
        file.set_len(1 << 40).unwrap();
        if behind {
            file.write_all_at(b"garbage", 1 << 39).unwrap();
        }
        let outcome = open(&fixture.config.dir);
        assert!(outcome.starts_with("opened"), "{outcome}");
        assert_eq!(rows(&fixture), 11, "{outcome}");
    }
}

#[test]
fn forged_lengths_and_marks_cost_no_memory_and_no_panic() {
    let extent = |end, frames| Extent { end: Offset(end), frames };
    let all = extent(0xffff_fffc, 0x0fff_0000);
    let mark = |generation, durable, sealed| Mark { generation, durable, sealed };
    let last = i64::MAX as u64;
    // Who can forge a mark can have records reported that never were, but can't have them pass for folded: where a frame
    // stands across what the mark calls the end, or behind it, it is the mark that lies. How many of the ten are folded:
    for (forged, folded) in [
        (mark(1 << 40, all, None), 10),
        (mark(1 << 40, all, Some(all)), 10),
        (mark(last, extent(FRAMES_OFFSET + 16, 1), None), 10),
        (mark(last, Extent::EMPTY, Some(Extent::EMPTY)), 10),
    ] {
        let fixture = log();
        let outcome = open_with_mark(&fixture, forged);
        let is_named = outcome.starts_with("opened degraded") && outcome.contains("segment 000000000001, offset ");
        assert!(is_named, "{forged:?}: {outcome}");
        assert_eq!((rows(&fixture), quarantined(&fixture)), (folded + 1, 1), "{forged:?}: {outcome}");
        assert_eq!(fixture.names("quarantine").len(), 1, "{forged:?}: {outcome}");
    }
    // A seal says that there were records; that they were synced, it does not.
    let fixture = log();
    let outcome = open_with_mark(&fixture, mark(1 << 40, Extent::EMPTY, Some(all)));
    assert!(outcome.contains("are missing in its log, and lost"), "{outcome}");
    assert_eq!((rows(&fixture), fixture.number("SELECT count(*) FROM gaps")), (11, 1), "{outcome}");
    // At the end of some frame but the last: the mark lies, whether or not it vouches for what comes before.
    let sealed = log();
    let mut reader = SegmentReader::open(&sealed.segments()[0]).unwrap();
    for frames in 0..10 {
        let end = reader.position();
        assert!(matches!(reader.next().unwrap(), Item::Frame(_)));
        if ![0, 1, 9].contains(&frames) {
            continue;
        }
        for durable in [Extent::EMPTY, end] {
            let fixture = log();
            let (folder, segment) = (folder(&fixture), fixture.segment(0));
            let before = std::fs::read(&segment).unwrap();
            let outcome = open_with_mark(&fixture, mark(9, durable, Some(end)));
            assert!(outcome.contains(&format!("offset {}", end.end)), "{frames}: {outcome}");
            assert_eq!((rows(&fixture), quarantined(&fixture)), (11, 1), "{frames}: {outcome}");
            let moved = fixture.config.dir.join("quarantine").join(folder.file_name().unwrap());
            let moved = std::fs::read(moved.join("000000000001.seg")).unwrap();
            assert_eq!(moved[FRAMES_OFFSET as usize..], before[FRAMES_OFFSET as usize..]);
            assert_eq!(open(&fixture.config.dir), "opened ok");
            assert_eq!((rows(&fixture), quarantined(&fixture)), (11, 1), "{frames}: opened twice");
        }
    }
    for length in [1, 16 * 1024 * 1024, 16 * 1024 * 1024 + 1, u32::MAX] {
        let fixture = log();
        let file = OpenOptions::new().write(true).open(&fixture.segments()[0]).unwrap();
        file.write_all_at(&length.to_le_bytes(), u64::from(FRAMES_OFFSET)).unwrap();
        file.set_len(64 * 1024 * 1024).unwrap();
        let outcome = open(&fixture.config.dir);
        assert!(outcome.starts_with("opened"), "{length}: {outcome}");
        assert_eq!(rows(&fixture), 11, "{length}: the record that says who writes is lost, and no other: {outcome}");
    }
}

#[test]
fn names_that_act_on_a_terminal_are_passed_over() {
    let fixture = log();
    for name in ["evil\x1b[2J.seg", "\u{202e}ges.100000000000", "000000000002.seg\n", "000000000003.new\x07"] {
        std::fs::write(folder(&fixture).join(name), [b'x'; 5_000]).unwrap();
    }
    let folder = folder(&fixture);
    let outcome = open(&fixture.config.dir);
    // The folder stays with what is nobody's; everything else of the log is folded and gone.
    assert!(outcome.starts_with("opened ok; ") && outcome.contains("something else"), "{outcome}");
    assert_eq!(rows(&fixture), 11);
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 4);
}
