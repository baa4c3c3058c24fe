//! Making everything anew that the database derives from its rows.
//!
//! Runs on the caller's thread. It is a writer of the store like any other, and so is refused while one is open.

pub use crate::index::RebuildReport;

use crate::config::Config;
use crate::error::OpenError;
use crate::index::Index;
use crate::lock::StoreLock;
use std::path::Path;

/// Recomputes roll-ups, session sums and digests of the store in `dir` from its rows, in one transaction. `progress` is
/// told now and then how much is done, from 0 to 1.
///
/// Nothing needs it in normal operation: rows and what is derived from them commit together.
///
/// # Errors
/// [`OpenError`]: the directory has no store, another process writes to it, or the database can't be read or written.
pub fn rebuild(dir: &Path, mut progress: impl FnMut(f64)) -> Result<RebuildReport, OpenError> {
    // Opening would create what is not there.
    crate::query::Query::open(dir)?;
    let _lock = StoreLock::acquire(dir)?;
    Ok(Index::open(&Config::new(dir))?.rebuild(&mut progress)?)
}
