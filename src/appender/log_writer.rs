//! Writing the log: records are appended at its end, segment after segment.
//!
//! Runs on the appender. The writer never syncs.

use super::clock_watch::ClockWatch;
use super::handles::AppenderHandles;
use super::log_end::{ActiveSegment, LAST_GAP_BYTES, LogEnd, NoSegment};
use super::rewrite::rewrite_doubtful;
use crate::event::Event;
use crate::ground::burst::{Burst, Over};
use crate::ground::config::Config;
use crate::ground::error::PathError;
use crate::ground::health::Part;
use crate::ground::position::{Sequence, WriterId};
use crate::record::record::{ClockStepRecord, GapRecord, Record};
use crate::segment::writer::NotAppended;
use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Progress is reported after so many events, so that a long burst shows while it is being appended.
const PROGRESS_EVENTS: u64 = 4096;
/// While events are being dropped, gaps are written this far apart, so that they don't fill the log themselves.
const GAP_INTERVAL: Duration = Duration::from_secs(1);
/// After so long without another one, dropping is over, as the diagnostics tell it.
const DROPS_QUIET: Duration = Duration::from_secs(10);
/// How long opening a store waits for its first segment, on a file system that is at it and has not failed.
const FIRST_SEGMENT_PATIENCE: Duration = Duration::from_secs(60);

/// The only writer of the log.
pub(crate) struct LogWriter {
    pub(super) end: LogEnd,
    segment_age: Duration,
    segment_bytes: u64,
    /// How many bytes of segments may wait to be folded; 0 for no limit.
    log_bytes_max: u64,
    /// Records up to this one count as folded, whether they are or not: without a database, nobody knows.
    counted_as_folded: Sequence,
    /// An event was taken from the channel and is not appended yet.
    event_in_hand: bool,
    /// The encoded record; kept for its allocation.
    payload: Vec<u8>,
    last_gap: Instant,
    /// Events are dropped, as the diagnostics tell it.
    drops: Burst,
    clock: ClockWatch,
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
        clock_step: Option<ClockStepRecord>,
    ) -> Result<Self, PathError> {
        let clock = ClockWatch::new(handles.clock.clone(), clock_step);
        let mut end = LogEnd {
            handles,
            writer_id,
            policy: config.sync,
            active: None,
            last_sequence,
            last_of_earlier_runs: last_sequence,
            unreported_events: 0,
            has_given_up: false,
            is_in_doubt: false,
        };
        // A full log gets it too: its last segment carries the store's identity, and may be retired once this one is
        // there.
        let patient_until = Instant::now() + FIRST_SEGMENT_PATIENCE;
        let (active, segment) = loop {
            match end.activate_prepared(Sequence(last_sequence.0 + 1)) {
                Err(error) if error.source.kind() == ErrorKind::TimedOut && Instant::now() < patient_until => {}
                started => break started?,
            }
        };
        end.handles.log.push(segment);
        end.active = Some(active);
        Ok(Self {
            end,
            segment_age: Duration::from_millis(config.segment_age_ms),
            segment_bytes: config.segment_bytes,
            log_bytes_max: config.max_log_bytes,
            counted_as_folded,
            event_in_hand: false,
            payload: Vec::with_capacity(4096),
            last_gap: Instant::now(),
            drops: Burst::new(DROPS_QUIET),
            clock,
        })
    }

    pub(crate) fn append_event(&mut self, event: Event<'_>) {
        self.event_in_hand = true;
        let appended = self.append(&event.into());
        self.event_in_hand = false;
        if !appended {
            self.end.handles.channel.gap.add(1);
            return;
        }
        self.end.unreported_events += 1;
        if self.end.unreported_events == PROGRESS_EVENTS {
            self.end.report_progress();
        }
    }

    /// Records what was dropped, unless that was done just now and there is other work.
    pub(crate) fn append_gap(&mut self, is_idle: bool) {
        if self.drops.is_on() {
            let over = self.drops.over(Instant::now());
            tell_over(over);
        }
        if self.end.handles.channel.gap.untaken() == 0 || !is_idle && self.last_gap.elapsed() < GAP_INTERVAL {
            return;
        }
        self.last_gap = Instant::now();
        let Some(gap) = self.end.handles.channel.gap.take() else { return };
        if self.append(&Record::Gap(gap)) {
            self.tell_gap(gap);
        } else {
            self.end.handles.channel.gap.put_back(gap);
        }
    }

    /// Records what was dropped to the very end, when nothing else comes: in the room that each segment keeps for that;
    /// or, where none is open, in one more, however large the log is.
    pub(crate) fn append_last_gap(&mut self) {
        while !self.end.is_in_doubt {
            let mut refused = Ok(());
            if let Some(active) = &mut self.end.active {
                // Taken only now: a gap that is taken counts as told.
                let Some(gap) = self.end.handles.channel.gap.take() else { return };
                self.payload.clear();
                Record::Gap(gap).encode(&mut self.payload);
                match active.writer.append(&self.payload) {
                    Ok(sequence) => {
                        self.end.last_sequence = sequence;
                        if !self.end.has_given_up {
                            self.end.handles.health.clear(Part::Segments);
                        }
                        return self.tell_gap(gap);
                    }
                    Err(NotAppended::Full) => {}
                    Err(NotAppended::Refused(error)) => {
                        refused = Err(error);
                        self.end.end_segment();
                    }
                }
                self.end.handles.channel.gap.put_back(gap);
            } else if self.end.handles.channel.gap.untaken() == 0 {
                return;
            }
            if let Err(error) = refused.and_then(|()| self.activate_next())
                && !self.end.wait_for_segment(&error.into())
            {
                return;
            }
        }
    }

    /// A gap was appended.
    fn tell_gap(&mut self, gap: GapRecord) {
        let GapRecord { events, from_ts, to_ts } = gap;
        if self.drops.note(events, Instant::now()) {
            tracing::warn!(events, from_ts, to_ts, "events are dropped");
        } else {
            tracing::debug!(events, from_ts, to_ts, "more events were dropped");
        }
        self.end.report_appended(0);
    }

    /// Records that somebody set the clock, if somebody did.
    pub(crate) fn append_clock_step(&mut self) {
        let Some(step) = self.clock.look() else { return };
        if self.append(&Record::ClockStep(step)) {
            let ClockStepRecord { from_ts, to_ts, between_runs } = step;
            tracing::warn!(from_ts, to_ts, step_ms = step.step_ms(), between_runs, "the clock was set");
            self.end.handles.progress.add_clock_step();
            self.end.report_appended(0);
        }
    }

    /// Appends a record. `false`: the store is giving up, and the record is lost.
    fn append(&mut self, record: &Record<'_>) -> bool {
        self.payload.clear();
        record.encode(&mut self.payload);
        let is_giving_up = || self.end.handles.give_up.load(Ordering::Relaxed);
        if self.end.has_given_up || self.end.active.is_none() && is_giving_up() {
            return false;
        }
        // A new segment may have no room for the record either, so health is cleared only when the record is appended.
        let mut began_segment = false;
        loop {
            let refused = match self.append_to_active() {
                Some(Ok(sequence)) => {
                    self.end.last_sequence = sequence;
                    if began_segment {
                        self.end.handles.health.clear(Part::Segments);
                    }
                    return true;
                }
                // The record gets the same number in the next segment: if the system kept the frame, it is this very
                // record.
                Some(Err(NotAppended::Refused(error))) => {
                    self.end.end_segment();
                    Err(error.into())
                }
                Some(Err(NotAppended::Full)) => {
                    assert!(
                        self.end.active.as_ref().is_some_and(|active| active.writer.extent().frames > 0),
                        "a record of {} bytes passed the limit and does not fit into an empty segment",
                        self.payload.len()
                    );
                    Ok(())
                }
                None => Ok(()),
            };
            match refused.and_then(|()| self.begin_segment()) {
                Ok(()) => began_segment = true,
                Err(error) => {
                    if !self.end.wait_for_segment(&error) {
                        return false;
                    }
                    // Records that a failed sync left in doubt are not folded, so the log might never get room without
                    // this.
                    rewrite_doubtful(&mut self.end);
                    if self.end.has_given_up {
                        return false;
                    }
                }
            }
        }
    }

    /// Appends the payload to the active segment, if there is one.
    fn append_to_active(&mut self) -> Option<Result<Sequence, NotAppended>> {
        let active = self.end.active.as_mut()?;
        Some(active.writer.append_leaving(LAST_GAP_BYTES, &self.payload))
    }

    /// Begins the segment for the next record, if the log may grow. The one before ends then.
    fn begin_segment(&mut self) -> Result<(), NoSegment> {
        if self.log_bytes_max > 0 {
            let folded = self.end.handles.progress.folded().max(self.counted_as_folded);
            let bytes = self.end.handles.log.bytes_beyond(folded);
            if bytes + self.segment_bytes > self.log_bytes_max {
                return Err(NoSegment::LogFull { bytes, max: self.log_bytes_max });
            }
        }
        Ok(self.activate_next()?)
    }

    /// Begins the segment for the next record, however large the log is.
    fn activate_next(&mut self) -> Result<(), PathError> {
        let (active, segment) = self.end.activate_prepared(Sequence(self.end.last_sequence.0 + 1))?;
        self.end.handles.log.push(segment);
        self.end.active = Some(active);
        Ok(())
    }

    /// Ends a segment that has something in it and is older than it may be.
    pub(crate) fn end_old_segment(&mut self) {
        let old =
            |active: &ActiveSegment| active.writer.extent().frames > 0 && active.started.elapsed() >= self.segment_age;
        if self.end.active.as_ref().is_some_and(old) {
            match self.begin_segment() {
                Ok(()) => return self.end.handles.health.clear(Part::Segments),
                Err(NoSegment::NoRoom(error)) => self.end.handles.health.report(Part::Segments, error),
                // That is reported when an event has to wait for it.
                Err(NoSegment::LogFull { .. }) => {}
            }
            // It takes frames until there is another, which is asked for when it is that old again.
            if let Some(active) = &mut self.end.active {
                active.started = Instant::now();
            }
        }
    }
}

impl Drop for LogWriter {
    /// Reports what was appended, also if the thread panics; then the event in hand is lost.
    fn drop(&mut self) {
        if self.event_in_hand {
            self.end.handles.channel.gap.add(1);
        }
        self.end.report_progress();
        let over = self.drops.end(Instant::now());
        tell_over(over);
    }
}

/// Tells how many events a burst of drops took, once it is over.
fn tell_over(drops: Option<Over>) {
    if let Some(over) = drops {
        tracing::warn!(events = over.times, lasted_ms = over.lasted_ms(), "no more events are dropped");
    }
}
