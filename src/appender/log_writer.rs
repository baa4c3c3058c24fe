//! Writing the log: records are appended at its end, segment after segment.
//!
//! Runs on the appender. The writer never syncs.

use super::clock_watch::ClockWatch;
use super::handles::AppenderHandles;
use super::log_end::{ActiveSegment, LAST_BYTES, LogEnd, NoSegment};
use super::process_facts::ProcessFacts;
use super::rewrite::rewrite_doubtful;
use super::segment_growth::FIRST_BYTES;
use crate::event::Event;
use crate::ground::burst::{Burst, Over};
use crate::ground::config::Config;
use crate::ground::health::Part;
use crate::ground::position::{Sequence, StoreId};
use crate::record::record::{ClockStepRecord, GapRecord, Record, WriterEndedRecord};
use crate::segment::format::frame_bytes;
use crate::segment::writer::NotAppended;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Progress is reported after so many events, so that a long burst shows while it is being appended.
const PROGRESS_EVENTS: u64 = 4096;
/// What the last gap of a run leaves free: the end of the writer follows it.
const END_BYTES: u32 = frame_bytes(WriterEndedRecord::PAYLOAD_BYTES_MAX);
/// While events are being dropped, gaps are written this far apart, so that they don't fill the log themselves.
const GAP_INTERVAL: Duration = Duration::from_secs(1);
/// After so long without another one, dropping is over, as the diagnostics tell it.
const DROPS_QUIET: Duration = Duration::from_secs(10);

/// The only writer of the log.
pub(crate) struct LogWriter {
    pub(super) end: LogEnd,
    segment_age: Duration,
    segment_bytes: u64,
    /// How many bytes of segments may wait to be folded; 0 for no limit.
    log_bytes_max: u64,
    /// An event was taken from the channel and is not appended yet.
    event_in_hand: bool,
    /// The encoded record; kept for its allocation.
    payload: Vec<u8>,
    /// The first record of each log that this process writes.
    began: Vec<u8>,
    last_gap: Instant,
    /// Events are dropped, as the diagnostics tell it.
    drops: Burst,
    clock: ClockWatch,
}

impl LogWriter {
    /// A writer that has no log before its first record.
    pub(crate) fn new(handles: AppenderHandles, config: &Config, store: StoreId) -> Self {
        let clock = ClockWatch::new(handles.clock.clone());
        let facts = ProcessFacts::of(config, handles.clock.now().wall_ms);
        let mut began = Vec::new();
        Record::WriterBegan(facts.record()).encode(&mut began);
        Self {
            end: LogEnd::new(handles, config, store),
            segment_age: Duration::from_millis(config.segment_age_ms),
            segment_bytes: config.segment_bytes,
            log_bytes_max: config.max_log_bytes,
            event_in_hand: false,
            payload: Vec::with_capacity(4096),
            began,
            last_gap: Instant::now(),
            drops: Burst::new(DROPS_QUIET),
            clock,
        }
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

    /// Records what was dropped to the very end, when nothing else comes, and that the writer ended: in the room that each
    /// segment keeps for that. For a gap one more is begun where none is open, however large the log is.
    pub(crate) fn append_last(&mut self) {
        self.append_last_gap();
        let Some(active) = self.end.active.as_mut().filter(|_| !self.end.is_in_doubt) else { return };
        let ended = WriterEndedRecord { ended_at: self.end.handles.clock.now().wall_ms };
        self.payload.clear();
        Record::WriterEnded(ended).encode(&mut self.payload);
        // Where the system refuses, the log ends without: then its writer counts as one that died, and nothing is lost by it.
        if let Ok(sequence) = active.writer.append(&self.payload) {
            self.end.last_sequence = sequence;
            self.end.report_appended(0);
        }
    }

    fn append_last_gap(&mut self) {
        while !self.end.is_in_doubt && self.end.handles.channel.gap.untaken() > 0 {
            let refused = match self.append_began().unwrap_or(Ok(())) {
                Ok(()) => self.append_gap_in_last_room(),
                Err(error) => Err(error),
            };
            match refused {
                Ok(true) => return,
                Ok(false) | Err(NotAppended::Full) => {}
                Err(NotAppended::Refused(error)) => {
                    self.end.end_segment();
                    if !self.end.wait_for_segment(&error.into()) {
                        return;
                    }
                    continue;
                }
            }
            if let Err(error) = self.activate_next(frame_bytes(GapRecord::PAYLOAD_BYTES_MAX))
                && !self.end.wait_for_segment(&error)
            {
                return;
            }
        }
    }

    /// Appends the gap to the active segment, if there is one.
    fn append_gap_in_last_room(&mut self) -> Result<bool, NotAppended> {
        let Some(active) = &mut self.end.active else { return Ok(false) };
        // Taken only now: a gap that is taken counts as told.
        let Some(gap) = self.end.handles.channel.gap.take() else { return Ok(true) };
        self.payload.clear();
        Record::Gap(gap).encode(&mut self.payload);
        let appended = active.writer.append_leaving(END_BYTES, &self.payload);
        match appended {
            Ok(sequence) => {
                self.end.last_sequence = sequence;
                if !self.end.has_given_up {
                    self.end.handles.health.clear(Part::Segments);
                }
                self.tell_gap(gap);
                Ok(true)
            }
            Err(error) => {
                self.end.handles.channel.gap.put_back(gap);
                Err(error)
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

    /// Records that somebody set the clock, if somebody did. That alone begins no log: it matters beside what is recorded.
    pub(crate) fn append_clock_step(&mut self) {
        self.clock.look();
        if self.end.log.is_none() {
            return;
        }
        let Some(step) = self.clock.take_step() else { return };
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
        // A process that was told to end before its first record was taken still gets its log, if there is one to be had.
        let is_giving_up = || self.end.handles.give_up.load(Ordering::Relaxed);
        let has_no_room = self.end.active.is_none() && (self.end.log.is_some() || !self.end.found_room());
        if self.end.has_given_up || has_no_room && is_giving_up() {
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
                    self.end.order_ahead();
                    return true;
                }
                // The record gets the same number in the next segment: if the system kept the frame, it is this very
                // record.
                Some(Err(NotAppended::Refused(error))) => {
                    self.end.end_segment();
                    Err(error.into())
                }
                Some(Err(NotAppended::Full)) => {
                    let frames = self.end.active.as_ref().map_or(0, |active| active.writer.extent().frames);
                    assert!(
                        frames > u32::from(began_segment && self.end.last_sequence == Sequence(1)),
                        "a record of {} bytes passed the limit and does not fit into an empty segment",
                        self.payload.len()
                    );
                    self.end.note_filled();
                    Ok(())
                }
                None => Ok(()),
            };
            let bytes = frame_bytes_of(&self.payload);
            match refused.and_then(|()| self.begin_segment(bytes)) {
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

    /// Appends the payload to the active segment, if there is one; before it, to a log that is new, who writes it.
    fn append_to_active(&mut self) -> Option<Result<Sequence, NotAppended>> {
        if let Err(error) = self.append_began()? {
            return Some(Err(error));
        }
        let active = self.end.active.as_mut()?;
        Some(active.writer.append_leaving(LAST_BYTES, &self.payload))
    }

    /// Appends to a log that is new who writes it; `None` if there is no segment.
    #[inline]
    fn append_began(&mut self) -> Option<Result<(), NotAppended>> {
        let active = self.end.active.as_mut()?;
        if self.end.last_sequence > Sequence(0) {
            return Some(Ok(()));
        }
        let appended = active.writer.append_leaving(LAST_BYTES, &self.began);
        Some(appended.map(|sequence| self.end.last_sequence = sequence))
    }

    /// Begins the segment for the next record, which takes so many bytes, if the log may grow. The one before ends then.
    fn begin_segment(&mut self, frame_bytes: u32) -> Result<(), NoSegment> {
        if self.log_bytes_max > 0 {
            let progress = &self.end.handles.progress;
            let bytes = self.end.handles.log.waiting(progress.folded()).1 + progress.others_log_bytes();
            if bytes + self.segment_bytes > self.log_bytes_max {
                return Err(NoSegment::LogFull { bytes, max: self.log_bytes_max });
            }
        }
        self.activate_next(frame_bytes)
    }

    /// Begins the segment for the next record, however large the log is.
    fn activate_next(&mut self, frame_bytes: u32) -> Result<(), NoSegment> {
        let began_bytes = frame_bytes_of(&self.began);
        let segment = self.end.activate_prepared(Sequence(self.end.last_sequence.0 + 1), frame_bytes + began_bytes)?;
        let progress = &self.end.handles.progress;
        self.end.handles.log.push(segment, progress.durable().min(progress.folded()));
        Ok(())
    }

    /// Ends a segment that has something in it and is older than it may be.
    pub(crate) fn end_old_segment(&mut self) {
        self.end_segment_after(self.segment_age, 0);
    }

    /// Nothing came for a while: a large segment gives way to a small one, whose room and memory an idle process keeps.
    pub(crate) fn rest(&mut self) {
        self.end.rest();
        self.end_segment_after(Duration::ZERO, u64::from(FIRST_BYTES));
    }

    /// Ends a segment that is so old, has something in it, and takes more than so many bytes.
    fn end_segment_after(&mut self, age: Duration, bytes: u64) {
        let ends = |active: &ActiveSegment| {
            active.writer.extent().frames > 0 && active.started.elapsed() >= age && active.writer.bytes() > bytes
        };
        if self.end.active.as_ref().is_some_and(ends) {
            self.end.rest();
            match self.begin_segment(0) {
                Ok(()) => return self.end.handles.health.clear(Part::Segments),
                Err(NoSegment::NoRoom(error)) => self.end.handles.health.report(Part::Segments, error),
                // That is reported when an event has to wait for it.
                Err(NoSegment::LogFull { .. } | NoSegment::TakenAway) => {}
            }
            // It takes frames until there is another, which is asked for when it is that old again.
            if let Some(active) = &mut self.end.active {
                active.started = Instant::now();
            }
        }
    }
}

/// How many bytes the frame of a payload takes.
fn frame_bytes_of(payload: &[u8]) -> u32 {
    frame_bytes(u32::try_from(payload.len()).unwrap_or(u32::MAX))
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
