//! The whole log, folded into a database beside the living one, by reading alone; and what the log holds, told beforehand.
//!
//! For whoever makes a database anew, on the caller's thread. The log stays as it is: it is not recovered, nothing of it is
//! retired, and no checkpoint is needed to fold each record once, because the walk hands each over once.

use super::chunk::Chunk;
use super::newer_records::NewerRecords;
use crate::fold::fold::fold;
use crate::ground::file_time::written_at_ms;
use crate::ground::finding::are_lost;
use crate::ground::health::HealthBoard;
use crate::ground::position::{Offset, SegmentId, Sequence, WriterId};
use crate::ground::work::{Watch, WorkError};
use crate::index::database::Index;
use crate::index::holdings::RowSum;
use crate::index::logged::Logged;
use crate::index::request_rows::REQUESTS_PER_STATEMENT;
use crate::record::kind::Kind;
use crate::record::record::{DECODER, Record};
use crate::segment::log_walk::{Found, ReadableSegment, walk};
use crate::segment::reader::FrameAt;
use std::collections::HashMap;
use std::sync::Arc;

/// One transaction takes at most so many records, and so many bytes of payload.
const BATCH_RECORDS: usize = if cfg!(test) { 50 } else { 20_000 };
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// What the log holds.
#[derive(Debug, Default)]
pub(crate) struct LogContents {
    /// Which records are intact, and what those say that this build knows.
    pub(crate) logged: Logged,
    /// The events among them.
    pub(crate) events: RowSum,
    /// The same of those beyond what is folded.
    pub(crate) waiting: RowSum,
    /// Places that can't be read and whose records no other segment has.
    pub(crate) damaged_places: u64,
    /// When the record with the last number happened, if this build knows what it says.
    pub(crate) last_ts: Option<i64>,
    /// The number of the last record that a segment has, read or lost; 0 for none.
    pub(crate) last_sequence: Sequence,
    /// Where the newest segment ends.
    pub(crate) end: Option<(SegmentId, Offset)>,
}

/// Reads the log. `folded` is the last number that the database has folded.
pub(crate) fn read_log(
    segments: &[ReadableSegment],
    folded: Sequence,
    watch: &mut Watch<'_>,
) -> Result<LogContents, WorkError> {
    let mut contents = LogContents::default();
    let LogContents { logged, events, waiting, damaged_places, last_ts, last_sequence, end, .. } = &mut contents;
    let mut last = Sequence(0);
    let numbers = walk(segments, watch, |segment, found| {
        match found {
            Found::Frame(frame) => {
                let mut time = None;
                if let Ok(record) = Record::decode(frame.payload) {
                    time = Some(record.happened_at());
                    logged.note(frame.sequence, &fold(record));
                }
                if frame.sequence > last {
                    (last, *last_ts) = (frame.sequence, time);
                }
                events.add(time);
                if frame.sequence > folded && !segment.is_aside {
                    waiting.add(time);
                }
            }
            Found::Lost(..) => *damaged_places += 1,
            // No record is lost by it.
            Found::WrongMark(_) => {}
            Found::End(extent) => {
                // The numbers before one without records may be reserved, and no record's.
                if extent.frames > 0 {
                    *last_sequence = extent.last_sequence(segment.base_sequence).max(*last_sequence);
                }
                if end.is_none_or(|(id, _)| id <= segment.id) {
                    *end = Some((segment.id, extent.end));
                }
            }
        }
        Ok(())
    })?;
    contents.logged.frames = numbers;
    Ok(contents)
}

/// Folds every intact record of the segments, each once, and notes the places where records are lost, and the numbers of
/// those that are: `lost` has each run's first one and last.
pub(crate) fn fold_log(
    index: &mut Index,
    segments: &[ReadableSegment],
    lost: &[(u64, u64)],
    writer_id: WriterId,
    watch: &mut Watch<'_>,
) -> Result<(), WorkError> {
    let health = Arc::new(HealthBoard::default());
    let mut gathered = Gathered {
        newer_records: NewerRecords::new(DECODER, health),
        segment: None,
        chunks: Vec::new(),
        records: 0,
        bytes: 0,
        times: lost.iter().flat_map(|(first, last)| [(first - 1, None), (last + 1, None)]).collect(),
    };
    walk(segments, watch, |segment, found| match found {
        Found::Frame(frame) => {
            if gathered.segment.as_ref().is_some_and(|(id, _)| *id != segment.id) || gathered.is_full() {
                gathered.fold(index, writer_id)?;
            }
            gathered.add(segment, &frame);
            Ok(())
        }
        Found::Lost(damage, records) => {
            gathered.fold(index, writer_id)?;
            let reason = format!("{}; {}", damage.reason, are_lost(records));
            note_damage(index, segment, writer_id, damage.offset, damage.bytes, &reason)
        }
        Found::WrongMark(wrong) => {
            gathered.fold(index, writer_id)?;
            note_damage(index, segment, writer_id, wrong.offset(), 0, &wrong.to_string())
        }
        Found::End(_) => Ok(()),
    })?;
    gathered.fold(index, writer_id)?;
    let mut batch = index.begin()?;
    let newest = segments.iter().max_by_key(|segment| segment.id);
    if let Some(written_at) = newest.and_then(|segment| written_at_ms(&segment.path)) {
        batch.note_as_of(written_at);
    }
    let time_of = |number: u64| gathered.times.get(&number).copied().flatten();
    for (first, last) in lost {
        batch.note_missing(writer_id, (*first, *last), time_of(first - 1), time_of(last + 1))?;
    }
    Ok(batch.commit()?)
}

/// Adds a row to table `quarantine`, in a transaction of its own.
fn note_damage(
    index: &mut Index,
    segment: &ReadableSegment,
    writer_id: WriterId,
    offset: Offset,
    bytes: u32,
    reason: &str,
) -> Result<(), WorkError> {
    let mut batch = index.begin()?;
    if let Some(written_at) = written_at_ms(&segment.path) {
        batch.note_as_of(written_at);
    }
    batch.quarantine_bytes(writer_id, segment.id, offset, bytes, reason)?;
    Ok(batch.commit()?)
}

/// Records of one segment that are folded in one transaction.
struct Gathered {
    newer_records: NewerRecords,
    /// The segment, and when it was last written to.
    segment: Option<(SegmentId, Option<i64>)>,
    chunks: Vec<Chunk>,
    records: usize,
    bytes: usize,
    /// When the records happened that lie beside lost ones, by their numbers.
    times: HashMap<u64, Option<i64>>,
}

impl Gathered {
    fn is_full(&self) -> bool {
        self.records >= BATCH_RECORDS || self.bytes >= BATCH_BYTES
    }

    fn add(&mut self, segment: &ReadableSegment, frame: &FrameAt<'_>) {
        self.segment.get_or_insert_with(|| (segment.id, written_at_ms(&segment.path)));
        if self.chunks.last().is_none_or(Chunk::is_full) {
            self.chunks.push(Chunk::default());
        }
        let is_request = frame.payload.first() == Some(&Kind::Request.number());
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(frame, is_request);
        }
        self.records += 1;
        self.bytes += frame.payload.len();
    }

    fn fold(&mut self, index: &mut Index, writer_id: WriterId) -> Result<(), WorkError> {
        let Some((segment, written_at)) = self.segment.take() else { return Ok(()) };
        let mut batch = index.begin()?;
        if let Some(written_at) = written_at {
            batch.note_as_of(written_at);
        }
        for chunk in self.chunks.drain(..) {
            let mut mutations = Vec::with_capacity(REQUESTS_PER_STATEMENT);
            for frame in chunk.frames() {
                match Record::decode(frame.payload) {
                    Ok(record) => {
                        if !self.times.is_empty()
                            && let Some(time) = self.times.get_mut(&frame.sequence.0)
                        {
                            *time = Some(record.happened_at());
                        }
                        mutations.push((frame.sequence, fold(record)));
                    }
                    Err(error) => self.newer_records.keep(&mut batch, writer_id, segment, &frame, &error)?,
                }
            }
            batch.apply(writer_id, mutations)?;
        }
        (self.records, self.bytes) = (0, 0);
        Ok(batch.commit()?)
    }
}
