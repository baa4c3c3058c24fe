//! Whose log lies in a directory, by its file `writer-id` or the headers of its segments, and whether a database belongs to it.
//!
//! Pure. Asked before anything is moved or written, so that a database, a log or a segment that came here from another store
//! costs neither store an event.

use super::writer_id_file::FoundWriterId;
use crate::ground::error::OpenError;
use crate::ground::position::WriterId;
use std::path::Path;

/// What a log says of the store that it is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogOwners {
    /// What stands in the place of the file `writer-id`.
    file: FoundWriterId,
    /// The stores that segments say they are of, and how many say so; none where no segment can be read.
    segments: Vec<(WriterId, usize)>,
}

impl LogOwners {
    pub(crate) fn new(file: FoundWriterId) -> Self {
        Self { file, segments: Vec::new() }
    }

    /// Notes a segment of that store.
    pub(crate) fn add(&mut self, writer_id: WriterId) {
        match self.segments.iter_mut().find(|(known, _)| *known == writer_id) {
            Some((_, count)) => *count += 1,
            None => self.segments.push((writer_id, 1)),
        }
    }

    /// What stands in the place of the file `writer-id`.
    pub(crate) fn file(&self) -> &FoundWriterId {
        &self.file
    }

    /// The store that the log says it is of: by its file, otherwise by most of its segments. `None`: it says nothing, or of
    /// two stores equally much.
    pub(crate) fn told(&self) -> Option<WriterId> {
        match self.file {
            FoundWriterId::Is(writer_id) => Some(writer_id),
            FoundWriterId::Missing | FoundWriterId::Unsound(_) => match self.most()[..] {
                [only] => Some(only),
                _ => None,
            },
        }
    }

    /// Whether a database that has folded the log of that store is another store's.
    pub(crate) fn is_foreign(&self, database: WriterId) -> bool {
        match self.file {
            FoundWriterId::Is(writer_id) => writer_id != database,
            FoundWriterId::Missing | FoundWriterId::Unsound(_) => !self.segments.is_empty() && !self.has(database),
        }
    }

    /// The store of which the log is, if `database` is what the database beside it says; `None` for a log and a database
    /// that say nothing, as in a new store.
    ///
    /// The file says it, without it the database, without both most segments. Segments of other stores among the log's are
    /// strays, and recovery moves them aside. But a log without any segment of the store that the file or the database names
    /// is none of its log: it would go as a whole. By the newest segment was rejected: a stray one is as easily the newest.
    ///
    /// # Errors
    /// [`OpenError::ForeignDatabase`], [`OpenError::ForeignLog`], [`OpenError::MixedLog`].
    pub(crate) fn owner(&self, dir: &Path, database: Option<WriterId>) -> Result<Option<WriterId>, OpenError> {
        let dir = dir.to_owned();
        let strays = |owner| self.most().first().copied().filter(|_| !self.has(owner));
        match (self.file.clone(), database) {
            (FoundWriterId::Is(owner), database) => {
                match (database.filter(|database| *database != owner), strays(owner)) {
                    // The file alone says another store than all the rest.
                    (Some(database), Some(segments)) if self.has(database) => {
                        Err(OpenError::ForeignLog { dir, owner, segments, database_agrees: false })
                    }
                    (Some(database), _) => Err(OpenError::ForeignDatabase { dir, database, log: owner }),
                    (None, Some(segments)) => {
                        Err(OpenError::ForeignLog { dir, owner, segments, database_agrees: database.is_some() })
                    }
                    (None, None) => Ok(Some(owner)),
                }
            }
            (_, Some(database)) => match strays(database) {
                Some(log) => Err(OpenError::ForeignDatabase { dir, database, log }),
                None => Ok(Some(database)),
            },
            (_, None) => match self.most()[..] {
                [first, second, ..] => Err(OpenError::MixedLog { dir, first, second }),
                [] | [_] => Ok(self.most().first().copied()),
            },
        }
    }

    /// The store of which most segments are; several, if of each there are as many.
    fn most(&self) -> Vec<WriterId> {
        let most = self.segments.iter().map(|(_, count)| *count).max();
        self.segments.iter().filter(|(_, count)| Some(*count) == most).map(|(writer_id, _)| *writer_id).collect()
    }

    /// Whether a segment is of that store.
    pub(crate) fn has(&self, writer_id: WriterId) -> bool {
        self.segments.iter().any(|(known, _)| *known == writer_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_and_a_log_go_together_as_the_table_says() {
        let id = |number| WriterId([number; 16]);
        // What the file says, what the database and the segments say, and whose store it is; or why it is refused.
        for (file, database, log, expected) in [
            (None, None, &[][..], Ok(None)),
            (None, None, &[1], Ok(Some(1))),
            (None, Some(1), &[], Ok(Some(1))),
            (None, Some(1), &[1], Ok(Some(1))),
            (None, Some(1), &[1, 2, 2], Ok(Some(1))),
            (None, Some(1), &[2, 1, 3], Ok(Some(1))),
            (None, Some(1), &[2], Err("database")),
            (None, Some(1), &[2, 3], Err("database")),
            (None, None, &[1, 2], Err("mixed")),
            (None, None, &[1, 2, 2], Ok(Some(2))),
            (None, None, &[2, 1, 2, 1, 3], Err("mixed")),
            (None, None, &[2, 1, 2, 1, 2], Ok(Some(2))),
            (Some(1), None, &[], Ok(Some(1))),
            (Some(1), Some(1), &[], Ok(Some(1))),
            (Some(1), None, &[2, 2, 1], Ok(Some(1))),
            (Some(1), Some(1), &[2, 1, 2], Ok(Some(1))),
            (Some(1), Some(2), &[], Err("database")),
            (Some(1), Some(2), &[2, 2], Err("log")),
            (Some(1), Some(2), &[3, 3], Err("database")),
            (Some(1), Some(2), &[1, 2], Err("database")),
            (Some(1), None, &[2], Err("log")),
            (Some(1), Some(1), &[2, 3], Err("log")),
        ] {
            for unsound in [false, true] {
                let file = match file {
                    Some(number) => FoundWriterId::Is(id(number)),
                    None if unsound => FoundWriterId::Unsound("something else"),
                    None => FoundWriterId::Missing,
                };
                let mut owners = LogOwners::new(file.clone());
                log.iter().for_each(|writer| owners.add(id(*writer)));
                let found = match owners.owner(Path::new("data"), database.map(id)) {
                    Ok(owner) => Ok(owner),
                    Err(OpenError::ForeignDatabase { database, log, .. }) => {
                        assert!(database != log && owners.is_foreign(database));
                        Err("database")
                    }
                    Err(OpenError::ForeignLog { .. }) => Err("log"),
                    Err(OpenError::MixedLog { .. }) => Err("mixed"),
                    Err(other) => panic!("{other}"),
                };
                let expected = expected.map(|owner: Option<u8>| owner.map(id));
                assert_eq!(found, expected, "{file:?} and {database:?} beside {log:?}");
                let told = owners.told();
                assert!(found.is_err() || told.is_none() || told == found.unwrap() || database.is_some(), "{told:?}");
            }
        }
    }
}
