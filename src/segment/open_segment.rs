//! The segment of a log that is being read: its file, its reader, and what was seen of it so far.
//!
//! Runs on whoever reads a log; it only reads.

use super::directory::SegmentFile;
use super::examination::{Ending, Examination};
use super::format::{Extent, SegmentHeader};
use super::reader::{Damage, Item, SegmentReader, Stop};
use super::wrong_mark::WrongMark;
use crate::ground::error::PathError;
use crate::ground::position::{Offset, SegmentId, Sequence};

/// The segment.
#[derive(Debug)]
pub(super) struct OpenSegment {
    pub(super) file: SegmentFile,
    pub(super) reader: SegmentReader,
    /// A later segment was there before this one is read to its end.
    pub(super) has_successor: bool,
    /// It was read to its end, and nothing more was there.
    pub(super) is_quiet: bool,
    /// It was told that both its marks are damaged.
    pub(super) has_told_marks: bool,
    /// Its frames contradict its mark.
    has_wrong_mark: bool,
    /// What there is to say of it, for who asks.
    examination: Option<Examination>,
    stopped: Option<Stop>,
}

/// What its reader came upon, without the record's bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Came {
    Frame(Offset, Sequence),
    Damage(Damage),
    WrongMark(WrongMark),
    Stop(Stop),
}

impl OpenSegment {
    /// A segment from its first frame on. `is_examined`: somebody asks what there is to say of it.
    pub(super) fn new(file: SegmentFile, reader: SegmentReader, has_successor: bool, is_examined: bool) -> Self {
        let examination = is_examined.then(|| Examination::begin(&reader));
        let (is_quiet, has_told_marks, has_wrong_mark) = (false, false, false);
        Self { file, reader, has_successor, is_quiet, has_told_marks, has_wrong_mark, examination, stopped: None }
    }

    pub(super) fn id(&self) -> SegmentId {
        self.file.id
    }

    pub(super) fn header(&self) -> &SegmentHeader {
        self.reader.header()
    }

    pub(super) fn position(&self) -> Extent {
        self.reader.position()
    }

    /// Whether nothing has come since its end was seen. Then the memory that it is read into is given back.
    pub(super) fn is_still_quiet(&mut self) -> Result<bool, PathError> {
        self.is_quiet = self.is_quiet && self.reader.is_unchanged()?;
        if self.is_quiet {
            self.reader.release();
        }
        Ok(self.is_quiet)
    }

    /// Reads on.
    pub(super) fn read(&mut self) -> Result<Came, PathError> {
        let item = self.reader.next()?;
        if let Some(examination) = &mut self.examination {
            examination.note(&item);
        }
        Ok(match item {
            Item::Frame(frame) => Came::Frame(frame.offset, frame.sequence),
            Item::Damage(damage) => Came::Damage(damage),
            Item::WrongMark(wrong) => {
                self.has_wrong_mark = true;
                Came::WrongMark(wrong)
            }
            Item::Stop(stop) => {
                self.stopped = Some(stop);
                Came::Stop(stop)
            }
        })
    }

    /// What is behind its last frame, where reading stopped.
    pub(super) fn ending(&mut self, stop: Stop) -> Result<Ending, PathError> {
        if let Some(examination) = &mut self.examination {
            examination.end(&self.reader, stop)?;
            return Ok(examination.ending.clone());
        }
        Ending::of(&self.reader, stop)
    }

    /// How many frames it says that it has, if it is sealed and they don't contradict it.
    pub(super) fn frames_by_seal(&self) -> Option<u32> {
        self.reader.mark().sealed.filter(|_| !self.has_wrong_mark).map(|sealed| sealed.frames)
    }

    /// What there is to say of it so far, for who asked.
    pub(super) fn examined(self) -> Option<(SegmentFile, Examination)> {
        let Self { file, reader, examination, stopped, .. } = self;
        let mut examination = examination?;
        if let Err(error) = examination.end(&reader, stopped.unwrap_or(Stop::Open)) {
            examination.end_unread(&reader, &error);
        }
        Some((file, examination))
    }
}
