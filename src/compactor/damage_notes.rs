//! What table `quarantine` says of damage that no frame tells of: the same words whoever folds.
//!
//! Pure, but for the size of a file.

use crate::ground::position::Offset;
use crate::segment::format::{FrameError, MARK_OFFSETS};
use std::path::Path;

/// Where the note about both marks of a segment stands.
pub(super) const DAMAGED_MARKS_OFFSET: Offset = Offset(MARK_OFFSETS[0]);

/// What it says.
pub(super) const DAMAGED_MARKS: &str = "both marks are damaged, which no crash leaves";

/// What is said of a torn tail behind which something is durable.
pub(super) fn torn_though_durable(reason: FrameError) -> String {
    format!("{reason}; what is behind it is durable")
}

/// How many bytes a file has, as far as a note can say.
pub(super) fn file_bytes(path: &Path) -> u32 {
    let bytes = std::fs::symlink_metadata(path).map_or(0, |metadata| metadata.len());
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
