//! Whether processes have a store open right now, without keeping anybody from anything.
//!
//! The locks themselves are asked, by taking each together with others who look, for an instant: a lock that nobody else
//! holds alone could be had. The kernel's list of locks was rejected: it does not name holders in other containers.
//!
//! Runs anywhere, in any process.

use crate::ground::fold_lock::FoldLock;
use crate::segment::folder_lock::probe;
use crate::segment::writer_folder::writer_folders;
use std::path::Path;

/// Whether somebody records into the store in `dir`, or folds what was recorded. A process that has it open and has recorded
/// nothing yet shows only while it folds.
pub fn is_held(dir: &Path) -> bool {
    // A lock that can't be tried proves nothing.
    let is_folding = || FoldLock::look(dir).is_ok_and(|holder| holder.is_some());
    let found = writer_folders(&dir.join("wal")).unwrap_or_default();
    found.folders.iter().chain(&found.unborn).any(|folder| probe(&folder.path).unwrap_or(false)) || is_folding()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::fold_lock::FoldTry;
    use crate::ground::position::{StoreId, WriterId};
    use crate::segment::folder_birth::NewFolder;

    #[test]
    fn who_records_or_folds_is_seen_until_that_ends() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_held(dir.path()) && !is_held(&dir.path().join("absent")));
        let FoldTry::Taken(fold) = FoldLock::try_take(dir.path(), 1).unwrap() else { panic!("it is free") };
        assert!(is_held(dir.path()));
        drop(fold);
        assert!(!is_held(dir.path()));
        let wal_dir = dir.path().join("wal");
        std::fs::create_dir(&wal_dir).unwrap();
        let folder = NewFolder::create(&wal_dir, StoreId([1; 16]), WriterId([2; 16])).unwrap();
        assert!(is_held(dir.path()));
        let (folder, lock) = folder.into_place().unwrap();
        assert!(is_held(dir.path()));
        drop(lock);
        assert!(folder.path.exists() && !is_held(dir.path()));
    }
}
