//! Where folding goes on when a store is opened. Plain data.

use crate::index::checkpoint::Checkpoint;
use crate::segment::lost_numbers::LostNumbers;
use crate::segment::quarantine::Note;

/// Where folding goes on, and what the opening found beside the log.
#[derive(Debug)]
pub(crate) struct FoldStart {
    /// Up to here, folded.
    pub(crate) checkpoint: Checkpoint,
    /// Which missing numbers are those of lost records.
    pub(crate) lost_numbers: LostNumbers,
    /// The files in quarantine, of which the table is to have the damage.
    pub(crate) quarantined: Vec<Note>,
}
