//! What a check finds: each kind on a store that has it, and of what it foresees, what the next opening really does.

use super::fixture::{Blocker, Fixture, PATIENCE, segment, wait_until};
use crate::ground::error::IndexError;
use crate::ground::finding::{FindingKind, Severity};
use crate::ground::position::{SegmentId, Sequence, StoreId, WriterId};
use crate::ground::sabotage;
use crate::index::connection::LONG_WAL_BYTES;
use crate::query::database::Query;
use crate::record::LEVEL;
use crate::segment::directory::file_name;
use crate::segment::folder_birth::NewFolder;
use crate::segment::format::{FRAMES_OFFSET, LogIdentity, MARK_BYTES, MARK_OFFSETS, Mark, SegmentHeader};
use crate::segment::writer::PreparedSegment;
use crate::store::check::CheckReport;
use crate::store::store::Store;
use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many events the stores have.
const EVENTS: u64 = 40;
/// A log begins with a record that says who writes it.
const BEGAN: u64 = 1;
/// A segment that no store here gets to by itself.
const FAR: SegmentId = SegmentId(99);
const OTHER_STORE: StoreId = StoreId([9; 16]);

/// A store that was shut down, with its events in the database and in a segment that is kept.
fn folded() -> Fixture {
    let mut fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
    fixture.record(0..EVENTS);
    fixture.shut_down();
    fixture
}

/// What a kill leaves of a store that had folded nothing yet: a log with one segment that is not sealed, and no
/// database.
fn killed() -> Fixture {
    let fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
    let _blocker = Blocker::new(&fixture);
    fixture.record(0..EVENTS);
    fixture.store().flush(PATIENCE).unwrap();
    let killed = fixture.killed();
    for dir in [vec![killed.dir().to_owned(), killed.wal()], killed.folders()].concat() {
        std::fs::set_permissions(dir, Permissions::from_mode(0o700)).unwrap();
    }
    killed
}

/// Makes a directory that only its owner may look into.
fn make_dir(path: &Path) -> PathBuf {
    std::fs::create_dir_all(path).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
    path.to_owned()
}

/// The segment that waits, or the one that is kept.
fn its_segment(fixture: &Fixture) -> PathBuf {
    let kept = std::fs::read_dir(fixture.dir().join("kept")).into_iter().flatten().flatten();
    let kept = kept.flat_map(|folder| mcplog::segment::list(&folder.path()).unwrap()).map(|file| file.path);
    fixture.segments().into_iter().chain(kept).next().expect("a segment")
}

/// Whose log it is.
fn writer_folder(path: &Path) -> &str {
    path.parent().unwrap().file_name().unwrap().to_str().unwrap()
}

/// Puts a copy of the segment into the same log in `wal/`, under a number that is free, and changes its header.
fn add_copy(fixture: &Fixture, change: impl FnOnce(&mut SegmentHeader)) -> PathBuf {
    let segment = its_segment(fixture);
    let copy = make_dir(&fixture.wal().join(writer_folder(&segment))).join(file_name(FAR));
    std::fs::copy(&segment, &copy).unwrap();
    segment::change_header(&copy, |header| {
        header.segment_id = FAR;
        change(header);
    });
    copy
}

/// The first number behind the hole of [`with_hole`].
const BEHIND_HOLE: u64 = 141;

/// The same records once more behind numbers that are missing, in a segment whose mark vouches for all before it.
fn with_hole(fixture: Fixture) -> Fixture {
    with(fixture, |store| drop(add_copy(store, |header| header.base_sequence = Sequence(BEHIND_HOLE))))
}

/// The store with a log of another one beside its own.
fn with_stray(fixture: Fixture) -> Fixture {
    let folder = make_dir(&fixture.wal().join(WriterId([8; 16]).to_string()));
    let copy = folder.join(file_name(SegmentId(1)));
    std::fs::copy(its_segment(&fixture), &copy).unwrap();
    segment::change_header(&copy, |header| (header.writer_id, header.store_id) = (WriterId([8; 16]), OTHER_STORE));
    fixture
}

/// The store with its segment in quarantine.
fn with_quarantine(fixture: Fixture) -> (Fixture, PathBuf) {
    let segment = its_segment(&fixture);
    let folder = make_dir(&make_dir(&fixture.dir().join("quarantine")).join(writer_folder(&segment)));
    let aside = folder.join(segment.file_name().unwrap());
    std::fs::rename(segment, &aside).unwrap();
    (fixture, aside)
}

fn execute(fixture: &Fixture, sql: &str) {
    fixture.database().execute_batch(sql).unwrap();
}

fn opened_once(mut fixture: Fixture) -> Fixture {
    fixture.reopen();
    fixture.fold();
    fixture.shut_down();
    fixture
}

fn with(fixture: Fixture, change: impl FnOnce(&Fixture)) -> Fixture {
    change(&fixture);
    fixture
}

fn database(fixture: &Fixture) -> PathBuf {
    fixture.dir().join("store.db")
}

/// A store in which that is to be found.
fn store_with(kind: FindingKind) -> Fixture {
    use FindingKind as K;
    match kind {
        K::OpenToOthers => with(folded(), |store| {
            std::fs::set_permissions(store.dir(), Permissions::from_mode(0o755)).unwrap();
        }),
        K::SymbolicLink => with(folded(), |store| {
            std::os::unix::fs::symlink("nowhere", store.dir().join("link")).unwrap();
        }),
        K::UnreadableDirectory => {
            with(folded(), |store| std::fs::write(store.dir().join("quarantine"), "a file").unwrap())
        }
        K::LogMissing => with(folded(), |store| std::fs::remove_dir_all(store.wal()).unwrap()),
        K::DamagedPlace => with(folded(), |store| {
            let path = its_segment(store);
            segment::flip(&path, segment::frames(&path).0[3] + 20);
        }),
        K::UndecodableRecord => with(killed(), |store| segment::append_frame(&its_segment(store), b"\x01\x01\xff")),
        K::ZeroedFirstPage => with(folded(), |store| {
            segment::patch(&its_segment(store), 0, &[0; FRAMES_OFFSET as usize]);
        }),
        K::LostFirstPage => with(folded(), |store| segment::set_length(&its_segment(store), 100)),
        K::DamagedHeader => with(folded(), |store| segment::patch(&its_segment(store), 30, b"XXXX")),
        K::MisnamedSegment => with(folded(), |store| {
            let segment = its_segment(store);
            std::fs::rename(&segment, segment.with_file_name(file_name(FAR))).unwrap();
        }),
        K::ForeignSegment => with_stray(folded()),
        K::WrongMark => with(folded(), |store| segment::append_frame(&its_segment(store), b"\x01\x01\xff")),
        K::DamagedMark => with(folded(), |store| {
            let path = its_segment(store);
            segment::flip(&path, Mark::offset(segment::open(&path).mark().generation) + 9);
        }),
        K::DamagedMarks => with(folded(), |store| {
            MARK_OFFSETS.iter().for_each(|at| segment::patch(&its_segment(store), u64::from(*at), &[0x5a; MARK_BYTES]));
        }),
        K::NewerSegment => with(folded(), |store| segment::make_newer(&its_segment(store))),
        K::UnreadableSegment => with(folded(), |store| sabotage::spoil(&its_segment(store), 0..1)),
        K::TornTail => with(killed(), |store| {
            let path = its_segment(store);
            segment::patch(&path, segment::frames(&path).1.end.0.into(), b"no frame at all, but bytes");
        }),
        K::BytesBehindSeal => with(folded(), |store| segment::append(&its_segment(store), b"garbage")),
        K::UnstartedSegment => with(killed(), |store| {
            std::fs::write(store.folders()[0].join(file_name(FAR)), [0; FRAMES_OFFSET as usize]).unwrap();
        }),
        K::WaitingSegment => with(killed(), |store| {
            add_copy(store, |_| {});
            segment::make_newer(&store.segment(0));
        }),
        K::SupersededSegment => with(killed(), |store| drop(add_copy(store, |_| {}))),
        K::MissingRecords => with_hole(folded()),
        K::UndurableRecordsMissing => with(folded(), |store| {
            segment::forget_syncs(&add_copy(store, |header| header.base_sequence = Sequence(BEHIND_HOLE)));
        }),
        K::PerhapsMissingRecords => with_hole(killed()),
        K::FoldedRecordsMissing => with(with_hole(folded()), |store| {
            execute(store, &format!("UPDATE checkpoint SET sequence = {}", BEHIND_HOLE + 99));
        }),
        K::UnfoldedRecords => killed(),
        K::UnknownStore => with(with_stray(killed()), |store| {
            std::fs::remove_file(store.dir().join("store-id")).unwrap();
        }),
        K::DamagedStoreId => with(folded(), |store| std::fs::write(store.dir().join("store-id"), "nonsense").unwrap()),
        K::EarlierLayout => with(folded(), |store| {
            std::fs::copy(its_segment(store), store.wal().join(file_name(SegmentId(1)))).unwrap();
        }),
        K::StrangeFile => with(folded(), |store| std::fs::write(store.wal().join("notes.txt"), "mine").unwrap()),
        K::DatabaseMissing => killed(),
        K::DatabaseUnfinished => with(folded(), |store| {
            store.remove_database();
            std::fs::remove_dir_all(store.dir().join("kept")).unwrap();
            std::fs::write(database(store), "").unwrap();
        }),
        K::DatabaseDamaged => with(folded(), |store| segment::patch(&database(store), 3 * 8192, &[0x55; 4096])),
        K::LongWal => with(folded(), |store| {
            let wal = store.dir().join("store.db-wal");
            std::fs::write(&wal, "").unwrap();
            std::fs::set_permissions(&wal, Permissions::from_mode(0o600)).unwrap();
            segment::set_length(&wal, LONG_WAL_BYTES + 1);
        }),
        K::WrongSums => with(folded(), |store| execute(store, "UPDATE rollups SET calls = calls + 1")),
        K::UnsupportedDatabase => with(folded(), |store| {
            execute(store, "PRAGMA user_version = 1000; UPDATE meta SET value = '1000' WHERE key = 'oldest_reader'");
        }),
        K::NewerDatabase => with(folded(), |store| execute(store, "PRAGMA user_version = 1000")),
        K::UnreadableDatabase => with(folded(), |store| {
            store.remove_database();
            std::fs::create_dir(database(store)).unwrap();
        }),
        K::ForeignDatabase => with(folded(), |store| {
            execute(store, &format!("UPDATE meta SET value = '{OTHER_STORE}' WHERE key = 'store_id'"));
        }),
        K::OtherProgramsDatabase => with(folded(), |store| {
            store.remove_database();
            execute(store, "CREATE TABLE theirs (x)");
        }),
        K::LimitsForgotten => with(folded(), |store| execute(store, "DELETE FROM meta WHERE key = 'keep_rows_age_ms'")),
        // The clock says now, and not a minute is known to have passed since 1970.
        K::ExpiryHeldBack => with(folded(), |store| {
            execute(
                store,
                "INSERT OR REPLACE INTO age_clock (id, believed_ms, doubted_ms, patience_ms, clock_ms, up_ms, boot_id)
                 VALUES (1, 0, 0, 604800000, 0, 0, zeroblob(16))",
            );
        }),
        K::NewerRecords => with(killed(), |store| segment::append_frame(&its_segment(store), b"\xc8\x01\x07")),
        K::OlderCopy => with(folded(), |store| {
            std::fs::copy(database(store), store.dir().join("store.db.version-3")).unwrap();
        }),
        K::UnfoldedInQuarantine => {
            with(with_quarantine(folded()).0, |store| execute(store, "UPDATE checkpoint SET sequence = 20"))
        }
        K::UnreadableInQuarantine => {
            let (store, aside) = with_quarantine(folded());
            segment::patch(&aside, 30, b"XXXX");
            store
        }
        K::ForeignInQuarantine => {
            let (store, aside) = with_quarantine(folded());
            segment::change_header(&aside, |header| header.store_id = OTHER_STORE);
            store
        }
        K::DatabaseAside => with(folded(), |store| {
            std::fs::create_dir(store.dir().join("quarantine")).unwrap();
            std::fs::set_permissions(store.dir().join("quarantine"), Permissions::from_mode(0o700)).unwrap();
            std::fs::copy(database(store), store.dir().join("quarantine/store.db.1")).unwrap();
        }),
    }
}

fn check(dir: &Path) -> CheckReport {
    crate::check(dir, false, |_| {}).unwrap()
}

fn kinds(report: &CheckReport) -> BTreeSet<FindingKind> {
    report.findings.iter().map(|found| found.kind).collect()
}

#[test]
fn a_store_in_which_nothing_is_wrong_has_no_findings() {
    let fixture = folded();
    let report = check(fixture.dir());
    assert_eq!((report.findings.as_slice(), report.verdict), (&[][..], Severity::Sound));
    // Who writes, and that he ended, are records, too.
    let told = (report.records, report.unfolded_records, report.lost_records);
    assert_eq!(told, (BEGAN + EVENTS + 1, Some(0), 0));
}

#[test]
fn each_kind_is_found_where_it_is_and_the_verdict_is_the_worst_of_all() {
    for kind in FindingKind::EACH {
        let fixture = store_with(kind);
        let report = check(fixture.dir());
        assert!(kinds(&report).contains(&kind), "{kind:?}: {:?}", report.findings);
        let worst = report.findings.iter().map(|found| found.severity).max().unwrap();
        assert_eq!(report.verdict, worst, "{kind:?}: {:?}", report.findings);
        for found in &report.findings {
            let named = [&found.text, &found.next_step].map(|text| text.contains(&*fixture.dir().to_string_lossy()));
            assert_eq!(named, [false, false], "the finding names its file once: {found:?}");
        }
        assert_eq!(report.findings, check(fixture.dir()).findings, "looking changes nothing");
    }
}

#[test]
fn what_is_no_damage_is_not_called_so() {
    use FindingKind as K;
    for (kind, verdict) in [
        (K::OpenToOthers, Severity::Attention),
        (K::SymbolicLink, Severity::Attention),
        (K::LogMissing, Severity::Attention),
        (K::UnsupportedDatabase, Severity::Unreadable),
        (K::NewerDatabase, Severity::Attention),
        (K::NewerSegment, Severity::Unreadable),
        (K::OlderCopy, Severity::Sound),
        (K::DatabaseAside, Severity::Sound),
    ] {
        let fixture = store_with(kind);
        let report = check(fixture.dir());
        assert_eq!((report.verdict, kinds(&report).len()), (verdict, 1), "{kind:?}: {:?}", report.findings);
    }
}

fn requests(dir: &Path) -> u64 {
    let requests = Query::open(dir).and_then(|query| query.totals()).map(|totals| totals.requests);
    requests.map_or(0, |requests| requests.try_into().unwrap())
}

#[test]
fn what_is_to_be_folded_is_what_the_next_opening_folds_and_nothing_else_is_left_to_say_then() {
    use FindingKind as K;
    for kind in FindingKind::EACH {
        let fixture = store_with(kind);
        let (dir, before) = (fixture.dir(), requests(fixture.dir()));
        let report = check(dir);
        let Ok(store) = Store::open(fixture.config.clone()) else {
            let unfolded = kinds(&report).contains(&K::UnfoldedRecords);
            assert!(!unfolded, "{kind:?}: nobody can open it: {:?}", report.findings);
            continue;
        };
        if kinds(&report).contains(&K::UnfoldedRecords) {
            wait_until(&format!("what waits is folded: {kind:?}"), || check(dir).unfolded_records == Some(0));
        }
        // A store that can't fold waits for that as long as it may.
        store.shutdown(Duration::from_millis(200));
        // A damaged database folds nothing any more, and of another store's nobody knows.
        let Some(unfolded) = report.unfolded_records else { continue };
        // Who writes and that he ended are records, and so are those that are none, and those of a newer build; what is
        // kept nobody folds again.
        let others = match kind {
            _ if unfolded == 0 => 0,
            K::UndecodableRecord | K::NewerRecords => 2,
            // The same events under other numbers: the database has a row of each already.
            K::MissingRecords | K::UndurableRecordsMissing | K::PerhapsMissingRecords => EVENTS + 2,
            _ => 1,
        };
        assert_eq!(unfolded, requests(dir) - before + others, "{kind:?}: {:?}", report.findings);
        let left = kinds(&check(dir));
        for gone in [K::UnstartedSegment, K::UnfoldedRecords, K::DatabaseUnfinished] {
            assert!(!left.contains(&gone), "{kind:?}: {left:?}");
        }
    }
}

#[test]
fn of_a_damaged_place_it_is_told_whether_the_database_has_its_records_and_what_is_lost_is_counted_once() {
    let damage = |fixture: &Fixture| {
        let path = its_segment(fixture);
        segment::flip(&path, segment::frames(&path).0[3] + 20);
    };
    let told = |fixture: &Fixture| {
        let report = check(fixture.dir());
        let found = report.findings.iter().find(|found| found.kind == FindingKind::DamagedPlace).unwrap().clone();
        (found.text, report.lost_records, report.quarantined)
    };
    let after_folding = with(folded(), damage);
    let (text, lost, quarantined) = told(&after_folding);
    assert!(text.contains("(record 4)") && text.ends_with("; the database has them"), "{text}");
    assert_eq!((lost, quarantined), (0, Some(0)));

    let rewound = with(with(folded(), |store| execute(store, "UPDATE checkpoint SET sequence = 0")), damage);
    let (text, lost, _) = told(&rewound);
    assert!(text.ends_with("; all of it was folded before"), "{text}");
    assert_eq!(lost, 0, "it is kept because it was folded");

    let before_folding = with(with(folded(), Fixture::remove_database), damage);
    let (text, lost, quarantined) = told(&before_folding);
    assert!(text.ends_with("; nobody can say whether the database has them"), "{text}");
    assert_eq!((lost, quarantined), (0, None));

    // Folding found it, and says so in the tables `gaps`, where the record is counted, and `quarantine`.
    let found = opened_once(with(killed(), |store| {
        let path = store.segment(0);
        segment::flip(&path, segment::frames(&path).0[3] + 20);
    }));
    let aside = found.dir().join("quarantine");
    let folder = std::fs::read_dir(&aside).unwrap().next().unwrap().unwrap();
    let back = make_dir(&found.wal().join(folder.file_name())).join(file_name(SegmentId(1)));
    std::fs::copy(folder.path().join(file_name(SegmentId(1))), back).unwrap();
    let (text, lost, quarantined) = told(&found);
    assert!(text.ends_with("; lost"), "{text}");
    assert_eq!((lost, quarantined), (1, Some(1)));

    segment::patch(&database(&after_folding), 0, &[b'x'; 100]);
    let (text, ..) = told(&after_folding);
    assert!(text.ends_with("; nobody can say whether the database has them"), "{text}");
}

#[test]
fn where_there_is_no_store_that_is_said_and_where_nobody_may_say_that() {
    let dir = tempfile::tempdir().unwrap();
    for place in [dir.path().to_owned(), dir.path().join("nowhere")] {
        let error = crate::check(&place, true, |_| {}).unwrap_err();
        assert!(matches!(error, IndexError::Missing { has_log: false, .. }), "{error}");
    }
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(crate::check(&file, true, |_| {}), Err(IndexError::Io(_))));
}

#[test]
fn a_segment_that_was_written_again_counts_once() {
    // As a failed sync leaves it: the second writing has all that the first one has.
    let fixture = killed();
    add_copy(&fixture, |_| {});
    let report = check(fixture.dir());
    let records = BEGAN + EVENTS;
    assert_eq!((report.records, report.unfolded_records), (records, Some(records)), "{:?}", report.findings);
}

/// How many numbers are missing in [`with_hole`] behind so many records.
const fn hole_behind(records: u64) -> u64 {
    BEHIND_HOLE - 1 - records
}

#[test]
fn numbers_that_no_segment_has_are_lost_above_what_is_folded_and_counted() {
    use FindingKind as K;
    let (whole, cut_short) = (BEGAN + EVENTS + 1, BEGAN + EVENTS);
    for (fixture, records, lost, kind) in [
        (with_hole(folded()), whole, hole_behind(whole), K::MissingRecords),
        (store_with(K::UndurableRecordsMissing), whole, hole_behind(whole), K::UndurableRecordsMissing),
        (store_with(K::FoldedRecordsMissing), whole, 0, K::FoldedRecordsMissing),
        (with_hole(killed()), cut_short, 0, K::PerhapsMissingRecords),
    ] {
        let report = check(fixture.dir());
        let found = report.findings.iter().find(|found| found.kind == kind).expect("it is named");
        assert_eq!(report.lost_records, lost, "{:?}", report.findings);
        let numbers = (Some(records + 1), Some(hole_behind(records)));
        assert_eq!((found.sequence, found.records), numbers, "{found:?}");
        assert_eq!(found.path.parent(), Some(&*fixture.wal()), "the log is named");
    }
}

#[test]
fn what_folding_counts_as_lost_is_told_before_and_after_and_never_called_nothing() {
    let fixture = with_hole(folded());
    let lost = hole_behind(BEGAN + EVENTS + 1);
    let told = |fixture: &Fixture| {
        let report = check(fixture.dir());
        let lost = report.findings.iter().filter(|found| found.kind == FindingKind::MissingRecords);
        (report.lost_records, lost.filter_map(|found| found.records).sum::<u64>(), report.verdict)
    };
    assert_eq!(told(&fixture), (lost, lost, Severity::Damaged));
    let fixture = opened_once(fixture);
    assert_eq!(told(&fixture), (lost, lost, Severity::Damaged));
    assert_eq!(check(fixture.dir()).dropped_events, Some(0), "each is counted once");
}

#[test]
fn of_the_numbers_that_no_segment_has_the_database_has_only_those_that_it_does_not_count_as_lost() {
    let fixture = opened_once(with_hole(folded()));
    execute(&fixture, "UPDATE gaps SET sequence = 61, events = 40 WHERE missing = 1");
    let report = check(fixture.dir());
    let of_kind = |kind| {
        let found = report.findings.iter().filter(move |found| found.kind == kind);
        found.map(|found| (found.sequence.unwrap(), found.records.unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(of_kind(FindingKind::MissingRecords), [(61, 40)]);
    let first = BEGAN + EVENTS + 2;
    assert_eq!(of_kind(FindingKind::FoldedRecordsMissing), [(first, 61 - first), (101, BEHIND_HOLE - 101)]);
}

#[test]
fn what_folding_retires_while_it_is_checked_is_neither_missing_nor_unreadable() {
    let mut fixture = Fixture::with(|config| config.segment_age_ms = 1);
    fixture.record(0..1);
    fixture.fold();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for first in (1..3_001).step_by(100) {
                fixture.record(first..first + 100);
                fixture.store().wait_folded(PATIENCE).unwrap();
            }
            done.store(true, std::sync::atomic::Ordering::Release);
        });
        while !done.load(std::sync::atomic::Ordering::Acquire) {
            let report = check(fixture.dir());
            assert_eq!((report.findings.as_slice(), report.lost_records), (&[][..], 0));
        }
    });
    fixture.shut_down();
}

#[test]
fn what_folding_retires_while_somebody_looks_ahead_is_no_error() {
    let mut fixture = Fixture::with(|config| config.segment_age_ms = 1);
    fixture.record(0..1);
    fixture.fold();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for first in (1..1_001).step_by(50) {
                // Folders go, too: of processes that end.
                let store = crate::Store::open(crate::Config::new(fixture.dir())).unwrap();
                (first..first + 50).for_each(|number| super::fixture::event::record_or_drop(&store.recorder(), number));
                fixture.record(first + 10_000..first + 10_050);
                store.shutdown(PATIENCE);
                fixture.store().wait_folded(PATIENCE).unwrap();
            }
            done.store(true, std::sync::atomic::Ordering::Release);
        });
        let config = crate::Config::new(fixture.dir());
        while !done.load(std::sync::atomic::Ordering::Acquire) {
            let source = crate::rebuild::Source::BestKept;
            let rebuild =
                crate::rebuild::plan(&config, source, false, &mut |_, _| std::ops::ControlFlow::Continue(())).unwrap();
            assert!(rebuild.losses.is_empty(), "{rebuild:?}");
            crate::plan::plan(&config).unwrap();
        }
    });
    fixture.shut_down();
}

#[test]
fn a_segment_in_quarantine_under_another_name_is_told_with_what_gets_its_records_back() {
    use FindingKind as K;
    let of_kind = |fixture: &Fixture, kind| {
        let found = check(fixture.dir()).findings.into_iter().filter(move |found| found.kind == kind);
        found.map(|found| (found.text, found.next_step)).collect::<Vec<_>>()
    };
    let renamed = |fixture: &Fixture, aside: &Path| {
        std::fs::rename(aside, aside.with_file_name(file_name(FAR))).unwrap();
        (of_kind(fixture, K::UnfoldedInQuarantine), of_kind(fixture, K::UnreadableInQuarantine))
    };
    // The database has its records.
    let (fixture, aside) = with_quarantine(folded());
    let (unfolded, unreadable) = renamed(&fixture, &aside);
    assert_eq!((unfolded.len(), unreadable.len()), (0, 1));
    assert!(unreadable[0].0.contains("the database or the log has its records"), "{unreadable:?}");
    // It has not, and what it says to do is what helps.
    let (fixture, aside) = with_quarantine(folded());
    fixture.remove_database();
    let fixture = opened_once(fixture);
    let (unfolded, unreadable) = renamed(&fixture, &aside);
    assert_eq!((unfolded.len(), unreadable.len()), (1, 0), "{:?}", check(fixture.dir()).findings);
    assert!(unfolded[0].0.contains(&format!("{} intact records", BEGAN + EVENTS + 1)), "{unfolded:?}");
    assert!(unfolded[0].1.contains(&file_name(SegmentId(1))), "{unfolded:?}");
    std::fs::rename(aside.with_file_name(file_name(FAR)), &aside).unwrap();
    let mut watch = |_, _| std::ops::ControlFlow::Continue(());
    crate::rebuild::rebuild(&fixture.config, crate::rebuild::Source::Log, &mut watch).unwrap();
    assert_eq!((requests(fixture.dir()), check(fixture.dir()).verdict), (EVENTS, Severity::Sound));
}

#[test]
fn the_tail_of_a_segment_that_a_living_writer_left_unsealed_is_nothing_to_say_until_it_is_dead() {
    let fixture = Fixture::new();
    drop(Store::open(fixture.config.clone()).unwrap());
    let store = crate::store::store_identity::read(fixture.dir()).unwrap().unwrap();
    let writer = WriterId([7; 16]);
    let (folder, lock) = NewFolder::create(&make_dir(&fixture.wal()), store, writer).unwrap().into_place().unwrap();
    // The sync of the first one failed, and the second one goes on.
    let left: Vec<_> = [(1, 1), (2, 3)]
        .into_iter()
        .map(|(id, base)| {
            let log = LogIdentity { store, writer, needs: LEVEL };
            let prepared = PreparedSegment::create(&folder.path, SegmentId(id), 64 * 1024).unwrap();
            let (mut writer, syncer) = prepared.activate(log, Sequence(base), 5).unwrap();
            for payload in [b"one", b"two"] {
                writer.append(payload).unwrap();
            }
            (writer, syncer)
        })
        .collect();
    let first = folder.path.join(file_name(SegmentId(1)));
    segment::patch(&first, u64::from(segment::frames(&first).1.end.0), &[0xee; 40]);
    let is_torn = || {
        let found = crate::check(fixture.dir(), false, |_| {}).unwrap().findings;
        found.iter().any(|finding| finding.kind == FindingKind::TornTail)
    };
    assert!(!is_torn());
    drop((left, lock));
    assert!(is_torn());
}
