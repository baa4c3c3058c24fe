//! The end of the log: where records are appended, segment after segment.
//!
//! Runs on the appender. It never syncs; it tells the syncing thread what there is to sync, and learns from it which
//! segment is poisoned.

use super::parts::AppenderParts;
use super::sync_loop::SyncCommand;
use crate::event::Event;
use crate::ground::clock::now_ms;
use crate::ground::config::{Config, SyncPolicy};
use crate::ground::error::PathError;
use crate::ground::health::Part;
use crate::ground::position::{Sequence, WriterId};
use crate::record::record::Record;
use crate::segment::segment_list::LogSegment;
use crate::segment::writer::{NotAppended, SegmentWriter};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// After how many events progress is told, so that a long burst shows while it is being appended.
const PROGRESS_EVENTS: u64 = 4096;
/// While events are being dropped, gaps are written this far apart, so that they don't fill the log themselves.
const GAP_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait before asking for a segment again, after there was no room for one.
const SEGMENT_RETRY: Duration = Duration::from_millis(250);
/// How long opening a store waits for its first segment, on a file system that is at it and has not failed.
const FIRST_SEGMENT_PATIENCE: Duration = Duration::from_secs(60);

/// The end of the log.
pub(crate) struct LogTail {
    pub(crate) parts: AppenderParts,
    writer_id: WriterId,
    policy: SyncPolicy,
    segment_age: Duration,
    segment_bytes: u64,
    /// How many bytes of segments may wait to be folded; 0 for no limit.
    log_bytes_max: u64,
    /// What lies up to here counts as folded, whether it is or not: without a database, nobody knows.
    not_counted: Sequence,
    pub(super) active: Option<ActiveSegment>,
    pub(super) last_sequence: Sequence,
    /// The last one of earlier runs.
    pub(super) last_of_earlier_runs: Sequence,
    /// Events appended since progress was told.
    untold: u64,
    /// An event was taken from the channel and is not appended yet.
    in_hand: bool,
    /// The encoded record; kept for its allocation.
    payload: Vec<u8>,
    last_gap: Instant,
}

pub(super) struct ActiveSegment {
    pub(super) writer: SegmentWriter,
    started: Instant,
}

/// Why there is no new segment.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoSegment {
    #[error(transparent)]
    NoRoom(#[from] PathError),
    #[error(
        "{bytes} bytes of the log are not folded, and max_log_bytes allows {max}: see why folding waits, or allow more"
    )]
    LogFull { bytes: u64, max: u64 },
}

impl LogTail {
    /// A tail that goes on after `last_sequence`, with its first segment.
    ///
    /// # Errors
    /// There is no room for a segment.
    pub(crate) fn new(
        parts: AppenderParts,
        config: &Config,
        writer_id: WriterId,
        last_sequence: Sequence,
        not_counted: Sequence,
    ) -> Result<Self, PathError> {
        let mut tail = Self {
            parts,
            writer_id,
            policy: config.sync,
            segment_age: Duration::from_millis(config.segment_age_ms),
            segment_bytes: config.segment_bytes,
            log_bytes_max: config.max_log_bytes,
            not_counted,
            active: None,
            last_sequence,
            last_of_earlier_runs: last_sequence,
            untold: 0,
            in_hand: false,
            payload: Vec::with_capacity(4096),
            last_gap: Instant::now(),
        };
        // Even if the log is full: its last segment carries the store's identity, and may be retired once this one is.
        let patient_until = Instant::now() + FIRST_SEGMENT_PATIENCE;
        let (active, segment) = loop {
            match tail.start_segment(Sequence(last_sequence.0 + 1)) {
                Err(error) if error.source.kind() == ErrorKind::TimedOut && Instant::now() < patient_until => {}
                started => break started?,
            }
        };
        tail.parts.log.push(segment);
        tail.active = Some(active);
        Ok(tail)
    }

    pub(crate) fn append_event(&mut self, event: Event<'_>) {
        self.in_hand = true;
        let appended = self.append(&event.into());
        self.in_hand = false;
        if !appended {
            self.parts.channel.gap.add(1);
            return;
        }
        self.untold += 1;
        if self.untold == PROGRESS_EVENTS {
            self.tell_progress();
        }
    }

    pub(crate) fn tell_progress(&mut self) {
        if self.untold > 0 {
            let events = std::mem::take(&mut self.untold);
            self.appended(events);
        }
    }

    fn appended(&self, events: u64) {
        let rests = self.parts.progress.set_appended(self.last_sequence, events);
        if self.policy == SyncPolicy::Always {
            self.tell_syncer(SyncCommand::SyncNow(self.parts.progress.answered()));
        } else if rests {
            self.tell_syncer(SyncCommand::Appended);
        }
    }

    /// Records what was dropped, unless that was done just now and there is other work.
    pub(crate) fn append_gap(&mut self, is_idle: bool) {
        if !self.parts.channel.gap.any_untaken() || !is_idle && self.last_gap.elapsed() < GAP_INTERVAL {
            return;
        }
        self.last_gap = Instant::now();
        let Some(gap) = self.parts.channel.gap.take() else { return };
        if self.append(&Record::Gap(gap)) {
            tracing::warn!(events = gap.events, from_ts = gap.from_ts, to_ts = gap.to_ts, "events were dropped");
            self.appended(0);
        }
    }

    /// Appends a record. `false`: the store is giving up, and the record is lost.
    fn append(&mut self, record: &Record<'_>) -> bool {
        #[cfg(test)]
        if let Some(active) = &self.active {
            crate::ground::sabotage::strike(active.writer.path(), crate::ground::sabotage::Spot::Append);
        }
        self.payload.clear();
        record.encode(&mut self.payload);
        if self.active.is_none() && self.parts.give_up.load(Ordering::Relaxed) {
            return false;
        }
        // Not cleared before something was appended: room for a segment may be none for what comes into it.
        let mut begun = false;
        loop {
            let refused = match self.active.as_mut().map(|active| active.writer.append(&self.payload)) {
                Some(Ok(sequence)) => {
                    self.last_sequence = sequence;
                    if begun {
                        self.parts.health.clear(Part::Segments);
                    }
                    return true;
                }
                // It gets the same number in the next segment: if the system kept the frame, it is this very record.
                Some(Err(NotAppended::Refused(error))) => Err(error.into()),
                Some(Err(NotAppended::Full)) => {
                    assert!(
                        self.active.as_ref().is_some_and(|active| active.writer.extent().frames > 0),
                        "a record of {} bytes passed the limit and does not fit into an empty segment",
                        self.payload.len()
                    );
                    Ok(())
                }
                None => Ok(()),
            };
            self.end_segment();
            match refused.and_then(|()| self.begin_segment()) {
                Ok(()) => begun = true,
                Err(error) => {
                    if !self.wait_for_segment(&error) {
                        return false;
                    }
                    // What a failed sync left in doubt is not folded, so the log might never get room without this.
                    self.write_again();
                }
            }
        }
    }

    /// There is no segment: says so, and waits a little. `false`: the store is giving up.
    pub(super) fn wait_for_segment(&self, error: &NoSegment) -> bool {
        let problem = format_args!("{error}; events wait, and are dropped when the channel is full");
        self.parts.health.report(Part::Segments, problem);
        if self.parts.give_up.load(Ordering::Relaxed) {
            return false;
        }
        std::thread::park_timeout(SEGMENT_RETRY);
        true
    }

    /// Begins the segment in which the next record goes, if the log may grow.
    fn begin_segment(&mut self) -> Result<(), NoSegment> {
        if self.log_bytes_max > 0 {
            let folded = self.parts.progress.folded().max(self.not_counted);
            let bytes = self.parts.log.bytes_beyond(folded);
            if bytes + self.segment_bytes > self.log_bytes_max {
                return Err(NoSegment::LogFull { bytes, max: self.log_bytes_max });
            }
        }
        let (active, segment) = self.start_segment(Sequence(self.last_sequence.0 + 1))?;
        self.parts.log.push(segment);
        self.active = Some(active);
        Ok(())
    }

    /// Takes the segment that the preparing thread has ready, and tells the syncing thread.
    pub(super) fn start_segment(&mut self, base_sequence: Sequence) -> Result<(ActiveSegment, LogSegment), PathError> {
        let created_at = now_ms();
        let (writer, syncer) = self.parts.supply.take()?.activate(self.writer_id, base_sequence, created_at)?;
        let segment = LogSegment {
            id: writer.header().segment_id,
            path: writer.path().to_owned(),
            base_sequence,
            created_at,
            allocated_bytes: writer.bytes(),
            progress: Arc::clone(writer.progress()),
        };
        self.tell_syncer(SyncCommand::Activate(syncer));
        Ok((ActiveSegment { writer, started: Instant::now() }, segment))
    }

    /// Hands the active segment to the syncing thread to be sealed.
    pub(crate) fn end_segment(&mut self) {
        if let Some(active) = self.active.take() {
            let extent = active.writer.finish();
            self.tell_syncer(SyncCommand::Seal(extent));
        }
    }

    /// Ends a segment that has something in it and is older than it may be.
    pub(crate) fn end_old_segment(&mut self) {
        let old =
            |active: &ActiveSegment| active.writer.extent().frames > 0 && active.started.elapsed() >= self.segment_age;
        if self.active.as_ref().is_some_and(old) {
            self.end_segment();
            // A full log is told when an event has to wait for it.
            if let Err(NoSegment::NoRoom(error)) = self.begin_segment() {
                self.parts.health.report(Part::Segments, error);
            }
        }
    }

    pub(crate) fn tell_syncer(&self, command: SyncCommand) {
        // The syncing thread lives until this sender is gone, unless it died; then health says so.
        let _ = self.parts.sync.send(command);
    }
}

impl Drop for LogTail {
    /// Tells what was appended, also if the thread panics; then the event in hand is lost.
    fn drop(&mut self) {
        if self.in_hand {
            self.parts.channel.gap.add(1);
        }
        self.tell_progress();
    }
}
