//! One writer's log, wherever its files lie, folded into a database beside the living one, by reading alone; and what it
//! holds, told beforehand.
//!
//! For whoever makes a database anew, on the caller's thread. The log stays as it is: nothing of it is retired, and no
//! checkpoint is needed to fold each record once, because the reader hands each over once. What waits for a newer mcplog, or
//! is another store's, is left to whom it is for, as by folding.

use super::chunk::Chunk;
use super::damage_notes::{DAMAGED_MARKS, DAMAGED_MARKS_OFFSET, file_bytes, torn_though_durable};
use super::newer_records::NewerRecords;
use super::source::checkpoint_at;
use crate::fold::fold::fold;
use crate::ground::file_time::written_at_ms;
use crate::ground::finding::{FindingKind, are_lost};
use crate::ground::health::HealthBoard;
use crate::ground::position::{Offset, SegmentId, Sequence, StoreId, WriterId};
use crate::ground::work::{Watch, WorkError, tell};
use crate::index::checkpoint::Checkpoint;
use crate::index::database::Index;
use crate::index::holdings::RowSum;
use crate::index::logged::Logged;
use crate::index::request_rows::REQUESTS_PER_STATEMENT;
use crate::record::LEVEL;
use crate::record::kind::Kind;
use crate::record::record::{DECODER, Record};
use crate::segment::directory::SegmentFile;
use crate::segment::log_item::{LogItem, Owner, Waits};
use crate::segment::log_reader::LogReader;
use crate::segment::number_set::NumberSet;
use crate::segment::place::Place;
use crate::segment::reader::{FrameAt, SegmentReader};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// One transaction takes at most so many records, and so many bytes of payload.
const BATCH_RECORDS: usize = if cfg!(test) { 50 } else { 20_000 };
const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// How often who watches is told, in records.
const TELL_RECORDS: u64 = 4096;

/// The files of one log.
#[derive(Debug)]
pub(crate) struct LogFiles {
    pub(crate) writer: WriterId,
    /// In `wal/`, `kept/` and `quarantine/`.
    pub(crate) files: Vec<SegmentFile>,
    /// Those in `wal/`.
    pub(crate) in_wal: HashSet<SegmentId>,
    pub(crate) owner: Owner,
}

/// What all logs hold together.
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
    /// Files of which nothing can be told, or that are not what their names say.
    pub(crate) unreadable_files: u64,
}

/// How far one log was read.
#[derive(Clone, Debug)]
pub(crate) struct LogEnd {
    /// Everything up to here was read.
    pub(crate) place: Place,
    /// When the record with the last number happened, if this build knows what it says.
    pub(crate) last_ts: Option<i64>,
    /// Why the log is left alone from there on, if it is.
    pub(crate) waits: Option<Waits>,
}

impl LogEnd {
    /// The checkpoint of a log that is folded up to there.
    pub(crate) fn checkpoint(&self) -> Checkpoint {
        checkpoint_at(self.place)
    }
}

/// Records that are missing, and follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LostRun {
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// Between which times they happened, as an old database says.
    pub(crate) times: Option<(i64, i64)>,
}

/// Reads a log. `folded` is the last number that the database has folded.
pub(crate) fn read_log(
    log: &LogFiles,
    store: Option<StoreId>,
    folded: Sequence,
    contents: &mut LogContents,
    watch: &mut Watch<'_>,
) -> Result<LogEnd, WorkError> {
    let LogContents { logged, events, waiting, damaged_places, unreadable_files } = contents;
    let mut all = NumberSet::default();
    let mut last_ts = None;
    let (mut place, waits) = walk(log, store, None, watch, |item| {
        match item {
            LogItem::Frame { segment, frame } => {
                let (mut time, mut is_event) = (None, true);
                if let Ok(record) = Record::decode(frame.payload) {
                    // Who writes, and that it ended, nobody observed.
                    is_event = !matches!(record, Record::WriterBegan(_) | Record::WriterEnded(_));
                    time = Some(record.happened_at());
                    logged.note(log.writer, frame.sequence, &fold(record));
                }
                all.insert(frame.sequence.0);
                last_ts = time;
                if is_event {
                    events.add(time);
                    if frame.sequence > folded && log.in_wal.contains(&segment) {
                        waiting.add(time);
                    }
                }
            }
            LogItem::Damage { lost, .. } => *damaged_places += u64::from(lost > 0),
            LogItem::BadFile { .. } => *unreadable_files += 1,
            _ => {}
        }
        Ok(())
    })?;
    if let Some(Waits::Level { path, .. }) = waits.as_ref().filter(|_| all.first().is_none()) {
        // Its first segment waits. What was recorded before is folded, or missing, whoever folds the rest.
        let before = Sequence(SegmentReader::open(path)?.header().base_sequence.0 - 1);
        place.sequence = place.sequence.max(folded.min(before));
    }
    let records = logged.logs.entry(log.writer).or_default();
    records.all = all;
    // Damage in those that wait is not looked for.
    let waiting = waits.as_ref().map(Waits::path);
    let read = log.files.iter().take_while(|file| Some(file.path.as_path()) != waiting);
    records.segments = read.map(|file| file.id.0).collect();
    Ok(LogEnd { place, last_ts, waits })
}

/// Folds every intact record of a log up to where it was read before, each once, and notes the places that can't be read,
/// and the records that are `lost`.
pub(crate) fn fold_log(
    index: &mut Index,
    log: &LogFiles,
    store: Option<StoreId>,
    end: Place,
    lost: &[LostRun],
    watch: &mut Watch<'_>,
) -> Result<(), WorkError> {
    let health = Arc::new(HealthBoard::default());
    let mut gathered = Gathered {
        log,
        newer_records: NewerRecords::new(DECODER, health),
        segment: None,
        chunks: Vec::new(),
        records: 0,
        bytes: 0,
        times: lost.iter().flat_map(|run| [(run.first - 1, None), (run.last + 1, None)]).collect(),
    };
    let mut has_unknown = false;
    walk(log, store, Some(end.sequence), watch, |item| match item {
        LogItem::Frame { segment, frame } => {
            if std::mem::take(&mut has_unknown) {
                note_numbers(index, log.writer, segment)?;
            }
            if gathered.segment.is_some_and(|id| id != segment) || gathered.is_full() {
                gathered.fold(index)?;
            }
            gathered.add(segment, &frame);
            Ok(())
        }
        LogItem::Damage { segment, damage, lost } => {
            gathered.fold(index)?;
            let reason = format!("{}; {}", damage.reason, are_lost(lost));
            note_damage(index, log, segment, damage.offset, damage.bytes, &reason)
        }
        LogItem::WrongMark { segment, wrong } => {
            gathered.fold(index)?;
            note_damage(index, log, segment, wrong.offset(), 0, &wrong.to_string())
        }
        LogItem::DamagedMarks { segment } => {
            gathered.fold(index)?;
            note_damage(index, log, segment, DAMAGED_MARKS_OFFSET, 0, DAMAGED_MARKS)
        }
        LogItem::Torn { segment, offset, bytes, reason, is_vouched_for: true } => {
            gathered.fold(index)?;
            note_damage(index, log, segment, offset, bytes, &torn_though_durable(reason))
        }
        LogItem::BadFile { finding, .. } if finding.kind == FindingKind::UnstartedSegment => Ok(()),
        LogItem::BadFile { file, finding, tells_numbers } => {
            gathered.fold(index)?;
            has_unknown |= !tells_numbers;
            let bytes = file_bytes(&file.path);
            let mut batch = index.begin()?;
            if let Some(written_at) = log.written_at_ms(file.id) {
                batch.note_as_of(written_at);
            }
            batch.quarantine_file(log.writer, file.id, bytes, &finding.text, tells_numbers)?;
            Ok(batch.commit()?)
        }
        LogItem::Hole { behind, .. } if std::mem::take(&mut has_unknown) => {
            gathered.fold(index)?;
            note_numbers(index, log.writer, behind)
        }
        // Which numbers are missing was found before.
        _ => Ok(()),
    })?;
    gathered.fold(index)?;
    let mut batch = index.begin()?;
    if let Some(written_at) = log.files.last().and_then(|file| written_at_ms(&file.path)) {
        batch.note_as_of(written_at);
    }
    for LostRun { first, last, times } in lost {
        let time_of = |number: u64| gathered.times.get(&number).copied().flatten();
        let before = time_of(first - 1).or(times.map(|(before, _)| before));
        let behind = time_of(last + 1).or(times.map(|(_, behind)| behind));
        batch.note_missing(log.writer, (*first, *last), before, behind)?;
    }
    Ok(batch.commit()?)
}

/// Hands over what the log's reader comes upon, up to the record with number `last`, if that is told. Returns where it ended,
/// and why the log is left alone from there on, if it is.
fn walk(
    log: &LogFiles,
    store: Option<StoreId>,
    last: Option<Sequence>,
    watch: &mut Watch<'_>,
    mut each: impl FnMut(LogItem<'_>) -> Result<(), WorkError>,
) -> Result<(Place, Option<Waits>), WorkError> {
    let mut reader = LogReader::over(log.writer, store, log.files.clone(), Place::START);
    // What the disk can't give back is as good as damaged.
    reader.pass_unreadable();
    reader.know_level(LEVEL);
    let mut records = 0_u64;
    tell(watch, 0.0)?;
    loop {
        let is_beyond = |sequence: Sequence| last.is_some_and(|last| sequence > last);
        match reader.next(log.owner)? {
            LogItem::Waits(why) => return Ok((reader.place(), Some(why))),
            LogItem::NotYet | LogItem::End => break,
            LogItem::Frame { frame, .. } if is_beyond(frame.sequence) => break,
            LogItem::Hole { first, .. } if is_beyond(first) => break,
            item => each(item)?,
        }
        records += 1;
        if records.is_multiple_of(TELL_RECORDS) {
            let id = reader.place().segment;
            let done = log.files.iter().filter(|file| file.id < id).count();
            tell(watch, done as f64 / log.files.len().max(1) as f64)?;
        }
    }
    Ok((reader.place(), None))
}

/// A number of that segment tells what files before it held.
fn note_numbers(index: &mut Index, writer: WriterId, segment: SegmentId) -> Result<(), WorkError> {
    let mut batch = index.begin()?;
    batch.note_numbers(writer, segment)?;
    Ok(batch.commit()?)
}

/// Adds a row to table `quarantine`, in a transaction of its own.
fn note_damage(
    index: &mut Index,
    log: &LogFiles,
    segment: SegmentId,
    offset: Offset,
    bytes: u32,
    reason: &str,
) -> Result<(), WorkError> {
    let mut batch = index.begin()?;
    if let Some(written_at) = log.written_at_ms(segment) {
        batch.note_as_of(written_at);
    }
    batch.quarantine_bytes(log.writer, segment, offset, bytes, reason)?;
    Ok(batch.commit()?)
}

impl LogFiles {
    /// When a segment of it was last written to.
    fn written_at_ms(&self, segment: SegmentId) -> Option<i64> {
        self.files.iter().find(|file| file.id == segment).and_then(|file| written_at_ms(&file.path))
    }
}

/// Records of one segment that are folded in one transaction.
struct Gathered<'l> {
    log: &'l LogFiles,
    newer_records: NewerRecords,
    segment: Option<SegmentId>,
    chunks: Vec<Chunk>,
    records: usize,
    bytes: usize,
    /// When the records happened that lie beside lost ones, by their numbers.
    times: HashMap<u64, Option<i64>>,
}

impl Gathered<'_> {
    fn is_full(&self) -> bool {
        self.records >= BATCH_RECORDS || self.bytes >= BATCH_BYTES
    }

    fn add(&mut self, segment: SegmentId, frame: &FrameAt<'_>) {
        self.segment = Some(segment);
        if self.chunks.last().is_none_or(Chunk::is_full) {
            self.chunks.push(Chunk::default());
        }
        let is_request = frame.payload.first() == Some(&Kind::Request.number());
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(frame, is_request);
        }
        (self.records, self.bytes) = (self.records + 1, self.bytes + frame.payload.len());
    }

    fn fold(&mut self, index: &mut Index) -> Result<(), WorkError> {
        let Some(segment) = self.segment.take() else { return Ok(()) };
        let (writer, decode) = (self.log.writer, self.newer_records.decoder());
        let mut batch = index.begin()?;
        if let Some(written_at) = self.log.written_at_ms(segment) {
            batch.note_as_of(written_at);
        }
        for chunk in self.chunks.drain(..) {
            let mut mutations = Vec::with_capacity(REQUESTS_PER_STATEMENT);
            for frame in chunk.frames() {
                match decode(frame.payload) {
                    Ok(record) => {
                        if let Some(time) = self.times.get_mut(&frame.sequence.0) {
                            *time = Some(record.happened_at());
                        }
                        mutations.push((frame.sequence, fold(record)));
                    }
                    Err(error) => {
                        // Ids ascend with numbers.
                        batch.apply(writer, std::mem::take(&mut mutations))?;
                        self.newer_records.keep(&mut batch, writer, segment, &frame, &error)?;
                    }
                }
            }
            batch.apply(writer, mutations)?;
        }
        (self.records, self.bytes) = (0, 0);
        Ok(batch.commit()?)
    }
}
