//! Whose log lies in a directory, by the headers of its segments, and whether a database belongs to it.
//!
//! Pure. Asked before anything is moved or written, so that a database that came here from another store costs neither
//! store an event.

use crate::ground::error::OpenError;
use crate::ground::position::WriterId;
use std::path::Path;

/// The stores that segments of a log say they are of; none for a log without a segment that can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogOwners(Vec<WriterId>);

impl LogOwners {
    /// Notes a segment of that store.
    pub(crate) fn add(&mut self, writer_id: WriterId) {
        if !self.has(writer_id) {
            self.0.push(writer_id);
        }
    }

    /// The store that all segments are of.
    pub(crate) fn only(&self) -> Option<WriterId> {
        if let [only] = self.0[..] { Some(only) } else { None }
    }

    /// Whether no segment says anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a segment is of that store.
    pub(crate) fn has(&self, writer_id: WriterId) -> bool {
        self.0.contains(&writer_id)
    }

    /// The store of which the log is, if `database` is what the database beside it says; `None` for a log and a database
    /// that say nothing, as in a new store.
    ///
    /// Where both say the same, segments of other stores among the log's are strays, and recovery moves them aside. A log
    /// without any segment of the database's store is none of its log: it would go as a whole. And in a log of two stores
    /// without a database, nobody knows which segments are the strays. By the newest segment was rejected: a stray one is
    /// as easily the newest.
    ///
    /// # Errors
    /// [`OpenError::ForeignDatabase`], [`OpenError::MixedLog`].
    pub(crate) fn owner(&self, dir: &Path, database: Option<WriterId>) -> Result<Option<WriterId>, OpenError> {
        match (database, &self.0[..]) {
            (Some(database), [log, ..]) if !self.has(database) => {
                Err(OpenError::ForeignDatabase { dir: dir.to_owned(), database, log: *log })
            }
            (None, [first, second, ..]) => {
                Err(OpenError::MixedLog { dir: dir.to_owned(), first: *first, second: *second })
            }
            (database, _) => Ok(database.or(self.only())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_and_a_log_go_together_as_the_table_says() {
        let id = |number| WriterId([number; 16]);
        // What the database says, what the segments say, and whose store it is; `Err`: it is refused for that database.
        for (database, log, expected) in [
            (None, &[][..], Ok(None)),
            (None, &[1], Ok(Some(1))),
            (Some(1), &[], Ok(Some(1))),
            (Some(1), &[1], Ok(Some(1))),
            (Some(1), &[1, 2], Ok(Some(1))),
            (Some(1), &[2, 1, 3], Ok(Some(1))),
            (Some(1), &[2], Err(Some(1))),
            (Some(1), &[2, 3], Err(Some(1))),
            (None, &[1, 2], Err(None)),
        ] {
            let mut owners = LogOwners::default();
            log.iter().chain(log).for_each(|writer| owners.add(id(*writer)));
            let found = match owners.owner(Path::new("data"), database.map(id)) {
                Ok(owner) => Ok(owner),
                Err(OpenError::ForeignDatabase { database, .. }) => Err(Some(database)),
                Err(OpenError::MixedLog { .. }) => Err(None),
                Err(other) => panic!("{other}"),
            };
            let expected = expected.map(|owner| owner.map(id)).map_err(|database| database.map(id));
            assert_eq!(found, expected, "{database:?} beside {log:?}");
        }
    }
}
