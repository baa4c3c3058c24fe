//! The whole log by reading alone: each intact record once, wherever it lies, and the places where records are lost.
//!
//! For whoever makes a database anew. Recovery decides what the running store reads; this reads whatever is there, also
//! segments that were moved aside, and changes nothing. Several segments may hold a number; they hold the same record
//! then. Runs on the caller's thread, under the store's lock or beside a running store.

use super::number_set::NumberSet;
use super::quarantine;
use super::reader::{Damage, FrameAt, Item, SegmentReader};
use super::recovery_plan::RecoveryPlan;
use super::segment_state::SegmentState;
use super::survey::Survey;
use super::witness::Witness;
use super::wrong_mark::WrongMark;
use crate::ground::error::{OpenError, SegmentError};
use crate::ground::position::{Offset, SegmentId, Sequence, WriterId};
use crate::ground::work::{Watch, WorkError, tell};
use std::path::{Path, PathBuf};

/// A segment whose header is sound and of this log.
#[derive(Clone, Debug)]
pub(crate) struct ReadableSegment {
    pub(crate) id: SegmentId,
    pub(crate) path: PathBuf,
    /// It lies in `quarantine/`.
    pub(crate) is_aside: bool,
    /// The number of its first record.
    pub(crate) base_sequence: Sequence,
    /// Where its last frame ends.
    pub(crate) end: Offset,
}

/// What a walk comes upon.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// An intact record whose number did not come before.
    Frame(FrameAt<'a>),
    /// A place that can't be read, and so many records that no other segment has.
    Lost(&'a Damage, u64),
    /// A mark that the frames contradict. They are read all the same.
    WrongMark(&'a WrongMark),
}

/// The segments of the log of `owner` that can be read: those in its place, and those that were moved aside. Where nothing
/// tells whose log it is, there are none.
///
/// # Errors
/// A file can't be read, or is of a newer version.
pub(crate) fn readable(
    survey: Survey,
    quarantine_dir: &Path,
    owner: Option<WriterId>,
) -> Result<Vec<ReadableSegment>, OpenError> {
    let mut segments = Vec::new();
    // All of it is read by the walk: here, the marks are taken as they are.
    for found in RecoveryPlan::of_opened(survey, owner, Sequence(0))?.files {
        if let Some(state) = &found.segment {
            segments.push(ReadableSegment::of(found.file.path.clone(), state, false));
        }
    }
    for aside in quarantine::segments(quarantine_dir) {
        let Ok(reader) = SegmentReader::open(&aside.path) else { continue };
        if owner.is_some_and(|owner| owner == reader.header().writer_id)
            && let Ok(state) = SegmentState::of(&aside.path, &Witness::TRUSTING)
        {
            segments.push(ReadableSegment::of(aside.path, &state, true));
        }
    }
    Ok(segments)
}

impl ReadableSegment {
    fn of(path: PathBuf, state: &SegmentState, is_aside: bool) -> Self {
        Self {
            id: state.header.segment_id,
            path,
            is_aside,
            base_sequence: state.header.base_sequence,
            end: state.extent.end,
        }
    }

    fn open(&self) -> Result<SegmentReader, SegmentError> {
        let mut reader = SegmentReader::open(&self.path)?;
        // What the disk can't give back is as good as damaged.
        reader.pass_unreadable();
        Ok(reader)
    }
}

/// Reads the segments and hands over what is found: each record once, and then what is lost. Returns the numbers of the
/// records.
///
/// # Errors
/// What `each` returned, what can't be read, or that no more is wanted.
pub(crate) fn walk(
    segments: &[ReadableSegment],
    watch: &mut Watch<'_>,
    mut each: impl FnMut(&ReadableSegment, Found<'_>) -> Result<(), WorkError>,
) -> Result<NumberSet, WorkError> {
    let (mut numbers, mut damaged) = (NumberSet::default(), Vec::new());
    for (at, segment) in segments.iter().enumerate() {
        tell(watch, at as f64 / segments.len() as f64)?;
        let mut reader = segment.open()?;
        loop {
            let due = reader.next_sequence();
            match reader.next()? {
                Item::Frame(frame) => {
                    if numbers.insert(frame.sequence.0) {
                        each(segment, Found::Frame(frame))?;
                    }
                }
                Item::Damage(damage) => damaged.push((segment, damage, due)),
                Item::WrongMark(wrong) => each(segment, Found::WrongMark(&wrong))?,
                Item::Stop(_) => break,
            }
        }
    }
    for (segment, damage, due) in damaged {
        let count = u64::from(damage.records);
        let elsewhere = if count == 0 { 0 } else { numbers.count_within(due.0, due.0 + count - 1) };
        if count == 0 || elsewhere < count {
            each(segment, Found::Lost(&damage, count - elsewhere))?;
        }
    }
    Ok(numbers)
}
