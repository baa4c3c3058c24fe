//! What must hold of opening a store, whatever lies in its log: no panic, nothing invented, no intact record that was
//! vouched for lost, no file lost, damage named, and opening once more changes nothing.

use crate::forged::{Forged, segment};
use crate::input::Input;
use crate::plain_scan::{Found, header, plain_scan};
use mcplog::error::{OpenError, SegmentError};
use mcplog::position::SegmentId;
use mcplog::record::Record;
use mcplog::segment::directory::file_name;
use mcplog::segment::format::Frame;
use mcplog::{Config, Request, Store, SyncPolicy};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// Makes a log of one to three segments, opens a store on it twice, and records something each time.
pub fn check(input: &[u8]) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let wal = dir.path().join("wal");
    let quarantine = dir.path().join("quarantine");
    std::fs::create_dir(&wal).expect("create");
    let files = write_log(&mut Input::new(input), &wal);
    let before = contents(&wal);

    let is_honest = files.values().all(|file| file.forged.is_honest);
    let Some(first) = run(dir.path(), "fresh-1", &before, is_honest) else { return };
    nothing_invented(&files, &first);
    let (recovered, aside) = (contents(&wal), contents(&quarantine));
    // Of numbers that lie, with checksums that fit, no more is asked: who can write them can write anything.
    if !is_honest {
        _ = run(dir.path(), "fresh-2", &recovered, is_honest);
        return;
    }
    for (name, file) in &files {
        assert!(file.is_accounted_for(name, &recovered, &aside), "{} is gone", name.display());
    }
    for (name, file) in files.iter().filter(|(name, _)| recovered.contains_key(*name)) {
        for id in &file.readable {
            assert!(first.contains_key(id), "{id:?} of {} is lost", name.display());
        }
        assert!(!file.is_damaged || quarantined_rows(dir.path()) > 0, "damage in {} is not named", name.display());
    }
    let last = first.values().max();
    assert!(last.is_some() && last == first.get("fresh-1"), "a sequence number comes after those of the new record");

    let second = run(dir.path(), "fresh-2", &recovered, is_honest).expect("a store that was opened before");
    assert!(second["fresh-2"] > first["fresh-1"], "a sequence number was used twice");
    let rest: BTreeMap<_, _> = second.into_iter().filter(|(id, _)| id != "fresh-2").collect();
    assert_eq!(rest, first, "opening once more changed what is folded");
    let after = contents(&wal);
    for (name, bytes) in &recovered {
        assert!(after.get(name) == Some(bytes), "opening once more changed {}", name.display());
    }
    assert!(contents(&quarantine) == aside, "opening once more moved a file aside");
}

fn nothing_invented(files: &BTreeMap<PathBuf, File>, rows: &BTreeMap<String, i64>) {
    let known: BTreeSet<&str> = files.values().flat_map(|file| &file.anywhere).map(String::as_str).collect();
    for id in rows.keys() {
        assert!(known.contains(id.as_str()) || id == "fresh-1", "{id:?} was invented");
    }
}

/// A file of the log, and what can be said of it beforehand.
struct File {
    forged: Forged,
    /// Request ids in intact frames, wherever they lie.
    anywhere: Vec<String>,
    /// Those that a reader gets to.
    readable: Vec<String>,
    is_damaged: bool,
    /// A reader finds no frame and no damage.
    is_empty: bool,
}

impl File {
    /// Where it was, moved aside, nothing but zeros, or never more than an empty shell.
    fn is_accounted_for(&self, name: &Path, kept: &Contents, aside: &Contents) -> bool {
        let never_started = self.forged.bytes.iter().all(|byte| *byte == 0);
        let moved = |moved: &PathBuf| moved.to_string_lossy().starts_with(&*name.to_string_lossy());
        never_started || self.is_empty || kept.contains_key(name) || aside.keys().any(moved)
    }
}

/// The files of a directory.
type Contents = BTreeMap<PathBuf, Vec<u8>>;

fn write_log(input: &mut Input<'_>, wal: &Path) -> BTreeMap<PathBuf, File> {
    let mut files = BTreeMap::new();
    let mut base = 1;
    for id in 1..=u64::from(1 + input.u8() % 3) {
        let forged = segment(input, id, base);
        base = forged.next_sequence;
        let name = PathBuf::from(file_name(SegmentId(id)));
        std::fs::write(wal.join(&name), &forged.bytes).expect("write");
        let found = plain_scan(&forged.bytes).unwrap_or_default();
        let frames = found.iter().filter_map(|found| match found {
            Found::Frame { payload, .. } => request_id(payload),
            _ => None,
        });
        let readable = frames.collect();
        let is_damaged = found.iter().any(|found| matches!(found, Found::Damage { .. }));
        let is_empty = matches!(found[..], [Found::Stop(_)]);
        let anywhere = intact_anywhere(&forged.bytes);
        files.insert(name, File { forged, anywhere, readable, is_damaged, is_empty });
    }
    files
}

fn intact_anywhere(bytes: &[u8]) -> Vec<String> {
    let Some(header) = header(bytes) else { return Vec::new() };
    let frames = (0..bytes.len()).step_by(4).filter_map(|offset| Frame::decode(&bytes[offset..], header.salt).ok());
    frames.filter_map(|frame| request_id(frame.payload)).collect()
}

fn request_id(payload: &[u8]) -> Option<String> {
    match Record::decode(payload) {
        Ok(Record::Request(request)) => Some(request.request_id.text().into_owned()),
        _ => None,
    }
}

/// Opens the store, records a request, shuts down; the ids and sequence numbers of all requests that are folded then.
/// `None`: the store refused, with a reason that it may have, and left the log untouched.
fn run(dir: &Path, fresh: &str, before: &Contents, is_honest: bool) -> Option<BTreeMap<String, i64>> {
    let mut config = Config::new(dir);
    config.segment_bytes = 64 * 1024;
    config.channel_events = 64;
    config.sync = SyncPolicy::Never;
    config.keep_segments_bytes = Some(u64::MAX);
    let store = match Store::open(config) {
        Ok(store) => store,
        Err(OpenError::Segment(SegmentError::UnsupportedVersion { .. })) => {
            assert!(contents(&dir.join("wal")) == *before, "a newer log was touched");
            return None;
        }
        // A forged header leads to numbers that no store reaches.
        Err(OpenError::Segment(SegmentError::Header { .. })) if !is_honest => return None,
        Err(error) => panic!("{error}"),
    };
    store.recorder().record(Request::new(fresh, 1_760_000_000_000, "p", "ping"));
    let report = store.shutdown(PATIENCE);
    assert_eq!((report.dropped, report.left_in_log), (0, 0), "{report:?}");
    let database = rusqlite::Connection::open(dir.join("store.db")).expect("open the database");
    let mut statement = database.prepare("SELECT request_id, id FROM requests").expect("a table");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    Some(rows.map(|row| row.expect("a row")).collect())
}

fn quarantined_rows(dir: &Path) -> i64 {
    let database = rusqlite::Connection::open(dir.join("store.db")).expect("open the database");
    database.query_row("SELECT count(*) FROM quarantine", [], |row| row.get(0)).expect("a count")
}

fn contents(dir: &Path) -> Contents {
    let Ok(entries) = std::fs::read_dir(dir) else { return Contents::new() };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.map(|path| (PathBuf::from(path.file_name().expect("a name")), std::fs::read(&path).expect("read"))).collect()
}
