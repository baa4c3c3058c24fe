//! The end of the log: the segment that takes frames, the last number that was given, and the events that are yet to be
//! reported as appended.
//!
//! A log begins with its first record, and not before: a process that records nothing leaves nothing. Runs on the
//! appender. It never syncs; the syncing thread is told what there is to sync.

use super::handles::AppenderHandles;
use super::own_log::OwnLog;
use super::preparer::{Order, OrderedLog, Prepared};
use super::segment_growth::SegmentGrowth;
use super::sync_loop::SyncCommand;
use crate::ground::config::{Config, SyncPolicy};
use crate::ground::error::{AtPath, PathError};
use crate::ground::health::Part;
use crate::ground::position::{SegmentId, Sequence, StoreId, WriterId};
use crate::ground::random_uuid::random_uuid;
use crate::ground::sabotage::{self, Spot};
use crate::record::record::{GapRecord, WriterEndedRecord};
use crate::segment::format::{FRAMES_OFFSET, LogIdentity, frame_bytes};
use crate::segment::segment_list::LogSegment;
use crate::segment::writer::SegmentWriter;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long to wait before asking for a segment again, after there was none.
const SEGMENT_RETRY: Duration = Duration::from_millis(250);
/// The longest such wait, where the system has nothing to give: each time it is twice as long as the last.
const SEGMENT_RETRY_MAX: Duration = Duration::from_secs(2);
/// A process begins a log at most so often. One whose folder is taken away each time would fill the store with logs.
const LOG_INTERVAL: Duration = if cfg!(test) { Duration::from_millis(250) } else { Duration::from_secs(60) };

/// What stays free of each segment for the last records of a run: where no further segment is to be had in the end, a gap
/// tells how many events found no room, and the end of the writer is told.
pub(super) const LAST_BYTES: u32 =
    frame_bytes(GapRecord::PAYLOAD_BYTES_MAX) + frame_bytes(WriterEndedRecord::PAYLOAD_BYTES_MAX);

/// The end of the log.
pub(super) struct LogEnd {
    pub(super) handles: AppenderHandles,
    store: StoreId,
    wal_dir: PathBuf,
    pub(super) policy: SyncPolicy,
    /// The log; `None` before its first record.
    pub(super) log: Option<OwnLog>,
    pub(super) active: Option<ActiveSegment>,
    /// 0 before the first record of a log.
    pub(super) last_sequence: Sequence,
    growth: SegmentGrowth,
    retry_pause: Duration,
    /// Events appended since progress was reported.
    pub(super) unreported_events: u64,
    /// The store gives up, and there was no segment: no event is appended any more.
    pub(super) has_given_up: bool,
    /// The store gave up amid writing records once more: nothing at all may be appended behind them.
    pub(super) is_in_doubt: bool,
}

/// The segment that takes frames.
pub(super) struct ActiveSegment {
    pub(super) writer: SegmentWriter,
    pub(super) started: Instant,
    /// Where the next segment is ordered.
    orders_next_at: u32,
    /// A record found no room in it.
    is_full: bool,
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
    #[error(
        "the folder of this process's log was taken away soon after it was made; another is made a minute after that one"
    )]
    TakenAway,
}

impl LogEnd {
    pub(super) fn new(handles: AppenderHandles, config: &Config, store: StoreId) -> Self {
        Self {
            handles,
            store,
            wal_dir: config.wal_dir(),
            policy: config.sync,
            log: None,
            active: None,
            last_sequence: Sequence(0),
            growth: SegmentGrowth::new(config.segment_bytes_u32()),
            retry_pause: SEGMENT_RETRY,
            unreported_events: 0,
            has_given_up: false,
            is_in_doubt: false,
        }
    }

    /// Tells everybody how far the log has come.
    pub(super) fn report_progress(&mut self) {
        if self.unreported_events > 0 {
            let events = std::mem::take(&mut self.unreported_events);
            self.report_appended(events);
        }
    }

    /// Records were appended, and among them so many events.
    pub(super) fn report_appended(&self, events: u64) {
        let rests = self.handles.progress.set_appended(self.last_sequence, events);
        if self.policy == SyncPolicy::Always {
            self.tell_syncer(SyncCommand::SyncNow(self.handles.progress.answered()));
        } else if rests {
            self.tell_syncer(SyncCommand::Appended);
        }
    }

    /// Reports that there is no segment, and waits a little. `false`: the store is giving up.
    pub(super) fn wait_for_segment(&mut self, error: &NoSegment) -> bool {
        // The segment that took frames stays open for so long, and is synced and folded as far as others know of it.
        self.report_progress();
        let problem = format_args!("{error}; events wait, and are dropped when the channel is full");
        self.handles.health.report(Part::Segments, problem);
        if self.handles.give_up.load(Ordering::Relaxed) {
            self.has_given_up = true;
            return false;
        }
        if let NoSegment::NoRoom(error) = error
            && error.source.kind() == ErrorKind::NotFound
        {
            // Perhaps the folder is not there any more.
            self.look_after_folder(true);
        }
        std::thread::park_timeout(self.retry_pause);
        let grows = matches!(error, NoSegment::NoRoom(_));
        self.retry_pause = if grows { (self.retry_pause * 2).min(SEGMENT_RETRY_MAX) } else { SEGMENT_RETRY };
        true
    }

    /// Begins a segment, which has room for so many bytes of frames and for the last records of a run, ends the one before
    /// it, and tells the syncing thread. Where there is none to be had, the one before stays: there is room in it for a last
    /// gap. Begins the log, too, if there is none, and its numbers at 1 then.
    pub(super) fn activate_prepared(
        &mut self,
        base_sequence: Sequence,
        frames_bytes: u32,
    ) -> Result<LogSegment, NoSegment> {
        let needed_bytes = FRAMES_OFFSET.saturating_add(frames_bytes).saturating_add(LAST_BYTES);
        let bytes = self.growth.next_bytes(needed_bytes);
        let prepared = self.take(bytes, needed_bytes.min(bytes))?;
        let created_at = self.handles.clock.now().wall_ms;
        let Prepared { segment, folder } = prepared;
        let identity = match (&folder, &self.log) {
            (None, Some(log)) => log.identity,
            (Some(folder), _) => {
                LogIdentity { store: folder.store(), writer: folder.writer(), needs: self.handles.level }
            }
            (None, None) => unreachable!("a segment that was made for no log"),
        };
        let (id, home, segment_bytes) = (segment.id(), segment.home().clone(), segment.bytes());
        let base_sequence = if folder.is_some() { Sequence(1) } else { base_sequence };
        let (writer, syncer) = segment.activate(identity, base_sequence, created_at)?;
        if let Some(folder) = folder {
            sabotage::at(Spot::GiveBirth, &self.wal_dir).at("rename a folder in", &self.wal_dir)?;
            // Only now that its first segment is there: nobody meets a log without one.
            folder.into_place()?;
            // The numbers of this log begin at 1: what was appended to the one before is told first.
            self.report_progress();
            self.handles.progress.set_writer(identity.writer);
            self.handles.log.clear();
            self.log = Some(OwnLog::new(home, identity));
            self.last_sequence = Sequence(0);
        }
        if let Some(log) = &mut self.log {
            log.next_segment = id.next();
        }
        self.retry_pause = SEGMENT_RETRY;
        let segment = LogSegment {
            id,
            path: writer.path().to_owned(),
            base_sequence,
            allocated_bytes: writer.bytes(),
            progress: Arc::clone(writer.progress()),
        };
        self.end_segment();
        self.tell_syncer(SyncCommand::Activate(syncer));
        let orders_next_at = self.growth.prepares_next_at(segment_bytes);
        self.active = Some(ActiveSegment { writer, started: Instant::now(), orders_next_at, is_full: false });
        Ok(segment)
    }

    /// Takes a segment of that size from the preparing thread, or one that it has ready and that has as much room as is
    /// needed.
    fn take(&mut self, bytes: u32, needed_bytes: u32) -> Result<Prepared, NoSegment> {
        let order = self.order(bytes)?;
        let taken = self.handles.supply.take(&order, needed_bytes);
        if let (Err(_), Some(log)) = (&taken, &mut self.log) {
            // A failed attempt used its id up if a file was left behind; skipping an id costs nothing.
            log.next_segment = log.next_segment.next();
        }
        Ok(taken?)
    }

    fn order(&self, bytes: u32) -> Result<Order, NoSegment> {
        if let Some(log) = self.log.as_ref().filter(|log| !log.is_taken_away) {
            return Ok(Order { id: log.next_segment, bytes, log: OrderedLog::Existing(log.home.clone()) });
        }
        // At the end there is no other time for it, and no more than one that is made then.
        let is_last = !self.handles.channel.is_open();
        if !is_last && self.log.as_ref().is_some_and(|log| log.born.elapsed() < LOG_INTERVAL) {
            return Err(NoSegment::TakenAway);
        }
        let writer = WriterId(random_uuid(&self.wal_dir)?);
        Ok(Order { id: SegmentId(1), bytes, log: OrderedLog::New { store: self.store, writer } })
    }

    /// A record was appended: the next segment is ordered, if it is time.
    #[inline]
    pub(super) fn order_ahead(&mut self) {
        if let Some(active) = &mut self.active
            && active.writer.extent().end.0 >= active.orders_next_at
        {
            active.orders_next_at = u32::MAX;
            self.order_next();
        }
    }

    #[cold]
    fn order_next(&mut self) {
        if let Ok(order) = self.order(self.growth.next_bytes(0)) {
            self.handles.supply.order_ahead(order);
        }
    }

    /// The active segment has no room for the next record.
    pub(super) fn note_filled(&mut self) {
        if let Some(active) = &mut self.active
            && !std::mem::replace(&mut active.is_full, true)
        {
            self.growth.filled(active.started.elapsed());
        }
    }

    /// Nothing comes any more, or little: the next segment is a small one, and none is ready.
    pub(super) fn rest(&mut self) {
        self.growth.rested();
        self.handles.supply.discard_ahead();
        if let Some(active) = &mut self.active {
            active.orders_next_at =
                self.growth.prepares_next_at(u32::try_from(active.writer.bytes()).unwrap_or(u32::MAX));
        }
    }

    /// Sees, now and then or `at_once`, whether the folder of the log is where it was put. If somebody took it away, the
    /// segment ends, and the next record begins another log: nobody reads what this one gets.
    pub(super) fn look_after_folder(&mut self, at_once: bool) {
        let Some(log) = &mut self.log else { return };
        if !log.finds_folder_gone(at_once) {
            return;
        }
        // Who folded in the meantime may not have said so yet.
        let waiting = self.last_sequence.0.saturating_sub(self.handles.progress.folded().0);
        let problem = format!(
            "{}: the folder of this process's log was taken away or replaced; up to {waiting} records in it that were not \
             folded are lost, and recording goes on in another",
            log.home.path().display()
        );
        self.report_progress();
        self.end_segment();
        self.handles.health.report(Part::Damage, problem);
    }

    /// Whether a log was to be had so far.
    pub(super) fn found_room(&self) -> bool {
        self.retry_pause == SEGMENT_RETRY
    }

    /// The folder of the log was found not to be in its place any more.
    pub(super) fn is_log_taken_away(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.is_taken_away)
    }

    /// The same, after a look.
    pub(super) fn finds_log_taken_away(&mut self) -> bool {
        self.look_after_folder(true);
        self.is_log_taken_away()
    }

    /// Hands the active segment to the syncing thread to be sealed.
    pub(super) fn end_segment(&mut self) {
        if let Some(active) = self.active.take() {
            let extent = active.writer.finish();
            self.tell_syncer(SyncCommand::Seal(extent));
        }
    }

    /// Tells the syncing thread what to do next.
    pub(super) fn tell_syncer(&self, command: SyncCommand) {
        // The syncing thread lives until this sender is gone, unless it died; then health says so.
        let _ = self.handles.sync.send(command);
    }
}
