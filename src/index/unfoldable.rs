//! What a log has that a batch can't fold, or should have and does not: records that can't be decoded, those of a newer
//! build, damaged bytes, missing records.
//!
//! Runs on the compactor, within a batch.

use super::batch::Batch;
use super::missing_records::{self, MissingRun};
use super::newer_records::{self, NewerRecord};
use super::quarantine::{self, Quarantined};
use crate::ground::error::IndexError;
use crate::ground::position::{Offset, SegmentId, Sequence, WriterId};
use crate::segment::reader::FrameAt;

impl Batch<'_> {
    /// Puts an intact record of a writer that can't be decoded into the quarantine table. It takes the next id.
    pub(crate) fn quarantine_record(
        &mut self,
        writer: WriterId,
        segment: SegmentId,
        frame: &FrameAt<'_>,
        reason: &str,
    ) -> Result<(), IndexError> {
        let added = self.number(writer).and_then(|number| {
            self.take_id(number, frame.sequence)?;
            quarantine::add(&self.transaction, &self.undecodable(number, segment, frame, reason))
        });
        self.checked(added)
    }

    /// The same for a record that waited for a build that knows it, and has its id.
    pub(crate) fn quarantine_kept(&mut self, record: &NewerRecord, reason: &str) -> Result<(), IndexError> {
        let added = self.number(record.writer).and_then(|number| {
            quarantine::add(&self.transaction, &self.undecodable(number, record.segment, &record.frame(), reason))
        });
        self.checked(added)
    }

    /// Keeps an intact record of that kind and version, which a newer build wrote, for a build that knows it. It takes the
    /// next id.
    pub(crate) fn keep_newer(
        &mut self,
        writer: WriterId,
        segment: SegmentId,
        frame: &FrameAt<'_>,
        kind: (u8, u8),
    ) -> Result<(), IndexError> {
        let added = self.number(writer).and_then(|number| {
            let id = self.take_id(number, frame.sequence)?;
            newer_records::add(&self.transaction, (id, number), segment, frame, kind, self.noted_at)
        });
        self.checked(added)
    }

    /// Takes records of that kind and version out of those that wait, by [`newer_records::take`].
    pub(crate) fn take_newer(
        &mut self,
        kind: (u8, u8),
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<NewerRecord>, IndexError> {
        self.checked(newer_records::take(&self.transaction, kind, records_max, bytes_max))
    }

    /// Notes bytes of a writer's log that can't be read in the quarantine table.
    pub(crate) fn quarantine_bytes(
        &mut self,
        writer: WriterId,
        segment: SegmentId,
        offset: Offset,
        bytes: u32,
        reason: &str,
    ) -> Result<(), IndexError> {
        let added = self.number(writer).and_then(|number| {
            let place = Quarantined {
                writer: number,
                segment: segment.0,
                offset: offset.0,
                bytes: bytes.into(),
                record: None,
                reason,
                noted_at: self.noted_at,
            };
            quarantine::add(&self.transaction, &place)
        });
        self.checked(added)
    }

    /// Notes a file of a writer's log that is damaged as a whole in the quarantine table. Unless it `tells_numbers`, nobody
    /// knows how many records it held, until [`Self::note_numbers`] says what follows.
    pub(crate) fn quarantine_file(
        &mut self,
        writer: WriterId,
        segment: SegmentId,
        bytes: u32,
        reason: &str,
        tells_numbers: bool,
    ) -> Result<(), IndexError> {
        self.quarantine_bytes(writer, segment, Offset(0), bytes, reason)?;
        if tells_numbers {
            return Ok(());
        }
        let marked =
            self.number(writer).and_then(|number| quarantine::mark_unknown(&self.transaction, number, segment.0));
        self.checked(marked)
    }

    /// The number of a record of that segment is known: it tells how many records the files before it held.
    pub(crate) fn note_numbers(&mut self, writer: WriterId, segment: SegmentId) -> Result<(), IndexError> {
        let unmarked =
            self.number(writer).and_then(|number| quarantine::unmark_unknown(&self.transaction, number, segment.0));
        self.checked(unmarked)
    }

    /// The first number of the missing records of a writer that end with that number, if the table has any that do.
    pub(crate) fn missing_up_to(&mut self, writer: WriterId, last: Sequence) -> Result<Option<Sequence>, IndexError> {
        let first =
            self.number(writer).and_then(|number| missing_records::first_up_to(&self.transaction, number, last.0));
        self.checked(first.map(|first| first.map(Sequence)))
    }

    /// Notes that the records of a writer with the numbers from `first` to `last` are lost; together they take an id.
    /// `before` and `behind` are the times of the records next to them, as far as these are known. What was noted of
    /// records from `first` on gives way.
    pub(crate) fn note_missing(
        &mut self,
        writer: WriterId,
        (first, last): (u64, u64),
        before: Option<i64>,
        behind: Option<i64>,
    ) -> Result<(), IndexError> {
        // Of what nobody knows the time was recorded by then.
        let behind = behind.unwrap_or(self.noted_at);
        let before = before.unwrap_or(behind);
        let (from_ts, to_ts) = (before.min(behind), before.max(behind));
        self.has_stale |= to_ts < self.expiry.kept_since;
        let noted = self.number(writer).and_then(|number| {
            let run = MissingRun { writer: number, first, last, from_ts, to_ts };
            if missing_records::update(&self.transaction, run)? {
                return Ok(());
            }
            let id = self.take_id(number, Sequence(first))?;
            missing_records::add(&self.transaction, id, run)
        });
        self.checked(noted)
    }

    fn undecodable<'a>(
        &self,
        writer: i64,
        segment: SegmentId,
        frame: &FrameAt<'a>,
        reason: &'a str,
    ) -> Quarantined<'a> {
        Quarantined {
            writer,
            segment: segment.0,
            offset: frame.offset.0,
            bytes: frame.payload.len() as u64,
            record: Some((frame.sequence.0, frame.payload)),
            reason,
            noted_at: self.noted_at,
        }
    }
}
