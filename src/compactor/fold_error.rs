//! Why nothing was folded in a look, and who can do better. Plain data.

use super::sources::RefreshError;
use crate::ground::error::{IndexError, OpenError, PathError};

/// Why folding failed. What was not committed is read and folded again from the checkpoints.
#[derive(Debug, thiserror::Error)]
pub(super) enum FoldError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Io(#[from] PathError),
    /// The database is to be brought up to date, and another process has the store open.
    #[error(transparent)]
    NotAlone(PathError),
}

impl From<RefreshError> for FoldError {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Index(error) => error.into(),
            RefreshError::Io(error) => error.into(),
        }
    }
}

impl FoldError {
    fn index(&self) -> Option<&IndexError> {
        match self {
            Self::Index(error) | Self::Open(OpenError::Index(error)) => Some(error),
            Self::Open(_) | Self::Io(_) | Self::NotAlone(_) => None,
        }
    }

    /// Whether somebody else folded: nobody has to be told, and everything is read again.
    pub(super) fn is_moved(&self) -> bool {
        matches!(self.index(), Some(IndexError::Moved { .. }))
    }

    /// Whether the database itself is damaged. Trying again can't help, and writing to it might take what can still be saved.
    pub(super) fn is_corrupt(&self) -> bool {
        self.index().is_some_and(|error| error.is_corrupt() && !matches!(error, IndexError::Replaced { .. }))
    }

    /// Whether another database is in the place of the one that is open, or none.
    pub(super) fn is_replaced(&self) -> bool {
        matches!(self.index(), Some(IndexError::Replaced { .. }))
    }

    /// Whether another process may do better: all but a database that somebody else is writing to.
    pub(super) fn may_be_own(&self) -> bool {
        !self.index().is_some_and(IndexError::is_busy)
    }
}
