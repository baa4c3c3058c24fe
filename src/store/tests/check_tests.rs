//! What a check finds: each kind on a store that has it, and of what it foresees, what the next opening really does.

use super::fixture::{Blocker, Fixture, PATIENCE, segment};
use crate::ground::error::IndexError;
use crate::ground::finding::{FindingKind, Severity};
use crate::ground::position::{SegmentId, Sequence, WriterId};
use crate::ground::sabotage;
use crate::index::connection::LONG_WAL_BYTES;
use crate::query::database::Query;
use crate::segment::directory::file_name;
use crate::segment::format::{Extent, FRAMES_OFFSET, MARK_BYTES, MARK_OFFSETS, Mark};
use crate::store::check::CheckReport;
use crate::store::store::Store;
use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// How many events the stores have.
const EVENTS: u64 = 40;
/// A segment that no store here gets to by itself.
const FAR: SegmentId = SegmentId(99);

/// A store that was shut down, with its events in the database and in its newest segment.
fn folded() -> Fixture {
    let mut fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
    fixture.record(0..EVENTS);
    fixture.shut_down();
    fixture
}

/// What a kill leaves of a store that had folded nothing yet: a log with one segment that is not sealed, and no database.
fn killed() -> Fixture {
    let fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
    let _blocker = Blocker::new(&fixture);
    fixture.record(0..EVENTS);
    fixture.store().flush(PATIENCE).unwrap();
    let killed = fixture.killed();
    for dir in [killed.dir().to_owned(), killed.wal()] {
        std::fs::set_permissions(dir, Permissions::from_mode(0o700)).unwrap();
    }
    killed
}

/// The same, never synced, and a copy of its segment behind it, whose records have these numbers.
fn killed_with_records_from(base: u64) -> Fixture {
    let fixture = killed();
    segment::forget_syncs(&fixture.segment(0));
    let copy = add_copy(&fixture, |header| header.base_sequence = Sequence(base));
    segment::forget_syncs(&copy);
    fixture
}

/// Puts a copy of the first segment into the log, under a number that is free, and changes its header.
fn add_copy(fixture: &Fixture, change: impl FnOnce(&mut crate::segment::format::SegmentHeader)) -> PathBuf {
    let copy = fixture.wal().join(file_name(FAR));
    std::fs::copy(fixture.segment(0), &copy).unwrap();
    segment::change_header(&copy, |header| {
        header.segment_id = FAR;
        change(header);
    });
    copy
}

/// The first number behind the hole of [`with_hole`].
const BEHIND_HOLE: u64 = EVENTS + 100;

/// The same events once more behind numbers that are missing, in a segment whose mark vouches for all before it.
fn with_hole(fixture: Fixture) -> Fixture {
    with(fixture, |store| drop(add_copy(store, |header| header.base_sequence = Sequence(BEHIND_HOLE))))
}

/// The same as [`folded`], with a segment of another store in its log.
fn with_stray() -> Fixture {
    let fixture = folded();
    add_copy(&fixture, |header| header.writer_id = WriterId([9; 16]));
    fixture
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
            let path = store.segment(0);
            segment::flip(&path, segment::frames(&path).0[3] + 20);
        }),
        K::UndecodableRecord => with(killed(), |store| segment::append_frame(&store.segment(0), b"\x01\x01\xff")),
        K::ZeroedFirstPage => with(folded(), |store| {
            segment::patch(&store.segment(0), 0, &[0; FRAMES_OFFSET as usize]);
        }),
        K::LostFirstPage => with(folded(), |store| segment::set_length(&store.segment(0), 100)),
        K::DamagedHeader => with(folded(), |store| segment::patch(&store.segment(0), 30, b"XXXX")),
        K::MisnamedSegment => with(folded(), |store| {
            std::fs::rename(store.segment(0), store.wal().join(file_name(FAR))).unwrap();
        }),
        K::ForeignSegment => with_stray(),
        K::WrongMark => with(folded(), |store| segment::append_frame(&store.segment(0), b"\x01\x01\xff")),
        K::DamagedMark => with(folded(), |store| {
            let path = store.segment(0);
            segment::flip(&path, Mark::offset(segment::open(&path).mark().generation) + 9);
        }),
        K::DamagedMarks => with(folded(), |store| {
            MARK_OFFSETS.iter().for_each(|at| segment::patch(&store.segment(0), u64::from(*at), &[0x5a; MARK_BYTES]));
        }),
        K::NewerSegment => with(folded(), |store| segment::make_newer(&store.segment(0))),
        K::UnreadableSegment => with(folded(), |store| sabotage::spoil(&store.segment(0), 0..1)),
        K::TornTail => with(killed(), |store| {
            let path = store.segment(0);
            segment::patch(&path, segment::frames(&path).1.end.0.into(), b"no frame at all, but bytes");
        }),
        K::BytesBehindSeal => with(folded(), |store| segment::append(&store.segment(0), b"garbage")),
        K::UnstartedSegment => with(killed(), |store| {
            std::fs::write(store.wal().join(file_name(FAR)), [0; FRAMES_OFFSET as usize]).unwrap();
        }),
        K::RecordsBehindGap => killed_with_records_from(EVENTS + 100),
        K::SupersededSegment => with(killed(), |store| drop(add_copy(store, |_| {}))),
        K::MissingRecords => with_hole(folded()),
        K::PerhapsMissingRecords => with_hole(killed()),
        K::FoldedRecordsMissing => with(with_hole(folded()), |store| {
            execute(store, &format!("UPDATE checkpoint SET sequence = {}", BEHIND_HOLE + EVENTS));
        }),
        K::UnfoldedRecords => killed(),
        K::MixedLog => with(with_stray(), |store| {
            store.remove_database();
            std::fs::remove_file(store.wal().join("writer-id")).unwrap();
        }),
        K::DamagedWriterId => {
            with(folded(), |store| std::fs::write(store.wal().join("writer-id"), "nonsense").unwrap())
        }
        K::DatabaseMissing => killed(),
        K::DatabaseUnfinished => with(folded(), |store| {
            store.remove_database();
            std::fs::remove_file(store.segment(0)).unwrap();
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
            std::fs::remove_file(store.wal().join("writer-id")).unwrap();
            segment::change_header(&store.segment(0), |header| header.writer_id = WriterId([9; 16]));
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
        K::NewerRecords => with(killed(), |store| segment::append_frame(&store.segment(0), b"\xc8\x01\x07")),
        K::OlderCopy => with(folded(), |store| {
            std::fs::copy(database(store), store.dir().join("store.db.version-3")).unwrap();
        }),
        K::UnfoldedInQuarantine => opened_once(store_with(K::RecordsBehindGap)),
        K::UnreadableInQuarantine => opened_once(store_with(K::DamagedHeader)),
        K::ForeignInQuarantine => opened_once(with_stray()),
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
    assert_eq!((report.records, report.unfolded_records, report.lost_records), (EVENTS, Some(0), 0));
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
        // A damaged database folds nothing any more.
        let folded = store.wait_folded(PATIENCE).is_ok();
        store.shutdown(PATIENCE);
        let after = requests(dir);
        if !folded {
            assert!(report.unfolded_records.is_none_or(|records| records == 0), "{kind:?}: {:?}", report.findings);
            continue;
        }
        // Records that are none, and those of a newer build, are folded too: into tables of their own.
        let others = report.newer_records.unwrap_or(i64::from(kind == K::NewerRecords)) as u64
            + u64::from(matches!(kind, K::UndecodableRecord | K::WrongMark))
            // The same events under other numbers: the database has a row of each.
            + if matches!(kind, K::MissingRecords | K::PerhapsMissingRecords) { EVENTS } else { 0 };
        assert_eq!(report.unfolded_records, Some(after - before + others), "{kind:?}: {:?}", report.findings);
        let left = kinds(&check(dir));
        for gone in [K::TornTail, K::UnstartedSegment, K::RecordsBehindGap, K::UnfoldedRecords, K::DatabaseUnfinished] {
            assert!(!left.contains(&gone), "{kind:?}: {left:?}");
        }
    }
}

#[test]
fn of_a_damaged_place_it_is_told_whether_the_database_has_its_records_and_what_is_lost_is_counted_once() {
    let damage = |fixture: &Fixture| {
        let path = fixture.segment(0);
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
    assert!(text.ends_with("; lost"), "{text}");
    assert_eq!(lost, 1);

    let before_folding = with(with(folded(), Fixture::remove_database), damage);
    let (text, lost, quarantined) = told(&before_folding);
    assert!(text.ends_with("; nobody can say whether the database has them"), "{text}");
    assert_eq!((lost, quarantined), (0, None));

    // Folding found it, and says so in the tables `gaps`, where the record is counted, and `quarantine`.
    let mut found = before_folding;
    found.open();
    found.fold();
    found.shut_down();
    let segment = found.dir().join("quarantine/000000000001.seg");
    std::fs::copy(segment, found.wal().join("000000000001.seg")).unwrap();
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
    assert_eq!((report.records, report.unfolded_records), (EVENTS, Some(EVENTS)), "{:?}", report.findings);
    let extent = segment::frames(&fixture.segment(0)).1;
    assert!(extent > Extent::EMPTY);
}

#[test]
fn numbers_that_no_segment_has_are_lost_above_what_is_folded_and_counted() {
    for (fixture, lost, kind) in [
        (with_hole(folded()), BEHIND_HOLE - EVENTS - 1, FindingKind::MissingRecords),
        (store_with(FindingKind::FoldedRecordsMissing), 0, FindingKind::FoldedRecordsMissing),
        (with_hole(killed()), 0, FindingKind::PerhapsMissingRecords),
    ] {
        let report = check(fixture.dir());
        let found = report.findings.iter().find(|found| found.kind == kind).expect("it is named");
        assert_eq!(report.lost_records, lost, "{:?}", report.findings);
        let numbers = (Some(EVENTS + 1), Some(BEHIND_HOLE - EVENTS - 1));
        assert_eq!((found.sequence, found.records, &found.path), (numbers.0, numbers.1, &fixture.wal()), "{found:?}");
    }
}

#[test]
fn what_an_opening_counts_as_lost_is_told_before_and_after_and_never_called_nothing() {
    let fixture = with_hole(folded());
    let lost = BEHIND_HOLE - EVENTS - 1;
    let told = |fixture: &Fixture| {
        let report = check(fixture.dir());
        let examined = crate::examine_log(&fixture.wal()).unwrap();
        let of_log = examined.findings.iter().chain(examined.holes.iter().map(|(_, finding)| finding));
        let by_examination: u64 =
            of_log.filter(|found| found.kind == FindingKind::MissingRecords).filter_map(|found| found.records).sum();
        (report.lost_records, by_examination, report.verdict)
    };
    assert_eq!(told(&fixture), (lost, lost, Severity::Damaged));
    let fixture = opened_once(fixture);
    assert_eq!(told(&fixture), (lost, lost, Severity::Damaged));
    assert_eq!(check(fixture.dir()).dropped_events, Some(0), "each is counted once");
}

#[test]
fn of_the_numbers_that_no_segment_has_the_database_has_only_those_that_it_does_not_count_as_lost() {
    let fixture = opened_once(with_hole(folded()));
    execute(&fixture, "UPDATE gaps SET id = 61, events = 40 WHERE missing = 1");
    let report = check(fixture.dir());
    let of_kind = |kind| {
        let found = report.findings.iter().filter(move |found| found.kind == kind);
        found.map(|found| (found.sequence.unwrap(), found.records.unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(of_kind(FindingKind::MissingRecords), [(61, 40)]);
    assert_eq!(of_kind(FindingKind::FoldedRecordsMissing), [(41, 20), (101, BEHIND_HOLE - 101)]);
}

#[test]
fn a_segment_in_quarantine_under_another_name_is_told_with_what_gets_its_records_back() {
    use FindingKind as K;
    let of_kind = |fixture: &Fixture, kind| {
        let found = check(fixture.dir()).findings.into_iter().filter(move |found| found.kind == kind);
        found.map(|found| (found.text, found.next_step)).collect::<Vec<_>>()
    };
    // Set aside, then renamed, and more was recorded since: its numbers lie before the last that is folded.
    for is_renamed_before_recording in [true, false] {
        let mut fixture = store_with(K::UnfoldedInQuarantine);
        let (own, other) = (file_name(FAR), file_name(SegmentId(7)));
        let at = |fixture: &Fixture, name: &str| fixture.dir().join("quarantine").join(name);
        let rename = |fixture: &Fixture| std::fs::rename(at(fixture, &own), at(fixture, &other)).unwrap();
        if is_renamed_before_recording {
            rename(&fixture);
        }
        fixture.open();
        fixture.record(500..510);
        fixture.fold();
        fixture.shut_down();
        if !is_renamed_before_recording {
            rename(&fixture);
        }
        let found = of_kind(&fixture, K::UnfoldedInQuarantine);
        assert_eq!(found.len(), 1, "{:?}", check(fixture.dir()).findings);
        assert!(found[0].0.contains(&format!("{EVENTS} intact records")), "{found:?}");
        assert!(found[0].1.contains(&format!("{own}, in wal/")), "{found:?}");
    }
    // What it says to do is what helps: also where the numbers were counted as lost since.
    let mut fixture = folded();
    for first in [EVENTS, EVENTS + 10] {
        fixture.open();
        fixture.record(first..first + 10);
        fixture.shut_down();
    }
    fixture.remove_database();
    let quarantine = fixture.dir().join("quarantine");
    std::fs::create_dir(&quarantine).unwrap();
    std::fs::set_permissions(&quarantine, Permissions::from_mode(0o700)).unwrap();
    let (own, other) = (fixture.segment(1), quarantine.join(file_name(FAR)));
    std::fs::rename(&own, &other).unwrap();
    let fixture = opened_once(fixture);
    let found = of_kind(&fixture, K::UnfoldedInQuarantine);
    assert!(found.len() == 1 && found[0].0.contains("10 intact records"), "{found:?}");
    std::fs::rename(&other, &own).unwrap();
    let mut watch = |_, _| std::ops::ControlFlow::Continue(());
    crate::rebuild::rebuild(&fixture.config, crate::rebuild::Source::Log, &mut watch).unwrap();
    assert_eq!((requests(fixture.dir()), check(fixture.dir()).verdict), (EVENTS + 20, Severity::Sound));
    // A copy of what the log has.
    let fixture = with(folded(), |store| {
        std::fs::copy(store.segment(0), store.wal().join(file_name(FAR))).unwrap();
    });
    let fixture = opened_once(fixture);
    assert_eq!(fixture.names("quarantine").iter().filter(|name| name.ends_with(".seg")).count(), 1);
    assert_eq!(of_kind(&fixture, K::UnfoldedInQuarantine), []);
    let found = of_kind(&fixture, K::UnreadableInQuarantine);
    assert!(found.len() == 1 && found[0].1.starts_with("nothing"), "{found:?}");
}

#[test]
fn of_lost_records_whose_segment_is_back_it_is_said_that_it_has_them() {
    let step = |fixture: &Fixture| {
        let findings = check(fixture.dir()).findings;
        let found = findings.into_iter().find(|found| found.kind == FindingKind::MissingRecords).unwrap();
        (found.text, found.next_step)
    };
    let fixture = opened_once(with_hole(folded()));
    assert!(step(&fixture).1.starts_with("nothing more can be had of them"), "{:?}", step(&fixture));
    execute(&fixture, "UPDATE gaps SET id = 5, events = 2 WHERE missing = 1");
    assert_eq!(step(&fixture).1, "segment 000000000001 has them now: `mcplog rebuild --from-log` folds them");
    execute(&fixture, &format!("UPDATE gaps SET id = {EVENTS}, events = 2 WHERE missing = 1"));
    assert!(step(&fixture).1.starts_with("segment 000000000001 has 1 of them now"), "{:?}", step(&fixture));
    execute(&fixture, "UPDATE gaps SET id = 60, events = 1 WHERE missing = 1");
    let (text, next_step) = step(&fixture);
    assert_eq!(text, "record 60 lost: no segment had it, and the database counts it");
    assert!(next_step.starts_with("nothing more can be had of it "), "{next_step}");
}
