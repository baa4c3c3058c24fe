//! One transaction over all logs that have something: read, decode, apply, commit.
//!
//! Runs on the compactor. The transaction begins with the first thing that there is to fold, so that a look which finds
//! nothing costs no more than reading. Which log has how much of it is not decided here; see `sources.rs`.

use super::chunk::Chunk;
use super::damage_notes::{DAMAGED_MARKS, DAMAGED_MARKS_OFFSET, file_bytes, torn_though_durable};
use super::folder_task::Content;
use super::lost_records::{LostRecords, tell};
use super::newer_records::{Kept, NewerRecords};
use super::source::{Source, checkpoint_at};
use crate::fold::fold::fold;
use crate::ground::clock::now_ms;
use crate::ground::error::{IndexError, SegmentError};
use crate::ground::file_time::written_at_ms;
use crate::ground::finding::{FindingKind, are_lost};
use crate::ground::health::{HealthBoard, Part};
use crate::ground::position::{Offset, SegmentId, Sequence, StoreId, WriterId};
use crate::ground::room::{Reserve, TooLittle};
use crate::index::batch::Batch;
use crate::index::database::Index;
use crate::index::request_rows::REQUESTS_PER_STATEMENT;
use crate::record::kind::Kind;
use crate::record::record::Record;
use crate::segment::directory::{file_name, list};
use crate::segment::log_item::{LogItem, Owner, Waits};
use std::path::Path;
use std::time::Instant;

/// As much of one log as one turn takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

/// A transaction under way, or about to begin. Dropping it undoes everything.
pub(super) struct Round<'a> {
    /// Until the transaction begins.
    index: Option<&'a mut Index>,
    batch: Option<Batch<'a>>,
    store: StoreId,
    newer_records: &'a mut NewerRecords,
    reserve: &'a Reserve,
    health: &'a HealthBoard,
    chunk: Chunk,
    /// How much it has taken so far.
    pub(super) records: usize,
    pub(super) bytes: usize,
    /// Segments in which damage was found.
    damaged: Vec<(WriterId, SegmentId)>,
    /// Why it has not begun although there is something to fold.
    too_little_room: Option<TooLittle>,
}

/// What a transaction has brought into the database.
#[derive(Debug)]
pub(super) struct FoldedRound {
    /// Segments in which damage was found.
    pub(super) damaged: Vec<(WriterId, SegmentId)>,
}

/// What one log gives of a turn.
struct Turn<'s> {
    writer: WriterId,
    folder: &'s Path,
    owner: Owner,
    /// Of which segment the records in the chunk are.
    segment: Option<SegmentId>,
    /// The last record that is folded, in this transaction too, or is found to be missing.
    accounted: Sequence,
    /// Those that are missing before the next record that is folded.
    lost: LostRecords,
    /// People were told why records are missing now.
    is_told: bool,
    /// What was said of a file that is passed over, until its records are counted.
    passed_file: Option<String>,
    records: usize,
    bytes: usize,
}

impl<'a> Round<'a> {
    pub(super) fn new(
        index: &'a mut Index,
        store: StoreId,
        newer_records: &'a mut NewerRecords,
        reserve: &'a Reserve,
        health: &'a HealthBoard,
    ) -> Self {
        Self {
            index: Some(index),
            batch: None,
            store,
            newer_records,
            reserve,
            health,
            chunk: Chunk::default(),
            records: 0,
            bytes: 0,
            damaged: Vec::new(),
            too_little_room: None,
        }
    }

    /// Folds what the log gives, up to its share. What can't be read is noted with the log, and is no error of the round.
    pub(super) fn take(&mut self, source: &mut Source, share: Share) -> Result<(), IndexError> {
        if self.too_little_room.is_some() {
            return Ok(());
        }
        let from = source.reached;
        let mut may_end_with_hole = source.may_end_with_hole;
        let (folder, writer) = (source.folder.path.clone(), source.folder.writer);
        let (reader, owner) = match source.reader(self.store) {
            Ok(opened) => opened,
            Err(error) => {
                source.note_failure(&error, Instant::now());
                return Ok(());
            }
        };
        let mut turn = Turn {
            writer,
            folder: &folder,
            owner,
            segment: None,
            accounted: from.sequence,
            lost: LostRecords::default(),
            is_told: false,
            passed_file: None,
            records: 0,
            bytes: 0,
        };
        let read = loop {
            if turn.records >= share.records || turn.bytes >= share.bytes {
                break Ok(Content::Beyond);
            }
            let item = match reader.next(owner) {
                Ok(LogItem::NotYet | LogItem::End) => break Ok(Content::Folded),
                Ok(LogItem::Waits(why)) => break Err(Stopped::Waits(why_it_waits(&why))),
                Ok(item) => item,
                Err(error) => break Err(Stopped::Failed(error)),
            };
            if let LogItem::Torn { segment, bytes, reason, is_vouched_for: false, .. } = &item {
                tracing::warn!(%writer, %segment, bytes, %reason, "the end of a segment was being written when its writer died");
                continue;
            }
            if !self.begin()? {
                // What was read is read again: nothing of it is taken.
                source.undo();
                return Ok(());
            }
            if may_end_with_hole {
                if let Some(batch) = &mut self.batch {
                    turn.lost = LostRecords::up_to(batch, writer, from.sequence)?;
                }
                may_end_with_hole = false;
            }
            self.add(&mut turn, item)?;
        };
        let to = checkpoint_at(reader.place());
        self.pass_over_to(&mut turn, to.sequence)?;
        self.fold_chunk(&mut turn)?;
        source.may_end_with_hole = may_end_with_hole || !turn.lost.is_empty();
        // What is only passed over (records that are folded already) is not worth a transaction, and a log without any is not
        // worth a row.
        let is_of_use = to != from && (to.sequence.0 > 0 || turn.is_told);
        if let Some(batch) = self.batch.as_mut().filter(|_| is_of_use) {
            turn.lost.note(batch, writer, None)?;
            batch.reached(writer, from, to)?;
            source.reached = to;
        }
        self.records += turn.records;
        self.bytes += turn.bytes;
        match read {
            Ok(content) => source.note_read(content),
            Err(Stopped::Waits(why)) => source.leave_alone(why),
            Err(Stopped::Failed(error)) => source.note_failure(&error, Instant::now()),
        }
        Ok(())
    }

    /// Whether nothing is taken, because there is so little room.
    pub(super) fn has_too_little_room(&self) -> bool {
        self.too_little_room.is_some()
    }

    /// Notes that a writer is dead of which everything is folded; how it ended, its log says, or that it died.
    pub(super) fn note_dead(&mut self, source: &mut Source) -> Result<(), IndexError> {
        // Of who recorded nothing there is nothing to say.
        if source.reached.sequence.0 > 0 {
            // However little room there is: it is a few bytes, and a folder that goes gives more back.
            self.begin_now()?;
            if let Some(batch) = &mut self.batch {
                batch.end_writer(source.folder.writer, last_written_at(&source.folder.path))?;
            }
        }
        source.is_noted_dead = true;
        Ok(())
    }

    /// Commits, if anything was folded.
    pub(super) fn commit(self) -> Result<(Option<FoldedRound>, Option<TooLittle>), IndexError> {
        let Some(batch) = self.batch else { return Ok((None, self.too_little_room)) };
        batch.commit()?;
        Ok((Some(FoldedRound { damaged: self.damaged }), None))
    }

    /// Begins the transaction, unless it has begun. `false`: there is too little room.
    fn begin(&mut self) -> Result<bool, IndexError> {
        if self.batch.is_some() {
            return Ok(true);
        }
        if let Err(too_little) = self.reserve.admits_folding() {
            self.too_little_room = Some(too_little);
            return Ok(false);
        }
        self.begin_now()?;
        Ok(true)
    }

    fn begin_now(&mut self) -> Result<(), IndexError> {
        if let Some(index) = self.index.take() {
            self.batch = Some(index.begin()?);
        }
        Ok(())
    }

    fn add(&mut self, turn: &mut Turn<'_>, item: LogItem<'_>) -> Result<(), IndexError> {
        match item {
            LogItem::Frame { segment, frame } => {
                if turn.segment != Some(segment) {
                    self.fold_chunk(turn)?;
                    self.note_segment(turn, segment)?;
                }
                self.pass_over_to(turn, Sequence(frame.sequence.0 - 1))?;
                (turn.accounted, turn.is_told) = (frame.sequence, false);
                let is_request = frame.payload.first() == Some(&Kind::Request.number());
                turn.records += 1;
                turn.bytes += frame.payload.len();
                self.chunk.push(&frame, is_request);
                if self.chunk.is_full() {
                    self.fold_chunk(turn)?;
                    // However nice a thread is, Linux lets it run for some milliseconds before one that just woke up gets
                    // its place: on two cores, syncs then wait for the folding.
                    std::thread::yield_now();
                }
                Ok(())
            }
            LogItem::Hole { last, behind, .. } => {
                self.pass_over_to(turn, last)?;
                self.batch.as_mut().map_or(Ok(()), |batch| batch.note_numbers(turn.writer, behind))
            }
            LogItem::Damage { segment, damage, lost } => {
                let reason = format!("{}; {}", damage.reason, are_lost(lost));
                self.report(turn, segment, damage.offset, damage.bytes, &reason)
            }
            LogItem::WrongMark { segment, wrong } => self.report(turn, segment, wrong.offset(), 0, &wrong.to_string()),
            LogItem::DamagedMarks { segment } => self.report(turn, segment, DAMAGED_MARKS_OFFSET, 0, DAMAGED_MARKS),
            LogItem::Torn { segment, offset, bytes, reason, is_vouched_for: true } => {
                self.report(turn, segment, offset, bytes, &torn_though_durable(reason))
            }
            // It holds nothing: a power cut, or the end of a process, leaves such.
            LogItem::BadFile { finding, .. } if finding.kind == FindingKind::UnstartedSegment => Ok(()),
            LogItem::BadFile { file, finding, tells_numbers } => {
                self.tell(turn, file.id, Offset(0), &finding.text)?;
                turn.passed_file =
                    Some(format!("log of writer {}, segment {}: {}", turn.writer, file.id, finding.text));
                let Some(batch) = &mut self.batch else { return Ok(()) };
                batch.quarantine_file(turn.writer, file.id, file_bytes(&file.path), &finding.text, tells_numbers)
            }
            LogItem::Torn { .. } | LogItem::NotYet | LogItem::End | LogItem::Waits(_) => Ok(()),
        }
    }

    /// The records behind those that are accounted for, up to `last`, are nowhere.
    fn pass_over_to(&mut self, turn: &mut Turn<'_>, last: Sequence) -> Result<(), IndexError> {
        if last <= turn.accounted {
            return Ok(());
        }
        // Times are told by the records next to them.
        self.fold_chunk(turn)?;
        let run = (turn.accounted.0 + 1, last.0);
        match turn.passed_file.take() {
            Some(told) => self.health.report(Part::Damage, format_args!("{told}; {}", are_lost(run.1 - run.0 + 1))),
            None if !turn.is_told => tell(turn.writer, run, self.health),
            None => {}
        }
        turn.lost.add(run);
        turn.accounted = last;
        Ok(())
    }

    /// From here on, records are of that segment.
    fn note_segment(&mut self, turn: &mut Turn<'_>, segment: SegmentId) -> Result<(), IndexError> {
        turn.segment = Some(segment);
        // A file that is still written to may not have told the file system yet.
        let written_at = match turn.owner {
            Owner::Dead => written_at_ms(&turn.folder.join(file_name(segment))),
            Owner::Living => None,
        };
        let Some(batch) = &mut self.batch else { return Ok(()) };
        batch.note_as_of(written_at.unwrap_or(i64::MAX));
        batch.note_numbers(turn.writer, segment)
    }

    /// Folds the gathered records together. A record that can't be decoded is kept as it is. What comes first gets the lower
    /// id, missing records included.
    fn fold_chunk(&mut self, turn: &mut Turn<'_>) -> Result<(), IndexError> {
        let (Some(segment), Some(batch), false) = (turn.segment, &mut self.batch, self.chunk.is_empty()) else {
            return Ok(());
        };
        let decode = self.newer_records.decoder();
        let decoded: Vec<_> = self.chunk.frames().map(|frame| (frame, decode(frame.payload))).collect();
        let mut times = decoded.iter().filter_map(|(_, record)| record.as_ref().ok()).map(Record::happened_at);
        let (first_ts, last_ts) = (times.next(), times.next_back());
        turn.lost.note(batch, turn.writer, first_ts)?;
        let mut mutations = Vec::with_capacity(REQUESTS_PER_STATEMENT);
        for (frame, record) in decoded {
            match record {
                Ok(record) => mutations.push((frame.sequence, fold(record))),
                Err(error) => {
                    batch.apply(turn.writer, std::mem::take(&mut mutations))?;
                    if self.newer_records.keep(batch, turn.writer, segment, &frame, &error)? == Kept::InQuarantine {
                        self.damaged.push((turn.writer, segment));
                    }
                }
            }
        }
        batch.apply(turn.writer, mutations)?;
        if let Some(last_ts) = last_ts.or(first_ts) {
            batch.note_last(turn.writer, last_ts)?;
        }
        self.chunk.clear();
        Ok(())
    }

    /// Reports damage, which also goes to the table `quarantine`.
    fn report(
        &mut self,
        turn: &mut Turn<'_>,
        segment: SegmentId,
        offset: Offset,
        bytes: u32,
        reason: &str,
    ) -> Result<(), IndexError> {
        self.tell(turn, segment, offset, reason)?;
        match &mut self.batch {
            Some(batch) => batch.quarantine_bytes(turn.writer, segment, offset, bytes, reason),
            None => Ok(()),
        }
    }

    /// Tells people of damage. What came before is folded first.
    fn tell(
        &mut self,
        turn: &mut Turn<'_>,
        segment: SegmentId,
        offset: Offset,
        reason: &str,
    ) -> Result<(), IndexError> {
        self.fold_chunk(turn)?;
        turn.is_told = true;
        self.damaged.push((turn.writer, segment));
        let writer = turn.writer;
        self.health
            .report(Part::Damage, format_args!("log of writer {writer}, segment {segment}, offset {offset}: {reason}"));
        Ok(())
    }
}

/// When anything was last written to a log, as its files say: Unix time in milliseconds, UTC.
fn last_written_at(folder: &Path) -> i64 {
    let files = list(folder).unwrap_or_default();
    files.iter().filter_map(|file| written_at_ms(&file.path)).max().unwrap_or_else(now_ms)
}

fn why_it_waits(waits: &Waits) -> String {
    match waits {
        Waits::Version { path, supported, found } => format!(
            "{} is of format version {found}, and this mcplog knows up to {supported}: a newer one folds it",
            path.display()
        ),
        Waits::Level { path, supported, found } => format!(
            "{} has records of level {found}, and this mcplog knows up to {supported}: a newer one folds it",
            path.display()
        ),
        Waits::OtherStore { path, store } => {
            format!("{} is of another store ({store}): move it away, to where it belongs", path.display())
        }
    }
}

/// Why a log gives no more, other than that there is nothing more.
enum Stopped {
    Waits(String),
    Failed(SegmentError),
}
