//! Records that later segments have once more, where an earlier one has lost them.
//!
//! After a sync failed, a writer writes again what may not have reached the disk, into new segments. What one of the
//! two writings lost is not lost.
//!
//! Runs on whoever reads a log; it only reads.

use super::directory::SegmentFile;
use super::format::{Extent, SegmentHeader};
use super::reader::{Item, SegmentReader};
use crate::ground::error::PathError;
use crate::ground::position::{Offset, SegmentId, Sequence};
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;

/// The first number of each segment that was asked for so far; `None`: it is none of this log. A header never changes.
pub(super) type Bases = HashMap<PathBuf, Option<Sequence>>;

/// The segments that may have them.
#[derive(Debug)]
pub(super) struct SecondWriting {
    readers: VecDeque<SegmentReader>,
    /// Which of them found a record last.
    found_in: Option<usize>,
    /// The last number that is looked for.
    last: Sequence,
}

/// A record that was found: its segment, place and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FoundAgain {
    pub(super) segment: SegmentId,
    pub(super) offset: Offset,
    pub(super) sequence: Sequence,
}

impl SecondWriting {
    /// Those of the files whose numbers begin at `last` or before, and that are of the log as `is_ours` says.
    pub(super) fn of<'a>(
        files: impl IntoIterator<Item = &'a SegmentFile>,
        last: Sequence,
        bases: &mut Bases,
        is_ours: impl Fn(&SegmentFile, &SegmentHeader) -> bool,
    ) -> Self {
        let mut readers = VecDeque::new();
        for file in files {
            if bases.get(&file.path).is_some_and(|base| base.is_none_or(|base| base > last)) {
                continue;
            }
            let reader = SegmentReader::open(&file.path).ok().filter(|reader| is_ours(file, reader.header()));
            let base = reader.as_ref().map(|reader| reader.header().base_sequence);
            bases.insert(file.path.clone(), base);
            readers.extend(reader.filter(|_| base.is_some_and(|base| base <= last)));
        }
        Self { readers, found_in: None, last }
    }

    /// From now on, pages that the disk can't read count as zeros.
    pub(super) fn pass_unreadable(&mut self) {
        self.readers.iter_mut().for_each(SegmentReader::pass_unreadable);
    }

    /// How many of the numbers from `first` on they have.
    pub(super) fn count(&mut self, first: Sequence) -> Result<u64, PathError> {
        let (mut count, mut due) = (0, first);
        while let Some(number) = self.first_from(due)? {
            (count, due) = (count + 1, number.next());
        }
        self.readers.iter_mut().for_each(|reader| reader.seek(Extent::EMPTY));
        Ok(count)
    }

    /// The lowest number from `due` on that they have; `None`: they have none. Numbers never go back from one call to
    /// the next.
    pub(super) fn first_from(&mut self, due: Sequence) -> Result<Option<Sequence>, PathError> {
        let mut first = None::<Sequence>;
        self.found_in = None;
        for (at, reader) in self.readers.iter_mut().enumerate() {
            let last = first.map_or(self.last, |first| Sequence(first.0 - 1));
            if let Some(found) = seek_number(reader, due, last)? {
                (first, self.found_in) = (Some(found), Some(at));
            }
            if first == Some(due) {
                break;
            }
        }
        Ok(first)
    }

    /// Takes the record of that number, which [`Self::first_from`] has just found.
    pub(super) fn take(&mut self, number: Sequence) -> Result<Option<FoundAgain>, PathError> {
        // Another one that is read to its end may be due for the same number, and has no frame there.
        let Some(reader) = self.found_in.and_then(|at| self.readers.get_mut(at)) else { return Ok(None) };
        let segment = reader.header().segment_id;
        loop {
            match reader.next()? {
                Item::Frame(frame) => {
                    let found = FoundAgain { segment, offset: frame.offset, sequence: frame.sequence };
                    return Ok(Some(found).filter(|found| found.sequence == number));
                }
                Item::WrongMark(_) => {}
                Item::Damage(_) | Item::Stop(_) => return Ok(None),
            }
        }
    }

    /// Who read the record that was taken last.
    pub(super) fn reader(&self) -> Option<&SegmentReader> {
        self.readers.get(self.found_in?)
    }
}

/// The lowest number from `due` to `last` that a segment has. The reader stands before its frame then.
fn seek_number(reader: &mut SegmentReader, due: Sequence, last: Sequence) -> Result<Option<Sequence>, PathError> {
    while due <= last && reader.next_sequence() <= last {
        let before = reader.position();
        match reader.next()? {
            Item::Frame(frame) if frame.sequence < due => {}
            Item::Frame(frame) => {
                let number = frame.sequence;
                reader.seek(before);
                return Ok(Some(number).filter(|number| *number <= last));
            }
            Item::Damage(_) | Item::WrongMark(_) => {}
            Item::Stop(_) => return Ok(None),
        }
    }
    Ok(None)
}
