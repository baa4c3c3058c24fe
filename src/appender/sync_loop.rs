//! The syncing thread: forces appended frames to the disk, when the policy says so.
//!
//! It may wait for the disk as long as it takes; the appender never waits for it. It decides when to sync;
//! [`crate::segment::syncer`] knows how.
//!
//! A failed sync poisons its segment for good: Linux reports a failed write-back once and then forgets it, so trying
//! again would turn a loss into a success. From then on nothing of that segment and of those after it is synced or
//! called durable. The appender is told, writes what was not durable once more, into new segments with the same
//! numbers, and says where those begin; the syncing thread goes on with them. After [`POISONINGS_MAX`] in a row it
//! gives up.

use crate::ground::config::SyncPolicy;
use crate::ground::error::PathError;
use crate::ground::health::{HealthBoard, Part};
use crate::ground::position::{Sequence, WriterId};
use crate::ground::store_progress::{StoreProgress, Ticket};
use crate::segment::format::Extent;
use crate::segment::syncer::{SealedSyncError, SegmentSyncer, UnsyncedSegment, sync_sealed_file};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use std::collections::VecDeque;
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
    /// A record was appended after everything was durable: it is synced when that is due. By the appender.
    Appended,
    /// Sync now: tickets were answered, up to this one, or the policy is `always` and something was appended. By the
    /// appender. The command's place among the others says which segments the tickets cover.
    SyncNow(Ticket),
    /// Records that were not durable are being written once more; the segments that come now have them.
    BeginRewrite,
    /// The rewrite is done, but for so many records that could not be read back.
    EndRewrite { lost: u64 },
}

/// Whether published frames may be synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Sound,
    /// A sync failed. Nothing is synced before the appender says that new segments begin.
    Poisoned,
    /// The new segments don't have everything yet: no ticket is durable before they do.
    Rewriting,
    /// Nothing is synced any more.
    GivenUp,
}

/// The thread's state.
pub(crate) struct SyncLoop {
    commands: Receiver<SyncCommand>,
    /// Where the appender learns that a segment is poisoned. Never full: no other segment is poisoned before the
    /// appender has answered.
    poisoned: Sender<UnsyncedSegment>,
    policy: SyncPolicy,
    interval: Duration,
    progress: Arc<StoreProgress>,
    health: Arc<HealthBoard>,
    /// Woken when more became durable, and so may be folded.
    compactor: Thread,
    compactor_woken: Instant,
    /// More became durable than when the compactor was last woken.
    more_to_fold: bool,
    /// The last ticket that the appender has told of.
    answered: Ticket,
    active: Option<SegmentSyncer>,
    /// Segments that were sealed without a sync, under the policy `never`. They are synced before anything else.
    unsynced: VecDeque<UnsyncedSegment>,
    /// When to try a sync that could not be tried.
    retry: Option<Instant>,
    /// The last sequence number of the segments that were sealed, and whose log they are.
    last_sealed: Option<(WriterId, Sequence)>,
    state: State,
    /// How many records failed syncs have lost since a waiter was last told of any.
    lost: u64,
    /// How many syncs have failed since the last one that did not.
    failures: u32,
    /// Health says that something is wrong with syncing.
    health_is_degraded: bool,
}

/// What the syncing thread shares with other threads.
pub(crate) struct SyncHandles {
    pub(crate) commands: Receiver<SyncCommand>,
    pub(crate) poisoned: Sender<UnsyncedSegment>,
    pub(crate) progress: Arc<StoreProgress>,
    pub(crate) health: Arc<HealthBoard>,
    pub(crate) compactor: Thread,
}

/// So many poisoned segments in a row are no accident: the disk is broken, and each costs writing everything again.
const POISONINGS_MAX: u32 = 3;
/// How long to leave the disk alone after a failure; so much longer after each further one.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);
/// How long to wait before trying again to sync a segment that could not be opened.
const SEALED_RETRY: Duration = Duration::from_millis(250);
/// From so many unsynced segments on, the list is looked through for files that are gone.
const UNSYNCED_LOOK: usize = 64;

/// The compactor is not woken more often than this. Under `always`, waking it at each sync made it commit a transaction
/// for every few records, which was 45 % of all processor time with 16 threads waiting for durability.
const FOLD_INTERVAL: Duration = Duration::from_millis(20);

impl SyncLoop {
    /// The loop of a store that has no log yet.
    pub(crate) fn new(handles: SyncHandles, policy: SyncPolicy, interval: Duration) -> Self {
        Self {
            commands: handles.commands,
            poisoned: handles.poisoned,
            policy,
            interval,
            answered: handles.progress.answered(),
            progress: handles.progress,
            health: handles.health,
            compactor: handles.compactor,
            compactor_woken: Instant::now(),
            more_to_fold: false,
            active: None,
            unsynced: VecDeque::new(),
            retry: None,
            last_sealed: None,
            state: State::Sound,
            lost: 0,
            failures: 0,
            health_is_degraded: false,
        }
    }

    pub(crate) fn run(mut self) {
        let mut due = Instant::now() + self.interval;
        loop {
            let command = match self.look_again_at(due) {
                Some(deadline) => self.commands.recv_deadline(deadline),
                None => self.commands.recv().map_err(RecvTimeoutError::from),
            };
            let mut sync_is_due = false;
            match command {
                Ok(command) => {
                    // Everything that has gathered is answered by one sync: group commit.
                    sync_is_due |= self.obey(command);
                    while let Ok(command) = self.commands.try_recv() {
                        sync_is_due |= self.obey(command);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.end(),
            }
            let now = Instant::now();
            sync_is_due |= self.retry.take_if(|retry| *retry <= now).is_some();
            if sync_is_due || self.policy == SyncPolicy::Interval && now >= due {
                self.sync();
                due = Instant::now() + self.interval;
            }
            self.wake_compactor();
        }
    }

    /// The appender has ended.
    fn end(mut self) {
        // The appender leaves a segment active only if it died.
        if self.active.is_some() {
            self.sync();
        } else {
            self.sync_sealed();
        }
        if matches!(self.state, State::Poisoned | State::Rewriting) {
            // Nobody rewrites the doubtful records any more. They are where they were, and are folded from there.
            self.give_up(
                "the store was shut down before what a failed sync left in doubt was written once more".into(),
            );
        }
    }

    /// When to go on even if no command comes. `due` is the next sync of the policy `interval`, if there is anything to
    /// sync: waking up for nothing ten times a second was a tenth of what an idle store costs.
    fn look_again_at(&self, due: Instant) -> Option<Instant> {
        let sync = (self.policy == SyncPolicy::Interval && !self.progress.rest_syncing()).then_some(due);
        let wake = self.more_to_fold.then_some(self.compactor_woken + FOLD_INTERVAL);
        sync.into_iter().chain(wake).chain(self.retry).min()
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
            SyncCommand::Activate(segment) => self.active = Some(segment),
            SyncCommand::Seal(extent) => self.seal(extent),
            SyncCommand::Appended => {}
            SyncCommand::SyncNow(answered) => {
                self.answered = answered;
                return true;
            }
            SyncCommand::BeginRewrite if self.state == State::Poisoned => {
                std::thread::sleep(FAILURE_PAUSE * self.failures);
                self.active = None;
                self.state = State::Rewriting;
            }
            // One of the segments of this rewrite is poisoned as well: another rewrite follows.
            SyncCommand::BeginRewrite => {}
            SyncCommand::EndRewrite { lost } => {
                self.lost += lost;
                if self.state == State::Rewriting {
                    self.state = State::Sound;
                }
                return true;
            }
        }
        false
    }

    /// Makes everything that is published durable, and with it the tickets that were answered before it was.
    fn sync(&mut self) {
        if self.state != State::Sound || !self.sync_sealed() {
            return;
        }
        let last = match &mut self.active {
            Some(active) => match active.sync() {
                Ok(extent) => Some((active.writer(), active.last_sequence(extent))),
                Err(error) => {
                    let doubtful = active.as_unsynced();
                    return self.poison(doubtful, &error);
                }
            },
            // Between two segments, or while there is no room for the next.
            None => self.last_sealed,
        };
        self.set_durable(last);
        let lost = self.lost;
        let why = || format!("{lost} records that a failed sync left in doubt can't be read back, and are lost");
        if lost > 0 && self.progress.lose_tickets(self.answered, why) {
            self.lost = 0;
        }
        self.progress.set_durable_tickets(self.answered);
    }

    /// Syncs what was sealed without a sync; tells whether all of it is durable now.
    fn sync_sealed(&mut self) -> bool {
        if matches!(self.state, State::Poisoned | State::GivenUp) {
            return false;
        }
        while let Some(segment) = self.unsynced.front() {
            match sync_sealed_file(segment) {
                Ok(()) => {}
                Err(SealedSyncError::NotTried(error)) => {
                    self.health_is_degraded = true;
                    self.retry = Some(Instant::now() + SEALED_RETRY);
                    self.health.report(Part::Sync, error);
                    return false;
                }
                Err(SealedSyncError::Failed(error)) => {
                    let doubtful = segment.clone();
                    self.poison(doubtful, &error);
                    return false;
                }
            }
            self.unsynced.pop_front();
            if self.unsynced.is_empty() {
                self.set_durable(self.last_sealed);
            }
        }
        true
    }

    fn seal(&mut self, extent: Extent) {
        let Some(segment) = self.active.take() else { return };
        let durable = self.policy != SyncPolicy::Never && self.sync_sealed();
        if self.state == State::Poisoned {
            return segment.let_go(extent);
        }
        if !durable && self.state != State::GivenUp {
            if self.unsynced.len() >= UNSYNCED_LOOK {
                self.unsynced.retain(|segment| segment.path.exists());
            }
            self.unsynced.push_back(segment.as_unsynced());
        }
        let last = Some((segment.writer(), segment.last_sequence(extent)));
        match segment.seal(extent, durable) {
            Ok(()) => {
                self.last_sealed = last;
                if durable {
                    self.set_durable(last);
                }
            }
            Err((doubtful, error)) => self.poison(doubtful, &error),
        }
        self.more_to_fold = true;
    }

    /// Everything up to `last` is durable. If that is more than before, syncing works.
    fn set_durable(&mut self, last: Option<(WriterId, Sequence)>) {
        if last.is_some_and(|(writer, last)| self.progress.set_durable(writer, last)) {
            self.more_to_fold = true;
            self.failures = 0;
            if std::mem::take(&mut self.health_is_degraded) {
                self.health.clear(Part::Sync);
            }
        }
    }

    /// A sync failed: what `segment` and those after it hold beyond its durable mark is in doubt, and stays so.
    fn poison(&mut self, segment: UnsyncedSegment, error: &PathError) {
        self.progress.add_poisoned_segment();
        self.failures += 1;
        self.health_is_degraded = true;
        self.unsynced.clear();
        self.last_sealed = Some((segment.writer, segment.durable_sequence()));
        if self.failures >= POISONINGS_MAX {
            return self.give_up(error.to_string());
        }
        self.health.report(
            Part::Sync,
            format_args!("{error}; what is not on the disk is written once more, into another segment"),
        );
        self.state = State::Poisoned;
        if self.poisoned.try_send(segment).is_err() {
            // The appender is gone.
            self.give_up(error.to_string());
        }
    }

    /// Nothing is called durable any more; the compactor folds what is published.
    fn give_up(&mut self, why: String) {
        self.state = State::GivenUp;
        self.health.report(Part::Sync, format_args!("{why}; nothing recorded since is safe from a power cut"));
        self.progress.give_up_sync(why);
        self.compactor.unpark();
    }
}
