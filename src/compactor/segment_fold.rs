//! Folding some of a segment's records in one transaction: read, decode, apply, commit.
//!
//! Runs on the compactor. Which segment comes next and how far it may be read is not decided here; see
//! [`super::fold_limit`].

use super::chunk::Chunk;
use super::fold_error::FoldError;
use super::lost_records::{LostRecords, tell};
use super::newer_records::NewerRecords;
use crate::fold::fold::fold;
use crate::ground::error::IndexError;
use crate::ground::file_time::written_at_ms;
use crate::ground::finding::are_lost;
use crate::ground::health::{HealthBoard, Part};
use crate::ground::position::{Offset, Sequence, WriterId};
use crate::index::batch::Batch;
use crate::index::checkpoint::Checkpoint;
use crate::index::database::Index;
use crate::index::request_rows::REQUESTS_PER_STATEMENT;
use crate::record::kind::Kind;
use crate::segment::format::Extent;
use crate::segment::lost_numbers::LostNumbers;
use crate::segment::reader::{Damage, FrameAt, Item, SegmentReader};
use crate::segment::segment_list::LogSegment;

/// One transaction takes at most so many records: enough that commits don't show, few enough that a reader of the
/// database sees steady progress.
pub(super) const BATCH_RECORDS: usize = 20_000;

/// A transaction under way. Dropping it undoes everything.
pub(super) struct SegmentFold<'a> {
    writer: WriterId,
    segment: &'a LogSegment,
    /// Records up to this one are in the database already.
    folded: Sequence,
    /// The last record that is to be folded from the segment.
    last: Sequence,
    /// The last record that is folded, in this transaction too, or is found to be missing.
    accounted: Sequence,
    /// Which missing numbers are those of lost records.
    lost_numbers: &'a LostNumbers,
    /// Those that are missing before the next record that is folded.
    lost: LostRecords,
    /// People were told why records are missing now.
    is_told: bool,
    batch: Batch<'a>,
    newer_records: &'a mut NewerRecords,
    health: &'a HealthBoard,
    chunk: Chunk,
    records: usize,
    bytes: usize,
    /// One transaction takes at most so many bytes of payload.
    pub(super) bytes_max: usize,
    has_damage: bool,
    /// The segment's mark was named as damage.
    has_wrong_mark: bool,
    /// The segment has nothing more that is to be folded.
    is_through: bool,
}

/// What a transaction has brought into the database.
pub(super) struct FoldedBatch {
    pub(super) checkpoint: Checkpoint,
    /// Damage was found in the segment.
    pub(super) has_damage: bool,
    /// The transaction took as much as one may take, so there may be more.
    pub(super) is_full: bool,
}

impl<'a> SegmentFold<'a> {
    /// Begins a transaction for the records of a segment that lie beyond `folded`, up to `last`.
    pub(super) fn begin(
        index: &'a mut Index,
        (writer, segment): (WriterId, &'a LogSegment),
        folded: Sequence,
        last: Sequence,
        lost_numbers: &'a LostNumbers,
        newer_records: &'a mut NewerRecords,
        health: &'a HealthBoard,
    ) -> Result<Self, IndexError> {
        let mut batch = index.begin()?;
        // One that is still written to may not have told the file system yet.
        if let Some(written_at) = segment.progress.sealed().and_then(|_| written_at_ms(&segment.path)) {
            batch.note_as_of(written_at);
        }
        let lost = LostRecords::up_to(&mut batch, writer, folded)?;
        Ok(Self {
            writer,
            segment,
            folded,
            last,
            accounted: folded,
            lost_numbers,
            lost,
            is_told: false,
            batch,
            newer_records,
            health,
            chunk: Chunk::default(),
            records: 0,
            bytes: 0,
            bytes_max: usize::MAX,
            has_damage: false,
            has_wrong_mark: false,
            is_through: false,
        })
    }

    /// Folds what the reader gives, from where it stands, until the transaction is full or the segment has no more.
    pub(super) fn fold_from(&mut self, reader: &mut SegmentReader) -> Result<(), FoldError> {
        let mut stands_at_checkpoint = reader.position() != Extent::EMPTY;
        while !self.is_full() && !self.is_through {
            let due = reader.next_sequence();
            if due > self.last {
                self.is_through = true;
                break;
            }
            match reader.next()? {
                Item::Frame(frame) => self.add(&frame)?,
                // Perhaps the segment is sound, and the checkpoint does not fit it.
                Item::Damage(_) | Item::WrongMark(_) if stands_at_checkpoint && self.records == 0 => {
                    stands_at_checkpoint = false;
                    reader.seek(Extent::EMPTY);
                }
                Item::Damage(damage) => {
                    if due.max(self.segment.last_sequence(reader.position())) > self.folded {
                        self.report_lost(damage)?;
                    }
                }
                Item::WrongMark(wrong) => {
                    self.has_wrong_mark = true;
                    self.report(wrong.offset(), 0, &wrong.to_string())?;
                }
                Item::Stop(_) => self.is_through = true,
            }
        }
        self.fold_chunk()?;
        Ok(())
    }

    /// Commits the transaction, in which the reader has come to where it stands. `limit` is how far the segment could
    /// be read.
    pub(super) fn commit(
        mut self,
        reader: &SegmentReader,
        limit: Extent,
        from: Checkpoint,
    ) -> Result<FoldedBatch, IndexError> {
        let reached = reader.position();
        let reached_sequence = self.segment.last_sequence(reached);
        if self.is_through && reached_sequence < self.last && !self.has_wrong_mark {
            // Its frames are not as many as was said when the store was opened. What is due next is in another segment.
            let reason = format!("expected records up to {}, found them up to {reached_sequence}", self.last);
            self.report(reached.end, limit.end.0.saturating_sub(reached.end.0), &reason)?;
        }
        let sequence = if self.is_through { self.last } else { reached_sequence.max(self.folded) };
        if sequence > self.accounted {
            self.pass_over_to(sequence)?;
        }
        self.lost.note(&mut self.batch, self.writer, None)?;
        let checkpoint = Checkpoint { segment: self.segment.id, offset: reached.end, sequence };
        let is_full = self.is_full();
        self.batch.reached(self.writer, from, checkpoint)?;
        self.batch.commit()?;
        Ok(FoldedBatch { checkpoint, has_damage: self.has_damage, is_full })
    }

    fn is_full(&self) -> bool {
        self.records >= BATCH_RECORDS || self.bytes >= self.bytes_max
    }

    fn add(&mut self, frame: &FrameAt<'_>) -> Result<(), IndexError> {
        if frame.sequence <= self.folded {
            // Folded before: from another segment, or the checkpoint's place was of no use.
            return Ok(());
        }
        if frame.sequence > self.last {
            // Records behind the last one are read from another segment.
            self.is_through = true;
            return Ok(());
        }
        if frame.sequence.0 > self.accounted.0 + 1 {
            self.pass_over_to(Sequence(frame.sequence.0 - 1))?;
        }
        (self.accounted, self.is_told) = (frame.sequence, false);
        let kind = frame.payload.first().copied();
        self.records += 1;
        self.bytes += frame.payload.len();
        self.chunk.push(frame, kind == Some(Kind::Request.number()));
        if self.chunk.is_full() {
            self.fold_chunk()?;
            // However nice a thread is, Linux lets it run for some milliseconds before one that just woke up gets its
            // place: on two cores, syncs then wait for the folding.
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Folds the gathered records together. A record that can't be decoded is kept as it is.
    fn fold_chunk(&mut self) -> Result<(), IndexError> {
        let decode = self.newer_records.decoder();
        let mut mutations = Vec::with_capacity(REQUESTS_PER_STATEMENT);
        let mut times = None;
        for frame in self.chunk.frames() {
            match decode(frame.payload) {
                Ok(record) => {
                    let ts = record.happened_at();
                    times = Some((times.map_or(ts, |(first, _)| first), ts));
                    mutations.push((frame.sequence, fold(record)));
                }
                Err(error) => self.newer_records.keep(&mut self.batch, self.writer, self.segment.id, &frame, &error)?,
            }
        }
        if let Some((first_ts, last_ts)) = times {
            if !self.lost.is_empty() {
                self.lost.note(&mut self.batch, self.writer, Some(first_ts))?;
            }
            self.batch.note_last(self.writer, last_ts)?;
        }
        self.batch.apply(self.writer, mutations)?;
        self.chunk.clear();
        Ok(())
    }

    /// The records behind those that are accounted for, up to `last`, are in no segment.
    fn pass_over_to(&mut self, last: Sequence) -> Result<(), IndexError> {
        // Times are told by the records next to them.
        self.fold_chunk()?;
        let lost = self.lost_numbers.between(self.accounted, last);
        if !self.is_told {
            tell(&lost, self.lost_numbers, self.health);
        }
        self.lost.add(&lost);
        self.accounted = last;
        Ok(())
    }

    fn report_lost(&mut self, damage: Damage) -> Result<(), IndexError> {
        let reason = format!("{}; {}", damage.reason, are_lost(damage.records.into()));
        self.report(damage.offset, damage.bytes, &reason)
    }

    /// Reports damage, which also goes to the table `quarantine`.
    fn report(&mut self, offset: Offset, bytes: u32, reason: &str) -> Result<(), IndexError> {
        let segment = self.segment.id;
        (self.has_damage, self.is_told) = (true, true);
        self.health.report(Part::Damage, format_args!("segment {segment}, offset {offset}: {reason}"));
        self.batch.quarantine_bytes(self.writer, segment, offset, bytes, reason)
    }
}
