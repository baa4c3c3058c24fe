//! The syncing thread: forces appended frames to the disk, when the policy says so.
//!
//! It may wait for the disk as long as it takes; the appender never waits for it. It decides when to sync;
//! [`crate::segment::syncer`] knows how.

use crate::config::SyncPolicy;
use crate::error::PathError;
use crate::format::{Extent, Sequence};
use crate::health::{HealthBoard, Part};
use crate::progress::{Progress, Ticket};
use crate::segment::syncer::{SealedSyncError, SegmentSyncer, sync_sealed_file};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::Thread;
use std::time::{Duration, Instant};

/// What the syncing thread is told, in order. Dropping the last sender ends it.
#[derive(Debug)]
pub(crate) enum SyncCommand {
    /// A new segment takes frames. By the appender.
    Activate(SegmentSyncer),
    /// The active segment got its last frame. By the appender, which has let go of it.
    Seal(Extent),
    /// Sync now: tickets were answered, up to this one, or the policy is `always` and something was appended. By the
    /// appender. Where in the row of commands it comes says which segments the tickets cover.
    SyncNow(Ticket),
}

/// The thread's state.
pub(crate) struct SyncLoop {
    pub(crate) commands: Receiver<SyncCommand>,
    pub(crate) policy: SyncPolicy,
    pub(crate) interval: Duration,
    pub(crate) progress: Arc<Progress>,
    pub(crate) health: Arc<HealthBoard>,
    /// Woken when more became durable, and so may be folded.
    pub(crate) compactor: Thread,
    pub(crate) compactor_woken: Instant,
    /// More became durable than when the compactor was last woken.
    pub(crate) more_to_fold: bool,
    /// The last ticket that it was told of.
    pub(crate) answered: Ticket,
    pub(crate) active: Option<SegmentSyncer>,
    /// Segments that were sealed without a sync, under the policy `never` or by recovery: the next sync owes them one.
    pub(crate) unsynced: Vec<PathBuf>,
    /// The last sequence number of the segments that were sealed.
    pub(crate) last_sealed: Sequence,
}

/// From how many on the list of unsynced segments is looked through for files that are gone.
const UNSYNCED_LOOK: usize = 64;

/// The compactor is not woken more often than this. Under `always`, waking it at each sync made it commit a transaction
/// for every few records, which was 45 % of all processor time with 16 threads waiting for durability.
const FOLD_INTERVAL: Duration = Duration::from_millis(20);

impl SyncLoop {
    pub(crate) fn run(mut self) {
        if self.policy != SyncPolicy::Never {
            // What recovery left. If it fails, whatever comes to be synced tries again or reports it.
            self.sync_sealed();
        }
        let mut due = Instant::now() + self.interval;
        loop {
            let command = match self.look_again_at(due) {
                Some(deadline) => self.commands.recv_deadline(deadline),
                None => self.commands.recv().map_err(RecvTimeoutError::from),
            };
            let mut wanted = false;
            match command {
                Ok(command) => {
                    // Everything that has gathered is answered by one sync: group commit.
                    wanted |= self.obey(command);
                    while let Ok(command) = self.commands.try_recv() {
                        wanted |= self.obey(command);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.sync_sealed();
                    return;
                }
            }
            if wanted || self.policy == SyncPolicy::Interval && Instant::now() >= due {
                self.sync();
                due = Instant::now() + self.interval;
            }
            self.wake_compactor();
        }
    }

    /// When to go on even if no command comes. `due` is the next sync of the policy `interval`.
    fn look_again_at(&self, due: Instant) -> Option<Instant> {
        let sync = (self.policy == SyncPolicy::Interval).then_some(due);
        let wake = self.more_to_fold.then_some(self.compactor_woken + FOLD_INTERVAL);
        sync.into_iter().chain(wake).min()
    }

    /// Wakes the compactor if it has something to do and was not woken just now.
    fn wake_compactor(&mut self) {
        let now = Instant::now();
        if self.more_to_fold && now >= self.compactor_woken + FOLD_INTERVAL {
            self.compactor.unpark();
            self.compactor_woken = now;
            self.more_to_fold = false;
        }
    }

    /// Carries out a command; tells whether a sync is due.
    fn obey(&mut self, command: SyncCommand) -> bool {
        match command {
            SyncCommand::Activate(segment) => {
                self.active = Some(segment);
                false
            }
            SyncCommand::Seal(extent) => {
                self.seal(extent);
                false
            }
            SyncCommand::SyncNow(answered) => {
                self.answered = answered;
                true
            }
        }
    }

    /// Makes everything that is published durable, and with it the tickets that were answered before it was.
    fn sync(&mut self) {
        if self.progress.sync_failure().is_some() {
            return;
        }
        if !self.sync_sealed() {
            return;
        }
        let result = match &mut self.active {
            Some(active) => active.sync().map(|extent| active.last_sequence(extent)),
            // Between two segments, or while there is no room for the next.
            None => Ok(self.last_sealed),
        };
        match result {
            Ok(last) => {
                let more = last > self.progress.durable();
                self.progress.set_durable(last);
                self.progress.set_durable_tickets(self.answered);
                self.more_to_fold |= more;
            }
            Err(error) => self.fail(&error),
        }
    }

    /// Syncs what was sealed without a sync; tells whether all of it is durable now.
    fn sync_sealed(&mut self) -> bool {
        while let Some(path) = self.unsynced.last() {
            match sync_sealed_file(path) {
                Ok(()) => {}
                Err(SealedSyncError::NotTried(error)) => {
                    self.health.report(Part::Sync, error);
                    return false;
                }
                Err(SealedSyncError::Failed(error)) => {
                    self.fail(&error);
                    return false;
                }
            }
            self.unsynced.pop();
        }
        true
    }

    fn seal(&mut self, extent: Extent) {
        let Some(segment) = self.active.take() else { return };
        if self.policy == SyncPolicy::Never {
            if self.unsynced.len() >= UNSYNCED_LOOK {
                self.unsynced.retain(|path| path.exists());
            }
            self.unsynced.push(segment.path().to_owned());
        }
        let durable = self.policy != SyncPolicy::Never && self.progress.sync_failure().is_none();
        let last = segment.last_sequence(extent);
        self.last_sealed = last;
        match segment.seal(extent, durable) {
            Ok(()) if durable => self.progress.set_durable(last),
            Ok(()) => {}
            Err(error) => self.fail(&error),
        }
        self.more_to_fold = true;
    }

    /// Nothing is claimed to be durable any more. Linux reports a failed write-back once and then forgets it, so
    /// trying again would turn a loss into a success.
    fn fail(&self, error: &PathError) {
        self.progress.fail_sync(error.to_string());
        self.health.report(Part::Sync, format_args!("{error}; nothing recorded since is safe from a power cut"));
        self.compactor.unpark();
    }
}
