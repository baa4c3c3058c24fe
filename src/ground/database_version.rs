//! The version of `store.db`: which one this build writes, and what it may do with a database of another one. Pure.
//!
//! Everybody who opens the database asks here first, and gets a permit that nobody else can make. So a connection without
//! a look at the version does not compile.
//!
//! | the database's version | writing | reading |
//! |---|---|---|
//! | 0: no tables yet | creates them | there is no store |
//! | before [`OLDEST_VERSION`] | refused | refused |
//! | before [`DATABASE_VERSION`] | migrates it | refused: a writer of this build brings it up to date |
//! | [`DATABASE_VERSION`] | as it is | as it is |
//! | beyond, says that readers of this version may | refused | as it is |
//! | beyond | refused | refused |
//!
//! A reader never reads an older version: its statements name columns that are not there. It may read a newer one, if
//! that only added to what there was: who brings a database up to date notes down to which version readers still may.

use super::error::IndexError;
use std::path::Path;

/// The version of the tables, as `PRAGMA user_version` counts them. Nothing else in this repository says the number.
///
/// - 1 to 6: never released.
/// - 7: many writers, each with a checkpoint of its own; ids are the order of folding.
pub(crate) const DATABASE_VERSION: i64 = 7;
/// The oldest version that this build brings up to date. None before it was released.
pub(crate) const OLDEST_VERSION: i64 = 7;

/// The key in table `meta` under which a database says which version's readers may read it.
pub(crate) const OLDEST_READER_KEY: &str = "oldest_reader";
/// The row of `meta` with sixteen random bytes, in hexadecimal, that callers' keys are salted with: so that the keys stay
/// the same when a proxy restarts, and differ from store to store.
pub(crate) const CALLER_SALT_KEY: &str = "caller_salt";

/// The versions that a build can deal with. There is one in every build; tests have others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownVersions {
    /// The first one that it brings up to date.
    pub(crate) oldest: i64,
    /// The one that it writes.
    pub(crate) newest: i64,
}

impl KnownVersions {
    /// This build's.
    pub(crate) const THIS_BUILD: Self = Self { oldest: OLDEST_VERSION, newest: DATABASE_VERSION };
}

/// What a database says of its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DatabaseVersion {
    /// `PRAGMA user_version`.
    pub(crate) number: i64,
    /// The oldest version whose readers may read it, by `meta`; `None` if it does not say.
    pub(crate) oldest_reader: Option<i64>,
}

/// Leave to read a database, given by [`DatabaseVersion::check_read`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReadPermit(());

/// Leave to write to a database, given by [`DatabaseVersion::check_write`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WritePermit {
    from: i64,
    to: i64,
}

/// What is to be done before a database is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preparation {
    /// It has no tables.
    Create,
    /// It is of an older version.
    Migrate,
    /// It is what it should be.
    Nothing,
}

impl WritePermit {
    /// What is to be done first.
    pub(crate) fn preparation(self) -> Preparation {
        match self.from {
            0 => Preparation::Create,
            from if from < self.to => Preparation::Migrate,
            _ => Preparation::Nothing,
        }
    }

    /// The version that the database had.
    pub(crate) fn from(self) -> i64 {
        self.from
    }

    /// The version that it has once that is done.
    pub(crate) fn to(self) -> i64 {
        self.to
    }
}

impl DatabaseVersion {
    /// Whether a build that knows these versions may read the database at `path`.
    ///
    /// # Errors
    /// [`IndexError`] says why not, and what to do.
    pub(crate) fn check_read(self, known: KnownVersions, path: &Path) -> Result<ReadPermit, IndexError> {
        let Self { number: found, oldest_reader } = self;
        let path = || path.to_owned();
        match found {
            // Tables come with the first event: a file without any is of no version yet.
            0 => Err(IndexError::Missing { path: path(), has_log: false }),
            _ if found < known.oldest => Err(IndexError::UnreleasedVersion { path: path(), found }),
            _ if found < known.newest => Err(IndexError::OlderVersion { path: path(), expected: known.newest, found }),
            _ if found == known.newest => Ok(ReadPermit(())),
            _ if oldest_reader.is_some_and(|oldest| oldest <= known.newest) => Ok(ReadPermit(())),
            _ => Err(IndexError::UnsupportedVersion { path: path(), supported: known.newest, found }),
        }
    }

    /// Whether a build that knows these versions may write to the database at `path`.
    ///
    /// # Errors
    /// [`IndexError`] says why not, and what to do.
    pub(crate) fn check_write(self, known: KnownVersions, path: &Path) -> Result<WritePermit, IndexError> {
        let found = self.number;
        let path = || path.to_owned();
        match found {
            _ if found > known.newest => {
                Err(IndexError::UnsupportedVersion { path: path(), supported: known.newest, found })
            }
            _ if found != 0 && found < known.oldest => Err(IndexError::UnreleasedVersion { path: path(), found }),
            _ => Ok(WritePermit { from: found, to: known.newest }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a version: R may be read, W may be written as it is, C is created, M is migrated; for a refusal, the
    /// first letter of its reason.
    fn outcomes(number: i64, oldest_reader: Option<i64>) -> (char, char) {
        let version = DatabaseVersion { number, oldest_reader };
        let known = KnownVersions { oldest: 4, newest: 6 };
        let reason = |error: IndexError| match error {
            IndexError::Missing { .. } => 'm',
            IndexError::UnreleasedVersion { .. } => 'u',
            IndexError::OlderVersion { .. } => 'o',
            IndexError::UnsupportedVersion { .. } => 'n',
            other => panic!("{other}"),
        };
        let read = version.check_read(known, Path::new("store.db")).map_or_else(reason, |_| 'R');
        let write = version.check_write(known, Path::new("store.db")).map_or_else(reason, |permit| {
            assert_eq!((permit.from(), permit.to()), (number, 6));
            match permit.preparation() {
                Preparation::Create => 'C',
                Preparation::Migrate => 'M',
                Preparation::Nothing => 'W',
            }
        });
        (read, write)
    }

    #[test]
    fn every_version_may_be_read_and_written_as_the_table_says() {
        for (number, oldest_reader, expected) in [
            (i64::MIN, None, ('u', 'u')),
            (-1, None, ('u', 'u')),
            (0, None, ('m', 'C')),
            (1, None, ('u', 'u')),
            (3, None, ('u', 'u')),
            (4, Some(4), ('o', 'M')),
            (5, Some(4), ('o', 'M')),
            (6, Some(4), ('R', 'W')),
            (6, Some(6), ('R', 'W')),
            (6, None, ('R', 'W')),
            (7, Some(4), ('R', 'n')),
            (7, Some(6), ('R', 'n')),
            (7, Some(7), ('n', 'n')),
            (7, None, ('n', 'n')),
            (i64::MAX, None, ('n', 'n')),
        ] {
            assert_eq!(outcomes(number, oldest_reader), expected, "version {number}, readers from {oldest_reader:?}");
        }
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        let known = KnownVersions { oldest: 4, newest: 6 };
        let refusal = |number| {
            let version = DatabaseVersion { number, oldest_reader: None };
            version.check_read(known, Path::new("dir/store.db")).unwrap_err().to_string()
        };
        for (number, advice) in [(0, "record something first"), (3, "move store.db"), (5, "start"), (7, "newer mcplog")]
        {
            let text = refusal(number);
            assert!(text.starts_with("dir/store.db: ") && text.contains(advice), "{text}");
        }
    }
}
