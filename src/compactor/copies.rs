//! Copies of what was recorded, beside the log and the database: what lies in `quarantine/`, and the database as it was
//! before it was brought up to date. They go when everything in them is expired.
//!
//! Runs on the compactor. Whoever keeps requests for 30 days means these too. Each goes by the newest event in it; where
//! that can't be read, by the time at which the file was last written, which is later. So nothing goes, folded or not, of
//! which a part is younger. What has another name than mcplog gives is somebody else's, and stays.

use super::newest_event::newest_event;
use crate::ground::config::Config;
use crate::ground::error::{AtPath, PathError};
use crate::ground::file_time::written_at_ms;
use crate::index::database::DATABASE_NAME;
use crate::index::migration::is_copy;
use crate::query::aside::newest_in_database;
use crate::segment::directory::sync_directory;
use crate::segment::quarantine;
use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often to look for copies that became too old.
const INTERVAL: Duration = Duration::from_secs(60);
/// How many bytes of copies are read in one look. The rest has its turn at the next one.
const LOOK_BYTES: u64 = 32 * 1024 * 1024;
/// The endings of the names of a database's companions.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// The compactor's part that lets copies go.
pub(super) struct Copies {
    dir: PathBuf,
    quarantine_dir: PathBuf,
    /// Before which time everything was expired at the last look that was through, and when that was.
    looked: Option<(i64, Instant)>,
    /// How new what is in each copy is, and what its file was like when that was read.
    newest: HashMap<PathBuf, (FileState, i64)>,
}

/// What tells whether a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileState {
    bytes: u64,
    written_at_ms: Option<i64>,
}

/// A copy.
#[derive(Debug)]
enum Copy {
    Segment(PathBuf),
    /// A database, or a companion that one has left.
    Database(PathBuf),
    /// The note of a segment that is not there.
    Note(PathBuf),
}

impl Copies {
    pub(super) fn new(config: &Config) -> Self {
        Self { dir: config.dir.clone(), quarantine_dir: config.quarantine_dir(), looked: None, newest: HashMap::new() }
    }

    /// Deletes copies in which everything is from before `expired_before`.
    pub(super) fn expire(&mut self, expired_before: i64) -> Result<(), PathError> {
        let is_looked_at = |(before, at): (i64, Instant)| before == expired_before && at.elapsed() < INTERVAL;
        if self.looked.is_some_and(is_looked_at) {
            return Ok(());
        }
        let (mut gone, mut bytes, mut is_through) = (Vec::new(), 0, true);
        let copies = self.list();
        self.newest.retain(|path, _| copies.iter().any(|copy| copy.path() == path));
        for copy in copies {
            let Ok(metadata) = std::fs::symlink_metadata(copy.path()) else { continue };
            if !metadata.is_file() {
                continue;
            }
            let state = FileState { bytes: metadata.len(), written_at_ms: written_at_ms(copy.path()) };
            let known = self.newest.get(copy.path()).filter(|(known, _)| *known == state).map(|(_, newest)| *newest);
            if known.is_none() && bytes >= LOOK_BYTES {
                is_through = false;
                continue;
            }
            let newest = known.unwrap_or_else(|| {
                bytes += state.bytes;
                copy.newest()
            });
            self.newest.insert(copy.path().to_owned(), (state, newest));
            if newest < expired_before {
                gone.push(copy);
            }
        }
        self.delete(&gone)?;
        self.looked = is_through.then(|| (expired_before, Instant::now()));
        Ok(())
    }

    /// Every copy that there is.
    fn list(&self) -> Vec<Copy> {
        let aside = quarantine::all_segments(&self.quarantine_dir).into_iter();
        let segments = aside.map(|(_, found)| Copy::Segment(found.path));
        let notes = quarantine::notes_alone(&self.quarantine_dir).into_iter().map(Copy::Note);
        let moved = files(&self.quarantine_dir).into_iter().filter(|path| {
            let alone = database_of(path).is_none_or(|database| database.symlink_metadata().is_err());
            is_moved_database(path) && alone
        });
        let database = self.dir.join(DATABASE_NAME);
        let before = files(&self.dir).into_iter().filter(|path| is_copy(path, &database));
        segments.chain(notes).chain(moved.chain(before).map(Copy::Database)).collect()
    }

    /// Deletes them, and says which and why.
    fn delete(&mut self, gone: &[Copy]) -> Result<(), PathError> {
        if gone.is_empty() {
            return Ok(());
        }
        let mut deleted = Vec::new();
        let mut done = Ok(());
        for copy in gone {
            // The note last: without its file it goes by itself.
            let result = copy.files().iter().try_for_each(|path| remove(path));
            match result {
                Ok(()) => deleted.push(copy.path().file_name().unwrap_or_default().to_string_lossy().into_owned()),
                Err(error) => done = done.and(Err(error)),
            }
            self.newest.remove(copy.path());
        }
        let files = deleted.join(", ");
        tracing::info!(files, "deleted copies: everything in them is older than keep_rows_age_ms");
        let folders: HashSet<_> = gone.iter().filter_map(|copy| copy.path().parent()).collect();
        for folder in folders.into_iter().filter(|folder| folder.parent() == Some(&self.quarantine_dir)) {
            match std::fs::remove_dir(folder) {
                // What has another name stays, and the folder with it.
                Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => sync_directory(folder)?,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                removed => removed.at("remove", folder)?,
            }
        }
        for dir in [&self.quarantine_dir, &self.dir] {
            if dir.is_dir() {
                sync_directory(dir)?;
            }
        }
        done
    }
}

impl Copy {
    fn path(&self) -> &Path {
        let (Self::Segment(path) | Self::Database(path) | Self::Note(path)) = self;
        path
    }

    /// The time of the newest event in it, in Unix milliseconds.
    fn newest(&self) -> i64 {
        let by_file = |path: &Path| written_at_ms(path).unwrap_or(i64::MAX);
        match self {
            Self::Segment(path) => newest_event(path),
            Self::Database(path) => {
                let [wal, _] = companions(path);
                // What SQLite's WAL has beside it is not read.
                let newest = if has_bytes(&wal) { None } else { newest_in_database(path) };
                newest.unwrap_or_else(|| by_file(path).max(written_at_ms(&wal).unwrap_or(i64::MIN)))
            }
            Self::Note(path) => by_file(path),
        }
    }

    /// The files that go with it, and last of all what says what it was.
    fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Segment(path) => vec![path.clone(), quarantine::note_path(path)],
            Self::Database(path) => companions(path).into_iter().chain([path.clone()]).collect(),
            Self::Note(path) => vec![path.clone()],
        }
    }
}

/// The files in a directory, in the order of their names; none if it can't be read.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The database of which a file is a companion by its name.
fn database_of(companion: &Path) -> Option<PathBuf> {
    let name = companion.file_name()?.to_str()?;
    let name = COMPANIONS.iter().find_map(|ending| name.strip_suffix(ending))?;
    Some(companion.with_file_name(name))
}

/// Whether the name is one that a database gets when it is moved into the quarantine, or a companion's of one.
fn is_moved_database(path: &Path) -> bool {
    let database = database_of(path).unwrap_or_else(|| path.to_owned());
    let name = database.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let number = name.strip_prefix(DATABASE_NAME).and_then(|rest| rest.strip_prefix('.'));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn companions(database: &Path) -> [PathBuf; COMPANIONS.len()] {
    COMPANIONS.map(|ending| {
        let mut name = database.as_os_str().to_owned();
        name.push(ending);
        name.into()
    })
}

fn has_bytes(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.len() > 0)
}

fn remove(path: &Path) -> Result<(), PathError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.at("remove", path),
    }
}
