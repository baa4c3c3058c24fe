//! The whole log by reading alone: each intact record once, wherever it lies, and the places where records are lost.
//!
//! For whoever makes a database anew. Recovery decides what the running store reads; this reads whatever is there, also
//! segments that were moved aside, and changes nothing. Several segments may hold a number; they hold the same record
//! then. Runs on the caller's thread, under the store's lock or beside a running store.

use super::found_file::FoundFile;
use super::number_set::NumberSet;
use super::quarantine;
use super::reader::{Damage, FrameAt, Item, SegmentReader};
use super::segment_state::SegmentState;
use super::survey::{Survey, is_reachable};
use super::verdict::{Header, NUMBER_MAX};
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
    /// Its mark says that it ends before frames that are intact.
    disproved: bool,
}

/// What a walk comes upon.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// An intact record whose number did not come before.
    Frame(FrameAt<'a>),
    /// A place that can't be read, and so many records that no other segment has.
    Lost(&'a Damage, u64),
}

/// What of a log can be read, and what can't.
#[derive(Debug, Default)]
pub(crate) struct ReadableLog {
    /// The segments that can.
    pub(crate) segments: Vec<ReadableSegment>,
    /// How many files may have been segments of it, and nothing can be told of them any more.
    pub(crate) unreadable: u64,
    /// The last number that one of those in quarantine may have had; 0 for none.
    pub(crate) reserved: Sequence,
}

impl ReadableLog {
    /// The log of `owner`: its segments in their place, and those that were moved aside. Where nothing tells whose log it is,
    /// it has none. A segment under another name is read like the others, also before it is moved aside for that.
    ///
    /// # Errors
    /// A file can't be read, or is of a newer version.
    pub(crate) fn of(survey: Survey, quarantine_dir: &Path, owner: Option<WriterId>) -> Result<Self, OpenError> {
        let mut log = Self::default();
        for (file, header) in survey.files {
            let found = FoundFile::new(file, header, owner)?;
            match (&found.segment, found.header) {
                (Some(state), _) => log.add(found.file.path.clone(), state, false),
                (None, Header::Misnamed) if owner.is_some() => match SegmentState::of(&found.file.path) {
                    Ok(state) => log.add(found.file.path.clone(), &state, false),
                    Err(_) => log.unreadable += 1,
                },
                (None, Header::Damaged) => log.unreadable += 1,
                (None, _) => {}
            }
        }
        for aside in quarantine::segments(quarantine_dir) {
            match SegmentState::of(&aside.path) {
                Ok(state) if owner == Some(state.header.writer_id) => log.add(aside.path, &state, true),
                Ok(_) => {}
                Err(_) => {
                    log.unreadable += 1;
                    let last = aside.note.map_or(Sequence(0), |note| note.last_sequence());
                    log.reserved = log.reserved.max(Sequence(if last.0 <= NUMBER_MAX { last.0 } else { 0 }));
                }
            }
        }
        Ok(log)
    }

    fn add(&mut self, path: PathBuf, state: &SegmentState, is_aside: bool) {
        if is_reachable(&state.header) {
            self.segments.push(ReadableSegment::of(path, state, is_aside));
        }
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
            disproved: state.disproved_end.is_some(),
        }
    }

    fn open(&self) -> Result<SegmentReader, SegmentError> {
        let mut reader = SegmentReader::open(&self.path)?;
        if self.disproved {
            reader.distrust_mark();
        }
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
