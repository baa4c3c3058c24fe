//! The appender: the one thread that takes events from the channel and appends them to the log.
//!
//! It looks at the channel by itself, in steps of a few milliseconds when nothing comes, so that no recording thread ever
//! pays for waking it. It never syncs and knows nothing of SQLite. It waits for
//! a disk only when the next segment is not ready yet.

use crate::config::{Config, SyncPolicy};
use crate::event::Event;
use crate::format::{Sequence, WriterId};
use crate::gap::now_ms;
use crate::handover::{Channel, Intake};
use crate::health::{HealthBoard, Part};
use crate::log::{Log, LogSegment};
use crate::preparing::Prepared;
use crate::progress::Progress;
use crate::record::Record;
use crate::segment::writer::SegmentWriter;
use crate::syncing::SyncCommand;
use crossbeam_channel::{Receiver, Sender};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The first sleep after the channel was found empty, which doubles up to [`IDLE_MAX`].
const IDLE_MIN: Duration = Duration::from_millis(1);
/// The first sleep after only few events were found. Looking costs a fixed part: at 15,000 events per second an event
/// took 0.8 us of this thread with 1 ms, and 0.45 us with this; at 1,000 per second 8 us and 4 us.
const IDLE_CALM: Duration = Duration::from_millis(4);
/// Fewer than so many are few. From some 64,000 per second on a look always finds more, and threads that record so fast get
/// their blocks back while they are still in the cache.
const CALM_EVENTS: u64 = 64;
/// The longest sleep: an event waits this long at most before it is in the map, and safe from a crash of the process.
/// 100 wake-ups a second cost about a thousandth of a core.
const IDLE_MAX: Duration = Duration::from_millis(10);
/// After how many events progress is told, so that a long burst shows while it is being appended.
const PROGRESS_EVENTS: u64 = 4096;
/// From so many events on there is likely to be more already: the next look comes at once.
const BUSY_EVENTS: u64 = 1024;
/// How long it keeps looking, without sleeping, after it answered somebody who waits for durability: who waited once is
/// soon back. Nobody has to wake it then, and a processor that is not idle takes the disk's interrupt at once. Measured
/// with 16 waiting threads and folding held off, one run each: 48,000 commits per second without, 67,000 with it.
const ALERT: Duration = Duration::from_micros(150);
/// While events are being dropped, gaps are written this far apart, so that they don't fill the log themselves.
const GAP_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait before asking for a segment again, after there was no room for one.
const SEGMENT_RETRY: Duration = Duration::from_millis(250);

/// The thread's state.
pub(crate) struct Appender {
    intake: Intake,
    tail: LogTail,
}

/// The end of the log, where records are appended.
struct LogTail {
    parts: AppenderParts,
    writer_id: WriterId,
    policy: SyncPolicy,
    segment_age: Duration,
    active: Option<ActiveSegment>,
    last_sequence: Sequence,
    /// Events appended since progress was told.
    untold: u64,
    /// The encoded record; kept for its allocation.
    payload: Vec<u8>,
    last_gap: Instant,
}

struct ActiveSegment {
    writer: SegmentWriter,
    started: Instant,
}

/// What the appender shares with others.
pub(crate) struct AppenderParts {
    pub(crate) channel: Arc<Channel>,
    pub(crate) prepared: Receiver<Prepared>,
    pub(crate) sync: Sender<SyncCommand>,
    pub(crate) log: Arc<Log>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) health: Arc<HealthBoard>,
    /// Set when shutting down took too long: what can't be appended now is dropped and counted.
    pub(crate) give_up: Arc<AtomicBool>,
}

impl Appender {
    /// An appender that goes on after `last_sequence`, with its first segment.
    ///
    /// # Errors
    /// There is no room for a segment.
    pub(crate) fn new(
        parts: AppenderParts,
        config: &Config,
        writer_id: WriterId,
        last_sequence: Sequence,
    ) -> Result<Self, crate::error::PathError> {
        let intake = Intake::new(Arc::clone(&parts.channel));
        let mut tail = LogTail {
            parts,
            writer_id,
            policy: config.sync,
            segment_age: Duration::from_millis(config.segment_age_ms),
            active: None,
            last_sequence,
            untold: 0,
            payload: Vec::with_capacity(4096),
            last_gap: Instant::now(),
        };
        tail.begin_segment()?;
        Ok(Self { intake, tail })
    }

    /// Runs until the channel is closed and empty.
    pub(crate) fn run(self) {
        let Self { mut intake, mut tail } = self;
        let channel = Arc::clone(&tail.parts.channel);
        let mut idle = IDLE_MIN;
        let mut alert_until = Instant::now();
        loop {
            // Before taking: what was recorded before a ticket was drawn is then taken.
            let drawn = tail.parts.progress.drawn();
            let taken = intake.take(|event| tail.append_event(event));
            tail.tell_progress();
            if tail.parts.progress.answer(drawn) {
                alert_until = Instant::now() + ALERT;
                tail.tell_syncer(SyncCommand::SyncNow(drawn));
            }
            if channel.gap.any_untaken() && (taken == 0 || tail.last_gap.elapsed() >= GAP_INTERVAL) {
                tail.append_gap();
            }
            if taken > 0 {
                idle = if taken < CALM_EVENTS { IDLE_CALM } else { IDLE_MIN };
            }
            if taken >= BUSY_EVENTS {
                continue;
            }
            if taken == 0 && !channel.is_open() {
                break;
            }
            tail.end_old_segment();
            if Instant::now() < alert_until {
                std::thread::yield_now();
                continue;
            }
            std::thread::park_timeout(idle);
            idle = (idle * 2).min(IDLE_MAX);
        }
        intake.close(|event| tail.append_event(event));
        tail.tell_progress();
        if channel.gap.any_untaken() {
            tail.append_gap();
        }
        tail.end_segment();
    }
}

impl LogTail {
    fn append_event(&mut self, event: Event<'_>) {
        if !self.append(&event.into()) {
            self.parts.channel.gap.add(1);
            return;
        }
        self.untold += 1;
        if self.untold == PROGRESS_EVENTS {
            self.tell_progress();
        }
    }

    fn tell_progress(&mut self) {
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

    fn append_gap(&mut self) {
        self.last_gap = Instant::now();
        let Some(gap) = self.parts.channel.gap.take() else { return };
        if self.append(&Record::Gap(gap)) {
            tracing::warn!(events = gap.events, from_ts = gap.from_ts, to_ts = gap.to_ts, "events were dropped");
            self.appended(0);
        }
    }

    /// Appends a record. `false`: the store is giving up, and the record is lost.
    fn append(&mut self, record: &Record<'_>) -> bool {
        self.payload.clear();
        record.encode(&mut self.payload);
        loop {
            if let Some(active) = &mut self.active {
                if let Some(sequence) = active.writer.append(&self.payload) {
                    self.last_sequence = sequence;
                    return true;
                }
                assert!(
                    active.writer.extent().frames > 0,
                    "a record of {} bytes passed the limit and does not fit into an empty segment",
                    self.payload.len()
                );
            }
            self.end_segment();
            match self.begin_segment() {
                Ok(()) => self.parts.health.clear(Part::Segments),
                Err(error) => {
                    self.parts.health.report(
                        Part::Segments,
                        format_args!("{error}; events wait, and are dropped when the channel is full"),
                    );
                    if self.parts.give_up.load(Ordering::Relaxed) {
                        return false;
                    }
                    std::thread::park_timeout(SEGMENT_RETRY);
                }
            }
        }
    }

    /// Takes the segment that the preparing thread has ready.
    fn begin_segment(&mut self) -> Result<(), crate::error::PathError> {
        // The preparing thread lives as long as this one takes segments from it.
        let prepared = self.parts.prepared.recv().expect("the preparing thread lives")?;
        let created_at = now_ms();
        let base_sequence = Sequence(self.last_sequence.0 + 1);
        let (writer, syncer) = prepared.activate(self.writer_id, base_sequence, created_at)?;
        self.parts.log.push(LogSegment {
            id: writer.header().segment_id,
            path: writer.path().to_owned(),
            base_sequence,
            created_at,
            allocated_bytes: writer.bytes(),
            progress: Arc::clone(writer.progress()),
        });
        self.tell_syncer(SyncCommand::Activate(syncer));
        self.active = Some(ActiveSegment { writer, started: Instant::now() });
        Ok(())
    }

    /// Hands the active segment to the syncing thread to be sealed.
    fn end_segment(&mut self) {
        if let Some(active) = self.active.take() {
            let extent = active.writer.finish();
            self.tell_syncer(SyncCommand::Seal(extent));
        }
    }

    /// Ends a segment that has something in it and is older than it may be.
    fn end_old_segment(&mut self) {
        let old =
            |active: &ActiveSegment| active.writer.extent().frames > 0 && active.started.elapsed() >= self.segment_age;
        if self.active.as_ref().is_some_and(old) {
            self.end_segment();
            if let Err(error) = self.begin_segment() {
                self.parts.health.report(Part::Segments, error);
            }
        }
    }

    fn tell_syncer(&self, command: SyncCommand) {
        // The syncing thread lives until this sender is gone, unless it died; then health says so.
        let _ = self.parts.sync.send(command);
    }
}
