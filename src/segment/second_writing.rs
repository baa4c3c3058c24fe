//! Records that later segments have once more, where one is damaged.
//!
//! After a sync failed, a writer writes again what may not have reached the disk, into the next segment. What is lost in one
//! of the two is not lost.
//!
//! Runs on whoever reads a log; it only reads.

use super::directory::SegmentFile;
use super::format::SegmentHeader;
use super::reader::{Item, SegmentReader};
use crate::ground::error::PathError;
use crate::ground::position::{Offset, SegmentId, Sequence};
use std::collections::VecDeque;

/// The segments that may have them.
#[derive(Debug)]
pub(super) struct SecondWriting {
    readers: VecDeque<SegmentReader>,
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
    /// Those of the files whose numbers begin at `last` or before, and that `is_ours`.
    pub(super) fn of<'a>(
        files: impl IntoIterator<Item = &'a SegmentFile>,
        last: Sequence,
        is_ours: impl Fn(&SegmentFile, &SegmentHeader) -> bool,
    ) -> Self {
        let mut readers = VecDeque::new();
        for file in files {
            let Ok(reader) = SegmentReader::open(&file.path) else { continue };
            if !is_ours(file, reader.header()) {
                continue;
            }
            // Numbers begin no lower in later segments.
            if reader.header().base_sequence > last {
                break;
            }
            readers.push_back(reader);
        }
        Self { readers, last }
    }

    /// How many of the numbers from `first` on they have.
    pub(super) fn count(&mut self, first: Sequence) -> Result<u64, PathError> {
        let mut count = 0;
        let mut due = first;
        for reader in &mut self.readers {
            let start = reader.position();
            while let Some(found) = next_in(reader, due, self.last)? {
                count += 1;
                due = found.sequence.next();
            }
            reader.seek(start);
        }
        Ok(count)
    }

    /// The next record from the number `due` on; `None` if there are no more.
    pub(super) fn next(&mut self, due: Sequence) -> Result<Option<FoundAgain>, PathError> {
        while let Some(reader) = self.readers.front_mut() {
            if let Some(found) = next_in(reader, due, self.last)? {
                return Ok(Some(found));
            }
            self.readers.pop_front();
        }
        Ok(None)
    }

    /// Who read the last record that was found.
    pub(super) fn reader(&self) -> Option<&SegmentReader> {
        self.readers.front()
    }
}

fn next_in(reader: &mut SegmentReader, due: Sequence, last: Sequence) -> Result<Option<FoundAgain>, PathError> {
    loop {
        if due > last || reader.next_sequence() > last {
            return Ok(None);
        }
        let segment = reader.header().segment_id;
        match reader.next()? {
            Item::Frame(frame) if frame.sequence > last => return Ok(None),
            Item::Frame(frame) if frame.sequence >= due => {
                return Ok(Some(FoundAgain { segment, offset: frame.offset, sequence: frame.sequence }));
            }
            Item::Frame(_) | Item::Damage(_) | Item::WrongMark(_) => {}
            Item::Stop(_) => return Ok(None),
        }
    }
}
