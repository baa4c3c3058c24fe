//! The end of the log: the segment that takes frames, the last number that was given, and the events that are yet to be
//! reported as appended.
//!
//! Runs on the appender. It never syncs; the syncing thread is told what there is to sync.

use super::handles::AppenderHandles;
use super::sync_loop::SyncCommand;
use crate::ground::config::SyncPolicy;
use crate::ground::error::PathError;
use crate::ground::health::Part;
use crate::ground::position::{Sequence, StoreId, WriterId};
use crate::record::LEVEL;
use crate::record::record::GapRecord;
use crate::segment::format::{LogIdentity, frame_bytes};
use crate::segment::segment_list::LogSegment;
use crate::segment::writer::SegmentWriter;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long to wait before asking for a segment again, after there was no room for one.
const SEGMENT_RETRY: Duration = Duration::from_millis(250);

/// What stays free of each segment for the last gap of a run: where no further segment is to be had in the end, the gap
/// tells how many events found no room.
pub(super) const LAST_GAP_BYTES: u32 = frame_bytes(GapRecord::PAYLOAD_BYTES_MAX);

/// The end of the log.
pub(super) struct LogEnd {
    pub(super) handles: AppenderHandles,
    pub(super) writer_id: WriterId,
    pub(super) policy: SyncPolicy,
    pub(super) active: Option<ActiveSegment>,
    pub(super) last_sequence: Sequence,
    /// The last number of earlier runs.
    pub(super) last_of_earlier_runs: Sequence,
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

impl LogEnd {
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
        std::thread::park_timeout(SEGMENT_RETRY);
        true
    }

    /// Takes the segment that the preparing thread has ready, ends the one before it, and tells the syncing thread.
    /// Where there is none, the one before stays: there is room in it for a last gap.
    pub(super) fn activate_prepared(
        &mut self,
        base_sequence: Sequence,
    ) -> Result<(ActiveSegment, LogSegment), PathError> {
        let created_at = self.handles.clock.now().wall_ms;
        let (writer, syncer) = self.handles.supply.take()?.activate(self.log_identity(), base_sequence, created_at)?;
        let segment = LogSegment {
            id: writer.header().segment_id,
            path: writer.path().to_owned(),
            base_sequence,
            created_at,
            allocated_bytes: writer.bytes(),
            progress: Arc::clone(writer.progress()),
        };
        self.end_segment();
        self.tell_syncer(SyncCommand::Activate(syncer));
        Ok((ActiveSegment { writer, started: Instant::now() }, segment))
    }

    fn log_identity(&self) -> LogIdentity {
        LogIdentity { store: StoreId(self.writer_id.0), writer: self.writer_id, needs: LEVEL }
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
