//! What damage that no crash does to a segment costs: what is in it and can be read is folded, the file is in quarantine
//! with all its bytes, and nothing is folded twice or numbered twice.

use mcplog::position::Offset;
use mcplog::rebuild::Source;
use mcplog::segment::format::{Extent, FRAMES_OFFSET, HEADER_BYTES, MARK_OFFSETS, Mark};
use mcplog::{Config, ShutdownReport};
use mcplog_fixture::segment::{append, change_header, flip, frames, open, patch, set_length, write_mark};
use mcplog_fixture::{Fixture, wait_until};
use std::ops::ControlFlow;
use std::path::Path;

const RECORDS: u64 = 3_000;

/// A log of several segments, all of them sealed and synced, and nothing of it folded.
fn log() -> Fixture {
    let mut fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
    fixture.record(0..RECORDS);
    fixture.shut_down_unfolded();
    assert!(fixture.segments().len() >= 4);
    fixture
}

/// As the database counts.
fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("few records")
}

/// Opens the store, folds all, and shuts it down.
fn fold_all(fixture: &mut Fixture) -> ShutdownReport {
    fixture.open();
    fixture.fold();
    fixture.shut_down()
}

/// What a case costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cost {
    /// Nothing, and nobody is told.
    Nothing,
    /// No record, but the file is damaged.
    NoRecord,
    /// All its records.
    All,
    /// All but so many.
    AllBut(u64),
}

/// What is done to a segment's file.
type Change = fn(&Path);

/// A mark that says that, newer than what the segment has.
fn forge(path: &Path, durable: Extent, sealed: Option<Extent>) {
    write_mark(path, Mark { generation: open(path).mark().generation + 1, durable, sealed });
}

/// Where the frame with that index begins.
fn before(path: &Path, index: usize) -> Extent {
    Extent { end: Offset(frames(path).0[index]), frames: u32::try_from(index).expect("few frames") }
}

fn end(path: &Path) -> Extent {
    frames(path).1
}

/// Nothing vouches for it, and it has no end.
fn unseal(path: &Path) {
    forge(path, Extent::EMPTY, None);
}

const CASES: &[(&str, Cost, Change)] = &[
    ("its first page is zero", Cost::All, |path| patch(path, 0, &[0; 4096])),
    ("its header is zero", Cost::All, |path| patch(path, 0, &[0; HEADER_BYTES])),
    ("cut to half a header", Cost::All, |path| set_length(path, 30)),
    ("cut to a header", Cost::All, |path| set_length(path, HEADER_BYTES as u64)),
    ("cut within its first page", Cost::All, |path| set_length(path, 4095)),
    ("a bit of its version is flipped", Cost::All, |path| {
        patch(path, 8, &[3]);
    }),
    ("too few durable frames", Cost::NoRecord, |path| {
        forge(path, Extent { frames: end(path).frames - 40, ..end(path) }, None);
    }),
    ("too many durable frames", Cost::NoRecord, |path| {
        forge(path, Extent { frames: end(path).frames + 40, ..end(path) }, None);
    }),
    ("a durable end within its first frame", Cost::NoRecord, |path| {
        forge(path, Extent { end: Offset(FRAMES_OFFSET + 16), frames: 1 }, None);
    }),
    ("a durable end within a frame", Cost::NoRecord, |path| {
        let before = before(path, 10);
        forge(path, Extent { end: Offset(before.end.0 + 8), frames: 11 }, None);
    }),
    ("a durable end within a frame, and a seal", Cost::NoRecord, |path| {
        let before = before(path, 10);
        forge(path, Extent { end: Offset(before.end.0 + 8), frames: 11 }, Some(end(path)));
    }),
    ("sealed before its tenth frame", Cost::NoRecord, |path| {
        forge(path, before(path, 10), Some(before(path, 10)));
    }),
    ("sealed before its last frame, and not synced", Cost::NoRecord, |path| {
        let last = end(path).frames as usize - 1;
        forge(path, Extent::EMPTY, Some(before(path, last)));
    }),
    ("sealed within a frame", Cost::NoRecord, |path| {
        let sealed = Extent { end: Offset(before(path, 10).end.0 + 8), frames: 10 };
        forge(path, sealed, Some(sealed));
    }),
    ("sealed within a frame with more frames than there are", Cost::NoRecord, |path| {
        let sealed = Extent { end: Offset(before(path, 60).end.0 + 4), frames: 100 };
        forge(path, sealed, Some(sealed));
    }),
    ("sealed with too few frames", Cost::NoRecord, |path| {
        let sealed = Extent { frames: 7, ..end(path) };
        forge(path, sealed, Some(sealed));
    }),
    ("sealed as empty", Cost::NoRecord, |path| forge(path, Extent::EMPTY, Some(Extent::EMPTY))),
    ("both marks are damaged", Cost::NoRecord, |path| {
        MARK_OFFSETS.iter().for_each(|offset| patch(path, u64::from(*offset) + 9, b"damage"));
    }),
    ("both marks are damaged, and a frame", Cost::AllBut(30), |path| {
        let (offsets, _) = frames(path);
        MARK_OFFSETS.iter().for_each(|offset| patch(path, u64::from(*offset) + 9, b"damage"));
        flip(path, offsets[30] + 20);
    }),
    ("a mark that was not written last is damaged", Cost::Nothing, |path| {
        let generation = open(path).mark().generation;
        patch(path, u64::from(Mark::offset(generation + 1)) + 9, b"damage");
    }),
    ("the mark that was written last is damaged", Cost::Nothing, |path| {
        patch(path, u64::from(Mark::offset(open(path).mark().generation)) + 9, b"damage");
    }),
    ("bytes lie behind its seal", Cost::Nothing, |path| append(path, b"whatever somebody wrote there")),
    ("zeros lie behind its seal", Cost::Nothing, |path| set_length(path, 64 * 1024 * 1024)),
];

/// Damages the segment at that place, opens the store twice, and says what is lost.
fn costs(case: &str, cost: Cost, change: Change, place: usize) {
    let mut fixture = log();
    let (path, segments) = (fixture.segment(place), fixture.segments().len());
    let file = path.strip_prefix(fixture.wal()).expect("within the log").to_owned();
    // The last record of all says that the log has ended.
    let held = u64::from(end(&path).frames) - u64::from(place + 1 == segments);
    change(&path);
    let damaged = std::fs::read(&path).expect("read");
    let lost = match cost {
        Cost::Nothing | Cost::NoRecord => 0,
        Cost::All => held,
        Cost::AllBut(kept) => held - kept,
    };
    let is_damaged = cost != Cost::Nothing;
    for round in 0..2 {
        fixture.open();
        fixture.record([RECORDS + round]);
        fixture.fold();
        let report = fixture.shut_down();
        assert_eq!(report.health.is_ok(), !is_damaged || round > 0, "{case}: {}", report.health);
        let found = fixture.number("SELECT count(*) FROM requests");
        assert_eq!(found, signed(RECORDS - lost + round + 1), "{case}, opened {round} times before");
        assert_eq!(fixture.number("SELECT count(DISTINCT id) FROM requests"), found, "{case}");
        assert_eq!(fixture.number("SELECT count(*) > 0 FROM quarantine"), i64::from(is_damaged), "{case}");
        let [aside, kept] = ["quarantine", "kept"].map(|dir| fixture.dir().join(dir).join(&file));
        assert!(!path.exists(), "{case}: it is folded");
        let (there, elsewhere) = if is_damaged { (aside, kept) } else { (kept, aside) };
        assert!(std::fs::read(there).expect("there") == damaged, "{case}: with all its bytes");
        assert!(!elsewhere.exists(), "{case}: once");
    }
}

#[test]
fn no_damage_costs_more_than_what_can_not_be_read_and_all_of_it_is_kept_aside() {
    for (case, cost, change) in CASES {
        costs(case, *cost, *change, 1);
    }
}

#[test]
fn nor_does_it_in_the_newest_segment() {
    let newest = log().segments().len() - 1;
    for (case, cost, change) in CASES {
        costs(case, *cost, *change, newest);
    }
}

/// The numbers that the database says are lost: each run's first one, and how many.
fn lost(fixture: &Fixture) -> Vec<Vec<rusqlite::types::Value>> {
    fixture.rows("SELECT sequence, events FROM gaps WHERE missing = 1 ORDER BY sequence")
}

/// Holds who makes a database anew, in place of an opening and after it, against the opening.
fn rebuilds_like_an_opening(case: &str, fixture: &mut Fixture) {
    let rebuilt = fixture.killed();
    let rebuild = |fixture: &Fixture| {
        mcplog::rebuild(&Config::new(fixture.dir()), Source::Log, |_, _| ControlFlow::Continue(())).expect("rebuilt");
    };
    rebuild(&rebuilt);
    fold_all(fixture);
    let requests = |fixture: &Fixture| fixture.number("SELECT count(*) FROM requests");
    assert_eq!(
        (lost(&rebuilt), requests(&rebuilt)),
        (lost(fixture), requests(fixture)),
        "{case}: in place of an opening"
    );
    fixture.remove_database();
    rebuild(fixture);
    assert_eq!((lost(&rebuilt), requests(&rebuilt)), (lost(fixture), requests(fixture)), "{case}: after an opening");
}

#[test]
fn who_makes_a_database_anew_counts_as_lost_what_an_opening_does() {
    let newest = log().segments().len() - 1;
    for place in [1, newest] {
        // Of the newest one nothing tells how many it had where its first page is lost.
        for (case, _, change) in CASES.iter().filter(|(_, cost, _)| place < newest || *cost != Cost::All) {
            let mut fixture = log();
            change(&fixture.segment(place));
            rebuilds_like_an_opening(&format!("{case}, segment {place}"), &mut fixture);
        }
    }
}

#[test]
fn nor_does_it_count_what_a_superseded_segment_claims() {
    for (case, _, change) in CASES {
        let mut fixture = log();
        let path = fixture.segments().pop().expect("a segment");
        // Its records were written again, all of them.
        let id = open(&path).header().segment_id.next();
        let again = path.with_file_name(format!("{:012}.seg", id.0));
        std::fs::copy(&path, &again).expect("copied");
        change_header(&again, |header| header.segment_id = id);
        change(&path);
        rebuilds_like_an_opening(case, &mut fixture);
        assert_eq!(lost(&fixture), Vec::<Vec<_>>::new(), "{case}");
    }
}

#[test]
fn a_tail_that_no_crash_tore_is_not_cut_off() {
    let mut fixture = log();
    let path = fixture.segment(1);
    let (offsets, extent) = frames(&path);
    unseal(&path);
    flip(&path, offsets[100] + 20);
    let damaged = std::fs::read(&path).expect("read");
    let report = fold_all(&mut fixture);
    assert!(!report.health.is_ok(), "{}", report.health);
    let found = fixture.number("SELECT count(*) FROM requests");
    assert_eq!(found, signed(RECORDS - u64::from(extent.frames) + 100));
    assert_eq!(fixture.number("SELECT count(*) FROM quarantine WHERE sequence IS NULL"), 1);
    let aside = fixture.dir().join("quarantine").join(path.strip_prefix(fixture.wal()).expect("within the log"));
    assert!(std::fs::read(aside).expect("a copy") == damaged, "with all its bytes");
    // Of the newest segment, nobody knows better than that a crash did it.
    let mut fixture = log();
    let path = fixture.segments().pop().expect("a segment");
    let (offsets, _) = frames(&path);
    unseal(&path);
    flip(&path, offsets[100] + 20);
    let damaged = std::fs::read(&path).expect("read");
    let kept = fixture.dir().join("kept").join(path.strip_prefix(fixture.wal()).expect("within the log"));
    let report = fold_all(&mut fixture);
    assert!(report.health.is_ok(), "{}", report.health);
    assert!(std::fs::read(kept).expect("kept") == damaged, "nobody cuts what another process wrote");
}

#[test]
fn nothing_but_zeros_goes_and_anything_else_is_set_aside() {
    let mut fixture = log();
    let folder = fixture.folders().pop().expect("a folder");
    let [zeros, empty, other] = [90, 91, 92].map(|id| folder.join(format!("0000000000{id}.seg")));
    std::fs::write(&zeros, vec![0; 100_000]).expect("written");
    std::fs::write(&empty, b"").expect("written");
    let mut bytes = vec![0; 100_000];
    bytes[99_999] = 1;
    std::fs::write(&other, &bytes).expect("written");
    fold_all(&mut fixture);
    assert!(!folder.exists(), "{:?}", fixture.names("wal"));
    let aside = |path: &Path| fixture.dir().join("quarantine").join(path.strip_prefix(fixture.wal()).expect("within"));
    assert_eq!(std::fs::read(aside(&other)).expect("a copy"), bytes);
    assert!(!aside(&zeros).exists() && !aside(&empty).exists());
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), signed(RECORDS));
}

#[test]
fn a_kept_segment_is_never_replaced_by_another_file_of_its_name() {
    for is_same in [false, true] {
        let mut fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
        fixture.record(0..50);
        fixture.fold();
        let writer = fixture.store().writer().unwrap().to_string();
        fixture.shut_down();
        let kept = fixture.dir().join("kept").join(&writer).join("000000000001.seg");
        let before = std::fs::read(&kept).unwrap();
        std::fs::create_dir_all(fixture.wal().join(&writer)).unwrap();
        let back = fixture.wal().join(&writer).join("000000000001.seg");
        std::fs::copy(&kept, &back).unwrap();
        if !is_same {
            change_header(&back, |header| header.created_at += 1);
        }
        fixture.open();
        wait_until("the folder is gone", || !fixture.wal().join(&writer).exists());
        fixture.shut_down();
        assert!(std::fs::read(&kept).unwrap() == before);
        let aside = fixture.dir().join("quarantine").join(&writer).join("000000000001.seg");
        assert_eq!(aside.exists(), !is_same);
        assert_eq!(fixture.number("SELECT count(*) FROM requests"), 50);
    }
}
