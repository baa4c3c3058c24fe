//! What a writer tells of itself, in a file of its own: written before and after it records, read when it is dead.
//!
//! Not by a pipe: twenty of them would have to be listened to at once, and what was in a pipe is no more true than what is
//! in a file. A write of these few bytes is whole or not there, and outlives the process that made it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// How far a writer has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It may not have opened the store.
    #[default]
    Starting,
    /// It has.
    Open,
    /// It has recorded what it was to record.
    Recorded,
    /// It has begun to shut the store down.
    Ending,
    /// The store is shut down.
    Ended,
}

/// What it told last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// How far it has come.
    pub stage: Stage,
    /// It has tried to record at most so many events.
    pub attempted: u64,
    /// At least so many of them are in the map: the first ones that the store took.
    pub appended: u64,
    /// At least so many of them were dropped by the store, or refused.
    pub dropped: u64,
}

/// The bytes of the file: four numbers.
const BYTES: usize = 32;

/// The writer's end.
#[derive(Debug)]
pub struct Teller {
    file: File,
    /// What it told last.
    pub told: Told,
}

impl Teller {
    /// Begins the file, or goes on with it, and tells that.
    ///
    /// # Errors
    /// It can't be made.
    pub fn begin(path: &Path, told: Told) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        let teller = Self { file, told };
        teller.tell()?;
        Ok(teller)
    }

    /// Tells it.
    ///
    /// # Errors
    /// It can't be written.
    pub fn tell(&self) -> io::Result<()> {
        let Told { stage, attempted, appended, dropped } = self.told;
        let numbers = [stage as u64, attempted, appended, dropped].map(u64::to_le_bytes);
        self.file.write_all_at(numbers.as_flattened(), 0)
    }
}

impl Told {
    /// What the writer of that file told last; nothing if it has not begun.
    ///
    /// # Panics
    /// The file holds something else.
    pub fn read(path: &Path) -> Self {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::default(),
            Err(error) => panic!("{}: {error}", path.display()),
        };
        // Made, and not written to yet.
        if bytes.is_empty() {
            return Self::default();
        }
        let told = <[u8; BYTES]>::try_from(bytes.as_slice()).ok().and_then(|bytes| Self::of(&bytes));
        told.unwrap_or_else(|| panic!("{}: {bytes:?}", path.display()))
    }

    fn of(bytes: &[u8; BYTES]) -> Option<Self> {
        let mut numbers = bytes.as_chunks::<8>().0.iter().map(|number| u64::from_le_bytes(*number));
        let mut next = || numbers.next();
        let stages = [Stage::Starting, Stage::Open, Stage::Recorded, Stage::Ending, Stage::Ended];
        let stage = *stages.get(usize::try_from(next()?).ok()?)?;
        Some(Self { stage, attempted: next()?, appended: next()?, dropped: next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_last_is_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("told");
        assert_eq!(Told::read(&path), Told::default());
        let mut teller = Teller::begin(&path, Told::default()).expect("a file");
        teller.told = Told { stage: Stage::Ending, attempted: 5, appended: 3, dropped: 2 };
        teller.tell().expect("written");
        assert_eq!(Told::read(&path), teller.told);
    }
}
