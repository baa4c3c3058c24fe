//! What must hold of opening a store, whatever lies in a log of a writer who is dead: no panic, nothing invented, no intact
//! record lost, no file lost, damage named, and opening once more changes nothing.

use crate::forged::{Forged, STORE, WRITER, segment};
use crate::input::Input;
use crate::plain_scan::{Found, header, plain_scan};
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
    let root = tempfile::tempdir().expect("a temporary directory");
    let dir = root.path();
    let log = dir.join("wal").join(WRITER.to_string());
    std::fs::create_dir_all(&log).expect("create");
    std::fs::write(dir.join("store-id"), format!("{STORE}\n")).expect("write");
    let files = write_log(&mut Input::new(input), &log);
    let is_honest = files.values().all(|file| file.forged.is_honest);

    let first = run(dir, "fresh-1");
    nothing_invented(&files, &first);
    // Of numbers that lie, with checksums that fit, no more is asked: who can write them can write anything.
    if !is_honest {
        _ = run(dir, "fresh-2");
        return;
    }
    assert!(!log.exists(), "a dead log stays");
    let left = [contents(&dir.join("kept")), contents(&dir.join("quarantine"))].map(|files| files.into_values());
    let left: BTreeSet<Vec<u8>> = left.into_iter().flatten().collect();
    for (name, file) in &files {
        assert!(file.is_accounted_for(&left), "{} is gone", name.display());
        for id in &file.readable {
            assert!(first.contains_key(id), "{id:?} of {} is lost", name.display());
        }
        assert!(!file.is_damaged || quarantined_rows(dir) > 0, "damage in {} is not named", name.display());
    }

    let second = run(dir, "fresh-2");
    assert!(second["fresh-2"] > first["fresh-1"], "an id was used twice");
    let rest: BTreeMap<_, _> = second.into_iter().filter(|(id, _)| id != "fresh-2").collect();
    assert_eq!(rest, first, "opening once more changed what is folded");
    let after: BTreeSet<Vec<u8>> =
        contents(&dir.join("kept")).into_values().chain(contents(&dir.join("quarantine")).into_values()).collect();
    assert!(left.is_subset(&after), "opening once more changed what is kept");
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
}

impl File {
    /// Kept, moved aside, or nothing but zeros.
    fn is_accounted_for(&self, left: &BTreeSet<Vec<u8>>) -> bool {
        self.forged.bytes.iter().all(|byte| *byte == 0) || left.contains(&self.forged.bytes)
    }
}

/// The files of a directory and of those in it.
type Contents = BTreeMap<PathBuf, Vec<u8>>;

fn write_log(input: &mut Input<'_>, log: &Path) -> BTreeMap<PathBuf, File> {
    let mut files = BTreeMap::new();
    let mut base = 1;
    for id in 1..=u64::from(1 + input.u8() % 3) {
        let forged = segment(input, id, base);
        base = forged.next_sequence;
        let name = PathBuf::from(file_name(SegmentId(id)));
        std::fs::write(log.join(&name), &forged.bytes).expect("write");
        let found = plain_scan(&forged.bytes).unwrap_or_default();
        let frames = found.iter().filter_map(|found| match found {
            Found::Frame { payload, .. } => request_id(payload),
            _ => None,
        });
        let readable = frames.collect();
        let is_damaged = found.iter().any(|found| matches!(found, Found::Damage { .. }));
        let anywhere = intact_anywhere(&forged.bytes);
        files.insert(name, File { forged, anywhere, readable, is_damaged });
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

/// Opens the store, records a request, folds and retires everything, shuts down; the request ids and row ids that are there
/// then.
fn run(dir: &Path, fresh: &str) -> BTreeMap<String, i64> {
    let mut config = Config::new(dir);
    config.segment_bytes = 64 * 1024;
    config.channel_events = 64;
    config.sync = SyncPolicy::Never;
    config.keep_segments_bytes = Some(u64::MAX);
    let store = Store::open(config).expect("opened");
    store.recorder().record(Request::new(fresh, 1_760_000_000_000, "p", "ping"));
    store.wait_expired(PATIENCE).expect("folded, and retired");
    let report = store.shutdown(PATIENCE);
    assert_eq!((report.dropped, report.left_in_log), (0, 0), "{report:?}");
    let database = rusqlite::Connection::open(dir.join("store.db")).expect("open the database");
    let mut statement = database.prepare("SELECT request_id, id FROM requests").expect("a table");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    rows.map(|row| row.expect("a row")).collect()
}

fn quarantined_rows(dir: &Path) -> i64 {
    let database = rusqlite::Connection::open(dir.join("store.db")).expect("open the database");
    database.query_row("SELECT count(*) FROM quarantine", [], |row| row.get(0)).expect("a count")
}

fn contents(dir: &Path) -> Contents {
    let mut files = Contents::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.append(&mut contents(&path));
        } else {
            files.insert(path.clone(), std::fs::read(&path).expect("read"));
        }
    }
    files
}
