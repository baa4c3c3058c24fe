//! Making the database anew: what it derives from its rows, or all of it from the log.
//!
//! Runs on the caller's thread. It is a writer of the store like any other, and so is refused while one is open.

pub use crate::index::rebuild::RebuildReport;

use super::lock::StoreLock;
use super::store::Store;
use crate::ground::config::Config;
use crate::ground::error::{AtPath, IndexError, OpenError, PathError, SegmentError, WaitError};
use crate::ground::health::Part;
use crate::ground::private_dir::create_private_dir;
use crate::index::checkpoint::{self, Checkpoint};
use crate::index::database::{self, DATABASE_NAME, Index};
use crate::query::database::Query;
use crate::segment::directory::{list, sync_directory};
use crate::segment::log_owners::LogOwners;
use crate::segment::quarantine;
use crate::segment::reader::SegmentReader;
use crate::segment::survey::Survey;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often progress is told.
const TELL_INTERVAL: Duration = Duration::from_millis(200);
/// Folding that reports trouble for so long does not get over that by itself.
const STALLED_AFTER: Duration = Duration::from_secs(30);

/// The endings of the names of a database's files, in the order in which the files are moved: the companions first. One
/// that stayed behind would be taken for the new database's; a database without them is only older than it was.
const COMPANIONS: [&str; 3] = ["-shm", "-wal", ""];

/// How long the new database may take to close.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);

/// What a database is made from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Its own rows where it is sound; the log where it is damaged or gone.
    #[default]
    BestKept,
    /// The log, also where the database is sound.
    Log,
}

/// What was made anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rebuilt {
    /// Roll-ups, sums and digests, from the rows.
    Rows(RebuildReport),
    /// The whole database, from the log.
    Log(RefoldReport),
}

/// A database that was made from the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RefoldReport {
    /// Rows of table `requests` now.
    pub requests: i64,
    /// Rows of table `sessions` now.
    pub sessions: i64,
    /// Segments that were folded.
    pub segments: u64,
    /// Records that were recorded before the oldest that the log still holds: their segments were folded and deleted,
    /// and only the database that was moved away had them.
    pub records_before_log: u64,
    /// Where the database went that was there before.
    pub moved_to: Option<PathBuf>,
}

/// Why a database was not made anew.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebuildError {
    /// The store can't be opened: there is none, or another process writes to it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Folding does not get on.
    #[error(
        "folding the log does not get on: {0}; what is folded so far stays, and the next one who opens the store goes on"
    )]
    Stalled(String),
}

impl From<IndexError> for RebuildError {
    fn from(error: IndexError) -> Self {
        Self::Open(error.into())
    }
}

impl From<SegmentError> for RebuildError {
    fn from(error: SegmentError) -> Self {
        Self::Open(error.into())
    }
}

impl From<PathError> for RebuildError {
    fn from(error: PathError) -> Self {
        Self::Open(error.into())
    }
}

/// Makes the database of the store in `dir` anew. `progress` is told now and then how much is done, from 0 to 1.
///
/// From rows, it is one transaction: whoever reads meanwhile sees the old state or the new one. From the log, the old
/// database is moved into `quarantine/` first, and nothing of it is deleted; the new one shrinks if the old one did.
/// Segments that lie there are folded once more, as far as they are intact.
///
/// # Errors
/// [`RebuildError`]: the directory has no store, another process writes to it, or something can't be read or written.
pub fn rebuild(dir: &Path, source: Source, mut progress: impl FnMut(f64)) -> Result<Rebuilt, RebuildError> {
    expect_store(dir)?;
    let lock = StoreLock::acquire(dir)?;
    let wal_dir = dir.join("wal");
    create_private_dir(&wal_dir)?;
    let owners = Survey::of(&wal_dir)?.owners();
    if source == Source::BestKept && rows_are_sound(dir)? {
        return Ok(Rebuilt::Rows(Index::open(&Config::new(dir), &owners)?.rebuild(&mut progress)?));
    }
    // Whose log it is, before anything is moved. A database of another store has no say: it goes.
    let told = Query::open(dir).and_then(|query| query.read_with(checkpoint::read)).ok().flatten();
    let told = told.map(|(writer_id, _)| writer_id).filter(|told| owners.is_empty() || owners.has(*told));
    let owner = owners.owner(dir, told)?;
    let moved_to = move_database(dir)?;
    let shrinks = moved_to.as_deref().is_some_and(database::shrinks);
    // Created here: opening the store would not know that it is to shrink, nor, among segments of two stores, whose log
    // it is.
    let mut index = Index::open_as(&Config::new(dir), &LogOwners::default(), shrinks)?;
    if let Some(owner) = owner {
        index.begin()?.commit(owner, Checkpoint::START)?;
    }
    drop(index);
    quarantine::take_back(&dir.join("quarantine"), &wal_dir, owner)?;
    // Opening the store takes the lock itself. Whoever is quicker makes the database in its place.
    drop(lock);
    refold(dir, moved_to, &mut progress).map(Rebuilt::Log)
}

/// An error where there is neither log nor database, before anything is created.
fn expect_store(dir: &Path) -> Result<(), RebuildError> {
    let (database, wal_dir) = (dir.join(DATABASE_NAME), dir.join("wal"));
    let has_log = wal_dir.is_dir() && !list(&wal_dir)?.is_empty();
    if has_log || database.exists() { Ok(()) } else { Err(IndexError::Missing { path: database }.into()) }
}

/// Whether there is a database whose rows can be trusted.
fn rows_are_sound(dir: &Path) -> Result<bool, IndexError> {
    match Query::open(dir).and_then(|query| query.integrity(true)) {
        Ok(found) => Ok(found.damage.is_empty()),
        Err(IndexError::Missing { .. }) => Ok(false),
        Err(error) if error.is_corrupt() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Moves the database and its companions into `quarantine/`; `None` if there is none.
fn move_database(dir: &Path) -> Result<Option<PathBuf>, OpenError> {
    let quarantine_dir = dir.join("quarantine");
    create_private_dir(&quarantine_dir)?;
    let is_free = |name: &String| {
        COMPANIONS.iter().all(|companion| quarantine_dir.join(format!("{name}{companion}")).symlink_metadata().is_err())
    };
    let name = (1_u32..).map(|number| format!("{DATABASE_NAME}.{number}")).find(is_free);
    let name = name.unwrap_or_else(|| DATABASE_NAME.to_owned());
    let mut moved_to = None;
    for companion in COMPANIONS {
        let from = dir.join(format!("{DATABASE_NAME}{companion}"));
        let to = quarantine_dir.join(format!("{name}{companion}"));
        match std::fs::rename(&from, &to) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            renamed => {
                renamed.at("move to quarantine", &from)?;
                moved_to = companion.is_empty().then_some(to);
            }
        }
    }
    sync_directory(&quarantine_dir)?;
    sync_directory(dir)?;
    Ok(moved_to)
}

/// Folds the whole log into a new database, and keeps the log.
fn refold(dir: &Path, moved_to: Option<PathBuf>, progress: &mut dyn FnMut(f64)) -> Result<RefoldReport, RebuildError> {
    let wal_dir = dir.join("wal");
    let segments = list(&wal_dir)?;
    let first = segments.iter().find_map(|file| SegmentReader::open(&file.path).ok());
    let records_before_log = first.map_or(0, |reader| reader.header().base_sequence.0 - 1);
    let store = Store::open_keeping_log(Config::new(dir))?;
    let all = store.stats().lag_records.max(1) as f64;
    let mut well_at = Instant::now();
    loop {
        match store.wait_folded(TELL_INTERVAL) {
            Ok(()) => break,
            Err(WaitError::Timeout(_)) => {}
            Err(error) => return Err(RebuildError::Stalled(error.to_string())),
        }
        let stats = store.stats();
        progress(1.0 - stats.lag_records as f64 / all);
        match stats.health.problems.get(&Part::Fold) {
            None => well_at = Instant::now(),
            Some(problem) if well_at.elapsed() > STALLED_AFTER => return Err(RebuildError::Stalled(problem.clone())),
            Some(_) => {}
        }
    }
    store.shutdown(SHUTDOWN_PATIENCE);
    let totals = Query::open(dir)?.totals()?;
    Ok(RefoldReport {
        requests: totals.requests,
        sessions: totals.sessions,
        segments: segments.len() as u64,
        records_before_log,
        moved_to,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::position::{SegmentId, Sequence, WriterId};
    use crate::segment::writer::PreparedSegment;

    #[test]
    fn a_database_moves_under_a_name_that_none_of_its_companions_takes_from_another() {
        let dir = tempfile::tempdir().unwrap();
        let (here, there) = (dir.path(), dir.path().join("quarantine"));
        std::fs::create_dir(&there).unwrap();
        // What a crash left of an earlier move: the companions go first.
        std::fs::write(there.join("store.db.1-wal"), "of an earlier database").unwrap();
        std::fs::write(here.join("store.db"), "database").unwrap();
        std::fs::write(here.join("store.db-wal"), "its log").unwrap();
        assert_eq!(move_database(here).unwrap(), Some(there.join("store.db.2")));
        assert_eq!(std::fs::read(there.join("store.db.1-wal")).unwrap(), b"of an earlier database");
        assert_eq!(std::fs::read(there.join("store.db.2-wal")).unwrap(), b"its log");
    }

    #[test]
    fn a_database_made_from_the_log_shrinks_if_the_one_before_did() {
        for database_bytes_max in [None, Some(1 << 40)] {
            let dir = tempfile::tempdir().unwrap();
            let mut config = Config::new(dir.path().join("data"));
            config.keep_segments_bytes = Some(u64::MAX);
            config.database_bytes_max = database_bytes_max;
            let store = Store::open(config.clone()).unwrap();
            store.recorder().record(crate::Request::new("request", 1, "files", "tools/call"));
            store.shutdown(SHUTDOWN_PATIENCE);
            let Rebuilt::Log(report) = rebuild(&config.dir, Source::Log, |_| {}).unwrap() else {
                panic!("not the log")
            };
            assert_eq!(report.requests, 1);
            assert_eq!(database::shrinks(&config.dir.join(DATABASE_NAME)), database_bytes_max.is_some());
        }
    }

    #[test]
    fn another_stores_segment_stays_in_quarantine_and_the_log_is_folded() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::new(dir.path().join("data"));
        config.keep_segments_bytes = Some(0);
        for number in 0..3 {
            let store = Store::open(config.clone()).unwrap();
            store.recorder().record(crate::Request::new(&format!("request-{number}"), 1, "files", "tools/call"));
            store.shutdown(SHUTDOWN_PATIENCE);
        }
        let (wal_dir, quarantine_dir) = (config.wal_dir(), config.quarantine_dir());
        let left = list(&wal_dir).unwrap();
        assert!(left[0].id.0 > 1, "the number that the other store's segment has is free: {left:?}");
        create_private_dir(&quarantine_dir).unwrap();
        let foreign = PreparedSegment::create(&quarantine_dir, SegmentId(1), 65536).unwrap();
        let (mut writer, _syncer) = foreign.activate(WriterId([9; 16]), Sequence(1), 5).unwrap();
        writer.append(b"theirs").unwrap();
        let Rebuilt::Log(report) = rebuild(&config.dir, Source::Log, |_| {}).unwrap() else { panic!("not the log") };
        assert_eq!(report.requests, left.len() as i64);
        assert!(quarantine_dir.join("000000000001.seg").exists());
        assert!(left.iter().all(|segment| !quarantine_dir.join(segment.path.file_name().unwrap()).exists()));
    }
}
