//! Getting the fold lock from whoever folds, for a task during which nobody else may change the database.
//!
//! Runs on the caller's thread. Who folds lets go within one batch, and the processes that record go on meanwhile. Both locks
//! go when the task ends, however that is.

use crate::ground::error::{OpenError, PathError};
use crate::ground::fold_lock::{FoldLock, FoldTry};
use crate::ground::fold_want::FoldWant;
use crate::record::kind::LEVEL;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long to wait for it. A batch takes less than a second.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often to try.
const INTERVAL: Duration = Duration::from_millis(20);

/// The role, held.
#[derive(Debug)]
pub(super) struct FoldRole {
    // In this order: the one who waits for the lock sees that nobody wants it any more when it is free.
    lock: FoldLock,
    _want: FoldWant,
}

impl FoldRole {
    /// Asks for the fold lock of the store in `dir`, and waits until it is let go.
    ///
    /// # Errors
    /// [`OpenError::Folding`]: who has it does not let go.
    pub(super) fn take(dir: &Path) -> Result<Self, OpenError> {
        Self::take_within(dir, PATIENCE)
    }

    fn take_within(dir: &Path, patience: Duration) -> Result<Self, OpenError> {
        let deadline = Instant::now() + patience;
        let held = |by: String| OpenError::Folding { dir: dir.to_owned(), by };
        let mut want = None;
        loop {
            let holder = match &want {
                None => {
                    want = FoldWant::try_take(dir)?;
                    if want.is_some() {
                        continue;
                    }
                    "another process that asked for it first".to_owned()
                }
                Some(asked) => match FoldLock::try_take_wanted(asked, LEVEL)? {
                    FoldTry::Taken(lock) => {
                        let Some(want) = want else { continue };
                        return Ok(Self { lock, _want: want });
                    }
                    FoldTry::Elsewhere(holder) => return Err(held(holder.to_string())),
                    FoldTry::Held(holder) => holder.to_string(),
                    FoldTry::Wanted | FoldTry::Corrupt => String::new(),
                },
            };
            if Instant::now() >= deadline {
                return Err(held(holder));
            }
            std::thread::sleep(INTERVAL);
        }
    }

    /// Shows those that wait that the task goes on.
    pub(super) fn beat(&mut self) {
        self.lock.beat();
    }

    /// The database is another one now: whatever was said of the one before is over.
    pub(super) fn note_sound(&self) {
        self.lock.say("");
    }

    /// An error where the lock's file was taken away, so that somebody else may fold.
    ///
    /// # Errors
    /// So it is.
    pub(super) fn expect_in_place(&self, dir: &Path) -> Result<(), PathError> {
        if self.lock.is_in_place() {
            return Ok(());
        }
        let source = std::io::Error::other("somebody removed the lock's file; others may fold now");
        Err(PathError { operation: "keep the lock of", path: dir.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn who_folds_is_asked_and_lets_go_and_who_does_not_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let FoldTry::Taken(holder) = FoldLock::try_take(dir.path(), LEVEL).unwrap() else { panic!("it is free") };
        let refused = FoldRole::take_within(dir.path(), Duration::ZERO).unwrap_err();
        assert!(matches!(&refused, OpenError::Folding { by, .. } if *by == format!("process {}", std::process::id())));
        let is_over = AtomicBool::new(false);
        // The role is held until the other thread has ended.
        let role = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !holder.is_wanted() {
                    std::thread::yield_now();
                }
                drop(holder);
                while !is_over.load(Ordering::Relaxed) {
                    assert!(!matches!(FoldLock::try_take(dir.path(), LEVEL).unwrap(), FoldTry::Taken(_)));
                    std::thread::yield_now();
                }
            });
            let mut role = FoldRole::take(dir.path()).unwrap();
            role.beat();
            role.expect_in_place(dir.path()).unwrap();
            is_over.store(true, Ordering::Relaxed);
            role
        });
        drop(role);
        assert!(matches!(FoldLock::try_take(dir.path(), LEVEL).unwrap(), FoldTry::Taken(_)));
    }
}
