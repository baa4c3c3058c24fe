//! What waits in the log to be folded, at one moment: how far each writer's log has to be folded until nothing of it does.
//!
//! On the thread that asks. It must not write, and it folds nothing by itself: whoever has the store open does.

use mcplog::completeness::Completeness;
use mcplog::error::IndexError;
use mcplog::position::{Sequence, WriterId};
use mcplog::query::{Query, TimeRange};
use std::path::{Path, PathBuf};

/// Records that were in the log when they were looked for, and not in the database.
#[derive(Debug)]
pub(crate) struct Waiting {
    dir: PathBuf,
    /// Each writer of whom some wait, and the last one.
    last: Vec<(WriterId, Sequence)>,
}

impl Waiting {
    /// What waits in the store in `dir` now.
    pub(crate) fn in_store(dir: &Path) -> Result<Self, IndexError> {
        // Closed before the store is opened: who closes a database last empties its WAL, and a reader can't.
        Ok(Self::found(dir, mcplog::completeness(&Query::open(dir)?, TimeRange::default())?))
    }

    /// What was found to wait in the store in `dir`. Of a log that can't be read, nothing is known to wait.
    pub(crate) fn found(dir: &Path, found: Completeness) -> Self {
        Self { dir: dir.to_owned(), last: found.waiting }
    }

    /// How many of them are not folded yet.
    pub(crate) fn left(&self) -> Result<u64, IndexError> {
        if self.last.is_empty() {
            return Ok(0);
        }
        let folded = Query::open(&self.dir)?.checkpoints()?;
        let left = self.last.iter().map(|(writer, last)| {
            let folded = folded.iter().find(|(of, _)| of == writer).map_or(0, |(_, checkpoint)| checkpoint.sequence);
            last.0.saturating_sub(folded.try_into().unwrap_or(0))
        });
        Ok(left.sum())
    }
}
