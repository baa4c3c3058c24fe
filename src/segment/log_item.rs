//! What reading a log comes upon.
//!
//! Plain data; used on every thread.

use super::directory::SegmentFile;
use super::format::FrameError;
use super::reader::{Damage, FrameAt};
use super::wrong_mark::WrongMark;
use crate::ground::error::SegmentError;
use crate::ground::finding::{Finding, FindingKind};
use crate::ground::position::{Offset, SegmentId, Sequence, StoreId};
use std::path::{Path, PathBuf};

/// Whether a log can still grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Its writer lives, or nobody can tell. What does not check out above the durable end may be a frame that is being
    /// written.
    Living,
    /// Its writer is dead: who reads has the folder's lock, or has read the record that says that the writer ended.
    /// Nothing more comes.
    Dead,
}

/// What comes next in a log.
#[derive(Debug)]
pub enum LogItem<'a> {
    /// The record with the number that is due.
    Frame {
        /// Where it lies.
        segment: SegmentId,
        /// The record.
        frame: FrameAt<'a>,
    },
    /// Numbers of which no record is there, those of a damaged place included: that comes before, with its place.
    Hole {
        /// The first one.
        first: Sequence,
        /// The last one.
        last: Sequence,
        /// The segment that shows it: its numbers begin behind the hole, or it says that it had them.
        behind: SegmentId,
    },
    /// Bytes that were durable and are no frames any more. The numbers of their records come behind it, those that a
    /// later segment has as records, the others as holes. It may come again where reading goes on within the segment:
    /// only the first time counts.
    Damage {
        /// Where they lie.
        segment: SegmentId,
        /// What is wrong.
        damage: Damage,
        /// How many of its records were due, and are in no later segment.
        lost: u64,
    },
    /// The frames contradict the mark; reading goes on by the frames.
    WrongMark {
        /// Of which segment.
        segment: SegmentId,
        /// How.
        wrong: WrongMark,
    },
    /// A file that is no segment of this log, or not the one that its name says: it is passed over. Its records are
    /// missing, which the numbers behind it show.
    BadFile {
        /// The file.
        file: SegmentFile,
        /// What is wrong with it.
        finding: Box<Finding>,
        /// Its own header and mark say which numbers it has, though it is not in its place.
        tells_numbers: bool,
    },
    /// What a crash left behind the last frame of a segment: it is passed over, and was promised to nobody.
    Torn {
        /// Of which segment.
        segment: SegmentId,
        /// Where it begins.
        offset: Offset,
        /// How long it is.
        bytes: u32,
        /// What is wrong with it.
        reason: FrameError,
        /// Its records are in no later segment, and one behind them is durable: so were they, and no crash did this.
        is_vouched_for: bool,
    },
    /// Both marks of a segment are damaged, which no crash leaves: what was durable is not known. It comes when the segment has
    /// ended.
    DamagedMarks {
        /// Of which segment.
        segment: SegmentId,
    },
    /// The end for now: a later call looks again.
    NotYet,
    /// The end: the writer is dead.
    End,
    /// The log is not for this build, or not of this store: nobody touches it.
    Waits(Waits),
}

/// Why a log is left alone from that file on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waits {
    /// The file is of a newer version of the format.
    Version {
        /// The file.
        path: PathBuf,
        /// The newest version that this build reads.
        supported: u16,
        /// Its version.
        found: u16,
    },
    /// The log may have records of a level that this build does not know.
    Level {
        /// The file.
        path: PathBuf,
        /// The highest level that this build knows.
        supported: u16,
        /// Its level.
        found: u16,
    },
    /// The file is of another store.
    OtherStore {
        /// The file.
        path: PathBuf,
        /// Its store.
        store: StoreId,
    },
}

impl Waits {
    /// The file that says so.
    pub fn path(&self) -> &Path {
        match self {
            Self::Version { path, .. } | Self::Level { path, .. } | Self::OtherStore { path, .. } => path,
        }
    }

    /// What there is to say of it.
    pub fn finding(&self) -> Finding {
        match self.clone() {
            Self::Version { path, supported, found } => {
                Finding::of_segment_error(&SegmentError::UnsupportedVersion { path, supported, found })
            }
            Self::Level { path, supported, found } => {
                Finding::of_segment_error(&SegmentError::NeedsNewer { path, supported, found })
            }
            Self::OtherStore { path, store } => {
                Finding::new(FindingKind::ForeignSegment, &path, format!("of another store, {store}")).at(0)
            }
        }
    }
}
