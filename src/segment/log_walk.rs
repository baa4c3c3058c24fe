//! The whole log by reading alone: each intact record once, wherever it lies, and the places where records are lost.
//!
//! For whoever makes a database anew. Recovery decides what the running store reads; this reads whatever is there, also
//! segments that were moved aside, and changes nothing. Several segments may hold a number; they hold the same record
//! then. Runs on the caller's thread, under the store's lock or beside a running store.

use super::found_file::FoundFile;
use super::number_set::NumberSet;
use super::quarantine;
use super::reader::{Damage, FrameAt, Item, SegmentReader};
use super::recovery_plan::RecoveryPlan;
use super::segment_state::SegmentState;
use super::survey::Survey;
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
    /// The number of its last record, read or lost; one less than the first if there is none.
    pub(crate) last_sequence: Sequence,
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

/// What of a log can be read, and what can't.
#[derive(Debug, Default)]
pub(crate) struct ReadableLog {
    /// The segments that can.
    pub(crate) segments: Vec<ReadableSegment>,
    /// How many files may have been segments of it, and are not read: nothing can be told of them, or they have another
    /// segment's name.
    pub(crate) unreadable: u64,
}

impl ReadableLog {
    /// The log of `owner`: its segments in their place, and those that were moved aside. Where nothing tells whose log it is,
    /// it has none. Both are judged alike, so that it is the same before and after an opening moves some of them.
    ///
    /// # Errors
    /// A file can't be read, or is of a newer version.
    pub(crate) fn of(survey: Survey, quarantine_dir: &Path, owner: Option<WriterId>) -> Result<Self, OpenError> {
        let mut log = Self::default();
        // All of it is read by the walk: here, the marks are taken as they are.
        for found in &RecoveryPlan::of_opened(survey, owner, Sequence(0))?.files {
            log.add(found, false);
        }
        for aside in quarantine::segments(quarantine_dir) {
            match FoundFile::in_quarantine(&aside, owner) {
                Some(found) if owner.is_some() => log.add(&found, true),
                Some(_) => {}
                None => log.unreadable += 1,
            }
        }
        Ok(log)
    }

    fn add(&mut self, found: &FoundFile, is_aside: bool) {
        if let Some(state) = &found.segment {
            self.segments.push(ReadableSegment::of(found.file.path.clone(), state, is_aside));
        }
        self.unreadable += u64::from(found.header.is_unreadable());
    }
}

impl ReadableSegment {
    fn of(path: PathBuf, state: &SegmentState, is_aside: bool) -> Self {
        Self {
            id: state.header.segment_id,
            path,
            is_aside,
            base_sequence: state.header.base_sequence,
            end: state.extent.end,
            last_sequence: state.last_sequence(),
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
