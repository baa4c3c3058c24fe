//! Where the segments of a log are made: its folder, the names that a power cut may take, and the lock that every mapping
//! of a segment holds.
//!
//! Made at the birth of a log, on the preparing thread; synced on the syncing thread.

use super::folder_birth::NewFolder;
use super::folder_lock::FolderLock;
use crate::ground::error::{AtPath, PathError};
use crate::ground::sabotage::{self, Spot};
use rustix::io::Errno;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The folder of a log. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct LogHome {
    /// Where it is once the log is born.
    pub(super) path: PathBuf,
    pub(super) names: Arc<FolderNames>,
    /// Absent where nobody else looks.
    pub(super) lock: Option<FolderLock>,
}

impl LogHome {
    /// The home of a log that is being born, and will be at that path.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn of_new(folder: &NewFolder, path: PathBuf) -> Result<Self, PathError> {
        Ok(Self { path, names: FolderNames::open(folder.path(), 2)?, lock: folder.lock() })
    }

    /// A folder that nobody locks: for segments that no process writes on.
    #[cfg(test)]
    pub(super) fn unlocked(path: &Path) -> Result<Self, PathError> {
        Ok(Self { path: path.to_owned(), names: FolderNames::open(path, 1)?, lock: None })
    }

    /// Where it is once the log is born.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the folder is where it was put and locked: nobody moved it away, removed it, or put another in its place; and
    /// nobody closed all files of this process, and the lock with them. Then who folds takes the log for a dead one's.
    ///
    /// # Errors
    /// The system does not tell.
    pub(crate) fn is_in_place(&self) -> Result<bool, PathError> {
        match self.lock.as_ref().map_or(Ok(true), |lock| lock.is_of(&self.path)) {
            Err(error) if error.source.raw_os_error() == Some(Errno::BADF.raw_os_error()) => Ok(false),
            told => told,
        }
    }
}

/// The directories that name a segment: its folder; and those above, `wal/` and the store's. Kept open, so that syncing them
/// needs no new file descriptor when the process has run out of them, and reaches them whatever they are called by then.
#[derive(Debug)]
pub(crate) struct FolderNames {
    folder: File,
    /// From the folder upwards.
    above: Vec<File>,
    folder_name_is_durable: AtomicBool,
}

impl FolderNames {
    /// The folder, and so many directories above.
    fn open(folder: &Path, above: usize) -> Result<Arc<Self>, PathError> {
        let is_some = |path: &&Path| !path.as_os_str().is_empty();
        let paths =
            folder.ancestors().skip(1).take(above).map(|path| Some(path).filter(is_some).unwrap_or(Path::new(".")));
        let above = paths.map(|path| File::open(path).at("open", path)).collect::<Result<_, _>>()?;
        let folder = File::open(folder).at("open", folder)?;
        Ok(Arc::new(Self { folder, above, folder_name_is_durable: AtomicBool::new(false) }))
    }

    /// Makes durable that the segment at `path` is in its folder, and the folder in its place. In this order, after the
    /// segment itself: a name that a power cut leaves is then one of something. The name of `wal/` too: another process may
    /// have made that an instant ago.
    pub(super) fn sync(&self, path: &Path) -> Result<(), PathError> {
        sabotage::at(Spot::SyncFolder, path).at("sync the directory of", path)?;
        self.folder.sync_all().at("sync the directory of", path)?;
        if !self.folder_name_is_durable.load(Ordering::Relaxed) {
            for directory in &self.above {
                sabotage::at(Spot::SyncLogs, path).at("sync what holds the directory of", path)?;
                directory.sync_all().at("sync what holds the directory of", path)?;
            }
            self.folder_name_is_durable.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::position::{SegmentId, Sequence, StoreId, WriterId};
    use crate::segment::folder_lock::probe;
    use crate::segment::format::LogIdentity;
    use crate::segment::writer::PreparedSegment;
    use crate::segment::writer_folder::WriterFolder;

    const WRITER: WriterId = WriterId([7; 16]);

    #[test]
    fn a_log_is_locked_as_long_as_anybody_can_write_into_a_segment_of_it() {
        let wal = tempfile::tempdir().unwrap();
        let place = WriterFolder::within(wal.path(), WRITER).path;
        let new = NewFolder::create(wal.path(), StoreId([5; 16]), WRITER).unwrap();
        let home = LogHome::of_new(&new, place.clone()).unwrap();
        let first = PreparedSegment::create_in(new.path(), &home, SegmentId(1), 65536).unwrap();
        let (mut writer, syncer) = first.activate(LogIdentity::sample(WRITER), Sequence(1), 5).unwrap();
        drop(new.into_place().unwrap());
        assert!(home.is_in_place().unwrap());
        // One that is only prepared holds it as well.
        let next = PreparedSegment::create_in(&place, &home, SegmentId(2), 65536).unwrap();
        next.discard();
        drop(home);
        assert!(probe(&place).unwrap());
        // The last frame, and then the last mark.
        writer.append(b"the last one").unwrap();
        let extent = writer.finish();
        assert!(probe(&place).unwrap());
        syncer.seal(extent, false).unwrap();
        assert!(!probe(&place).unwrap());
    }
}
