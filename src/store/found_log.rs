//! The logs of a store, each with all its files: those that wait in `wal/`, those that are kept in `kept/`, and those that
//! were set aside in `quarantine/`.
//!
//! Runs on the thread that rebuilds. It reads directories, and of each log one header.

use crate::compactor::log_fold::LogFiles;
use crate::ground::config::Config;
use crate::ground::error::PathError;
use crate::ground::position::WriterId;
use crate::segment::directory::{SegmentFile, list_whole};
use crate::segment::folder_birth::logs as logs_of;
use crate::segment::folder_lock::{FolderLock, FolderOwner, probe};
use crate::segment::log_item::Owner;
use crate::segment::quarantine;
use crate::segment::reader::SegmentReader;
use crate::segment::writer_folder::{WriterFolder, writer_folders};
use std::collections::{BTreeMap, HashSet};

/// One log.
#[derive(Debug)]
pub(super) struct FoundLog {
    pub(super) files: LogFiles,
    /// How many of its files lie in `wal/` and `kept/`, and in `quarantine/`.
    pub(super) segments: u64,
    pub(super) quarantined: u64,
    /// When its first segment was begun, if that can be read.
    created_at: i64,
    /// Its writer is dead, and nobody else works on its folder meanwhile.
    _lock: Option<FolderLock>,
}

impl FoundLog {
    fn new(writer: WriterId) -> Self {
        let files = LogFiles { writer, files: Vec::new(), in_wal: HashSet::new(), owner: Owner::Dead };
        Self { files, segments: 0, quarantined: 0, created_at: i64::MAX, _lock: None }
    }

    fn add(&mut self, files: Vec<SegmentFile>) -> u64 {
        let count = files.len() as u64;
        self.files.files.extend(files);
        count
    }

    /// Adds what lies in its folder in `wal/`. Whether its writer lives comes first: what a dead one left is all there then.
    fn add_waiting(&mut self, folder: &WriterFolder, takes_locks: bool) -> Result<(), PathError> {
        if takes_locks {
            match FolderLock::take(&folder.path) {
                FolderOwner::Dead(lock) => self._lock = Some(lock),
                FolderOwner::Living | FolderOwner::Unknown(_) => self.files.owner = Owner::Living,
            }
        } else if probe(&folder.path).unwrap_or(true) {
            self.files.owner = Owner::Living;
        }
        let files = list_whole(&folder.path)?;
        self.files.in_wal.extend(files.iter().map(|file| file.id));
        self.segments += self.add(files);
        Ok(())
    }

    fn look_at_first(&mut self) {
        self.files.files.sort_by_key(|file| file.id);
        let mut headers = self.files.files.iter().filter_map(|file| SegmentReader::open(&file.path).ok());
        self.created_at = headers.next().map_or(i64::MAX, |reader| reader.header().created_at);
    }

    /// Whether its folder in `wal/` is there.
    pub(super) fn is_in_wal(&self) -> bool {
        !self.files.in_wal.is_empty() || self.files.owner == Owner::Living
    }
}

/// By the bytes of their writers' ids.
#[derive(Default)]
struct Logs(BTreeMap<[u8; 16], FoundLog>);

impl Logs {
    fn of(&mut self, writer: WriterId) -> &mut FoundLog {
        self.0.entry(writer.0).or_insert_with(|| FoundLog::new(writer))
    }
}

/// The logs, in the order in which they were begun. With `takes_locks`, nobody else works on what dead writers left as long
/// as what is returned is there; that is for who holds the fold lock.
///
/// # Errors
/// A directory can't be read.
pub(super) fn find(config: &Config, takes_locks: bool) -> Result<Vec<FoundLog>, PathError> {
    let mut logs = Logs::default();
    for folder in logs_of(writer_folders(&config.wal_dir())?) {
        logs.of(folder.writer).add_waiting(&folder, takes_locks)?;
    }
    for folder in writer_folders(&config.kept_dir())?.folders {
        let files = list_whole(&folder.path)?;
        let log = logs.of(folder.writer);
        log.segments += log.add(files);
    }
    for folder in writer_folders(&config.quarantine_dir())?.folders {
        let aside = quarantine::segments(&folder.path).into_iter();
        let files = aside.map(|segment| SegmentFile { id: segment.id, path: segment.path }).collect();
        let log = logs.of(folder.writer);
        log.quarantined += log.add(files);
    }
    let mut logs: Vec<_> = logs.0.into_values().filter(|log| !log.files.files.is_empty()).collect();
    logs.iter_mut().for_each(FoundLog::look_at_first);
    logs.sort_by_key(|log| log.created_at);
    Ok(logs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::position::{SegmentId, Sequence, StoreId};
    use crate::segment::folder_birth::NewFolder;
    use crate::segment::format::LogIdentity;
    use crate::segment::writer::PreparedSegment;

    #[test]
    fn logs_that_are_being_born_keep_nobody_from_finding_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::new(dir.path());
        std::fs::create_dir(config.wal_dir()).unwrap();
        let be_born = |number: u128| {
            let (store, writer) = (StoreId([1; 16]), WriterId(number.to_be_bytes()));
            let folder = NewFolder::create(&config.wal_dir(), store, writer).unwrap();
            let segment = PreparedSegment::create(folder.path(), SegmentId(1), 8192).unwrap();
            segment.activate(LogIdentity { store, writer, needs: 1 }, Sequence(1), 5).unwrap();
            folder.into_place().unwrap();
        };
        for takes_locks in [false, true] {
            std::thread::scope(|scope| {
                let first = 1000 * u128::from(takes_locks);
                let births = scope.spawn(move || (first..first + 500).for_each(be_born));
                while !births.is_finished() {
                    find(&config, takes_locks).expect("what is born meanwhile is no error");
                }
            });
        }
        assert_eq!(find(&config, true).unwrap().len(), 1000);
    }
}
