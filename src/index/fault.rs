//! A fault that a test ordered, as the error with which SQLite reports a failing disk. Pure.

use crate::ground::sabotage::Fault;

impl From<Fault> for rusqlite::Error {
    fn from(fault: Fault) -> Self {
        match fault {
            #[cfg(test)]
            Fault::Disk => Self::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC), None),
        }
    }
}
