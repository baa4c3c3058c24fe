//! Why a batch was not folded, and whether trying again can help. Plain data.

use crate::ground::error::{IndexError, PathError, SegmentError};
use std::io::ErrorKind;

/// Why a batch failed. Its records are read and folded again from the checkpoint.
#[derive(Debug, thiserror::Error)]
pub(super) enum FoldError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error(transparent)]
    Io(#[from] PathError),
}

impl FoldError {
    /// Whether the disk can't give back what was written to it.
    pub(super) fn is_unreadable(&self) -> bool {
        match self {
            Self::Segment(SegmentError::Io(error)) | Self::Io(error) => error.is_unreadable(),
            _ => false,
        }
    }
}

/// Whether a segment is lost, so that trying again can't help: its file is gone, or its header is. A file that the disk
/// can't read is lost only if the compactor `gives_up` on it.
pub(super) fn is_lost(error: &SegmentError, gives_up: bool) -> bool {
    match error {
        SegmentError::Header { .. } => true,
        SegmentError::Io(error) => error.source.kind() == ErrorKind::NotFound || gives_up && error.is_unreadable(),
        SegmentError::UnsupportedVersion { .. } | SegmentError::NeedsNewer { .. } | SegmentError::Gone { .. } => false,
    }
}
