//! A database and a log that are not of one store: nothing is moved or folded by mistake, each is named, and there is a
//! way out.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use mcplog::check::CheckReport;
use mcplog::error::OpenError;
use mcplog::finding::{FindingKind, Severity};
use mcplog::rebuild::{RebuildError, Rebuilt, Source};
use mcplog::{Config, Query, Store, rebuild};
use mcplog_fixture::{Blocker, Fixture, PATIENCE};
use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A store that was shut down, with these events in its database and its newest segment.
fn folded(numbers: std::ops::Range<u64>) -> Fixture {
    let mut fixture = Fixture::with(|_| {});
    fixture.record(numbers);
    fixture.shut_down();
    fixture
}

/// A log with these events, none of them folded, and no database. Its segment has that number.
fn unfolded(numbers: std::ops::Range<u64>, segment: u64) -> Fixture {
    let mut fixture = Fixture::with(|_| {});
    // Each opening begins a segment.
    for _ in 1..segment {
        fixture.reopen();
    }
    let blocker = Blocker::new(&fixture);
    fixture.record(numbers);
    fixture.store().flush(PATIENCE).unwrap();
    fixture.leave_only_the_log(Some(blocker));
    for dir in [fixture.dir().to_owned(), fixture.wal()] {
        std::fs::set_permissions(dir, Permissions::from_mode(0o700)).unwrap();
    }
    let sealed = fixture.segments();
    assert!(sealed.iter().any(|path| path.ends_with(format!("{segment:012}.seg"))), "{sealed:?}");
    fixture
}

/// Every file of a store, with its bytes, but for the lock's and those that SQLite makes for whoever reads.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        if !path.ends_with("LOCK") && !path.ends_with("store.db-shm") && !bytes.is_empty() {
            found.insert(path, bytes);
        }
    }
    found
}

/// Puts the segments of a log into that of another store, but for those whose names are taken.
fn add_log(from: &Fixture, to: &Fixture) {
    for segment in from.segments() {
        let target = to.wal().join(segment.file_name().unwrap());
        if !target.exists() {
            std::fs::copy(&segment, target).unwrap();
        }
    }
}

/// The database of one store and the log of another, in the place of the latter.
fn mixed_up(database: &Fixture, log: &Fixture) {
    log.remove_database();
    std::fs::copy(database.dir().join("store.db"), log.dir().join("store.db")).unwrap();
}

fn check(fixture: &Fixture) -> CheckReport {
    mcplog::check(fixture.dir(), false, |_| {}).unwrap()
}

fn requests(fixture: &Fixture) -> i64 {
    Query::open(fixture.dir()).unwrap().totals().unwrap().requests
}

fn refold(fixture: &Fixture) -> Rebuilt {
    rebuild(&Config::new(fixture.dir()), Source::Log, |_, _| std::ops::ControlFlow::Continue(())).unwrap()
}

#[test]
fn a_database_beside_another_stores_log_is_refused_by_name_and_nothing_is_touched() {
    let (a, b) = (folded(0..10), unfolded(1000..2000, 1));
    mixed_up(&a, &b);
    let before = files(b.dir());
    for _ in 0..2 {
        let error = Store::open(b.config.clone()).unwrap_err();
        let OpenError::ForeignDatabase { database, log, .. } = &error else { panic!("{error}") };
        assert_ne!(database, log);
        let text = error.to_string();
        for part in ["store.db belongs to another store", &database.to_string(), &log.to_string(), "--from-log"] {
            assert!(text.contains(part), "{text}");
        }
        let refused =
            rebuild(&Config::new(b.dir()), Source::BestKept, |_, _| std::ops::ControlFlow::Continue(())).unwrap_err();
        assert!(matches!(refused, RebuildError::Open(OpenError::ForeignDatabase { .. })), "{refused}");
        assert!(matches!(mcplog::plan(&b.config), Err(OpenError::ForeignDatabase { .. })));
        let report = check(&b);
        assert_eq!((report.verdict, report.unfolded_records), (Severity::Damaged, Some(1000)));
        let named = |found: &mcplog::store::Finding| found.text.contains("store.db belongs to another store");
        assert!(report.findings.iter().any(named), "{:?}", report.findings);
        assert_eq!(requests(&b), 10, "who only asks the database gets its answer");
        assert!(files(b.dir()) == before, "nothing moved, nothing made");
    }
}

#[test]
fn a_database_that_a_killed_process_left_is_refused_beside_another_stores_log_with_its_wal_as_it_is() {
    let (mut a, b) = (Fixture::with(|_| {}), unfolded(1000..1100, 1));
    a.record(0..10);
    a.fold();
    b.remove_database();
    for name in ["store.db", "store.db-wal", "store.db-shm"] {
        std::fs::copy(a.dir().join(name), b.dir().join(name)).unwrap();
    }
    a.shut_down();
    let before = files(b.dir());
    assert!(before.keys().any(|path| path.ends_with("store.db-wal")), "{:?}", before.keys());
    assert!(matches!(Store::open(b.config.clone()), Err(OpenError::ForeignDatabase { .. })));
    assert!(files(b.dir()) == before, "nothing is brought over");
}

#[test]
fn another_stores_log_is_folded_on_purpose_and_the_database_beside_it_is_kept() {
    let (a, b) = (folded(0..10), unfolded(1000..2000, 1));
    mixed_up(&a, &b);
    let Rebuilt::Log(report) = refold(&b) else { panic!("not the log") };
    assert_eq!((report.requests, requests(&b)), (1000, 1000));
    let moved = rusqlite::Connection::open(report.moved_to.unwrap()).unwrap();
    assert_eq!(moved.query_row("SELECT count(*) FROM requests", [], |row| row.get::<_, i64>(0)).unwrap(), 10);
    assert_eq!(check(&b).verdict, Severity::Sound);
    Store::open(b.config.clone()).unwrap().shutdown(PATIENCE);
    assert_eq!(requests(&b), 1000);
}

#[test]
fn a_database_without_its_log_and_a_log_without_its_database_go_on_as_the_store_that_they_are() {
    for without_directory in [false, true] {
        let mut fixture = folded(0..10);
        let id = fixture.rows("SELECT writer_id FROM checkpoint");
        match without_directory {
            true => std::fs::remove_dir_all(fixture.wal()).unwrap(),
            false => fixture.segments().iter().for_each(|segment| std::fs::remove_file(segment).unwrap()),
        }
        fixture.open();
        fixture.record(10..20);
        fixture.shut_down();
        assert_eq!((requests(&fixture), fixture.rows("SELECT writer_id FROM checkpoint")), (20, id));
    }
    let mut fixture = unfolded(0..1000, 1);
    fixture.open();
    fixture.record(1000..1010);
    fixture.shut_down();
    let id = fixture.rows("SELECT writer_id FROM checkpoint");
    assert_eq!(requests(&fixture), 1010);
    // Its database is deleted, and made anew: the log has what was kept of it.
    fixture.remove_database();
    fixture.open();
    fixture.record(2000..2001);
    fixture.shut_down();
    assert_eq!(fixture.rows("SELECT writer_id FROM checkpoint"), id);
    assert_eq!(check(&fixture).verdict, Severity::Sound);
}

#[test]
fn a_log_that_went_to_quarantine_as_a_whole_leaves_the_database_its_store() {
    let mut fixture = folded(0..10);
    let id = fixture.rows("SELECT writer_id FROM checkpoint");
    for segment in fixture.segments() {
        std::fs::write(&segment, [b'x'; 8192]).unwrap();
    }
    fixture.open();
    assert!(!fixture.names("quarantine").is_empty());
    fixture.record(10..20);
    fixture.shut_down();
    assert_eq!((requests(&fixture), fixture.rows("SELECT writer_id FROM checkpoint")), (20, id));
}

#[test]
fn a_stray_newest_segment_is_moved_aside_whole_and_check_says_so_before_and_after() {
    let (mut a, b) = (folded(0..10), unfolded(1000..1100, 4));
    add_log(&b, &a);
    assert!(a.segments().last().unwrap().ends_with("000000000004.seg"));
    let stray = std::fs::read(a.segments().last().unwrap()).unwrap();
    let report = check(&a);
    assert_eq!((report.verdict, report.unfolded_records), (Severity::Damaged, Some(0)));
    assert!(report.findings.iter().any(|found| found.kind == FindingKind::ForeignSegment), "{:?}", report.findings);
    a.open();
    a.record(10..20);
    assert!(!a.shut_down().health.is_ok());
    assert_eq!(requests(&a), 20);
    let aside = a.dir().join("quarantine/000000000004.seg");
    assert!(std::fs::read(&aside).unwrap() == stray);
    let report = check(&a);
    let about: Vec<_> = report.findings.iter().filter(|found| found.path == aside).collect();
    assert_eq!((report.verdict, about.len()), (Severity::Attention, 1), "{:?}", report.findings);
    assert!(about[0].text.starts_with("100 intact records of another store"), "{:?}", about[0]);
    // Where the advice is followed, nothing is left to say here, and the other store has its records.
    let mut b = b;
    std::fs::rename(&aside, b.wal().join("000000000004.seg")).unwrap();
    assert_eq!(check(&a).verdict, Severity::Sound);
    b.open();
    b.shut_down();
    assert_eq!(requests(&b), 100);
}

#[test]
fn a_log_of_as_many_segments_of_two_stores_is_folded_where_a_database_says_whose_it_is_and_refused_where_nothing_does()
{
    for damage in [None, Some(&b"no database at all, but bytes that are there"[..])] {
        let (mut a, b) = (folded(0..10), unfolded(1000..1100, 4));
        let stray = b.segments().pop().unwrap();
        std::fs::copy(&stray, a.wal().join(stray.file_name().unwrap())).unwrap();
        assert_eq!(a.segments().len(), 2, "one of each");
        let database = std::fs::read(a.dir().join("store.db")).unwrap();
        a.remove_database();
        std::fs::remove_file(a.wal().join("writer-id")).unwrap();
        if let Some(bytes) = damage {
            std::fs::write(a.dir().join("store.db"), bytes).unwrap();
        }
        let before = files(a.dir());
        let error = Store::open(a.config.clone()).unwrap_err();
        assert!(matches!(error, OpenError::MixedLog { .. }), "{error}");
        let refused =
            rebuild(&Config::new(a.dir()), Source::Log, |_, _| std::ops::ControlFlow::Continue(())).unwrap_err();
        assert!(matches!(refused, RebuildError::Open(OpenError::MixedLog { .. })), "{refused}");
        assert_eq!(check(&a).verdict, Severity::Damaged);
        assert!(files(a.dir()) == before, "nothing moved, nothing made");
        // The database comes back, and tells.
        std::fs::write(a.dir().join("store.db"), database).unwrap();
        let Rebuilt::Log(report) = refold(&a) else { panic!("not the log") };
        assert_eq!(report.requests, 10);
        a.open();
        a.shut_down();
        assert!(a.dir().join("quarantine/000000000004.seg").exists());
        assert_eq!(requests(&a), 10);
    }
}

/// The file that says whose log it is.
fn writer_id(fixture: &Fixture) -> Vec<u8> {
    std::fs::read(fixture.wal().join("writer-id")).unwrap()
}

/// The store of a segment, as the file has it.
fn owner_of(segment: &Path) -> Vec<u8> {
    format!("{}\n", mcplog::segment::SegmentReader::open(segment).unwrap().header().writer_id).into_bytes()
}

/// Puts something in the place of a file.
type Spoil = fn(&Path);

/// A store that kept its segments, of which some are folded, without its database or with it.
fn kept(with_database: bool) -> Fixture {
    let mut fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
    for part in 0..3 {
        fixture.record(part * 10..part * 10 + 10);
        fixture.reopen();
    }
    fixture.shut_down();
    if !with_database {
        fixture.remove_database();
    }
    fixture
}

#[test]
fn whose_log_it_is_stands_in_it_from_the_first_opening_on_and_stays_through_crashes() {
    let mut fixture = Fixture::with(|_| {});
    let id = writer_id(&fixture);
    assert_eq!((id.len(), id.last()), (37, Some(&b'\n')));
    assert_eq!(std::fs::metadata(fixture.wal().join("writer-id")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(owner_of(&fixture.segments()[0]), id);
    fixture.shut_down();
    // A crash between making the store and its first record: no segment, and no database or one without tables.
    for database in [None, Some("")] {
        let mut crashed = Fixture::new();
        std::fs::create_dir_all(crashed.wal()).unwrap();
        for dir in [crashed.dir().to_owned(), crashed.wal()] {
            std::fs::set_permissions(dir, Permissions::from_mode(0o700)).unwrap();
        }
        std::fs::write(crashed.wal().join("writer-id"), &id).unwrap();
        std::fs::write(crashed.wal().join("writer-id.new"), "half of an i").unwrap();
        if let Some(database) = database {
            let path = crashed.dir().join("store.db");
            std::fs::write(&path, database).unwrap();
            std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        }
        crashed.open();
        crashed.record(0..5);
        crashed.shut_down();
        assert_eq!(writer_id(&crashed), id);
        assert_eq!(owner_of(&crashed.segments()[0]), id);
        assert_eq!(crashed.names("wal").iter().filter(|name| name.starts_with("writer-id")).count(), 1);
        let report = check(&crashed);
        assert_eq!((requests(&crashed), report.verdict), (5, Severity::Sound), "{:?}", report.findings);
    }
}

#[test]
fn a_file_that_is_missing_or_says_nothing_is_written_anew_where_the_owner_is_known_and_that_is_told() {
    for with_database in [true, false] {
        let ways: [(&str, Spoil); 4] = [
            ("missing", |_| {}),
            ("nonsense", |path| std::fs::write(path, "nobody").unwrap()),
            ("a link", |path| std::os::unix::fs::symlink("/etc/hostname", path).unwrap()),
            ("a directory", |path| std::fs::create_dir(path).unwrap()),
        ];
        for (what, spoil) in ways {
            let mut fixture = kept(with_database);
            let (id, path) = (writer_id(&fixture), fixture.wal().join("writer-id"));
            std::fs::remove_file(&path).unwrap();
            spoil(&path);
            let before = files(fixture.dir());
            let report = check(&fixture);
            let found = report.findings.iter().filter(|finding| finding.path == path).count();
            assert_eq!(found, usize::from(what != "missing"), "{what}: {:?}", report.findings);
            let plan = rebuild::plan(&Config::new(fixture.dir()), Source::Log, false, &mut |_, _| {
                std::ops::ControlFlow::Continue(())
            });
            assert_eq!(plan.unwrap().log.records.rows, 30, "{what}");
            assert!(files(fixture.dir()) == before, "who only looks writes nothing");
            fixture.open();
            let health = fixture.store().stats().health;
            assert_eq!(health.is_ok(), what == "missing", "{what}: {health}");
            assert_eq!(health.to_string().contains("writer-id"), what != "missing", "{health}");
            fixture.shut_down();
            assert_eq!(requests(&fixture), 30, "{what}");
            if what != "a directory" {
                assert_eq!(writer_id(&fixture), id, "{what}");
                assert!(path.symlink_metadata().unwrap().is_file());
                assert_eq!(check(&fixture).verdict, Severity::Sound, "{what}");
            }
        }
    }
}

#[test]
fn a_stray_segment_in_any_place_costs_the_store_nothing_with_its_database_or_without() {
    // What says whose log it is: the file alone, most segments alone, or the database alone.
    for (has_file, with_database) in [(true, false), (false, false), (false, true), (true, true)] {
        for place in [1, 3, 9] {
            let other = unfolded(1000..1100, place);
            let fixture = kept(with_database);
            let own = fixture.segments();
            let name = format!("{place:012}.seg");
            let stray = fixture.wal().join(&name);
            if place < 9 {
                // One of the store's own is gone, in whose place it lies.
                std::fs::remove_file(&stray).unwrap();
            }
            std::fs::copy(other.wal().join(&name), &stray).unwrap();
            if !has_file {
                std::fs::remove_file(fixture.wal().join("writer-id")).unwrap();
            }
            let what = format!("{has_file}, {with_database}, {place}");
            let left: Vec<_> = own.iter().filter(|path| **path != stray).cloned().collect();
            let kept_bytes: Vec<_> = left.iter().map(|path| std::fs::read(path).unwrap()).collect();
            let report = check(&fixture);
            let foreign: Vec<_> =
                report.findings.iter().filter(|found| found.kind == FindingKind::ForeignSegment).collect();
            assert!(foreign.len() == 1 && foreign[0].path == stray, "{what}: {:?}", report.findings);
            let mut watch = |_, _| std::ops::ControlFlow::Continue(());
            let rebuild = mcplog::rebuild::Rebuild::prepare(&Config::new(fixture.dir()), Source::Log, true, &mut watch);
            rebuild.unwrap().run(&mut watch).unwrap();
            let own_requests = if place < 9 { 20 } else { 30 };
            assert_eq!(requests(&fixture), own_requests, "{what}");
            assert_eq!(fixture.number("SELECT count(*) FROM requests WHERE ts >= 1760000001000"), 0, "{what}");
            let after: Vec<_> = left.iter().map(|path| std::fs::read(path).unwrap()).collect();
            assert!(after == kept_bytes, "{what}: its own segments stay as they are");
            let mut fixture = fixture;
            fixture.config.keep_segments_bytes = None;
            fixture.open();
            fixture.record(50..60);
            fixture.shut_down();
            assert_eq!(requests(&fixture), own_requests + 10, "{what}");
            let quarantined = fixture.names("quarantine");
            let is_aside = |path: &PathBuf| quarantined.iter().any(|name| path.ends_with(name));
            assert!(!left.iter().any(is_aside), "{what}: {quarantined:?}");
            assert_eq!(fixture.names("quarantine").iter().filter(|found| **found == name).count(), 1, "{what}");
            // A copy has a store's name of its own, in its file as in its database.
            let copy = fixture.root().join("copy");
            mcplog::backup(fixture.dir(), &copy, |_| std::ops::ControlFlow::Continue(())).unwrap();
            let copied = std::fs::read(copy.join("wal/writer-id")).unwrap();
            assert_ne!(copied, writer_id(&fixture));
            let text: String = rusqlite::Connection::open(copy.join("store.db"))
                .unwrap()
                .query_row("SELECT lower(hex(writer_id)) FROM checkpoint", [], |row| row.get(0))
                .unwrap();
            assert_eq!(String::from_utf8(copied).unwrap().trim().replace('-', ""), text);
            let mut config = Config::new(&copy);
            config.segment_bytes = 64 * 1024;
            Store::open(config).unwrap().shutdown(PATIENCE);
            let report = mcplog::check(&copy, false, |_| {}).unwrap();
            // The last one of its own is gone, and no database had it; that is known, and so the copy knows it.
            let lost = if place == 3 && !with_database { 10 } else { 0 };
            assert_eq!(report.lost_records, lost, "{what}: {:?}", report.findings);
            assert_eq!(report.verdict == Severity::Sound, lost == 0, "{what}: {:?}", report.findings);
        }
    }
}

#[test]
fn a_log_that_says_it_is_of_one_store_and_has_only_segments_of_another_is_refused_and_nothing_is_touched() {
    for with_database in [true, false] {
        let (a, b) = (kept(with_database), unfolded(1000..1100, 2));
        for segment in a.segments() {
            std::fs::remove_file(segment).unwrap();
        }
        add_log(&b, &a);
        let before = files(a.dir());
        let refused = |error: OpenError| match error {
            OpenError::ForeignLog { owner, segments, .. } => {
                assert_eq!(format!("{owner}\n").into_bytes(), writer_id(&a));
                assert_eq!(format!("{segments}\n").into_bytes(), writer_id(&b));
            }
            other => panic!("{other}"),
        };
        refused(Store::open(a.config.clone()).unwrap_err());
        for source in [Source::Log, Source::BestKept] {
            let error = rebuild(&Config::new(a.dir()), source, |_, _| std::ops::ControlFlow::Continue(())).unwrap_err();
            let RebuildError::Open(error) = error else { panic!("{error}") };
            refused(error);
        }
        let report = check(&a);
        assert_eq!(report.verdict, Severity::Damaged);
        assert!(report.findings.iter().any(|found| found.text.contains("writer-id says")), "{:?}", report.findings);
        if with_database {
            let query = Query::open(a.dir()).unwrap();
            let found = mcplog::completeness(&query, mcplog::query::TimeRange::default()).unwrap();
            assert!(!found.is_complete() && found.log_problem.unwrap().contains("writer-id says"));
            assert!(mcplog::backup(a.dir(), &a.root().join("copy"), |_| std::ops::ControlFlow::Continue(())).is_err());
            assert!(mcplog::plan(&a.config).is_err());
        }
        assert!(files(a.dir()) == before, "nothing moved, nothing made");
    }
}

#[test]
fn a_writer_id_that_alone_says_another_store_is_called_the_stray_one_and_the_store_opens_once_it_is_removed() {
    for with_database in [true, false] {
        let mut fixture = kept(with_database);
        let path = fixture.wal().join("writer-id");
        let own = writer_id(&fixture);
        std::fs::write(&path, "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa\n").unwrap();
        let before = files(fixture.dir());
        let advice = "remove wal/writer-id and open the store again";
        let error = Store::open(fixture.config.clone()).unwrap_err();
        assert!(matches!(error, OpenError::ForeignLog { database_agrees: false, .. }), "{error}");
        let rebuilt = rebuild(&fixture.config, Source::Log, |_, _| std::ops::ControlFlow::Continue(())).unwrap_err();
        for text in [error.to_string(), rebuilt.to_string()] {
            assert!(text.contains(advice) && !text.contains("rebuild"), "{text}");
        }
        let examined = mcplog::examine_log(&fixture.wal()).unwrap();
        let of_files = examined.log.files.iter().filter_map(|file| file.finding());
        for found in check(&fixture).findings.into_iter().chain(examined.findings.clone()).chain(of_files) {
            let is_about_owner = found.severity == Severity::Damaged && !found.text.contains("no database");
            assert!(!is_about_owner || found.next_step.contains(advice) || !with_database, "{found:?}");
            assert!(!found.next_step.contains("its own store"), "{found:?}");
        }
        assert!(files(fixture.dir()) == before, "nothing moved, nothing made");
        std::fs::remove_file(&path).unwrap();
        fixture.open();
        fixture.fold();
        fixture.shut_down();
        assert_eq!((writer_id(&fixture), check(&fixture).verdict), (own, Severity::Sound));
    }
}
