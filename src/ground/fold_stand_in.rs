//! The lock `FOLD.standin`: who holds it folds in the place of a holder of the fold lock that does not move.
//!
//! Runs on a thread that folds. What makes two that fold harmless is the database, which takes no batch that builds on
//! an older state; this lock keeps there from being more than two.

use super::error::PathError;
use super::lock_file::{LockFile, Sharing, TriedLock};
use std::path::Path;

/// The name of the file.
const NAME: &str = "FOLD.standin";

/// Held as long as this process stands in.
#[derive(Debug)]
pub(crate) struct FoldStandIn {
    _lock: LockFile,
}

impl FoldStandIn {
    /// Tries to become the one that stands in. `None`: another process does.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn try_take(dir: &Path) -> Result<Option<Self>, PathError> {
        match LockFile::try_take(&dir.join(NAME), Sharing::Exclusive)? {
            TriedLock::Taken(lock) => Ok(Some(Self { _lock: lock })),
            TriedLock::Held(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_stands_in_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let stand_in = FoldStandIn::try_take(dir.path()).unwrap();
        assert!(stand_in.is_some() && FoldStandIn::try_take(dir.path()).unwrap().is_none());
        drop(stand_in);
        assert!(FoldStandIn::try_take(dir.path()).unwrap().is_some());
    }
}
