//! Writing the log: records are appended at its end, segment after segment.
//!
//! Runs on the appender. The writer never syncs; it tells the syncing thread what there is to sync, and learns from
//! that thread which segment is poisoned.

use super::handles::AppenderHandles;
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

/// Progress is reported after so many events, so that a long burst shows while it is being appended.
const PROGRESS_EVENTS: u64 = 4096;
/// While events are being dropped, gaps are written this far apart, so that they don't fill the log themselves.
const GAP_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait before asking for a segment again, after there was no room for one.
const SEGMENT_RETRY: Duration = Duration::from_millis(250);
/// How long opening a store waits for its first segment, on a file system that is at it and has not failed.
const FIRST_SEGMENT_PATIENCE: Duration = Duration::from_secs(60);

/// The only writer of the log.
pub(crate) struct LogWriter {
    pub(crate) handles: AppenderHandles,
    writer_id: WriterId,
    policy: SyncPolicy,
    segment_age: Duration,
    segment_bytes: u64,
    /// How many bytes of segments may wait to be folded; 0 for no limit.
    log_bytes_max: u64,
    /// Records up to this one count as folded, whether they are or not: without a database, nobody knows.
    counted_as_folded: Sequence,
    pub(super) active: Option<ActiveSegment>,
    pub(super) last_sequence: Sequence,
    /// The last number of earlier runs.
    pub(super) last_of_earlier_runs: Sequence,
    /// Events appended since progress was reported.
    unreported_events: u64,
    /// An event was taken from the channel and is not appended yet.
    event_in_hand: bool,
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

impl LogWriter {
    /// A writer that goes on after `last_sequence`, with its first segment.
    ///
    /// # Errors
    /// There is no room for a segment.
    pub(crate) fn new(
        handles: AppenderHandles,
        config: &Config,
        writer_id: WriterId,
        last_sequence: Sequence,
        counted_as_folded: Sequence,
    ) -> Result<Self, PathError> {
        let mut writer = Self {
            handles,
            writer_id,
            policy: config.sync,
            segment_age: Duration::from_millis(config.segment_age_ms),
            segment_bytes: config.segment_bytes,
            log_bytes_max: config.max_log_bytes,
            counted_as_folded,
            active: None,
            last_sequence,
            last_of_earlier_runs: last_sequence,
            unreported_events: 0,
            event_in_hand: false,
            payload: Vec::with_capacity(4096),
            last_gap: Instant::now(),
        };
        // A full log gets it too: its last segment carries the store's identity, and may be retired once this one is
        // there.
        let patient_until = Instant::now() + FIRST_SEGMENT_PATIENCE;
        let (active, segment) = loop {
            match writer.activate_prepared(Sequence(last_sequence.0 + 1)) {
                Err(error) if error.source.kind() == ErrorKind::TimedOut && Instant::now() < patient_until => {}
                started => break started?,
            }
        };
        writer.handles.log.push(segment);
        writer.active = Some(active);
        Ok(writer)
    }

    pub(crate) fn append_event(&mut self, event: Event<'_>) {
        self.event_in_hand = true;
        let appended = self.append(&event.into());
        self.event_in_hand = false;
        if !appended {
            self.handles.channel.gap.add(1);
            return;
        }
        self.unreported_events += 1;
        if self.unreported_events == PROGRESS_EVENTS {
            self.report_progress();
        }
    }

    pub(crate) fn report_progress(&mut self) {
        if self.unreported_events > 0 {
            let events = std::mem::take(&mut self.unreported_events);
            self.appended(events);
        }
    }

    fn appended(&self, events: u64) {
        let rests = self.handles.progress.set_appended(self.last_sequence, events);
        if self.policy == SyncPolicy::Always {
            self.tell_syncer(SyncCommand::SyncNow(self.handles.progress.answered()));
        } else if rests {
            self.tell_syncer(SyncCommand::Appended);
        }
    }

    /// Records what was dropped, unless that was done just now and there is other work.
    pub(crate) fn append_gap(&mut self, is_idle: bool) {
        if !self.handles.channel.gap.any_untaken() || !is_idle && self.last_gap.elapsed() < GAP_INTERVAL {
            return;
        }
        self.last_gap = Instant::now();
        let Some(gap) = self.handles.channel.gap.take() else { return };
        if self.append(&Record::Gap(gap)) {
            tracing::warn!(events = gap.events, from_ts = gap.from_ts, to_ts = gap.to_ts, "events were dropped");
            self.appended(0);
        }
    }

    /// Appends a record. `false`: the store is giving up, and the record is lost.
    fn append(&mut self, record: &Record<'_>) -> bool {
        self.payload.clear();
        record.encode(&mut self.payload);
        if self.active.is_none() && self.handles.give_up.load(Ordering::Relaxed) {
            return false;
        }
        // A new segment may have no room for the record either, so health is cleared only when the record is appended.
        let mut began_segment = false;
        loop {
            let refused = match self.active.as_mut().map(|active| active.writer.append(&self.payload)) {
                Some(Ok(sequence)) => {
                    self.last_sequence = sequence;
                    if began_segment {
                        self.handles.health.clear(Part::Segments);
                    }
                    return true;
                }
                // The record gets the same number in the next segment: if the system kept the frame, it is this very
                // record.
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
                Ok(()) => began_segment = true,
                Err(error) => {
                    if !self.wait_for_segment(&error) {
                        return false;
                    }
                    // Records that a failed sync left in doubt are not folded, so the log might never get room without
                    // this.
                    self.rewrite_doubtful();
                }
            }
        }
    }

    /// Reports that there is no segment, and waits a little. `false`: the store is giving up.
    pub(super) fn wait_for_segment(&self, error: &NoSegment) -> bool {
        let problem = format_args!("{error}; events wait, and are dropped when the channel is full");
        self.handles.health.report(Part::Segments, problem);
        if self.handles.give_up.load(Ordering::Relaxed) {
            return false;
        }
        std::thread::park_timeout(SEGMENT_RETRY);
        true
    }

    /// Begins the segment for the next record, if the log may grow.
    fn begin_segment(&mut self) -> Result<(), NoSegment> {
        if self.log_bytes_max > 0 {
            let folded = self.handles.progress.folded().max(self.counted_as_folded);
            let bytes = self.handles.log.bytes_beyond(folded);
            if bytes + self.segment_bytes > self.log_bytes_max {
                return Err(NoSegment::LogFull { bytes, max: self.log_bytes_max });
            }
        }
        let (active, segment) = self.activate_prepared(Sequence(self.last_sequence.0 + 1))?;
        self.handles.log.push(segment);
        self.active = Some(active);
        Ok(())
    }

    /// Takes the segment that the preparing thread has ready, and tells the syncing thread.
    pub(super) fn activate_prepared(
        &mut self,
        base_sequence: Sequence,
    ) -> Result<(ActiveSegment, LogSegment), PathError> {
        let created_at = now_ms();
        let (writer, syncer) = self.handles.supply.take()?.activate(self.writer_id, base_sequence, created_at)?;
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
            // That the log is full is reported when an event has to wait for it.
            if let Err(NoSegment::NoRoom(error)) = self.begin_segment() {
                self.handles.health.report(Part::Segments, error);
            }
        }
    }

    pub(crate) fn tell_syncer(&self, command: SyncCommand) {
        // The syncing thread lives until this sender is gone, unless it died; then health says so.
        let _ = self.handles.sync.send(command);
    }
}

impl Drop for LogWriter {
    /// Reports what was appended, also if the thread panics; then the event in hand is lost.
    fn drop(&mut self) {
        if self.event_in_hand {
            self.handles.channel.gap.add(1);
        }
        self.report_progress();
    }
}
