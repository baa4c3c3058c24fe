//! Numbers that are due and that the segment which is read does not have: they come from later segments, or nobody has
//! them.
//!
//! Runs on whoever reads a log; it only reads.

use super::directory::SegmentFile;
use super::reader::SegmentReader;
use super::second_writing::{FoundAgain, SecondWriting};
use crate::ground::error::SegmentError;
use crate::ground::position::{SegmentId, Sequence};
use std::io::ErrorKind;
use std::path::PathBuf;

/// The numbers, of which the first is the one that is due.
#[derive(Debug)]
pub(super) struct MissingRun {
    /// The last one.
    pub(super) last: Sequence,
    /// The segment that shows that they were given.
    pub(super) behind: SegmentId,
    /// Who may have them.
    pub(super) second: SecondWriting,
    /// The segment that was read last before them: as long as that one is not sealed, a living writer may still write them
    /// again, and where it is gone, they may have gone with it.
    pub(super) before: Option<ReadBefore>,
    /// They were durable: nobody writes them again.
    pub(super) were_durable: bool,
    /// They may not come any more, and all that was there was looked at.
    pub(super) is_settled: bool,
}

/// A segment that was read to its end.
#[derive(Clone, Debug)]
pub(super) struct ReadBefore {
    pub(super) path: PathBuf,
    pub(super) is_sealed: bool,
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
    /// Looks for the number that is due.
    ///
    /// # Errors
    /// The system refuses; or nobody has it, and the segment before is [`SegmentError::Gone`]: segments are retired in their
    /// order, so what came between may have been retired too, before it was listed.
    pub(super) fn next(&mut self, due: Sequence) -> Result<MissingNext, SegmentError> {
        if due > self.last {
            return Ok(MissingNext::Through);
        }
        let last = match self.second.first_from(due)? {
            Some(number) if number == due => match self.second.take(number)? {
                Some(found) => return Ok(MissingNext::Again(found)),
                None => due,
            },
            Some(number) => Sequence(number.0 - 1),
            None => self.last,
        };
        match self.before.as_ref().map(|before| (&before.path, before.path.symlink_metadata())) {
            Some((path, Err(error))) if error.kind() == ErrorKind::NotFound => {
                Err(SegmentError::Gone { path: path.clone() })
            }
            _ => Ok(MissingNext::Hole(last)),
        }
    }

    /// Those that are not there count as missing from now on, though they may still come. The last of them; `None`: they do so
    /// already.
    pub(super) fn settle(&mut self) -> Option<Sequence> {
        (!std::mem::replace(&mut self.is_settled, true)).then_some(self.last)
    }

    /// Whether the numbers may still come from a living writer: a sync failed, so the segment before them gets no seal,
    /// and none of those behind them is durable as long as they are not written again. `behind` are those segments.
    pub(super) fn may_come<'a>(&self, behind: impl IntoIterator<Item = &'a SegmentFile>) -> bool {
        let before = self.before.as_ref().filter(|before| !before.is_sealed && !self.were_durable);
        let Some(ReadBefore { path: before, .. }) = before else { return false };
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
