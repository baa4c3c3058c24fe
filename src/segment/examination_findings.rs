//! What an examination found, in sentences: the same ones for check and wal-inspect.
//!
//! Pure. How bad each is stands in the table of kinds.

use super::examination::{Ending, Examination, HeaderState};
use super::format::FrameError;
use super::marks::Marks;
use super::reader::Damage;
use super::wrong_mark::WrongMark;
use crate::ground::finding::{Finding, FindingKind};
use crate::ground::position::{Offset, Sequence};
use std::path::Path;

impl Damage {
    /// What there is to say of it. `first` is the number that was due where it begins.
    pub fn finding(&self, path: &Path, first: Sequence) -> Finding {
        let records = u64::from(self.records);
        let what = match records {
            0 => "no record".to_owned(),
            1 => format!("record {first}"),
            more => format!("{more} records, {first} to {}", Sequence(first.0 + more - 1)),
        };
        let text = format!("damage of {} bytes ({what}): {}", self.bytes, self.reason);
        let found = Finding::new(FindingKind::DamagedPlace, path, text).at(self.offset.0);
        found.of_bytes(self.bytes.into()).of_records(first, records)
    }
}

impl WrongMark {
    /// What there is to say of it.
    pub fn finding(&self, path: &Path) -> Finding {
        Finding::new(FindingKind::WrongMark, path, self.to_string()).at(self.offset().0)
    }
}

impl Marks {
    /// What there is to say of them, if one is damaged.
    pub fn finding(&self, path: &Path) -> Option<Finding> {
        let damaged: Vec<u32> = self.damaged().collect();
        match damaged[..] {
            [] => None,
            [offset] => {
                let text = "a damaged mark, as a torn write leaves it";
                Some(Finding::new(FindingKind::DamagedMark, path, text).at(offset))
            }
            [offset, ..] => {
                let text = "both marks are damaged: nothing tells what was durable, or where the segment ends";
                Some(Finding::new(FindingKind::DamagedMarks, path, text).at(offset))
            }
        }
    }
}

impl Examination {
    /// That the segment may have records of a higher level than `known`, if it may.
    pub fn needs_newer(&self, path: &Path, known: u16) -> Option<Finding> {
        let HeaderState::Intact(header) = &self.header else { return None };
        header.check_level(path, known).err().map(|error| Finding::of_segment_error(&error))
    }

    /// What there is to say of the segment once it was read to its end, besides its damaged places and wrong marks.
    /// Where it may be `active`, what is no frame at its end is one that is being written.
    pub fn end_findings(&self, path: &Path, active: bool) -> Vec<Finding> {
        let end = self.extent.end;
        let ending = match &self.ending {
            Ending::Open | Ending::Sealed { leftover: None } => None,
            Ending::Sealed { leftover: Some(leftover) } => {
                let bytes = leftover.end - end.0;
                let text = format!("{bytes} bytes behind the end that it was sealed at");
                Some(Finding::new(FindingKind::BytesBehindSeal, path, text).at(leftover.start).of_bytes(bytes.into()))
            }
            Ending::Torn { .. } if active => None,
            Ending::Torn { bytes, reason } => {
                let due = match &self.header {
                    HeaderState::Intact(header) => Some(self.extent.next_sequence(header.base_sequence).0),
                    _ => None,
                };
                Some(Finding { sequence: due, ..torn_tail(path, end, *bytes, *reason) })
            }
            Ending::Unreadable { offset, reason } => {
                Some(Finding::new(FindingKind::UnreadableSegment, path, reason.clone()).at(offset.0))
            }
        };
        self.marks.finding(path).into_iter().chain(ending).collect()
    }
}

fn torn_tail(path: &Path, at: Offset, bytes: u32, reason: FrameError) -> Finding {
    let text = match reason {
        FrameError::Unwritten => {
            format!("torn tail of {bytes} bytes (expected zeros only, found other bytes behind them)")
        }
        reason => format!("torn tail of {bytes} bytes ({reason})"),
    };
    Finding::new(FindingKind::TornTail, path, text).at(at.0).of_bytes(bytes.into())
}
