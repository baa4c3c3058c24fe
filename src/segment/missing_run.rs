//! Numbers that are due and that the segment which is read does not have: they come from later segments, or nobody has
//! them.
//!
//! Runs on whoever reads a log; it only reads.

use super::directory::SegmentFile;
use super::reader::SegmentReader;
use super::second_writing::{FoundAgain, SecondWriting};
use crate::ground::error::{PathError, SegmentError};
use crate::ground::position::{SegmentId, Sequence};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The numbers, of which the first is the one that is due.
#[derive(Debug)]
pub(super) struct MissingRun {
    /// The last one.
    pub(super) last: Sequence,
    /// The segment that shows that they were given.
    pub(super) behind: SegmentId,
    /// Who may have them.
    pub(super) second: SecondWriting,
    /// The segment that was read last before them, if a living writer may still write them again as long as that one is
    /// not sealed.
    pub(super) before: Option<PathBuf>,
    /// They may not come any more, and all that was there was looked at.
    pub(super) is_settled: bool,
}

/// What comes next of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MissingNext {
    /// A later segment has the number that is due.
    Again(FoundAgain),
    /// Nobody has those from the number that is due to this one.
    Hole(Sequence),
    /// All came.
    Through,
}

impl MissingRun {
    pub(super) fn next(&mut self, due: Sequence) -> Result<MissingNext, PathError> {
        if due > self.last {
            return Ok(MissingNext::Through);
        }
        Ok(match self.second.first_from(due)? {
            Some(number) if number == due => {
                let found = self.second.take(number)?;
                found.map_or(MissingNext::Hole(due), MissingNext::Again)
            }
            Some(number) => MissingNext::Hole(Sequence(number.0 - 1)),
            None => MissingNext::Hole(self.last),
        })
    }

    /// Those that are not there count as missing from now on, though they may still come. The last of them; `None`: they do so
    /// already.
    pub(super) fn settle(&mut self) -> Option<Sequence> {
        (!std::mem::replace(&mut self.is_settled, true)).then_some(self.last)
    }

    /// Whether the numbers may still come from a living writer: a sync failed, so the segment before them gets no seal,
    /// and none of those behind them is durable as long as they are not written again. `behind` are those segments.
    pub(super) fn may_come<'a>(&self, behind: impl IntoIterator<Item = &'a SegmentFile>) -> bool {
        let Some(before) = &self.before else { return false };
        let mark = SegmentReader::open(before).map(|reader| reader.mark());
        // One that is gone was folded, and so were they.
        if mark.is_ok_and(|mark| mark.sealed.is_some()) || !before.exists() {
            return false;
        }
        !behind.into_iter().any(|file| is_durable_behind(file, self.last))
    }
}

/// Whether a segment whose numbers begin behind that one is durable, at least a part of it: then all before it was.
pub(super) fn is_durable_behind(file: &SegmentFile, last: Sequence) -> bool {
    SegmentReader::open(&file.path)
        .is_ok_and(|reader| reader.header().base_sequence > last && reader.mark().durable.frames > 0)
}

/// An error where the segment that was read before numbers that nobody has is gone: segments are retired in their order, so
/// what came between may have been retired too, before it was listed. Who reads on from the place finds out.
pub(super) fn expect_there(before: Option<&Path>) -> Result<(), SegmentError> {
    match before.map(|path| (path, path.symlink_metadata())) {
        Some((path, Err(error))) if error.kind() == ErrorKind::NotFound => {
            Err(SegmentError::Gone { path: path.to_owned() })
        }
        _ => Ok(()),
    }
}
