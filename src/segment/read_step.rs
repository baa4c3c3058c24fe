//! What reading a log comes to next.
//!
//! Pure data.

use super::log_item::LogItem;
use super::second_writing::FoundAgain;

/// What [`LogReader::next`](super::log_reader::LogReader::next) hands out, without the record's bytes.
pub(super) enum Step {
    /// A record of the segment that is read.
    Frame(FoundAgain),
    /// One that a later segment has.
    FrameAgain(FoundAgain),
    /// Anything else.
    Item(LogItem<'static>),
}
