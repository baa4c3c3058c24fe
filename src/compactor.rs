//! The compactor: folds the log into the database and retires what is folded.
//!
//! One thread at low priority. It reads segments by plain reads, like any other reader, up to where they are durable
//! (under the policy `never`, and once a sync has failed: published). When the database fails it backs off and tries again from the last
//! checkpoint; the log goes on meanwhile.

use crate::chunk::{CHUNK_RECORDS, Chunk};
use crate::config::{Config, SyncPolicy};
use crate::error::{AtPath, IndexError, PathError, SegmentError};
use crate::fold::fold;
use crate::format::{Extent, FRAMES_OFFSET, Offset, SegmentId, WriterId};
use crate::gap::now_ms;
use crate::health::{HealthBoard, Part};
use crate::index::{Batch, Checkpoint, Index};
use crate::log::{Log, LogSegment};
use crate::progress::Progress;
use crate::record::{Kind, Record};
use crate::retention::{Retention, RowRetention};
use crate::segment::directory::sync_directory;
use crate::segment::{Item, SegmentReader};
use std::path::PathBuf;
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
/// And how often where nobody says that there is more to fold: under the policy `never`, and once a sync has failed.
const IDLE_UNTOLD: Duration = Duration::from_millis(50);
/// The first pause after an error, which doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// How often to look for segments that became too old to keep.
const RETIRE_INTERVAL: Duration = Duration::from_secs(10);
/// The thread's nice value: recording and serving come first.
const NICENESS: i32 = 10;

/// The thread's state.
pub(crate) struct Compactor {
    index: Index,
    log: Arc<Log>,
    progress: Arc<Progress>,
    health: Arc<HealthBoard>,
    /// Set when nothing more will be appended: fold the rest and end.
    finish: Arc<AtomicBool>,
    /// Set when that took too long.
    give_up: Arc<AtomicBool>,
    writer_id: WriterId,
    wal_dir: PathBuf,
    policy: SyncPolicy,
    retention: Retention,
    row_retention: RowRetention,
    /// Up to here, committed.
    checkpoint: Checkpoint,
    reader: Option<SegmentReader>,
    last_retired: Instant,
}

/// What the compactor shares with others.
pub(crate) struct CompactorParts {
    pub(crate) log: Arc<Log>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) health: Arc<HealthBoard>,
    pub(crate) finish: Arc<AtomicBool>,
    pub(crate) give_up: Arc<AtomicBool>,
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

/// Whether trying again can't help: the file is gone, or its header is.
fn is_lost(error: &SegmentError) -> bool {
    match error {
        SegmentError::Header { .. } => true,
        SegmentError::Io(error) => error.source.kind() == std::io::ErrorKind::NotFound,
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
    ) -> Self {
        Self {
            index,
            log: parts.log,
            progress: parts.progress,
            health: parts.health,
            finish: parts.finish,
            give_up: parts.give_up,
            writer_id,
            wal_dir: config.wal_dir(),
            policy: config.sync,
            retention: Retention::new(config),
            row_retention: RowRetention::new(config),
            checkpoint,
            reader: None,
            last_retired: Instant::now(),
        }
    }

    /// Runs until told to finish and everything is folded, or told to give up.
    pub(crate) fn run(mut self) {
        // Best effort: where it is not allowed, folding competes on equal terms.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
        let mut retry = RETRY_MIN;
        while !self.give_up.load(Ordering::Relaxed) {
            // Read before looking at the log: what was appended before it was set is then seen.
            let finishing = self.finish.load(Ordering::Acquire);
            match self.work(finishing) {
                Ok(true) => {
                    self.health.clear(Part::Fold);
                    retry = RETRY_MIN;
                }
                Ok(false) if finishing => break,
                Ok(false) => {
                    self.health.clear(Part::Fold);
                    retry = RETRY_MIN;
                    std::thread::park_timeout(if self.folds_published() { IDLE_UNTOLD } else { IDLE });
                }
                Err(error) => {
                    self.health.report(Part::Fold, format_args!("folding waits: {error}"));
                    self.reader = None;
                    std::thread::park_timeout(retry);
                    retry = (retry * 2).min(RETRY_MAX);
                }
            }
        }
    }

    /// Folds, and removes what is expired for a moment; `false`: there is nothing to do now. What is left when the store
    /// shuts down, the next one who opens it removes.
    fn work(&mut self, finishing: bool) -> Result<bool, FoldError> {
        let folded = self.fold_next()?;
        let expired = !finishing && self.index.expire(&self.row_retention, now_ms())?;
        Ok(folded || expired)
    }

    /// Folds a batch, or goes on to the next segment. `false`: there is nothing to do now.
    fn fold_next(&mut self) -> Result<bool, FoldError> {
        let Some(segment) = self.log.at_least(self.checkpoint.segment) else { return Ok(false) };
        let position = self.position_in(&segment);
        let (limit, seen_at) = (self.foldable(&segment), Instant::now());
        if position.end < limit.end {
            self.fold_batch(&segment, position, limit)?;
            self.note_caught_up(&segment, limit, seen_at);
            return Ok(true);
        }
        let sealed = segment.progress.sealed().filter(|sealed| position.end >= sealed.end);
        if let Some(sealed) = sealed {
            // A segment without frames, or one folded before this run, moves the mark as well.
            self.progress.set_folded(segment.last_sequence(sealed).max(self.progress.folded()), 0);
        }
        let ended = sealed.is_some();
        if let Some(next) = self.log.at_least(segment.id.next()).filter(|_| ended) {
            self.reader = None;
            self.checkpoint = Checkpoint { segment: next.id, offset: Offset(FRAMES_OFFSET), ..self.checkpoint };
            self.retire()?;
            return Ok(true);
        }
        self.note_caught_up(&segment, limit, seen_at);
        if self.last_retired.elapsed() >= RETIRE_INTERVAL {
            self.retire()?;
        }
        Ok(false)
    }

    /// If everything that was appended by `seen_at` is folded, says so.
    fn note_caught_up(&self, segment: &LogSegment, limit: Extent, seen_at: Instant) {
        let folded = self.checkpoint.segment > segment.id || self.checkpoint.offset >= limit.end;
        let all = limit.end >= segment.progress.published().end && self.log.at_least(segment.id.next()).is_none();
        if folded && all {
            self.progress.set_caught_up(seen_at);
        }
    }

    /// Where to go on in a segment.
    fn position_in(&self, segment: &LogSegment) -> Extent {
        if segment.id != self.checkpoint.segment {
            return Extent::EMPTY;
        }
        let frames = (self.checkpoint.sequence.0 + 1).saturating_sub(segment.base_sequence.0);
        Extent { end: self.checkpoint.offset, frames: u32::try_from(frames).unwrap_or(u32::MAX) }
    }

    /// Up to where a segment may be folded now.
    fn foldable(&self, segment: &LogSegment) -> Extent {
        if self.folds_published() { segment.progress.published() } else { segment.progress.durable() }
    }

    /// When the log can't be synced any more, waiting for that would lose by delay what the database can save.
    fn folds_published(&self) -> bool {
        self.policy == SyncPolicy::Never || self.progress.sync_failure().is_some()
    }

    fn fold_batch(&mut self, segment: &LogSegment, position: Extent, limit: Extent) -> Result<(), FoldError> {
        let reader = match &mut self.reader {
            Some(reader) if reader.header().segment_id == segment.id && reader.position() == position => reader,
            other => match SegmentReader::open(&segment.path) {
                Ok(mut reader) => {
                    reader.seek(position);
                    other.insert(reader)
                }
                Err(error) if is_lost(&error) => return self.skip_segment(segment, position, limit, &error),
                Err(error) => return Err(error.into()),
            },
        };
        reader.set_limit(limit);
        let mut batch = self.index.begin()?;
        let mut chunk = Chunk::default();
        let (mut records, mut bytes, mut events) = (0, 0, 0);
        while records < BATCH_RECORDS && bytes < BATCH_BYTES {
            match reader.next()? {
                Item::Frame(frame) => {
                    records += 1;
                    bytes += frame.payload.len();
                    events += u64::from(frame.payload.first() != Some(&(Kind::Gap as u8)));
                    chunk.push(&frame);
                    if chunk.is_full() {
                        fold_chunk(&chunk, segment.id, &mut batch, &self.health)?;
                        chunk.clear();
                        // However nice a thread is, Linux lets it run for some milliseconds before one that just woke
                        // up gets its place: on two cores, syncs then wait for the folding.
                        std::thread::yield_now();
                    }
                }
                Item::Damage(damage) => {
                    let reason = format!("{}; {} records are lost", damage.reason, damage.records);
                    batch.quarantine_bytes(segment.id, damage.offset, damage.bytes, &reason)?;
                    let (segment, offset) = (segment.id, damage.offset);
                    self.health.report(Part::Damage, format_args!("segment {segment}, offset {offset}: {reason}"));
                }
                Item::Stop(_) => break,
            }
        }
        fold_chunk(&chunk, segment.id, &mut batch, &self.health)?;
        let position = reader.position();
        let checkpoint =
            Checkpoint { segment: segment.id, offset: position.end, sequence: segment.last_sequence(position) };
        batch.commit(self.writer_id, checkpoint)?;
        self.checkpoint = checkpoint;
        self.progress.set_folded(checkpoint.sequence, events);
        Ok(())
    }

    /// Goes on behind a segment that can't be read any more: whatever follows it must not wait for ever.
    fn skip_segment(
        &mut self,
        segment: &LogSegment,
        position: Extent,
        limit: Extent,
        error: &SegmentError,
    ) -> Result<(), FoldError> {
        let lost = limit.frames.saturating_sub(position.frames);
        self.health.report(Part::Damage, format_args!("{error}; {lost} records are lost"));
        let mut batch = self.index.begin()?;
        let bytes = limit.end.0 - position.end.0;
        batch.quarantine_bytes(segment.id, position.end, bytes, &format!("{error}; {lost} records are lost"))?;
        let checkpoint = Checkpoint { segment: segment.id, offset: limit.end, sequence: segment.last_sequence(limit) };
        batch.commit(self.writer_id, checkpoint)?;
        self.checkpoint = checkpoint;
        self.progress.set_folded(checkpoint.sequence, 0);
        Ok(())
    }

    /// Deletes folded segments that need not be kept.
    fn retire(&mut self) -> Result<(), FoldError> {
        self.last_retired = Instant::now();
        let folded = self.log.before(self.checkpoint.segment);
        let sizes: Vec<_> = folded.iter().map(|segment| (segment.bytes(), segment.created_at)).collect();
        let retired = &folded[..self.retention.retired(&sizes, now_ms())];
        if retired.is_empty() {
            return Ok(());
        }
        self.index.make_durable()?;
        for segment in retired {
            match std::fs::remove_file(&segment.path) {
                // Gone is gone, whoever did it.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                removed => removed.at("remove", &segment.path)?,
            }
            self.log.remove(segment.id);
        }
        sync_directory(&self.wal_dir)?;
        Ok(())
    }
}

/// Folds records together; one that can't be decoded is kept as it is.
fn fold_chunk(
    chunk: &Chunk,
    segment: SegmentId,
    batch: &mut Batch<'_>,
    health: &HealthBoard,
) -> Result<(), IndexError> {
    let mut mutations = Vec::with_capacity(CHUNK_RECORDS);
    for frame in chunk.frames() {
        match Record::decode(frame.payload) {
            Ok(record) => mutations.push((frame.sequence, fold(record))),
            Err(error) => {
                batch.quarantine_record(segment, &frame, &error.to_string())?;
                let offset = frame.offset;
                health.report(Part::Damage, format_args!("segment {segment}, offset {offset}: {error}"));
            }
        }
    }
    batch.apply(mutations)
}
