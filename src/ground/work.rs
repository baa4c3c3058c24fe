//! Long work that tells how far it is, and ends early where that is wanted. Plain types; on any thread.

use super::error::{IndexError, OpenError, PathError, SegmentError};
use std::io::ErrorKind;
use std::ops::ControlFlow;

/// Who watches is told now and then how much is done, from 0 to 1, and says whether to go on.
pub(crate) type Watch<'w> = dyn FnMut(f64) -> ControlFlow<()> + 'w;

/// Why long work has not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkError {
    /// Who watches wanted no more.
    #[error("interrupted")]
    Interrupted,
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error(transparent)]
    Io(#[from] PathError),
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl WorkError {
    /// Whether a file or a directory is not there any more.
    pub(crate) fn is_gone(&self) -> bool {
        match self {
            Self::Segment(SegmentError::Gone { .. }) => true,
            Self::Io(error) | Self::Segment(SegmentError::Io(error)) => error.source.kind() == ErrorKind::NotFound,
            _ => false,
        }
    }
}

/// Tells who watches how much is done.
///
/// # Errors
/// [`WorkError::Interrupted`]: no more is wanted.
pub(crate) fn tell(watch: &mut Watch<'_>, done: f64) -> Result<(), WorkError> {
    if watch(done).is_break() { Err(WorkError::Interrupted) } else { Ok(()) }
}
