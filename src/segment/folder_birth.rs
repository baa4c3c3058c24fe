//! How a writer's folder comes into being: under another name, locked, and only then in its place.
//!
//! Made under its own name and locked afterwards, a folder would be there for an instant with its lock free, and
//! whoever folds took its writer for dead and removed it under its hands.
//!
//! Runs on the appender, before the first record, and on whoever folds, for those whose birth a crash cut short.

use super::directory::{PREPARED_EXTENSION, file_name, list, prepared_name};
use super::folder_boot;
use super::folder_lock::{FolderLock, FolderOwner, is_gone, is_untold, probe};
use super::reader::{Item, SegmentReader};
use super::writer_folder::{FoundFolders, WriterFolder};
use crate::ground::error::{AtPath, PathError};
use crate::ground::position::{SegmentId, StoreId, WriterId};
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// How often the folder is made anew where somebody who cleans up took the lock first, or removed it before it was
/// locked. That takes microseconds each time.
const ATTEMPTS_MAX: u32 = 1000;

/// What a folder has in it before it has its name.
const FIRST_SEGMENT: SegmentId = SegmentId(1);

/// A folder that is locked, and does not have its name yet.
#[derive(Debug)]
pub struct NewFolder {
    place: WriterFolder,
    path: PathBuf,
    store: StoreId,
    /// Taken when the folder gets its place.
    lock: Option<FolderLock>,
}

/// What became of a folder whose birth was cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unborn {
    /// It is being born right now, or somebody else sees to it; or nobody can tell.
    Living,
    /// It is gone.
    Removed,
    /// It is there still: something in it is not to be removed. Its records are read as a dead writer's.
    Kept,
}

impl NewFolder {
    /// Makes the folder of a writer in `wal_dir`, which is there, and locks it.
    ///
    /// # Errors
    /// The system refuses.
    pub fn create(wal_dir: &Path, store: StoreId, writer: WriterId) -> Result<Self, PathError> {
        let (place, path) = (WriterFolder::within(wal_dir, writer), WriterFolder::unborn_path(wal_dir, writer));
        for _ in 0..ATTEMPTS_MAX {
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(error).at("create directory", &path);
                }
                _ => {}
            }
            match FolderLock::of_new(&path) {
                Ok(Some(lock)) => return Ok(Self { place, path, store, lock: Some(lock) }),
                Err(error) if !is_gone(&error) => {
                    // Nothing is in it yet. Where another process holds its lock by now, that one sees to it.
                    let _ = std::fs::remove_file(folder_boot::path(&path));
                    let _ = std::fs::remove_dir(&path);
                    return Err(error);
                }
                Ok(None) | Err(_) => std::thread::yield_now(),
            }
        }
        Err(PathError { operation: "lock", path, source: ErrorKind::WouldBlock.into() })
    }

    /// Where it is now: here its first segment is made.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its lock, for the mapping of its first segment.
    pub fn lock(&self) -> Option<FolderLock> {
        self.lock.clone()
    }

    /// The store that its log is a part of.
    pub fn store(&self) -> StoreId {
        self.store
    }

    /// Whose log it will have.
    pub fn writer(&self) -> WriterId {
        self.place.writer
    }

    /// Gives the folder its name. Nothing is synced.
    ///
    /// # Errors
    /// The system refuses. The folder is gone then, with what is in it.
    pub fn into_place(mut self) -> Result<(WriterFolder, FolderLock), PathError> {
        std::fs::rename(&self.path, &self.place.path).at("rename", &self.path)?;
        let lock = self.lock.take().ok_or_else(|| PathError {
            operation: "lock",
            path: self.path.clone(),
            source: ErrorKind::NotFound.into(),
        })?;
        Ok((self.place.clone(), lock))
    }
}

impl Drop for NewFolder {
    /// Removes a folder that did not get its place.
    fn drop(&mut self) {
        if self.lock.is_none() {
            return;
        }
        // By the names that there can be: a process that has run out of file descriptors can't read the folder.
        for name in [prepared_name(FIRST_SEGMENT), file_name(FIRST_SEGMENT)] {
            let _ = std::fs::remove_file(self.path.join(name));
        }
        let _ = std::fs::remove_file(folder_boot::path(&self.path));
        if std::fs::remove_dir(&self.path).is_err() {
            // What can't be removed now, whoever folds removes later.
            let _ = remove(&self.path);
        }
    }
}

/// Removes a folder whose birth a crash cut short, unless a frame is in it.
///
/// # Errors
/// The system refuses.
pub fn remove_unborn(path: &Path) -> Result<Unborn, PathError> {
    let _lock = match FolderLock::take(path) {
        FolderOwner::Dead(lock) => lock,
        FolderOwner::Living => return Ok(Unborn::Living),
        FolderOwner::Unknown(error) if is_gone(&error) => return Ok(Unborn::Removed),
        FolderOwner::Unknown(error) if is_untold(&error) => return Ok(Unborn::Living),
        FolderOwner::Unknown(error) => return Err(error),
    };
    if list(path)?.iter().any(|file| has_frames(&file.path)) { Ok(Unborn::Kept) } else { remove(path) }
}

/// The logs among what was found in `wal/`: by their names, and then those whose names a power cut took back.
pub fn logs(found: FoundFolders) -> Vec<WriterFolder> {
    found.folders.into_iter().chain(abandoned(found.unborn)).collect()
}

/// Those of the folders that were being born which may have records, and whose writers are dead: a power cut took their
/// names back. One that is being born right now has nothing yet, and has another name at any moment.
fn abandoned(unborn: Vec<WriterFolder>) -> impl Iterator<Item = WriterFolder> {
    let is_abandoned = |folder: &WriterFolder| matches!(probe(&folder.path), Ok(false));
    let has_records =
        |folder: &WriterFolder| list(&folder.path).is_ok_and(|files| files.iter().any(|file| has_frames(&file.path)));
    unborn.into_iter().filter(move |folder| is_abandoned(folder) && has_records(folder))
}

/// Removes what a birth leaves in a folder, by name, and the folder.
fn remove(path: &Path) -> Result<Unborn, PathError> {
    let segments = list(path)?.into_iter().map(|file| file.path);
    for file in segments.chain(prepared(path)?) {
        std::fs::remove_file(&file).at("remove", &file)?;
    }
    match std::fs::remove_file(folder_boot::path(path)) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).at("remove", &folder_boot::path(path)),
        _ => {}
    }
    match std::fs::remove_dir(path) {
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(Unborn::Kept),
        removed => removed.at("remove", path).map(|()| Unborn::Removed),
    }
}

/// The files that were being prepared.
fn prepared(path: &Path) -> Result<Vec<PathBuf>, PathError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).at("read directory", path)? {
        let file = entry.at("read directory", path)?.path();
        files.extend(Some(file).filter(|file| file.extension().is_some_and(|found| found == PREPARED_EXTENSION)));
    }
    Ok(files)
}

/// Whether a record may be in the file: there is a frame, or nobody can tell.
fn has_frames(path: &Path) -> bool {
    use crate::ground::error::{HeaderFault, SegmentError};
    match SegmentReader::open(path) {
        Ok(mut reader) => !matches!(reader.next(), Ok(Item::Stop(_))),
        Err(SegmentError::Header { fault: HeaderFault::NeverStarted, .. }) => false,
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::position::Sequence;
    use crate::segment::format::LogIdentity;
    use crate::segment::writer::PreparedSegment;
    use crate::segment::writer_folder::writer_folders;
    use std::sync::atomic::{AtomicBool, Ordering};

    const STORE: StoreId = StoreId([5; 16]);
    const WRITER: WriterId = WriterId([7; 16]);

    fn wal() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_folder_that_has_its_name_is_locked_from_its_first_instant_on() {
        let wal = wal();
        let new = NewFolder::create(wal.path(), STORE, WRITER).unwrap();
        assert!(probe(new.path()).unwrap());
        assert_eq!(remove_unborn(new.path()).unwrap(), Unborn::Living);
        assert_eq!((new.store(), new.writer()), (STORE, WRITER));
        let (folder, lock) = new.into_place().unwrap();
        let found = writer_folders(wal.path()).unwrap();
        assert_eq!((found.folders, found.unborn), (vec![folder.clone()], vec![]));
        assert!(matches!(FolderLock::take(&folder.path), FolderOwner::Living));
        drop(lock);
        assert!(matches!(FolderLock::take(&folder.path), FolderOwner::Dead(_)));
    }

    #[test]
    fn a_folder_that_gets_no_place_leaves_nothing() {
        let wal = wal();
        let new = NewFolder::create(wal.path(), STORE, WRITER).unwrap();
        PreparedSegment::create(new.path(), SegmentId(1), 64 * 1024).unwrap();
        drop(new);
        assert_eq!(writer_folders(wal.path()).unwrap(), Default::default());
    }

    #[test]
    fn what_a_birth_that_was_cut_short_left_is_removed_unless_a_record_is_in_it() {
        let wal = wal();
        for (frames, prepared, expected) in [
            (None, false, Unborn::Removed),
            (None, true, Unborn::Removed),
            (Some(0), true, Unborn::Removed),
            (Some(1), true, Unborn::Kept),
        ] {
            let path = WriterFolder::unborn_path(wal.path(), WRITER);
            std::fs::create_dir(&path).unwrap();
            if prepared {
                drop(PreparedSegment::create(&path, SegmentId(2), 64 * 1024).unwrap());
            }
            if let Some(frames) = frames {
                let segment = PreparedSegment::create(&path, SegmentId(1), 64 * 1024).unwrap();
                let (mut writer, _syncer) =
                    segment.activate(LogIdentity { store: STORE, writer: WRITER, needs: 1 }, Sequence(1), 5).unwrap();
                for _ in 0..frames {
                    writer.append(b"record").unwrap();
                }
            }
            let lock = FolderLock::of_new(&path).unwrap().unwrap();
            assert_eq!(remove_unborn(&path).unwrap(), Unborn::Living);
            drop(lock);
            assert_eq!(remove_unborn(&path).unwrap(), expected, "{frames:?}");
            assert_eq!(path.exists(), expected == Unborn::Kept);
        }
        assert_eq!(remove_unborn(&wal.path().join(".new-absent")).unwrap(), Unborn::Removed);
    }

    #[test]
    fn a_birth_goes_on_where_somebody_cleans_up_at_the_same_instant() {
        let wal = wal();
        let (ended, path) = (AtomicBool::new(false), WriterFolder::unborn_path(wal.path(), WRITER));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    remove_unborn(&path).unwrap();
                }
            });
            for _ in 0..500 {
                let (folder, lock) = NewFolder::create(wal.path(), STORE, WRITER).unwrap().into_place().unwrap();
                assert!(lock.is_of(&folder.path).unwrap());
                std::fs::remove_dir(&folder.path).unwrap();
            }
            ended.store(true, Ordering::Relaxed);
        });
    }
}
