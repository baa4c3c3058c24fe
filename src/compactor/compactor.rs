//! The compactor: folds the log into the database and retires what is folded.
//!
//! One thread at low priority. It reads segments by plain reads, like any other reader, up to where they are durable
//! (under the policy `never`, and once syncing was given up: published). When the database fails it backs off and tries
//! again from the last checkpoint; the log goes on meanwhile. Numbers tell which records are folded: those up to the
//! checkpoint's are, whatever segment they lie in.

use super::copies::Copies;
use super::fold_error::{FoldError, is_lost};
use super::fold_interval::{self, Backlog};
use super::fold_limit::{FoldLimit, Unfolded};
use super::fold_start::FoldStart;
use super::handles::CompactorHandles;
use super::lost_records::{note_up_to, tell};
use super::newer_records::NewerRecords;
use super::retirement::{RetireError, Retirement};
use super::segment_fold::{BATCH_RECORDS, SegmentFold};
use crate::ground::config::{Config, SyncPolicy};
use crate::ground::error::{IndexError, SegmentError};
use crate::ground::finding::are_lost;
use crate::ground::health::{HealthBoard, Part};
use crate::ground::limits::{Limit, Limits};
use crate::ground::machine_clock::MachineClock;
use crate::ground::position::{Sequence, WriterId};
use crate::ground::room::{Reserve, TooLittle};
use crate::ground::store_progress::StoreProgress;
use crate::index::checkpoint::Checkpoint;
use crate::index::database::Index;
use crate::index::expiry_turn::Look;
use crate::index::row_retention::{RetentionTime, RowRetention};
use crate::segment::format::Extent;
use crate::segment::lost_numbers::LostNumbers;
use crate::segment::reader::SegmentReader;
use crate::segment::segment_list::{LogSegment, SegmentList};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often to look without being woken.
const IDLE: Duration = Duration::from_secs(1);
/// How often to look where nobody says that there is more to fold: under the policy `never`, and once syncing was given
/// up.
const IDLE_POLLING: Duration = Duration::from_millis(50);
/// The first pause after an error, which doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// How long to wait before a clean-up that failed is tried again.
const CLEAN_UP_RETRY: Duration = Duration::from_secs(1);
/// A place that the disk fails to read so many times in a row is given up: the records behind it must not wait for
/// ever.
const UNREADABLE_TRIES: u32 = 3;
/// The thread's nice value: recording and serving come first.
const NICENESS: i32 = 10;

/// The thread's state.
pub(crate) struct Compactor {
    index: Index,
    log: Arc<SegmentList>,
    progress: Arc<StoreProgress>,
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
    /// What is recorded happened earlier.
    is_import: bool,
    /// Folding waits until what goes is gone, because the database is too large.
    is_overfull: bool,
    copies: Copies,
    clock: MachineClock,
    reserve: Reserve,
    /// Folding waits, because there is so little room.
    too_little_room: Option<TooLittle>,
    /// Up to here, committed.
    checkpoint: Checkpoint,
    /// Which missing numbers are those of lost records.
    lost_numbers: LostNumbers,
    /// The last number that was in use, or reserved, when the store was opened.
    last_before: Sequence,
    reader: Option<SegmentReader>,
    /// How many times in a row the disk failed to read the next batch.
    failed_reads: u32,
    /// When the last batch was committed; `None` while there may be more to fold at once.
    caught_up_at: Option<Instant>,
    /// The clean-up failed, and is tried again in a while.
    failed_clean_up: Option<FailedCleanUp>,
}

/// A clean-up that failed, and when.
struct FailedCleanUp {
    at: Instant,
    error: RetireError,
}

impl Compactor {
    pub(crate) fn new(
        handles: CompactorHandles,
        config: &Config,
        writer_id: WriterId,
        index: Index,
        start: FoldStart,
    ) -> Self {
        let FoldStart { checkpoint, lost_numbers, quarantined } = start;
        let last_before = handles.progress.appended();
        let retirement = Retirement::new(Arc::clone(&handles.log), writer_id, config, &index.limits(), quarantined);
        let row_retention = RowRetention::new(&index.limits());
        let newer_records = NewerRecords::new(handles.decode, Arc::clone(&handles.health));
        Self {
            index: index.with_copying_thread(),
            log: handles.log,
            progress: handles.progress,
            health: handles.health,
            finish: handles.finish,
            give_up: handles.give_up,
            writer_id,
            policy: config.sync,
            retirement,
            newer_records,
            row_retention,
            is_import: config.is_import,
            is_overfull: false,
            copies: Copies::new(config),
            clock: handles.clock,
            reserve: Reserve::new(config),
            too_little_room: None,
            checkpoint,
            lost_numbers,
            last_before,
            reader: None,
            failed_reads: 0,
            caught_up_at: None,
            failed_clean_up: None,
        }
    }

    /// The same, which lets no row go, whatever the store was told: what it makes is a copy, and has everything.
    pub(crate) fn keeping_every_row(mut self) -> Self {
        self.row_retention = RowRetention::new(&Limits::of(Limit::unlimited));
        self
    }

    /// Runs until told to finish and everything is folded, or told to give up, or folding is of no use any more.
    pub(crate) fn run(mut self) {
        // Best effort: where it is not allowed, folding competes on equal terms.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
        let mut retry = RETRY_MIN;
        while !self.give_up.load(Ordering::Relaxed) {
            self.health.tell_over();
            // Read before looking at the log: what was appended before it was set is then seen.
            let finishing = self.finish.load(Ordering::Acquire);
            match self.work(finishing) {
                Ok(idle) => {
                    match self.failed_clean_up.as_ref().map(|failed| &failed.error) {
                        Some(RetireError::Index(error)) if error.is_corrupt() => {
                            return report_corrupt(error, &self.progress, &self.health);
                        }
                        Some(error) => {
                            self.health.report(Part::Fold, format_args!("what is not needed any more stays: {error}"));
                        }
                        None => match (self.too_little_room, self.index.copy_failure()) {
                            (Some(too_little), _) => {
                                self.health.report(Part::Fold, format_args!("folding waits: {too_little}"))
                            }
                            (None, Some(failure)) => {
                                self.health.report(Part::Fold, format_args!("rows stay in store.db-wal: {failure}"))
                            }
                            (None, None) => self.health.clear(Part::Fold),
                        },
                    }
                    retry = RETRY_MIN;
                    match idle {
                        Some(_) if finishing && !self.is_overfull => break,
                        Some(idle) => std::thread::park_timeout(idle),
                        None => {}
                    }
                }
                Err(FoldError::Index(error)) if error.is_corrupt() => {
                    // Trying again can't help, and writing to it might take what can still be saved.
                    return report_corrupt(&error, &self.progress, &self.health);
                }
                Err(error) => {
                    self.health.report(Part::Fold, format_args!("folding waits: {error}"));
                    self.reader = None;
                    self.caught_up_at = None;
                    std::thread::park_timeout(retry);
                    retry = (retry * 2).min(RETRY_MAX);
                }
            }
        }
    }

    /// Folds, if the records have gathered for long enough, and cleans up, also while they gather. Returns how long
    /// there is nothing to do now; `None`: there is more. Rows that are yet to expire when the store shuts down are
    /// removed by the next one who opens it.
    fn work(&mut self, finishing: bool) -> Result<Option<Duration>, FoldError> {
        let asked = self.progress.expiry_asked();
        let pause = self.pause().filter(|_| !finishing);
        // Before anything is folded: what time it is may not depend on what this turn brings.
        let time = self.retention_time(asked.is_some())?;
        let waited = self.is_overfull;
        let folded = pause.is_none() && !waited && self.step(time)?;
        let expired = self.clean_up(finishing, folded, asked.is_some(), time);
        if let Some(asked) = asked.filter(|_| !folded && !expired && self.is_clean()) {
            self.progress.set_expiry_done(asked);
        }
        self.progress.set_expired(self.index.expired());
        self.index.copy_on_schedule();
        self.health.note(Part::DatabaseWal, self.index.held_note());
        let idle = if self.folds_published() { IDLE_POLLING } else { IDLE };
        let goes_on = waited && !self.is_overfull;
        Ok(if folded || expired || goes_on { None } else { Some(pause.unwrap_or(idle)) })
    }

    /// Retires what is folded, and removes what is expired for a moment; tells whether more is expired. What fails is
    /// tried again in a while. While SQLite's write-ahead log is copied nothing is tried; the end of that wakes this
    /// thread. Neither folding nor a shutdown waits for the clean-up.
    fn clean_up(&mut self, finishing: bool, folded: bool, asked: bool, time: RetentionTime) -> bool {
        self.is_overfull |= folded && self.index.is_overfull(&self.row_retention).unwrap_or(false);
        let is_last = finishing && !folded;
        let was_tried = self.failed_clean_up.as_ref().is_some_and(|failed| failed.at.elapsed() < CLEAN_UP_RETRY);
        if !is_last && (was_tried || self.index.is_copying()) {
            return false;
        }
        let look = if asked || self.is_overfull { Look::Now } else { Look::Seldom };
        let cleaned = self.retire_and_expire(finishing, look, time);
        let has_more = matches!(cleaned, Ok(true));
        self.newer_records.note_expired(has_more);
        self.failed_clean_up = cleaned.err().map(|error| FailedCleanUp { at: Instant::now(), error });
        // Where nothing more goes, waiting would be for nothing: the newest minute stays.
        self.is_overfull &= has_more || (self.failed_clean_up.is_none() && self.index.is_copying());
        has_more
    }

    /// Whether the last clean-up succeeded, with nothing under way.
    fn is_clean(&self) -> bool {
        self.failed_clean_up.is_none() && !self.index.is_copying()
    }

    /// What time it is for what goes by its age. Says so where that is not what the clock says. In an import it is as late
    /// as the newest request, unless everything is to expire.
    fn retention_time(&mut self, everything: bool) -> Result<RetentionTime, IndexError> {
        let age_ms = self.row_retention.age_max_ms().or(self.retirement.age_max_ms());
        let mut time = self.index.retention_time(age_ms, self.clock.now())?;
        if self.is_import && !everything && age_ms.is_some() {
            // Nothing on record is too old before there is anything.
            time.aged_at_ms = self.index.newest_request(time.aged_at_ms)?.unwrap_or(i64::MIN);
        }
        self.health.note(Part::Clock, time.held_back.map(|held_back| held_back.to_string()));
        Ok(time)
    }

    /// Tells whether more is expired.
    fn retire_and_expire(&mut self, finishing: bool, look: Look, time: RetentionTime) -> Result<bool, RetireError> {
        let expired_before = self.expired_before(time);
        let retired =
            self.retirement.retire(&mut self.index, self.checkpoint.sequence, time.aged_at_ms, expired_before);
        let is_database_well = !matches!(retired, Err(RetireError::Index(_)));
        // What is much too much goes before more is folded, also at the end.
        let expires = is_database_well && (!finishing || self.is_overfull);
        let expired = expires && self.index.expire(look, &self.row_retention, time, &[self.writer_id].into())?;
        // Rows first: what is expired by now is expired in copies too.
        if let Some(expired_before) = self.expired_before(time).filter(|_| !finishing) {
            self.copies.expire(expired_before)?;
        }
        retired.map(|()| expired)
    }

    /// Before which time everything is expired by its age, in the database and so in copies too: kept segments, and what
    /// lies in `quarantine/`. `None`: nothing goes by its age. What expired for want of room stays in copies, which have
    /// limits of their own.
    fn expired_before(&self, time: RetentionTime) -> Option<i64> {
        Some(self.row_retention.kept_since_by_age(time.aged_at_ms)?.min(self.index.kept_since()))
    }

    /// How long what may be folded should still gather.
    fn pause(&self) -> Option<Duration> {
        let last = if self.folds_published() { self.progress.appended() } else { self.progress.durable() };
        let records = last.0.saturating_sub(self.progress.folded().0);
        let awaited = self.progress.folding_awaited();
        fold_interval::pause(
            Backlog { records, batch_records: BATCH_RECORDS as u64, awaited },
            self.caught_up_at?.elapsed(),
        )
    }

    /// Folds a batch if there is something to fold. `false`: there is nothing to do now.
    fn step(&mut self, time: RetentionTime) -> Result<bool, FoldError> {
        self.index.take_back(&self.row_retention, time.now_ms)?;
        self.retirement.note_quarantined(&mut self.index)?;
        if self.newer_records.step(&mut self.index, &self.progress)? {
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
                self.too_little_room = None;
                // Those that are only reserved may never have been in use. Whether they were, is told by the record behind.
                if appended > self.last_before {
                    self.pass_over_to(appended)?;
                }
                if appended > self.progress.folded() {
                    self.progress.set_folded(self.writer_id, appended);
                }
                false
            }
            Some(FoldLimit { segment, limit, last }) => {
                self.too_little_room = if *last > folded { self.reserve.admits_folding().err() } else { None };
                let any = *last > folded && self.too_little_room.is_none();
                if any {
                    let folded = self.fold_batch(segment, *limit, *last);
                    let is_unreadable = folded.as_ref().is_err_and(FoldError::is_unreadable);
                    self.failed_reads = if is_unreadable { self.failed_reads + 1 } else { 0 };
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

    /// Whether records are folded before they are durable: when the log can't be synced any more, waiting for that
    /// would lose by delay what the database can save.
    fn folds_published(&self) -> bool {
        self.policy == SyncPolicy::Never || self.progress.sync_failure().is_some()
    }

    /// Folds some of the records that a segment has beyond the checkpoint, up to the number `last`. `limit` is how far
    /// the segment may be read.
    fn fold_batch(&mut self, segment: &LogSegment, limit: Extent, last: Sequence) -> Result<(), FoldError> {
        let position = self.checkpoint.place_in(segment.id, segment.base_sequence, limit);
        let gives_up = self.failed_reads >= UNREADABLE_TRIES;
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
        let (folded, newer_records) = (self.checkpoint.sequence, &mut self.newer_records);
        let (index, lost_numbers) = (&mut self.index, &self.lost_numbers);
        let of_writer = (self.writer_id, segment);
        let mut batch = SegmentFold::begin(index, of_writer, folded, last, lost_numbers, newer_records, &self.health)?;
        batch.bytes_max = self.row_retention.batch_bytes_max();
        batch.fold_from(reader)?;
        let folded = batch.commit(reader, limit, self.checkpoint)?;
        if folded.has_damage {
            self.retirement.note_damaged(segment.id);
        }
        self.go_on_from(folded.checkpoint);
        self.caught_up_at = (!folded.is_full).then(Instant::now);
        Ok(())
    }

    /// The checkpoint was committed.
    fn go_on_from(&mut self, checkpoint: Checkpoint) {
        self.checkpoint = checkpoint;
        self.progress.set_folded(self.writer_id, checkpoint.sequence);
    }

    /// Goes on behind a segment that can't be read any more: whatever follows it must not wait for ever.
    fn skip_segment(
        &mut self,
        segment: &LogSegment,
        limit: Extent,
        sequence: Sequence,
        error: &SegmentError,
    ) -> Result<(), FoldError> {
        let position = self.checkpoint.place_in(segment.id, segment.base_sequence, limit);
        let lost = sequence.0 - self.checkpoint.sequence.0.max(segment.base_sequence.0 - 1);
        let reason = format!("{error}; {}", are_lost(lost));
        self.health.report(Part::Damage, &reason);
        let mut batch = self.index.begin()?;
        note_up_to(
            &mut batch,
            self.writer_id,
            self.checkpoint.sequence,
            &self.lost_numbers.between(self.checkpoint.sequence, sequence),
        )?;
        batch.quarantine_bytes(self.writer_id, segment.id, position.end, limit.end.0 - position.end.0, &reason)?;
        let checkpoint = Checkpoint { segment: segment.id, offset: limit.end, sequence };
        batch.reached(self.writer_id, self.checkpoint, checkpoint)?;
        batch.commit()?;
        self.retirement.note_damaged(segment.id);
        self.go_on_from(checkpoint);
        Ok(())
    }

    /// Goes on behind records that no segment has, up to the number `last`, and notes them if they are lost.
    fn pass_over_to(&mut self, last: Sequence) -> Result<(), IndexError> {
        let runs = self.lost_numbers.between(self.checkpoint.sequence, last);
        if runs.is_empty() {
            return Ok(());
        }
        tell(&runs, &self.lost_numbers, &self.health);
        let mut batch = self.index.begin()?;
        note_up_to(&mut batch, self.writer_id, self.checkpoint.sequence, &runs)?;
        let checkpoint = Checkpoint { sequence: last, ..self.checkpoint };
        batch.reached(self.writer_id, self.checkpoint, checkpoint)?;
        batch.commit()?;
        self.checkpoint = checkpoint;
        Ok(())
    }
}

/// The reader that stands at that place of a segment: the `last` one if it does, else a new one, which takes its place.
fn reader_at<'r>(
    last: &'r mut Option<SegmentReader>,
    segment: &LogSegment,
    position: Extent,
) -> Result<&'r mut SegmentReader, SegmentError> {
    let stands_there =
        |reader: &SegmentReader| reader.header().segment_id == segment.id && reader.position() == position;
    if !last.as_ref().is_some_and(stands_there) {
        *last = None;
    }
    match last {
        Some(reader) => Ok(reader),
        none => {
            let mut reader = SegmentReader::open(&segment.path)?;
            reader.seek(position);
            Ok(none.insert(reader))
        }
    }
}

/// Folding has ended until somebody makes a new database. The log goes on, and keeps every segment.
pub(crate) fn report_corrupt(error: &IndexError, progress: &StoreProgress, health: &HealthBoard) {
    let why = format!(
        "{error}; nothing is folded any more and the log keeps every segment: stop this process and run `mcplog rebuild`"
    );
    health.report(Part::Fold, &why);
    progress.stop_folding(why);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::position::SegmentId;
    use crate::segment::format::LogIdentity;
    use crate::segment::writer::PreparedSegment;
    use std::path::Path;

    /// A segment of two frames.
    fn segment(dir: &Path, id: u64) -> LogSegment {
        let prepared = PreparedSegment::create(dir, SegmentId(id), 64 * 1024).unwrap();
        let (mut writer, _syncer) = prepared.activate(LogIdentity::sample(WriterId([7; 16])), Sequence(1), 5).unwrap();
        writer.append(b"one").unwrap();
        writer.append(b"two").unwrap();
        let path = writer.path().to_owned();
        let header = *SegmentReader::open(&path).unwrap().header();
        LogSegment::sealed(path, &header, writer.finish())
    }

    #[test]
    fn the_reader_that_stands_where_folding_goes_on_is_used_again_and_no_other_is() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (segment(dir.path(), 1), segment(dir.path(), 2));
        let mut last = None;
        let place = {
            let reader = reader_at(&mut last, &first, Extent::EMPTY).unwrap();
            reader.next().unwrap();
            reader.position()
        };
        assert_eq!(place.frames, 1);
        // What is opened anew from now on is not there.
        std::fs::remove_file(&first.path).unwrap();
        assert_eq!(reader_at(&mut last, &first, place).unwrap().position(), place);
        assert!(reader_at(&mut last, &first, Extent::EMPTY).is_err(), "the same segment from another place");
        assert_eq!(reader_at(&mut last, &second, place).unwrap().header().segment_id, SegmentId(2));
        assert!(reader_at(&mut last, &first, place).is_err(), "the same place of another segment");
    }
}
