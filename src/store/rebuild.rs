//! Making the database anew: what it derives from its rows, or all of it from the log.
//!
//! Runs on the caller's thread. It is a writer of the store like any other, and so is refused while one is open.

pub use super::old_database::LimitsFrom;
pub use crate::index::rebuild::RebuildReport;

use super::lock::StoreLock;
use super::old_database::OldDatabase;
use super::store::Store;
use crate::compactor::newest_event::newest_event;
use crate::ground::clock::now_ms;
use crate::ground::config::Config;
use crate::ground::error::{AtPath, IndexError, OpenError, PathError, SegmentError, WaitError};
use crate::ground::health::Part;
use crate::ground::limits::{Limit, Limits};
use crate::ground::position::WriterId;
use crate::ground::private_dir::create_private_dir;
use crate::index::checkpoint::Checkpoint;
use crate::index::database::{self, DATABASE_NAME, Index};
use crate::index::expiry_plan;
use crate::index::row_retention::RowRetention;
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
    /// Requests in the log that were not folded, because they are expired: they are from before [`RefoldReport::kept_since`].
    pub expired_requests: u64,
    /// Since when requests are kept, in Unix milliseconds; `None`: nothing is expired.
    pub kept_since: Option<i64>,
    /// What the store keeps from now on, and for how long.
    pub limits: Limits,
    /// Where these limits come from.
    pub limits_from: LimitsFrom,
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

/// Makes the database of the store in `config.dir` anew. `progress` is told now and then how much is done, from 0 to 1.
///
/// From rows, it is one transaction: whoever reads meanwhile sees the old state or the new one. From the log, the old
/// database is moved into `quarantine/` first, and nothing of it is deleted; the new one shrinks if the old one did.
/// Segments that lie there are folded once more, as far as they are intact.
///
/// What `config` says of the store's limits is told the store, as by [`Store::open`]; what it does not say stays as the old
/// database remembers it. What had expired there does not come back: it is not even folded, unless `config` says anew how
/// long requests are kept, or how large the database may get.
///
/// # Errors
/// [`RebuildError`]: the directory has no store, another process writes to it, or something can't be read or written.
pub fn rebuild(config: &Config, source: Source, mut progress: impl FnMut(f64)) -> Result<Rebuilt, RebuildError> {
    config.validate().map_err(OpenError::from)?;
    let dir = &config.dir;
    expect_store(dir)?;
    let lock = StoreLock::acquire(dir)?;
    let wal_dir = config.wal_dir();
    create_private_dir(&wal_dir)?;
    let owners = Survey::of(&wal_dir)?.owners();
    if source == Source::BestKept && rows_are_sound(dir)? {
        return Ok(Rebuilt::Rows(Index::open(config, &owners)?.rebuild(&mut progress)?));
    }
    let mut old = OldDatabase::read(dir);
    if old.writer_id.is_some_and(|writer_id| !owners.is_empty() && !owners.has(writer_id)) {
        old.ignore();
    }
    // Whose log it is, before anything is moved.
    let owner = owners.owner(dir, old.writer_id)?;
    let mut told = config.clone();
    let limits_from = old.complete(&mut told);
    let kept_since = kept_since(config, &told.limits(), &old)?;
    let moved_to = move_database(dir)?;
    prepare(&told, owner, kept_since, old.caller_salt.as_deref(), moved_to.as_deref().is_some_and(database::shrinks))?;
    quarantine::take_back(&config.quarantine_dir(), &wal_dir, owner)?;
    // Opening the store takes the lock itself. Whoever is quicker makes the database in its place.
    drop(lock);
    refold(&told, moved_to, limits_from, &mut progress).map(Rebuilt::Log)
}

/// Since when the new database keeps requests, if anything is expired from the outset.
///
/// Where `config` tells nothing of what of the database is kept, that is what the old database says: a request that had
/// expired does not come back, and no clock is asked. Otherwise ages count from the newest event in the log, if that is
/// before now; the store that is opened later lets go the rest by its clock.
fn kept_since(config: &Config, limits: &Limits, old: &OldDatabase) -> Result<Option<i64>, PathError> {
    let is_told = config.told(Limit::RowsAge).is_some() || config.told(Limit::DatabaseBytes).is_some();
    if !is_told && old.kept_since.is_some() {
        return Ok(old.kept_since);
    }
    let retention = RowRetention::new(limits);
    if limits.keep_rows_age_ms.is_none() {
        return Ok(None);
    }
    let newest = list(&config.wal_dir())?.iter().map(|segment| newest_event(&segment.path)).max();
    Ok(newest.filter(|newest| *newest > i64::MIN).and_then(|newest| retention.kept_since_by_age(newest.min(now_ms()))))
}

/// Creates the new database: opening the store would know neither what the store keeps and what is expired nor, among
/// segments of two stores, whose log it is.
fn prepare(
    told: &Config,
    owner: Option<WriterId>,
    kept_since: Option<i64>,
    caller_salt: Option<&str>,
    shrinks: bool,
) -> Result<(), RebuildError> {
    let shrinks = shrinks || RowRetention::new(&told.limits()).is_limited();
    let mut index = Index::open_as(told, &LogOwners::default(), shrinks)?;
    if let Some(kept_since) = kept_since {
        index.begin_expiring(kept_since)?;
    }
    if let Some(salt) = caller_salt {
        index.salt_callers(salt)?;
    }
    if let Some(owner) = owner {
        index.begin()?.commit(owner, Checkpoint::START)?;
    }
    Ok(())
}

/// An error where there is neither log nor database, before anything is created.
fn expect_store(dir: &Path) -> Result<(), RebuildError> {
    let (database, wal_dir) = (dir.join(DATABASE_NAME), dir.join("wal"));
    // What nobody may look at is not absent.
    let has_log = wal_dir.try_exists().at("look at", &wal_dir)? && !list(&wal_dir)?.is_empty();
    let has_database = database.try_exists().at("look at", &database)?;
    if has_log || has_database { Ok(()) } else { Err(IndexError::Missing { path: database, has_log }.into()) }
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

/// Folds the whole log into the new database, and keeps the log.
fn refold(
    told: &Config,
    moved_to: Option<PathBuf>,
    limits_from: LimitsFrom,
    progress: &mut dyn FnMut(f64),
) -> Result<RefoldReport, RebuildError> {
    let segments = list(&told.wal_dir())?;
    let first = segments.iter().find_map(|file| SegmentReader::open(&file.path).ok());
    let records_before_log = first.map_or(0, |reader| reader.header().base_sequence.0 - 1);
    let store = Store::open_keeping_log(Config::new(&told.dir))?;
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
    let (kept_since, expired_requests) = finish_expiring(told)?;
    let totals = Query::open(&told.dir)?.totals()?;
    Ok(RefoldReport {
        requests: totals.requests,
        sessions: totals.sessions,
        segments: segments.len() as u64,
        records_before_log,
        expired_requests,
        kept_since,
        limits: told.limits(),
        limits_from,
        // It goes too, once everything in it is expired.
        moved_to: moved_to.filter(|path| path.exists()),
    })
}

/// Removes whatever else is expired: sessions that were over, schema versions that were replaced. Since when requests are
/// kept, and how many of the log were not.
fn finish_expiring(told: &Config) -> Result<(Option<i64>, u64), RebuildError> {
    let _lock = StoreLock::acquire(&told.dir)?;
    let owners = Survey::of(&told.wal_dir())?.owners();
    let mut index = Index::open(&Config::new(&told.dir), &owners)?;
    index.finish_expiring()?;
    drop(index);
    let query = Query::open(&told.dir)?;
    let expired = query.read_with(expiry_plan::expired)?;
    Ok((expired.map(|(kept_since, _)| kept_since), expired.map_or(0, |(_, late_requests)| late_requests)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::position::{SegmentId, Sequence};
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
            let Rebuilt::Log(report) = rebuild(&Config::new(&config.dir), Source::Log, |_| {}).unwrap() else {
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
        let Rebuilt::Log(report) = rebuild(&Config::new(&config.dir), Source::Log, |_| {}).unwrap() else {
            panic!("not the log")
        };
        assert_eq!(report.requests, left.len() as i64);
        assert!(quarantine_dir.join("000000000001.seg").exists());
        assert!(left.iter().all(|segment| !quarantine_dir.join(segment.path.file_name().unwrap()).exists()));
    }
}
