//! The end of the log: where records are appended, segment after segment, and written again after a failed sync.
//!
//! Runs on the appender. It never syncs; it tells the syncing thread what there is to sync, and learns from it which
//! segment is poisoned.

use crate::config::{Config, SyncPolicy};
#[cfg(test)]
use crate::error::AtPath;
use crate::error::PathError;
use crate::event::Event;
use crate::format::{Extent, Sequence, WriterId};
use crate::gap::now_ms;
use crate::handover::Channel;
use crate::health::{HealthBoard, Part};
use crate::log::{Log, LogSegment, Readable};
use crate::preparing::Supply;
use crate::progress::Progress;
use crate::record::Record;
use crate::segment::syncer::UnsyncedSegment;
use crate::segment::writer::{NotAppended, SegmentWriter};
use crate::segment::{Item, SegmentReader};
use crate::syncing::SyncCommand;
use crossbeam_channel::{Receiver, Sender};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// After how many events progress is told, so that a long burst shows while it is being appended.
const PROGRESS_EVENTS: u64 = 4096;
/// While events are being dropped, gaps are written this far apart, so that they don't fill the log themselves.
const GAP_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait before asking for a segment again, after there was no room for one.
const SEGMENT_RETRY: Duration = Duration::from_millis(250);

/// What the appender shares with others.
pub(crate) struct AppenderParts {
    pub(crate) channel: Arc<Channel>,
    pub(crate) supply: Supply,
    pub(crate) sync: Sender<SyncCommand>,
    /// Where the syncing thread tells which segment is poisoned.
    pub(crate) poisoned: Receiver<UnsyncedSegment>,
    pub(crate) log: Arc<Log>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) health: Arc<HealthBoard>,
    /// Set when shutting down took too long: what can't be appended now is dropped and counted.
    pub(crate) give_up: Arc<AtomicBool>,
}

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
    active: Option<ActiveSegment>,
    last_sequence: Sequence,
    /// Sequence numbers behind the last one that must not be used: the system refused to write their frames, and may
    /// have kept them all the same.
    burnt: u64,
    /// Events appended since progress was told.
    untold: u64,
    /// An event was taken from the channel and is not appended yet.
    in_hand: bool,
    /// The encoded record; kept for its allocation.
    payload: Vec<u8>,
    last_gap: Instant,
}

struct ActiveSegment {
    writer: SegmentWriter,
    started: Instant,
}

/// Why there is no new segment.
#[derive(Debug, thiserror::Error)]
enum NoSegment {
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
            burnt: 0,
            untold: 0,
            in_hand: false,
            payload: Vec::with_capacity(4096),
            last_gap: Instant::now(),
        };
        // Even if the log is full: its last segment carries the store's identity, and may be retired once this one is.
        let (active, segment) = tail.start_segment(Sequence(last_sequence.0 + 1))?;
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
        self.parts.progress.set_appended(self.last_sequence, events);
        if self.policy == SyncPolicy::Always {
            self.tell_syncer(SyncCommand::SyncNow(self.parts.progress.answered()));
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
            crate::sabotage::strike(active.writer.path(), crate::sabotage::Spot::Append);
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
                    self.burnt = 0;
                    if begun {
                        self.parts.health.clear(Part::Segments);
                    }
                    return true;
                }
                Some(Err(NotAppended::Refused(error))) => {
                    self.burnt += 1;
                    Err(error.into())
                }
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
    fn wait_for_segment(&self, error: &NoSegment) -> bool {
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
        let (active, segment) = self.start_segment(Sequence(self.last_sequence.0 + self.burnt + 1))?;
        self.parts.log.push(segment);
        self.active = Some(active);
        Ok(())
    }

    /// Takes the segment that the preparing thread has ready, and tells the syncing thread.
    fn start_segment(&mut self, base_sequence: Sequence) -> Result<(ActiveSegment, LogSegment), PathError> {
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

    /// If a sync failed, writes again what it left in doubt: everything beyond the durable mark of the poisoned segment,
    /// through all segments after it, into new ones, with the same numbers. Nothing else is appended before that is done.
    ///
    /// A crash meanwhile leaves both writings, of which recovery takes the one that reaches further.
    pub(crate) fn write_again(&mut self) {
        let Ok(poisoned) = self.parts.poisoned.try_recv() else { return };
        self.tell_progress();
        self.end_segment();
        self.tell_syncer(SyncCommand::WritingAgain);
        let mut again = WritingAgain { segments: Vec::new(), last: poisoned.durable_sequence(), missing: 0 };
        for doubtful in self.parts.log.all_beyond(poisoned.durable_sequence()) {
            let from = if doubtful.segment.id == poisoned.segment { poisoned.durable } else { Extent::EMPTY };
            if !self.copy(&doubtful, from, &mut again) {
                // The store is giving up. What is there already does no harm: it does not reach as far.
                return;
            }
        }
        again.pass_over_to(self.last_sequence, self.parts.progress.folded());
        if again.last_written() < self.last_sequence {
            // What comes next would get the number of a record that is lost.
            self.end_segment();
        }
        if again.missing > 0 {
            self.parts.progress.forget_events(again.missing);
            self.parts.channel.gap.add(again.missing);
        }
        self.parts.log.supersede(poisoned.durable_sequence(), poisoned.segment, poisoned.durable, again.segments);
        self.tell_syncer(SyncCommand::WrittenAgain);
    }

    /// Copies what a segment has beyond what was written again. `false`: the store is giving up.
    fn copy(&mut self, doubtful: &Readable, from: Extent, again: &mut WritingAgain) -> bool {
        let Readable { segment: doubtful, last } = doubtful;
        let published = doubtful.progress.published();
        let folded = self.parts.progress.folded();
        let mut copy_all = || -> Result<bool, crate::error::SegmentError> {
            #[cfg(test)]
            crate::sabotage::fail(&doubtful.path, crate::sabotage::Spot::ReadBack).at("read", &doubtful.path)?;
            let mut reader = SegmentReader::open(&doubtful.path)?;
            reader.seek(from);
            // All of it was published; what is no frame any more was lost since.
            reader.set_limit(published);
            loop {
                match reader.next()? {
                    Item::Frame(frame) if frame.sequence <= again.last => {}
                    // From there on, the next segment has it.
                    Item::Frame(frame) if frame.sequence > *last => return Ok(true),
                    Item::Frame(frame) => {
                        again.pass_over_to(Sequence(frame.sequence.0 - 1), folded);
                        if !self.append_again(frame.sequence, frame.payload, again) {
                            return Ok(false);
                        }
                    }
                    Item::Damage(damage) => {
                        tracing::error!(segment = %doubtful.id, ?damage, "what a failed sync left can't be read back");
                    }
                    Item::Stop(_) => return Ok(true),
                }
            }
        };
        let go_on = copy_all().unwrap_or_else(|error| {
            self.parts.health.report(Part::Damage, format_args!("{error}; what a failed sync left in it is lost"));
            true
        });
        again.pass_over_to(*last, folded);
        go_on
    }

    /// Appends a record that has its number already. `false`: the store is giving up.
    fn append_again(&mut self, sequence: Sequence, payload: &[u8], again: &mut WritingAgain) -> bool {
        #[cfg(test)]
        if let Some(active) = &self.active {
            crate::sabotage::strike(active.writer.path(), crate::sabotage::Spot::WriteAgain);
            if crate::sabotage::is_due(active.writer.path(), crate::sabotage::Spot::WriteAgainSlowly) {
                std::thread::sleep(Duration::from_millis(300));
            }
        }
        loop {
            let mut refused = Ok(());
            if let Some(active) = &mut self.active {
                let (extent, base) = (active.writer.extent(), active.writer.header().base_sequence);
                if base.0 + u64::from(extent.frames) == sequence.0 {
                    match active.writer.append(payload) {
                        Ok(_) => {
                            again.last = sequence;
                            return true;
                        }
                        // Segments were larger when it was recorded.
                        Err(NotAppended::Full) if extent.frames == 0 => {
                            again.pass_over_to(sequence, self.parts.progress.folded());
                            return true;
                        }
                        Err(NotAppended::Full) => {}
                        // The number is not burnt: if the system kept the frame, it is this very record.
                        Err(NotAppended::Refused(error)) => refused = Err(error),
                    }
                }
            }
            self.end_segment();
            match refused.and_then(|()| self.start_segment(sequence)) {
                Ok((active, segment)) => {
                    self.parts.health.clear(Part::Segments);
                    self.active = Some(active);
                    again.segments.push(segment);
                }
                Err(error) => {
                    if !self.wait_for_segment(&error.into()) {
                        return false;
                    }
                }
            }
        }
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

/// How far writing again has come.
struct WritingAgain {
    /// The new segments.
    segments: Vec<LogSegment>,
    /// The last number that was written again, or found to be lost.
    last: Sequence,
    /// How many records are lost.
    missing: u64,
}

impl WritingAgain {
    /// What lies between the last number and this one can't be read back. What is folded is in the database, and not lost.
    fn pass_over_to(&mut self, sequence: Sequence, folded: Sequence) {
        self.missing += sequence.0.saturating_sub(self.last.max(folded).0);
        self.last = self.last.max(sequence);
    }

    /// The last number that is in the new segments.
    fn last_written(&self) -> Sequence {
        self.segments.last().map_or(Sequence(0), LogSegment::last_published)
    }
}
