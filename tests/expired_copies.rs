//! Who keeps requests for 30 days keeps them for 30 days: after they expired no copy has them, and no way brings them back.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use mcplog::rebuild::{LimitsFrom, Rebuild, RebuildError, Rebuilt, Source};
use mcplog::{Config, Query, Recorder, Request, SchemaVersion, Session, Store, rebuild};
use mcplog_fixture::{Fixture, directory, segment, wait_until};
use rusqlite::types::Value;
use std::collections::BTreeSet;
use std::fs::FileTimes;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const DAY_MS: i64 = 86_400_000;
const KEEP_MS: u64 = 30 * DAY_MS as u64;

/// Some days ago, in Unix milliseconds.
fn days_ago(days: i64) -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap() - days * DAY_MS
}

/// Records requests of a day, and a session and a version of a schema that is replaced the day after.
fn record(recorder: &Recorder, days: i64, count: u32) {
    let (ts, session) = (days_ago(days), format!("session-{days}"));
    let mut announced = Session::new(&session, ts, "p");
    announced.client_name = Some("client");
    recorder.record(announced);
    let hash = format!("{days:064}");
    recorder.record(SchemaVersion::new(ts, "p", "http://127.0.0.1/mcp", "tools/list", r#"{"tools":[]}"#, &hash));
    for number in 0..count {
        let id = format!("{days}-{number}");
        let mut request = Request::new(&id, ts + i64::from(number), "p", "ping");
        request.session_id = Some(&session);
        recorder.record(request);
    }
}

/// Makes a file look as if it was last written so many days ago.
fn age(path: &Path, days: u64) {
    let time = SystemTime::now() - Duration::from_secs(days * 86_400);
    std::fs::File::open(path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
}

/// The segments that are kept, by when their writers began: one each.
fn kept(fixture: &Fixture) -> Vec<PathBuf> {
    let mut kept = fixture.kept();
    let of = |path: &PathBuf| path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let runs = fixture.rows("SELECT writer FROM writers ORDER BY started_at, id");
    kept.sort_by_key(|path| runs.iter().position(|run| run[0] == Value::Text(of(path))));
    kept
}

/// Where that segment lies below the directory of all that are kept.
fn place(fixture: &Fixture, segment: &Path) -> PathBuf {
    segment.strip_prefix(fixture.dir().join("kept")).unwrap().to_owned()
}

/// A store that was told to keep all: a segment with old events, one with young ones as well, one with young ones alone, each
/// of a writer of its own; in `quarantine/`, a segment that was damaged, one of another store, a note that lost its segment, and a database; and a
/// copy of the database beside it. Ten old requests are in the first segment, ten in the second.
fn with_copies() -> Fixture {
    let mut fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
    record(&fixture.recorder(), 40, 10);
    fixture.reopen();
    record(&fixture.recorder(), 35, 10);
    record(&fixture.recorder(), 1, 10);
    fixture.reopen();
    record(&fixture.recorder(), 0, 10);
    fixture.reopen();
    fixture.fold();
    fixture.shut_down();
    let report = rebuild(&Config::new(fixture.dir()), Source::Log, |_, _| std::ops::ControlFlow::Continue(())).unwrap();
    assert!(matches!(report, Rebuilt::Log(report) if report.requests == 40));
    std::fs::create_dir_all(fixture.dir().join("quarantine")).unwrap();
    std::fs::copy(fixture.dir().join("store.db"), fixture.dir().join("quarantine/store.db.1")).unwrap();
    let mut other = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
    record(&other.recorder(), 50, 10);
    other.shut_down();
    let quarantine = fixture.dir().join("quarantine");
    let foreign = quarantine.join(place(&other, &other.kept()[0]));
    let own = kept(&fixture)[0].clone();
    let folder = quarantine.join(place(&fixture, &own)).parent().unwrap().to_owned();
    for folder in [foreign.parent().unwrap(), &folder] {
        std::fs::create_dir_all(folder).unwrap();
    }
    std::fs::copy(&other.kept()[0], &foreign).unwrap();
    std::fs::write(foreign.with_extension("seg.json"), "{}").unwrap();
    let damaged = folder.join("000000000078.seg");
    std::fs::copy(&own, &damaged).unwrap();
    segment::flip(&damaged, segment::frames(&damaged).0[3] + 20);
    let note = folder.join("000000000079.seg.json");
    std::fs::write(&note, "{}").unwrap();
    let (copy, unreadable) = (fixture.dir().join("store.db.version-3"), quarantine.join("store.db.7"));
    std::fs::copy(fixture.dir().join("store.db"), &copy).unwrap();
    std::fs::write(&unreadable, "was a database").unwrap();
    std::fs::write(quarantine.join("store.db.7-wal"), "its companion").unwrap();
    for path in [&damaged, &note, &unreadable, &quarantine.join("store.db.7-wal")] {
        age(path, 40);
    }
    fixture
}

/// The days of which there are requests, sessions and versions of schemas.
fn days(dir: &Path) -> [BTreeSet<i64>; 3] {
    let query = Query::open(dir).unwrap();
    let day = |ts: i64| (days_ago(0) - ts + DAY_MS / 2) / DAY_MS;
    let requests = query.requests(&Default::default()).unwrap().iter().map(|row| day(row.ts)).collect();
    let sessions = query.sessions(&Default::default()).unwrap().iter().map(|row| day(row.started_at)).collect();
    let database = rusqlite::Connection::open(dir.join("store.db")).unwrap();
    let mut statement = database.prepare("SELECT ts FROM schema_sightings").unwrap();
    let versions = statement.query_map([], |row| row.get(0)).unwrap().map(|ts| day(ts.unwrap())).collect();
    [requests, sessions, versions]
}

/// What is left. The schema of 35 days ago was the one in force 30 days ago.
fn young() -> [BTreeSet<i64>; 3] {
    let young = BTreeSet::from([0, 1]);
    [young.clone(), young, BTreeSet::from([0, 1, 35])]
}

/// Nothing is back that had gone, and nothing young is gone. The schema that was in force 30 days ago is not made anew from the
/// log: what is older than the limit is not folded.
fn is_young(dir: &Path) -> bool {
    let ([requests, sessions, versions], [young, _, with_one_in_force]) = (days(dir), young());
    requests == young && sessions == young && (versions == young || versions == with_one_in_force)
}

#[track_caller]
fn assert_young(dir: &Path, how: &str) {
    assert!(is_young(dir), "{how}: {:?}", days(dir));
}

/// Tells the store to keep 30 days, and waits until it has let go what is older.
fn expire(fixture: &mut Fixture) {
    fixture.config.keep_segments_bytes = None;
    fixture.config.keep_rows_age_ms = Some(KEEP_MS);
    fixture.open();
    wait_until("rows and copies are gone", || {
        days(fixture.dir()) == young() && fixture.kept().len() == 2 && {
            let quarantine = fixture.names("quarantine");
            quarantine.iter().all(|name| name.starts_with("store.db.1"))
        }
    });
    fixture.shut_down();
}

#[test]
fn copies_go_when_everything_in_them_is_expired_and_not_before() {
    let mut fixture = with_copies();
    let before = kept(&fixture);
    let [old, mixed, young] = [0, 1, 2].map(|index| before[index].clone());
    let planned = mcplog::plan(&{
        let mut config = Config::new(fixture.dir());
        config.keep_rows_age_ms = Some(KEEP_MS);
        config
    });
    let expired: Vec<_> = planned.unwrap().retirement.deleted().map(|planned| planned.path.clone()).collect();
    assert!(expired.iter().any(|path| path.ends_with(&old)), "{expired:?}");
    assert!(!expired.iter().any(|path| path.ends_with(&mixed) || path.ends_with(&young)), "{expired:?}");
    expire(&mut fixture);
    let left = fixture.kept();
    assert!(!left.contains(&old) && left.contains(&mixed) && left.contains(&young), "{left:?}");
    // Both databases that are copies have young requests too.
    assert!(fixture.names("quarantine").contains(&"store.db.1".to_owned()));
    assert!(fixture.dir().join("store.db.version-3").exists());
    for path in ["quarantine/store.db.1", "store.db.version-3"] {
        let copy = rusqlite::Connection::open(fixture.dir().join(path)).unwrap();
        let old = "PRAGMA foreign_keys = OFF; DELETE FROM request_rows; DELETE FROM session_state;
                   DELETE FROM schema_changes; DELETE FROM schema_sightings;
                   DELETE FROM schema_versions";
        copy.execute_batch(old).unwrap();
    }
    fixture.open();
    wait_until("what had young requests is gone", || {
        fixture.names("quarantine").is_empty() && !fixture.dir().join("store.db.version-3").exists()
    });
}

#[test]
fn what_has_a_name_that_mcplog_does_not_give_stays() {
    let mut fixture = with_copies();
    let quarantine = fixture.dir().join("quarantine");
    let names = ["store.db.1.old", "store.db.x", "notes.txt", "000000000001.seg.bak", "store.db.1-journal"];
    for name in names {
        std::fs::write(quarantine.join(name), "somebody's").unwrap();
        age(&quarantine.join(name), 400);
    }
    std::os::unix::fs::symlink("/etc/hostname", quarantine.join("store.db.9")).unwrap();
    fixture.config.keep_rows_age_ms = Some(KEEP_MS);
    fixture.open();
    let is_folder = |name: &String| quarantine.join(name).is_dir();
    wait_until("ours are gone", || !fixture.names("quarantine").iter().any(is_folder));
    fixture.shut_down();
    let left = fixture.names("quarantine");
    assert!(names.iter().chain(&["store.db.9"]).all(|name| left.contains(&(*name).to_owned())), "{left:?}");
}

#[test]
fn a_limit_of_size_does_not_reach_copies_and_without_a_limit_nothing_goes() {
    for max in [None, Some(1 << 20)] {
        let mut fixture = with_copies();
        let (kept, quarantine) = (fixture.kept(), directory::contents(&fixture.dir().join("quarantine")));
        fixture.config.database_bytes_max = max;
        for _ in 0..2 {
            fixture.reopen_idle();
        }
        assert_eq!(fixture.kept(), kept);
        assert!(directory::contents(&fixture.dir().join("quarantine")) == quarantine);
    }
}

trait ReopenIdle {
    fn reopen_idle(&mut self);
}

impl ReopenIdle for Fixture {
    fn reopen_idle(&mut self) {
        self.open();
        self.fold();
        self.shut_down();
    }
}

/// A way by which something could come back: what it is called, and how it is gone.
type Way = (&'static str, fn(&mut Fixture));

/// Puts the segments that were kept at first into that directory of the store.
fn come_back(fixture: &Fixture, to: &str) {
    let backup = fixture.root().join("backup");
    std::fs::create_dir_all(fixture.dir().join(to)).unwrap();
    for folder in std::fs::read_dir(&backup).unwrap().map(|entry| entry.unwrap()) {
        let target = fixture.dir().join(to).join(folder.file_name());
        let _ = std::fs::remove_dir_all(&target);
        directory::copy(&folder.path(), &target);
    }
}

/// Every way that there is from what lies in the store's directory, or is recorded again, to rows.
const WAYS: [Way; 9] = [
    ("open", |fixture| fixture.reopen_idle()),
    ("rebuild", |fixture| {
        rebuild(&Config::new(fixture.dir()), Source::BestKept, |_, _| std::ops::ControlFlow::Continue(())).unwrap();
    }),
    ("rebuild from the log", |fixture| {
        let Rebuilt::Log(report) =
            rebuild(&Config::new(fixture.dir()), Source::Log, |_, _| std::ops::ControlFlow::Continue(())).unwrap()
        else {
            panic!("not the log")
        };
        assert_eq!((report.limits.keep_rows_age_ms, report.limits_from), (Some(KEEP_MS), LimitsFrom::OldDatabase));
        assert!(report.kept_since.is_some_and(|since| since <= days_ago(30)));
    }),
    ("rebuild, the database damaged", |fixture| {
        std::fs::write(fixture.dir().join("store.db"), "no database").unwrap();
        let mut config = Config::new(fixture.dir());
        config.keep_rows_age_ms = Some(KEEP_MS);
        // Nobody can say what was only there.
        let refused = rebuild(&config, Source::BestKept, |_, _| std::ops::ControlFlow::Continue(()));
        assert!(matches!(refused, Err(RebuildError::WouldLose(_))), "{refused:?}");
        let mut watch = |_, _| std::ops::ControlFlow::Continue(());
        let prepared = Rebuild::prepare(&config, Source::BestKept, true, &mut watch).unwrap();
        let Rebuilt::Log(report) = prepared.run(&mut watch).unwrap() else { panic!("not the log") };
        assert_eq!((report.limits.keep_rows_age_ms, report.limits_from), (Some(KEEP_MS), LimitsFrom::Unknown));
        assert_eq!(report.limits.keep_segments_bytes, None, "not known any more: all is kept");
    }),
    ("rebuild, the database gone", |fixture| {
        fixture.remove_database();
        let mut config = Config::new(fixture.dir());
        (config.keep_rows_age_ms, config.keep_segments_bytes) = (Some(KEEP_MS), Some(1 << 30));
        (config.database_bytes_max, config.keep_segments_age_ms, config.session_idle_ms) = (Some(0), Some(0), Some(0));
        let Rebuilt::Log(report) =
            rebuild(&config, Source::BestKept, |_, _| std::ops::ControlFlow::Continue(())).unwrap()
        else {
            panic!("not the log")
        };
        assert_eq!(report.limits_from, LimitsFrom::Told);
    }),
    ("recorded again", |fixture| {
        fixture.open();
        record(&fixture.recorder(), 40, 10);
        fixture.fold();
        assert_eq!(days(fixture.dir())[0], young()[0], "no request becomes a row");
        // Sessions and versions go with the next cut, or the next opening.
        fixture.reopen();
        wait_until("they are gone again", || is_young(fixture.dir()));
        fixture.shut_down();
    }),
    ("segments come back from elsewhere, and all is made anew", |fixture| {
        come_back(fixture, "kept");
        rebuild(&Config::new(fixture.dir()), Source::Log, |_, _| std::ops::ControlFlow::Continue(())).unwrap();
    }),
    ("segments come back into the log, and are folded", |fixture| {
        come_back(fixture, "wal");
        fixture.reopen_idle();
    }),
    ("segments come back into the quarantine, and all is made anew", |fixture| {
        come_back(fixture, "quarantine");
        rebuild(&Config::new(fixture.dir()), Source::Log, |_, _| std::ops::ControlFlow::Continue(())).unwrap();
    }),
];

#[test]
fn no_way_brings_back_what_expired() {
    let mut fixture = with_copies();
    directory::copy(&fixture.dir().join("kept"), &fixture.root().join("backup"));
    expire(&mut fixture);
    let mut begun = BTreeSet::new();
    // Each way by itself, and then one after the other.
    for (name, go) in WAYS {
        let mut each = Fixture::new();
        std::fs::create_dir_all(each.dir().join("quarantine")).unwrap();
        directory::copy(&fixture.dir().join("kept"), &each.dir().join("kept"));
        std::fs::copy(fixture.dir().join("store-id"), each.dir().join("store-id")).unwrap();
        directory::copy(&fixture.root().join("backup"), &each.root().join("backup"));
        std::fs::copy(fixture.dir().join("store.db"), each.dir().join("store.db")).unwrap();
        go(&mut each);
        assert_young(each.dir(), name);
        each.reopen_idle();
        assert_young(each.dir(), &format!("{name}, and opened"));
        begun.insert(name);
        go(&mut fixture);
        assert_young(fixture.dir(), &format!("{begun:?}"));
    }
    let requests = Query::open(fixture.dir()).unwrap().totals().unwrap().requests;
    assert_eq!(requests, 20, "every young one is there");
}

#[test]
fn who_tells_a_rebuild_to_keep_more_gets_back_what_the_log_still_has() {
    let mut fixture = with_copies();
    expire(&mut fixture);
    for (keep_ms, found) in [(36 * DAY_MS as u64, vec![0, 1, 35]), (KEEP_MS, vec![0, 1]), (0, vec![0, 1, 35])] {
        let mut config = Config::new(fixture.dir());
        config.keep_rows_age_ms = Some(keep_ms);
        let Rebuilt::Log(report) = rebuild(&config, Source::Log, |_, _| std::ops::ControlFlow::Continue(())).unwrap()
        else {
            panic!("not the log")
        };
        assert_eq!(days(fixture.dir())[0], BTreeSet::from_iter(found.iter().copied()), "{keep_ms}");
        assert_eq!(report.expired_requests, if found.len() == 2 { 10 } else { 0 }, "{keep_ms}");
        assert_eq!(Store::open(Config::new(fixture.dir())).unwrap().limits(), report.limits);
    }
}

#[test]
fn a_database_of_another_store_says_nothing_of_what_is_kept() {
    let (mut fixture, mut other) = (with_copies(), Fixture::with(|config| config.keep_rows_age_ms = Some(60_000)));
    other.record(0..10);
    other.shut_down();
    fixture.remove_database();
    std::fs::copy(other.dir().join("store.db"), fixture.dir().join("store.db")).unwrap();
    // The other store's rows would go.
    let mut watch = |_, _| std::ops::ControlFlow::Continue(());
    let prepared = Rebuild::prepare(&Config::new(fixture.dir()), Source::Log, true, &mut watch).unwrap();
    let Rebuilt::Log(report) = prepared.run(&mut watch).unwrap() else { panic!("not the log") };
    assert_eq!((report.requests, report.limits_from), (40, LimitsFrom::Unknown));
    fixture.reopen_idle();
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), 40);
}
