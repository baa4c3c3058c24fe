//! The compactor: folds the log into the database and retires what is folded.
//!
//! One thread at low priority. It reads segments by plain reads, like any other reader, up to where they are durable
//! (under the policy `never`, and once syncing was given up: published). When the database fails it backs off and tries
//! again from the last checkpoint; the log goes on meanwhile. Which records are folded is told by their numbers: those up
//! to the checkpoint's are, whatever segment they lie in.

use super::chunk::Chunk;
use super::fold_interval::{self, Backlog};
use super::fold_limit::{FoldLimit, Unfolded};
use super::newer_records::NewerRecords;
use super::retirement::{RetireError, Retirement};
use crate::fold::fold::fold;
use crate::ground::clock::now_ms;
use crate::ground::config::{Config, SyncPolicy};
use crate::ground::error::{IndexError, PathError, SegmentError};
use crate::ground::health::{HealthBoard, Part};
use crate::ground::position::{Offset, SegmentId, Sequence, WriterId};
use crate::ground::progress::Progress;
use crate::index::batch::Batch;
use crate::index::checkpoint::Checkpoint;
use crate::index::database::Index;
use crate::index::request_rows::REQUESTS_PER_STATEMENT;
use crate::index::row_retention::RowRetention;
use crate::record::kind::Kind;
use crate::record::record::Decoder;
use crate::segment::format::Extent;
use crate::segment::quarantine::Note;
use crate::segment::reader::{Item, SegmentReader};
use crate::segment::segment_list::{LogSegment, SegmentList};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How many records one transaction takes at most: enough that commits don't show, few enough that a reader of the
/// database sees steady progress.
const BATCH_RECORDS: usize = 20_000;
/// And how many bytes of payload, so that a batch of large schema versions stays small in memory.
const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// How often to look without being woken.
const IDLE: Duration = Duration::from_secs(1);
/// And how often where nobody says that there is more to fold: under the policy `never`, and once syncing was given up.
const IDLE_UNTOLD: Duration = Duration::from_millis(50);
/// The first pause after an error, which doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// How long to leave alone what could not be retired or removed.
const CLEARING_RETRY: Duration = Duration::from_secs(1);
/// After so many failures in a row to read what the disk holds, it is given up: whatever follows must not wait for ever.
const UNREADABLE_TRIES: u32 = 3;
/// The thread's nice value: recording and serving come first.
const NICENESS: i32 = 10;

/// The thread's state.
pub(crate) struct Compactor {
    index: Index,
    log: Arc<SegmentList>,
    progress: Arc<Progress>,
    health: Arc<HealthBoard>,
    /// Set when nothing more will be appended: fold the rest and end.
    finish: Arc<AtomicBool>,
    /// Set when that took too long.
    give_up: Arc<AtomicBool>,
    writer_id: WriterId,
    policy: SyncPolicy,
    retirement: Retirement,
    newer_records: NewerRecords,
    row_retention: RowRetention,
    /// Up to here, committed.
    checkpoint: Checkpoint,
    reader: Option<SegmentReader>,
    /// How often the last batch could not be read from the disk.
    unreadable: u32,
    /// When the last batch was committed; `None` while there may be more to fold at once.
    caught_up: Option<Instant>,
    /// Why something that is folded, or expired, is still there, and when it was last tried.
    kept: Option<(Instant, RetireError)>,
}

/// What the compactor shares with others.
pub(crate) struct CompactorParts {
    pub(crate) log: Arc<SegmentList>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) health: Arc<HealthBoard>,
    pub(crate) finish: Arc<AtomicBool>,
    pub(crate) give_up: Arc<AtomicBool>,
    pub(crate) decode: Decoder,
}

/// Why a batch failed. What was read is folded again from the checkpoint.
#[derive(Debug, thiserror::Error)]
enum FoldError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error(transparent)]
    Io(#[from] PathError),
}

impl FoldError {
    /// Whether the disk can't give back what was written to it.
    fn is_unreadable(&self) -> bool {
        match self {
            Self::Segment(SegmentError::Io(error)) | Self::Io(error) => error.is_unreadable(),
            _ => false,
        }
    }
}

/// Whether trying again can't help: the file is gone, or its header is. `gives_up`: so it is where the disk can't read it.
fn is_lost(error: &SegmentError, gives_up: bool) -> bool {
    match error {
        SegmentError::Header { .. } => true,
        SegmentError::Io(error) => {
            error.source.kind() == std::io::ErrorKind::NotFound || gives_up && error.is_unreadable()
        }
        SegmentError::UnsupportedVersion { .. } => false,
    }
}

impl Compactor {
    pub(crate) fn new(
        parts: CompactorParts,
        config: &Config,
        writer_id: WriterId,
        index: Index,
        checkpoint: Checkpoint,
        quarantined: Vec<Note>,
    ) -> Self {
        let retirement = Retirement::new(Arc::clone(&parts.log), config, quarantined);
        let newer_records = NewerRecords::new(parts.decode, Arc::clone(&parts.health));
        Self {
            index: index.expiring_aside(),
            log: parts.log,
            progress: parts.progress,
            health: parts.health,
            finish: parts.finish,
            give_up: parts.give_up,
            writer_id,
            policy: config.sync,
            retirement,
            newer_records,
            row_retention: RowRetention::new(config),
            checkpoint,
            reader: None,
            unreadable: 0,
            caught_up: None,
            kept: None,
        }
    }

    /// Runs until told to finish and everything is folded, or told to give up, or folding is of no use any more.
    pub(crate) fn run(mut self) {
        // Best effort: where it is not allowed, folding competes on equal terms.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
        let mut retry = RETRY_MIN;
        while !self.give_up.load(Ordering::Relaxed) {
            // Read before looking at the log: what was appended before it was set is then seen.
            let finishing = self.finish.load(Ordering::Acquire);
            match self.work(finishing) {
                Ok(idle) => {
                    match &self.kept {
                        Some((_, RetireError::Index(error))) if error.is_corrupt() => {
                            report_corrupt(error, &self.progress, &self.health);
                            return;
                        }
                        Some((_, error)) => {
                            self.health.report(Part::Fold, format_args!("what is not needed any more stays: {error}"));
                        }
                        None => self.health.clear(Part::Fold),
                    }
                    retry = RETRY_MIN;
                    match idle {
                        Some(_) if finishing => break,
                        Some(idle) => std::thread::park_timeout(idle),
                        None => {}
                    }
                }
                Err(FoldError::Index(error)) if error.is_corrupt() => {
                    // Trying again can't help, and writing to it might take what can still be saved.
                    report_corrupt(&error, &self.progress, &self.health);
                    return;
                }
                Err(error) => {
                    self.health.report(Part::Fold, format_args!("folding waits: {error}"));
                    self.reader = None;
                    self.caught_up = None;
                    std::thread::park_timeout(retry);
                    retry = (retry * 2).min(RETRY_MAX);
                }
            }
        }
    }

    /// Folds, if what there is has gathered for long enough, and clears away what is not needed any more, also while it
    /// gathers. How long there is nothing to do now; `None`: there is more. What is left to expire when the store shuts
    /// down, the next one who opens it removes.
    fn work(&mut self, finishing: bool) -> Result<Option<Duration>, FoldError> {
        let pause = self.pause().filter(|_| !finishing);
        let folded = pause.is_none() && self.step()?;
        let expired = self.clear_away(finishing, folded);
        let idle = if self.folds_published() { IDLE_UNTOLD } else { IDLE };
        Ok(if folded || expired { None } else { Some(pause.unwrap_or(idle)) })
    }

    /// Retires what is folded, and removes what is expired for a moment; whether there is more of that. If it can't, that is
    /// told and tried again in a while; while SQLite's log is copied, when that ends, which wakes this thread. Neither
    /// folding nor a shutdown waits for it.
    fn clear_away(&mut self, finishing: bool, folded: bool) -> bool {
        let is_last = finishing && !folded;
        let was_tried = self.kept.as_ref().is_some_and(|(tried, _)| tried.elapsed() < CLEARING_RETRY);
        if !is_last && (was_tried || self.index.is_copying()) {
            return false;
        }
        let retired = self.retirement.retire(&self.index, self.checkpoint.sequence);
        let expired = match &retired {
            // The database is in trouble.
            Err(RetireError::Index(_)) => Ok(false),
            _ if finishing => Ok(false),
            _ => {
                let oldest = self.log.oldest().unwrap_or(self.checkpoint.segment);
                self.index.expire(&self.row_retention, now_ms(), oldest)
            }
        };
        let more = matches!(expired, Ok(true));
        self.newer_records.note_expired(more);
        self.kept = retired.err().or(expired.err().map(RetireError::Index)).map(|error| (Instant::now(), error));
        more
    }

    /// How long what may be folded should still gather.
    fn pause(&self) -> Option<Duration> {
        let last = if self.folds_published() { self.progress.appended() } else { self.progress.durable() };
        let records = last.0.saturating_sub(self.progress.folded().0);
        let awaited = self.progress.folding_awaited();
        fold_interval::pause(
            Backlog { records, batch_records: BATCH_RECORDS as u64, awaited },
            self.caught_up?.elapsed(),
        )
    }

    /// Folds a batch if there is something to fold. `false`: there is nothing to do now.
    fn step(&mut self) -> Result<bool, FoldError> {
        self.retirement.note_quarantined(&mut self.index)?;
        if self.newer_records.step(&mut self.index, self.writer_id, self.checkpoint, &self.progress)? {
            return Ok(true);
        }
        let log = Arc::clone(&self.log);
        let _folding = log.hold_folding();
        let seen_at = Instant::now();
        let folded = self.checkpoint.sequence;
        let Unfolded { appended, next } = Unfolded::beyond(folded, &log, &self.progress, self.folds_published());
        let has_folded = match &next {
            None => {
                // Whatever numbers lie between, no segment has their records.
                if appended > self.progress.folded() {
                    self.progress.set_folded(appended, 0);
                }
                false
            }
            Some(FoldLimit { segment, limit, last }) => {
                let any = *last > folded;
                if any {
                    let folded = self.fold_batch(segment, *limit, *last);
                    let unreadable = folded.as_ref().is_err_and(FoldError::is_unreadable);
                    self.unreadable = if unreadable { self.unreadable + 1 } else { 0 };
                    folded?;
                }
                any
            }
        };
        if next.is_none() || self.checkpoint.sequence >= appended {
            self.progress.set_caught_up(seen_at);
        }
        Ok(has_folded)
    }

    /// Where to go on in a segment: at the checkpoint if it names this segment, else at the start. The checkpoint's number
    /// decides what is folded; its place only saves the way there.
    fn position_in(&self, segment: &LogSegment, limit: Extent) -> Extent {
        let Checkpoint { segment: id, offset, sequence } = self.checkpoint;
        let frames =
            (sequence.0 + 1).checked_sub(segment.base_sequence.0).and_then(|frames| u32::try_from(frames).ok());
        match frames {
            Some(frames) if id == segment.id && offset <= limit.end && frames <= limit.frames => {
                Extent { end: offset, frames }
            }
            _ => Extent::EMPTY,
        }
    }

    /// When the log can't be synced any more, waiting for that would lose by delay what the database can save.
    fn folds_published(&self) -> bool {
        self.policy == SyncPolicy::Never || self.progress.sync_failure().is_some()
    }

    /// Folds some of what a segment has beyond the checkpoint, up to the number `last`. `limit` is how far the segment may be
    /// read.
    fn fold_batch(&mut self, segment: &LogSegment, limit: Extent, last: Sequence) -> Result<(), FoldError> {
        let mut position = self.position_in(segment, limit);
        let gives_up = self.unreadable >= UNREADABLE_TRIES;
        let reader = match reader_at(&mut self.reader, segment, position) {
            Ok(reader) => reader,
            Err(error) if is_lost(&error, gives_up) => return self.skip_segment(segment, limit, last, &error),
            Err(error) => return Err(error.into()),
        };
        reader.set_limit(limit);
        if gives_up {
            // For the rest of the segment: nothing is gained by trying each place that often.
            reader.pass_unreadable();
        }
        let folded = self.checkpoint.sequence;
        let mut batch = self.index.begin()?;
        let mut chunk = Chunk::default();
        let mut damaged = false;
        let mut report = |batch: &mut Batch<'_>, offset: Offset, bytes: u32, reason: &str| {
            damaged = true;
            self.health.report(Part::Damage, format_args!("segment {}, offset {offset}: {reason}", segment.id));
            batch.quarantine_bytes(segment.id, offset, bytes, reason)
        };
        let (mut records, mut bytes, mut events) = (0, 0, 0);
        // What comes behind `last` is read from another segment.
        let mut is_through = false;
        while records < BATCH_RECORDS && bytes < BATCH_BYTES && !is_through {
            let due = reader.next_sequence();
            if due > last {
                is_through = true;
                continue;
            }
            match reader.next()? {
                // Folded before: from another segment, or this checkpoint's place was of no use.
                Item::Frame(frame) if frame.sequence <= folded => {}
                Item::Frame(frame) if frame.sequence > last => is_through = true,
                Item::Frame(frame) => {
                    records += 1;
                    bytes += frame.payload.len();
                    let kind = frame.payload.first();
                    events += u64::from(kind != Some(&(Kind::Gap as u8)));
                    chunk.push(&frame, kind == Some(&(Kind::Request as u8)));
                    if chunk.is_full() {
                        fold_chunk(&chunk, segment.id, &mut batch, &mut self.newer_records)?;
                        chunk.clear();
                        // However nice a thread is, Linux lets it run for some milliseconds before one that just woke
                        // up gets its place: on two cores, syncs then wait for the folding.
                        std::thread::yield_now();
                    }
                }
                // Perhaps not the segment's damage, but a checkpoint that doesn't fit it.
                Item::Damage(_) if records == 0 && position != Extent::EMPTY => {
                    position = Extent::EMPTY;
                    reader.seek(position);
                }
                Item::Damage(damage) => {
                    if due.max(segment.last_sequence(reader.position())) > folded {
                        let reason = format!("{}; {} records are lost", damage.reason, damage.records);
                        report(&mut batch, damage.offset, damage.bytes, &reason)?;
                    }
                }
                Item::Stop(_) => is_through = true,
            }
        }
        fold_chunk(&chunk, segment.id, &mut batch, &mut self.newer_records)?;
        let reached = reader.position();
        if is_through && segment.last_sequence(reached) < last {
            // Its frames are not as many as its mark says. What is due next is in another segment.
            let reason = format!("expected records up to {last}, found them up to {}", segment.last_sequence(reached));
            report(&mut batch, reached.end, limit.end.0.saturating_sub(reached.end.0), &reason)?;
        }
        let sequence = if is_through { last } else { segment.last_sequence(reached).max(folded) };
        let checkpoint = Checkpoint { segment: segment.id, offset: reached.end, sequence };
        batch.commit(self.writer_id, checkpoint)?;
        if damaged {
            self.retirement.note_damaged(segment.id);
        }
        self.checkpoint = checkpoint;
        self.progress.set_folded(checkpoint.sequence, events);
        self.caught_up = (records < BATCH_RECORDS && bytes < BATCH_BYTES).then(Instant::now);
        Ok(())
    }

    /// Goes on behind a segment that can't be read any more: whatever follows it must not wait for ever.
    fn skip_segment(
        &mut self,
        segment: &LogSegment,
        limit: Extent,
        sequence: Sequence,
        error: &SegmentError,
    ) -> Result<(), FoldError> {
        let position = self.position_in(segment, limit);
        let lost = sequence.0 - self.checkpoint.sequence.0.max(segment.base_sequence.0 - 1);
        let reason = format!("{error}; {lost} records are lost");
        self.health.report(Part::Damage, &reason);
        let mut batch = self.index.begin()?;
        batch.quarantine_bytes(segment.id, position.end, limit.end.0 - position.end.0, &reason)?;
        let checkpoint = Checkpoint { segment: segment.id, offset: limit.end, sequence };
        batch.commit(self.writer_id, checkpoint)?;
        self.retirement.note_damaged(segment.id);
        self.checkpoint = checkpoint;
        self.progress.set_folded(checkpoint.sequence, 0);
        Ok(())
    }
}

/// The reader that stands at that place of a segment: the one that is kept, or a new one in its place.
fn reader_at<'r>(
    kept: &'r mut Option<SegmentReader>,
    segment: &LogSegment,
    position: Extent,
) -> Result<&'r mut SegmentReader, SegmentError> {
    let stands_there =
        |reader: &SegmentReader| reader.header().segment_id == segment.id && reader.position() == position;
    if !kept.as_ref().is_some_and(stands_there) {
        *kept = None;
    }
    match kept {
        Some(reader) => Ok(reader),
        none => {
            let mut reader = SegmentReader::open(&segment.path)?;
            reader.seek(position);
            Ok(none.insert(reader))
        }
    }
}

/// Folding has ended until somebody makes a new database. The log goes on, and keeps every segment.
pub(crate) fn report_corrupt(error: &IndexError, progress: &Progress, health: &HealthBoard) {
    let why = format!(
        "{error}; nothing is folded any more and the log keeps every segment: stop this process and run `mcplog rebuild`"
    );
    health.report(Part::Fold, &why);
    progress.stop_folding(why);
}

/// Folds records together; one that can't be decoded is kept as it is.
fn fold_chunk(
    chunk: &Chunk,
    segment: SegmentId,
    batch: &mut Batch<'_>,
    newer_records: &mut NewerRecords,
) -> Result<(), IndexError> {
    let (mut mutations, decode) = (Vec::with_capacity(REQUESTS_PER_STATEMENT), newer_records.decoder());
    for frame in chunk.frames() {
        match decode(frame.payload) {
            Ok(record) => mutations.push((frame.sequence, fold(record))),
            Err(error) => newer_records.keep(batch, segment, &frame, &error)?,
        }
    }
    batch.apply(mutations)
}
