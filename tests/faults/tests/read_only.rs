//! Read-only media: what was recorded is answered from, checked and planned with as anywhere, also what lies in SQLite's WAL
//! alone. Who wants to record is refused, and told why.

use mcplog::error::OpenError;
use mcplog::store::Severity;
use mcplog::{Config, Query, Store};
use mcplog_faults::{Kind, Volume, directory, event};
use std::path::{Path, PathBuf};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const EVENTS: u64 = 200;

/// How a store was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// Nothing lies in SQLite's WAL.
    ShutDown,
    /// As a kill leaves it, with all that SQLite needs to share it.
    Killed,
    /// As a kill leaves it, and a copy without `-shm`, which backups leave out.
    KilledAndCopied,
}

/// A store in `place` with its events, all of them folded, and left so.
fn leave(place: &Path, left: Left) -> PathBuf {
    let scratch = tempfile::tempdir().expect("temporary directory");
    let dir = place.join(format!("{left:?}"));
    let mut config = Config::new(scratch.path().join("data"));
    (config.keep_segments_bytes, config.segment_bytes) = (Some(u64::MAX), 1024 * 1024);
    let store = Store::open(config.clone()).expect("open");
    let recorder = store.recorder();
    assert!((0..EVENTS).all(|number| event::record(&recorder, number)), "recorded");
    store.wait_folded(PATIENCE).expect("folded");
    if left == Left::ShutDown {
        store.shutdown(PATIENCE);
        directory::copy(&config.dir, &dir);
    } else {
        directory::copy(&config.dir, &dir);
        store.shutdown(PATIENCE);
    }
    if left == Left::KilledAndCopied {
        std::fs::remove_file(dir.join("store.db-shm")).expect("the shared memory removed");
    }
    dir
}

#[test]
fn what_lies_on_read_only_media_is_answered_from_and_is_no_fault() {
    for kind in [Kind::Ext4, Kind::Tmpfs, Kind::Xfs] {
        let Some(volume) = Volume::roomy_or_skip("read_only", kind) else { continue };
        let stores =
            [Left::ShutDown, Left::Killed, Left::KilledAndCopied].map(|left| (left, leave(&volume.path(), left)));
        volume.make_read_only().expect("read-only");
        for (left, dir) in &stores {
            let case = format!("{kind:?}, {left:?}");
            let wal = std::fs::metadata(dir.join("store.db-wal")).map_or(0, |metadata| metadata.len());
            assert_eq!(wal > 0, *left != Left::ShutDown, "{case}: what lies in SQLite's WAL");
            let before = directory::contents(dir);
            let query = Query::open(dir).unwrap_or_else(|error| panic!("{case}: {error}"));
            assert_eq!(query.totals().expect("totals").requests, i64::try_from(EVENTS).expect("a few"), "{case}");
            assert!(query.is_current(), "{case}");
            drop(query);
            let report = mcplog::check(dir, false, |_| {}).expect("a report");
            assert_eq!((report.verdict, report.findings), (Severity::Sound, Vec::new()), "{case}");
            mcplog::plan(&Config::new(dir)).unwrap_or_else(|error| panic!("{case}: {error}"));
            assert!(directory::contents(dir) == before, "{case}");
        }
    }
}

#[test]
fn who_wants_to_record_on_read_only_media_is_told_that_it_is_so_and_what_would_do() {
    let Some(volume) = Volume::roomy_or_skip("read_only", Kind::Tmpfs) else { return };
    let dir = leave(&volume.path(), Left::ShutDown);
    volume.make_read_only().expect("read-only");
    for place in [dir, volume.path().join("new")] {
        let error = Store::open(Config::new(&place)).expect_err("read-only");
        assert!(matches!(error, OpenError::Io(_)), "{error}");
        let told = error.to_string();
        assert!(told.contains("Read-only file system") && told.contains("record into another directory"), "{told}");
    }
}
