//! The lock `LOCK` of a store's directory: every process that has the store open for recording shares it.
//!
//! It keeps out processes of earlier builds, which take it for themselves alone, and lets them keep this one out: their log
//! has one writer. Who brings the database up to date has it alone for that long, so that nobody goes on with tables that it
//! may not know. Taken on the thread that opens the store, and held until the last of its threads has ended.

use super::error::{OpenError, PathError};
use super::fold_holder::pid_namespace;
use super::lock_file::{LockFile, Sharing, TriedLock};
use std::io::Read;
use std::path::Path;

/// The name of the lock file. An earlier build wrote its process id there, and in which namespace that id means something:
/// the number of one in a container would name some other process here, or none.
const NAME: &str = "LOCK";

/// Held as long as this process may record into the store.
#[derive(Debug)]
pub(crate) struct StoreLock {
    lock: LockFile,
}

/// No other process has the store open, and none can open it. Dropping it lets others in again.
#[derive(Debug)]
pub(crate) struct Alone<'a> {
    lock: &'a LockFile,
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.lock.share_again() {
            // It is shared again at the next attempt to be alone; others have their own.
            tracing::error!(%error, "the lock of the store is not shared any more");
        }
    }
}

impl StoreLock {
    /// Takes the lock of the store in `dir`, which is there.
    ///
    /// # Errors
    /// [`OpenError::Locked`]: a process has it alone.
    pub(crate) fn share(dir: &Path) -> Result<Self, OpenError> {
        match LockFile::try_take(&dir.join(NAME), Sharing::Shared)? {
            TriedLock::Taken(lock) => Ok(Self { lock }),
            TriedLock::Held(file) => {
                // The pid is a courtesy; without it the message says "another process".
                let (pid, pid_elsewhere) = match Holder::read(file) {
                    Some(holder) if holder.is_of_this_namespace() => (Some(holder.pid), None),
                    holder => (None, holder.map(|holder| holder.pid)),
                };
                Err(OpenError::Locked { dir: dir.to_owned(), pid, pid_elsewhere })
            }
        }
    }

    /// Has the lock alone, for what only a process may do that is alone; `None`: another one has the store open. Only who holds
    /// the fold lock may try.
    ///
    /// # Errors
    /// As for [`LockFile::try_alone`].
    pub(crate) fn alone(&self) -> Result<Option<Alone<'_>>, PathError> {
        Ok(self.lock.try_alone()?.then_some(Alone { lock: &self.lock }))
    }

    /// The same for a process that does not have the store in `dir` open.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn take_alone(dir: &Path) -> Result<Option<Self>, PathError> {
        match LockFile::try_take(&dir.join(NAME), Sharing::Exclusive)? {
            TriedLock::Taken(lock) => Ok(Some(Self { lock })),
            TriedLock::Held(_) => Ok(None),
        }
    }
}

/// The process of an earlier build that took the lock, as the lock file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holder {
    pid: u32,
    /// The pid namespace that this is a number of, if the process knew.
    namespace: Option<u64>,
}

impl Holder {
    /// What stands in the lock file; `None` if that is nothing or something else.
    fn read(file: impl Read) -> Option<Self> {
        let mut text = String::new();
        file.take(64).read_to_string(&mut text).ok()?;
        let mut numbers = text.split_whitespace();
        let pid = numbers.next()?.parse().ok()?;
        Some(Self { pid, namespace: numbers.next().and_then(|number| number.parse().ok()) })
    }

    /// Whether the number means that process here as well. Who does not say so is believed.
    fn is_of_this_namespace(&self) -> bool {
        self.namespace.is_none() || self.namespace == pid_namespace()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an earlier build does.
    fn taken_alone(dir: &Path) -> LockFile {
        match LockFile::try_take(&dir.join(NAME), Sharing::Exclusive).unwrap() {
            TriedLock::Taken(lock) => lock,
            TriedLock::Held(_) => panic!("somebody has it"),
        }
    }

    #[test]
    fn processes_of_this_build_share_it_and_an_earlier_build_is_kept_out() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (StoreLock::share(dir.path()).unwrap(), StoreLock::share(dir.path()).unwrap());
        let earlier = || LockFile::try_take(&dir.path().join(NAME), Sharing::Exclusive).unwrap();
        assert!(matches!(earlier(), TriedLock::Held(_)));
        drop(first);
        assert!(matches!(earlier(), TriedLock::Held(_)));
        drop(second);
        assert!(matches!(earlier(), TriedLock::Taken(_)));
    }

    #[test]
    fn who_is_alone_keeps_others_out_until_that_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (StoreLock::share(dir.path()).unwrap(), StoreLock::share(dir.path()).unwrap());
        assert!(first.alone().unwrap().is_none() && StoreLock::take_alone(dir.path()).unwrap().is_none());
        drop(second);
        let alone = first.alone().unwrap().unwrap();
        assert!(matches!(StoreLock::share(dir.path()), Err(OpenError::Locked { .. })));
        drop(alone);
        assert!(StoreLock::take_alone(dir.path()).unwrap().is_none(), "it has the store open still");
        drop((StoreLock::share(dir.path()).unwrap(), first));
        let alone = StoreLock::take_alone(dir.path()).unwrap().unwrap();
        assert!(matches!(StoreLock::share(dir.path()), Err(OpenError::Locked { .. })));
        drop(alone);
    }

    #[test]
    fn while_an_earlier_build_has_it_this_one_is_refused_and_told_who_that_is() {
        let dir = tempfile::tempdir().unwrap();
        let alone = taken_alone(dir.path());
        let told = |text: &str| {
            std::fs::write(dir.path().join(NAME), text).unwrap();
            StoreLock::share(dir.path()).unwrap_err().to_string()
        };
        let own = pid_namespace().unwrap();
        assert!(told(&format!("7 {own}\n")).contains("in use by process 7 "));
        assert!(told("7\n").contains("in use by process 7 "));
        let elsewhere = told(&format!("7 {}\n", own + 1));
        assert!(elsewhere.contains("a process in another container (number 7 there)"), "{elsewhere}");
        assert!(told("what\n").contains("in use by another process "));
        drop(alone);
        StoreLock::share(dir.path()).unwrap();
    }
}
