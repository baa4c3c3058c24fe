//! The syncing thread: forces appended frames to the disk, when the policy says so.
//!
//! It may wait for the disk as long as it takes; the appender never waits for it. It decides when to sync;
//! [`crate::segment::syncer`] knows how.

use crate::config::SyncPolicy;
use crate::error::{AtPath, PathError};
use crate::format::Extent;
use crate::health::{HealthBoard, Part};
use crate::progress::Progress;
use crate::segment::directory::sync_directory;
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
    /// Sync now: somebody waits, or the policy is `always`.
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
            match command {
                Ok(command) => {
                    // Everything that has gathered is answered by one sync: group commit.
                    now |= self.obey(command);
                    while let Ok(command) = self.commands.try_recv() {
                        now |= self.obey(command);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    if let Err(error) = self.sync_sealed() {
                        self.fail(&error);
                    }
                    return;
                }
            }
            if now {
                self.sync();
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

    fn sync(&mut self) {
        if self.progress.sync_failure().is_some() {
            return;
        }
        let sealed = self.sync_sealed();
        let Some(active) = &mut self.active else { return };
        let result = sealed.and_then(|()| active.sync()).map(|extent| active.last_sequence(extent));
        match result {
            Ok(last) if last > self.progress.durable() => {
                self.progress.set_durable(last);
                self.compactor.unpark();
            }
            Ok(_) => {}
            Err(error) => self.fail(&error),
        }
    }

    /// Syncs what was sealed without a sync. A file that is gone was retired, and so is safe in the database.
    fn sync_sealed(&mut self) -> Result<(), PathError> {
        for path in std::mem::take(&mut self.unsynced) {
            match File::open(&path).and_then(|file| file.sync_all()) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                synced => synced.at("sync", &path)?,
            }
            sync_directory(path.parent().unwrap_or(Path::new(".")))?;
        }
        Ok(())
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
