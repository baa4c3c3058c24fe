//! The whole log by reading alone: each intact record once, wherever it lies, and the places where records are lost.
//!
//! For whoever makes a database anew. Recovery decides what the running store reads; this reads whatever is there, also
//! segments that were moved aside, and changes nothing. Several segments may hold a number; they hold the same record
//! then. Runs on the caller's thread, under the store's lock or beside a running store.

use super::format::Extent;
use super::found_file::FoundFile;
use super::number_set::NumberSet;
use super::quarantine;
use super::reader::{Damage, FrameAt, Item, SegmentReader};
use super::survey::Survey;
use super::wrong_mark::WrongMark;
use crate::ground::error::SegmentError;
use crate::ground::position::{SegmentId, Sequence, WriterId};
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
    /// Where reading the segment ends, and how many records it has before that, lost ones included. The frames tell, as they
    /// do when a store is opened: what a mark says that they contradict is nobody's number.
    End(Extent),
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
    /// Only headers are looked at. What the segments hold, the walk tells.
    pub(crate) fn of(survey: Survey, quarantine_dir: &Path, owner: Option<WriterId>) -> Self {
        let mut log = Self::default();
        for (file, header) in survey.files {
            log.add(&FoundFile::new(file, header, owner), false);
        }
        for aside in quarantine::segments(quarantine_dir) {
            match FoundFile::headed_in_quarantine(&aside, owner) {
                Some(found) if owner.is_some() => log.add(&found, true),
                Some(_) => {}
                None => log.unreadable += 1,
            }
        }
        log
    }

    fn add(&mut self, found: &FoundFile, is_aside: bool) {
        if let Some(base_sequence) = found.base_sequence() {
            let (id, path) = (found.file.id, found.file.path.clone());
            self.segments.push(ReadableSegment { id, path, is_aside, base_sequence });
        }
        self.unreadable += u64::from(found.header.is_unreadable());
    }
}

impl ReadableSegment {
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
        each(segment, Found::End(reader.position()))?;
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
