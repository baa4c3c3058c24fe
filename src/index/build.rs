//! What a build of mcplog knows: records, and the tables of a database. Plain data.
//!
//! There is one in every build; tests make up others, to have builds of several ages record into one store.

use super::migration::Schema;
use crate::ground::database_header;
use crate::ground::error::PathError;
use crate::record::LEVEL;
use crate::record::record::{DECODER, Decoder};
use std::io;
use std::path::Path;

/// What it knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Build {
    /// Reads payloads.
    pub(crate) decode: Decoder,
    /// The level of the records that it writes and knows.
    pub(crate) level: u16,
    /// The tables.
    pub(crate) schema: Schema,
}

impl Build {
    /// This one.
    pub(crate) const THIS: Self = Self { decode: DECODER, level: LEVEL, schema: Schema::THIS_BUILD };

    /// Whether opening the database at `path` brings it up to date. Builds that know the version that it has, and not the
    /// one that it gets, can't go on then.
    ///
    /// # Errors
    /// The database can't be read.
    pub(crate) fn outdates(&self, path: &Path) -> Result<bool, PathError> {
        let found = database_header::version(path)?;
        Ok(found.is_some_and(|found| found != 0 && found < self.schema.versions.newest))
    }

    /// Why that is not done yet.
    pub(crate) fn not_alone(&self, path: &Path) -> PathError {
        let newest = self.schema.versions.newest;
        let why = format!(
            "another process has the store open, which may not know version {newest}; this one goes on when it is alone"
        );
        PathError { operation: "bring up to date", path: path.to_owned(), source: io::Error::other(why) }
    }
}
