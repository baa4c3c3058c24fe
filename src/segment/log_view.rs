//! The list of a log's segments for who only looks at it.
//!
//! Runs on the caller's thread, in any process, also while the store is open elsewhere. It opens no file for writing, and
//! what recovery would move aside it leaves out. What the marks say is taken as it is.

use super::directory;
use super::number_range::{NumberRange, reading_order};
use super::segment_list::{LogSegment, SegmentList};
use super::segment_state::SegmentState;
use super::witness::Witness;
use crate::ground::error::SegmentError;
use crate::ground::position::WriterId;
use std::path::Path;

/// The segments of the store `writer_id` in `wal_dir`, as they are now. What a writer appends later is not seen.
///
/// # Errors
/// A file can't be read, or is of a newer version.
pub(crate) fn look(wal_dir: &Path, writer_id: WriterId) -> Result<SegmentList, SegmentError> {
    let mut segments = Vec::new();
    for file in directory::list(wal_dir)? {
        let state = match SegmentState::of(&file.path, &Witness::TRUSTING) {
            Ok(state) => state,
            Err(SegmentError::Header { .. }) => continue,
            // Retired since the directory was listed.
            Err(SegmentError::Io(error)) if error.source.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if state.header.segment_id == file.id && state.header.writer_id == writer_id {
            segments.push(LogSegment::sealed(file.path, &state.header, state.extent));
        }
    }
    let range = |segment: &LogSegment| NumberRange {
        first: segment.base_sequence.0,
        count: u64::from(segment.progress.published().frames),
    };
    let order = reading_order(&segments.iter().map(range).collect::<Vec<_>>());
    let mut segments: Vec<_> = segments.into_iter().map(Some).collect();
    let mut ordered: Vec<_> = order.iter().filter_map(|place| segments[*place].take()).collect();
    let mut superseded: Vec<_> = segments.into_iter().flatten().collect();
    // A segment without frames has no place in the order; but the newest is the one that a writer appends to.
    let newest = superseded.pop_if(|last| ordered.last().is_none_or(|newest| newest.id < last.id));
    ordered.extend(newest);
    Ok(SegmentList::new(ordered, superseded))
}
