//! The lock `FOLD`: its holder folds for all processes that record into the store.
//!
//! It belongs to the thread that folds and goes with it, however that ends. It saves work; what makes folding exact is the
//! database, in which a batch that builds on an older state is not taken. Locks are taken in the order LOCK, FOLD.want,
//! FOLD, a folder's, SQLite's; each is tried and never waited for.

use super::error::{AtPath, PathError};
use super::fold_holder::{BEAT_OFFSET, BYTES, FoldHolder, STATE_OFFSET, corrupt_state, encode_state};
use super::fold_want::{FoldWant, is_wanted};
use super::local_filesystem::is_local;
use super::lock_file::{LockFile, Sharing, TriedLock, is_held};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The name of the file.
const NAME: &str = "FOLD";
/// The database, which a holder may have found corrupt.
const DATABASE_NAME: &str = "store.db";

/// What became of trying the fold lock.
#[derive(Debug)]
pub(crate) enum FoldTry {
    /// This process folds.
    Taken(FoldLock),
    /// Another one does.
    Held(FoldHolder),
    /// Nobody has it, but somebody wants it.
    Wanted,
    /// Nobody has it here, and the file system is none of this machine alone: who had it last was of another machine, or
    /// of an earlier run of this one, and did not let go of it. It may be folding there.
    Elsewhere(FoldHolder),
    /// Nobody has it, because who had it last found the database corrupt, and that still lies there.
    Corrupt,
}

/// Held as long as this process folds. Dropping it lets go.
#[derive(Debug)]
pub(crate) struct FoldLock {
    lock: LockFile,
    dir: PathBuf,
    beat: u64,
}

impl FoldLock {
    /// Tries to become the one that folds. `level` is the newest record level that this build knows.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn try_take(dir: &Path, level: u16) -> Result<FoldTry, PathError> {
        if is_wanted(dir) { Ok(FoldTry::Wanted) } else { Self::attempt(dir, level, false) }
    }

    /// The same for who wants it, also where the database was found corrupt.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn try_take_wanted(want: &FoldWant, level: u16) -> Result<FoldTry, PathError> {
        Self::attempt(want.dir(), level, true)
    }

    /// Who folds, if anybody does. It takes nothing.
    ///
    /// # Errors
    /// The system refuses to tell.
    pub(crate) fn look(dir: &Path) -> Result<Option<FoldHolder>, PathError> {
        let path = dir.join(NAME);
        if !is_held(&path)? {
            return Ok(None);
        }
        match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            opened => Ok(Some(read(&opened.at("open", &path)?))),
        }
    }

    fn attempt(dir: &Path, level: u16, even_if_corrupt: bool) -> Result<FoldTry, PathError> {
        let lock = match LockFile::try_take(&dir.join(NAME), Sharing::Exclusive)? {
            TriedLock::Taken(lock) => lock,
            TriedLock::Held(file) => return Ok(FoldTry::Held(read(&file))),
        };
        let before = read(lock.file());
        if may_fold_elsewhere(&before, is_local(lock.file())) {
            return Ok(FoldTry::Elsewhere(before));
        }
        let is_corrupt = before.found_corrupt(&dir.join(DATABASE_NAME));
        if is_corrupt && !even_if_corrupt {
            return Ok(FoldTry::Corrupt);
        }
        // It moves at once, also for who sees that the same process has it again.
        let beat = before.beat.wrapping_add(1);
        let state = if is_corrupt { before.state } else { String::new() };
        let holder = FoldHolder { beat, state, ..FoldHolder::this_process(level) };
        let taken = Self { lock, dir: dir.to_owned(), beat };
        taken.write(0, &holder.encode());
        Ok(FoldTry::Taken(taken))
    }

    /// Shows that the holder moves. To be called at every look.
    pub(crate) fn beat(&mut self) {
        self.beat = self.beat.wrapping_add(1);
        self.write(BEAT_OFFSET, &self.beat.to_le_bytes());
    }

    /// Whether somebody else wants the lock: the holder ends its batch and lets go.
    pub(crate) fn is_wanted(&self) -> bool {
        is_wanted(&self.dir)
    }

    /// Whether the file that is locked still is the store's. If not, others can take the new one, and the holder stops.
    pub(crate) fn is_in_place(&self) -> bool {
        self.lock.is_in_place()
    }

    /// Says something to those that wait; nothing, if all is well. It stays when the lock is let go.
    pub(crate) fn say(&self, state: &str) {
        self.write(STATE_OFFSET, &encode_state(state));
    }

    /// Says that the database is corrupt: nobody folds before another one is in its place, or it was mended.
    pub(crate) fn say_corrupt(&self) {
        self.say(&corrupt_state(&self.dir.join(DATABASE_NAME)));
    }

    /// Who holds the lock is a courtesy. Without it the role can be had too: on a full disk, who folds gives room back.
    fn write(&self, offset: usize, bytes: &[u8]) {
        let _ = self.lock.file().write_all_at(bytes, offset as u64);
    }
}

impl Drop for FoldLock {
    fn drop(&mut self) {
        if self.lock.is_own() {
            // Another machine may have it now.
            self.write(0, &FoldHolder::default().encode()[..BEAT_OFFSET]);
        }
    }
}

/// Whether who had the lock last may be folding on another machine, although the lock could be had here.
fn may_fold_elsewhere(before: &FoldHolder, is_local: bool) -> bool {
    !is_local && before.boot_id.is_some() && !before.is_of_this_boot()
}

/// What the file says. What can't be read is not known.
fn read(file: &File) -> FoldHolder {
    let mut bytes = [0; BYTES];
    let mut filled = 0;
    while filled < BYTES {
        match file.read_at(&mut bytes[filled..], filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    FoldHolder::decode(&bytes[..filled])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(dir: &Path) -> FoldLock {
        match FoldLock::try_take(dir, 1).unwrap() {
            FoldTry::Taken(lock) => lock,
            other => panic!("{other:?}"),
        }
    }

    fn seen(dir: &Path) -> FoldHolder {
        match FoldLock::try_take(dir, 1).unwrap() {
            FoldTry::Held(holder) => holder,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_holds_it_and_the_others_see_who_and_that_it_moves() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(FoldLock::look(dir.path()).unwrap(), None);
        let mut lock = taken(dir.path());
        let first = seen(dir.path());
        assert_eq!((first.pid, first.level), (Some(std::process::id()), 1));
        assert!(first.is_of_this_boot());
        lock.beat();
        lock.say("folding waits: no room");
        let second = seen(dir.path());
        assert_eq!((second.beat, &*second.state), (first.beat + 1, "folding waits: no room"));
        assert_eq!(FoldLock::look(dir.path()).unwrap(), Some(second.clone()));
        drop(lock);
        assert_eq!(FoldLock::look(dir.path()).unwrap(), None);
        let next = taken(dir.path());
        let third = seen(dir.path());
        assert_ne!(third.beat, second.beat, "who takes it moves");
        assert_eq!(third.state, "", "what the last one said is over");
        drop(next);
    }

    #[test]
    fn who_asks_for_it_gets_it_and_the_others_stay_away_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let lock = taken(dir.path());
        assert!(!lock.is_wanted());
        let wanted = FoldWant::try_take(dir.path()).unwrap().unwrap();
        assert!(FoldWant::try_take(dir.path()).unwrap().is_none());
        assert!(lock.is_wanted());
        assert!(matches!(FoldLock::try_take_wanted(&wanted, 1).unwrap(), FoldTry::Held(_)));
        drop(lock);
        assert!(matches!(FoldLock::try_take(dir.path(), 1).unwrap(), FoldTry::Wanted));
        let FoldTry::Taken(lock) = FoldLock::try_take_wanted(&wanted, 1).unwrap() else { panic!("it is free") };
        drop((lock, wanted));
        taken(dir.path());
    }

    #[test]
    fn a_corrupt_database_is_tried_again_when_it_is_another_one_or_by_who_asked() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join(DATABASE_NAME);
        std::fs::write(&database, "no database").unwrap();
        let lock = taken(dir.path());
        lock.say_corrupt();
        drop(lock);
        let attempt = || FoldLock::try_take(dir.path(), 1).unwrap();
        assert!(matches!(attempt(), FoldTry::Corrupt));
        let wanted = FoldWant::try_take(dir.path()).unwrap().unwrap();
        // What was asked for and came to nothing leaves it as corrupt as it was.
        assert!(matches!(FoldLock::try_take_wanted(&wanted, 1).unwrap(), FoldTry::Taken(_)));
        drop(wanted);
        assert!(matches!(attempt(), FoldTry::Corrupt));
        std::fs::write(dir.path().join("rebuilt"), "another").unwrap();
        std::fs::rename(dir.path().join("rebuilt"), &database).unwrap();
        assert!(matches!(attempt(), FoldTry::Taken(_)));
        std::fs::remove_file(&database).unwrap();
        // One that was not there when that was said can't be the corrupt one.
        let FoldTry::Taken(lock) = attempt() else { panic!("there is none any more") };
        lock.say_corrupt();
        drop(lock);
        assert!(matches!(attempt(), FoldTry::Taken(_)));
    }

    #[test]
    fn a_holder_whose_file_was_removed_finds_out() {
        let dir = tempfile::tempdir().unwrap();
        let lock = taken(dir.path());
        assert!(lock.is_in_place());
        std::fs::remove_file(dir.path().join(NAME)).unwrap();
        assert!(!lock.is_in_place());
        assert!(taken(dir.path()).is_in_place());
    }

    #[test]
    fn who_did_not_let_go_on_another_machine_keeps_others_out_where_a_free_lock_proves_nothing() {
        let here = FoldHolder::this_process(1);
        let other = FoldHolder { boot_id: Some("other".into()), ..here.clone() };
        let cases = [(&here, false), (&other, true), (&FoldHolder::default(), false)];
        for (before, expected) in cases {
            assert_eq!((may_fold_elsewhere(before, false), may_fold_elsewhere(before, true)), (expected, false));
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(NAME), other.encode()).unwrap();
        let lock = taken(dir.path());
        assert!(seen(dir.path()).is_of_this_boot());
        drop(lock);
        let left = FoldHolder::decode(&std::fs::read(dir.path().join(NAME)).unwrap());
        assert_eq!((left.pid, left.boot_id), (None, None), "who lets go says so, for another machine");
    }
}
