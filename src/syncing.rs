//! The syncing thread: forces appended frames to the disk, when the policy says so.
//!
//! It may wait for the disk as long as it takes; the appender never waits for it. It decides when to sync;
//! [`crate::segment::syncer`] knows how.

use crate::config::SyncPolicy;
use crate::error::{AtPath, PathError};
use crate::format::{Extent, Sequence};
use crate::health::{HealthBoard, Part};
use crate::progress::{Progress, Ticket};
use crate::segment::syncer::SegmentSyncer;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
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
    /// Sync now: tickets were answered, or the policy is `always` and something was appended. By the appender.
    SyncNow,
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
    pub(crate) active: Option<SegmentSyncer>,
    /// Segments that were sealed without a sync, under the policy `never`: a flush owes them one.
    pub(crate) unsynced: Vec<PathBuf>,
    /// The last sequence number of the segments that were sealed.
    pub(crate) last_sealed: Sequence,
}

/// From how many on the list of unsynced segments is looked through for files that are gone.
const UNSYNCED_LOOK: usize = 64;

impl SyncLoop {
    pub(crate) fn run(mut self) {
        let mut due = Instant::now() + self.interval;
        loop {
            let command = match self.policy {
                SyncPolicy::Interval => self.commands.recv_deadline(due),
                SyncPolicy::Always | SyncPolicy::Never => self.commands.recv().map_err(RecvTimeoutError::from),
            };
            let mut now = command.is_err();
            let mut answered = self.progress.answered();
            match command {
                Ok(command) => {
                    // Everything that has gathered is answered by one sync: group commit.
                    now |= self.obey(command);
                    // Before the rest: whatever segment was begun or ended before these tickets were answered, the
                    // command is in the channel.
                    answered = self.progress.answered();
                    while let Ok(command) = self.commands.try_recv() {
                        now |= self.obey(command);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.sync_sealed();
                    return;
                }
            }
            if now {
                self.sync(answered);
                due = Instant::now() + self.interval;
            }
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
            SyncCommand::SyncNow => true,
        }
    }

    /// Makes everything that is published durable, and with it the tickets that were answered before it was.
    fn sync(&mut self, answered: Ticket) {
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
                self.progress.set_durable_tickets(answered);
                if more {
                    self.compactor.unpark();
                }
            }
            Err(error) => self.fail(&error),
        }
    }

    /// Syncs what was sealed without a sync; tells whether all of it is durable now.
    fn sync_sealed(&mut self) -> bool {
        while let Some(path) = self.unsynced.last() {
            let dir = path.parent().unwrap_or(Path::new("."));
            let file = match File::open(path).and_then(|file| Ok((file, File::open(dir)?))) {
                Ok(file) => Some(file),
                // Retired, and so safe in the database.
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => {
                    // Nothing was synced, and so nothing is lost: it is tried again.
                    self.health.report(Part::Sync, format_args!("open {}: {error}", path.display()));
                    return false;
                }
            };
            if let Some((file, dir)) = file
                && let Err(error) = file.sync_all().and_then(|()| dir.sync_all()).at("sync", path)
            {
                self.fail(&error);
                return false;
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
        self.compactor.unpark();
    }

    /// Nothing is claimed to be durable any more. Linux reports a failed write-back once and then forgets it, so
    /// trying again would turn a loss into a success.
    fn fail(&self, error: &PathError) {
        self.progress.fail_sync(error.to_string());
        self.health.report(Part::Sync, format_args!("{error}; nothing recorded since is safe from a power cut"));
        self.compactor.unpark();
    }
}
