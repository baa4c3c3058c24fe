//! All logs of a store, as who folds sees them: which there are, whose writers are dead, and how much of each a round takes.
//!
//! Runs on the compactor. A round takes from many logs, the living first, each its share: neither an import nor what a dead
//! writer left delays a living one's row by more than a transaction. What dead writers left takes what room is left.

use super::folder_task::{FolderTask, Role};
use super::round::{Round, Share};
use super::source::Source;
use super::unborn;
use crate::ground::error::{IndexError, PathError};
use crate::ground::position::WriterId;
use crate::index::checkpoint::Checkpoint;
use crate::index::database::Index;
use crate::segment::writer_folder::writer_folders;
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// One transaction takes at most so many records, and what the shares of many writers that live add to that: enough that
/// commits don't show, few enough that a reader of the database sees steady progress.
pub(super) const BATCH_RECORDS: usize = 20_000;
/// And so many bytes of payload.
const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// No share is less: below that, statements and reads outweigh the records.
const SHARE_RECORDS_MIN: usize = 500;
const SHARE_BYTES_MIN: usize = 256 * 1024;
/// How many dead writers' logs are worked on at once. Each takes two open files, and after a crash loop there are thousands.
const DEAD_MAX: usize = 32;
/// How often `wal/` is listed although its time of change is what it was.
const LIST_INTERVAL: Duration = Duration::from_secs(10);
/// A directory's time of change is no finer than this: what changes it again within that time may not show.
const TIME_STEP: Duration = Duration::from_secs(1);

/// The logs.
pub(super) struct Sources {
    wal_dir: PathBuf,
    role: Role,
    /// The level of the records that this build knows.
    level: u16,
    pub(super) sources: Vec<Source>,
    listed: Option<Listed>,
    /// With which of the dead ones the next round begins.
    next_dead: usize,
}

/// When `wal/` was listed, and its time of change then.
#[derive(Clone, Copy, Debug)]
struct Listed {
    at: Instant,
    changed: Option<SystemTime>,
    changed_seen_at: Instant,
}

impl Sources {
    pub(super) fn new(wal_dir: PathBuf, role: Role, level: u16) -> Self {
        Self { wal_dir, role, level, sources: Vec::new(), listed: None, next_dead: 0 }
    }

    /// Finds out which logs there are and whose writers live. `own_ended`: this process's own log gets no more, and is
    /// looked at at once.
    pub(super) fn refresh(&mut self, index: &Index, own_ended: Option<WriterId>) -> Result<(), RefreshError> {
        let now = Instant::now();
        if self.is_list_due(now) {
            self.list(index)?;
        }
        let mut dead = self.sources.iter().filter(|source| source.is_dead() && !source.stays()).count();
        self.sources.retain_mut(|source| {
            let was_dead = source.is_dead();
            let is_own = Some(source.folder.writer) == own_ended;
            let writer = source.folder.writer;
            // Where the database does not say, nobody calls the writer dead.
            let has_ended = || index.has_ended(writer).unwrap_or(false);
            let is_there = source.probe(is_own, is_own || dead < DEAD_MAX, now, has_ended);
            dead += usize::from(!was_dead && source.is_dead());
            is_there
        });
        Ok(())
    }

    fn is_list_due(&mut self, now: Instant) -> bool {
        let changed = std::fs::metadata(&self.wal_dir).and_then(|metadata| metadata.modified()).ok();
        match &mut self.listed {
            None => {
                self.listed = Some(Listed { at: now, changed, changed_seen_at: now });
                true
            }
            Some(listed) => {
                if listed.changed != changed {
                    (listed.changed, listed.changed_seen_at) = (changed, now);
                }
                let is_due = now.duration_since(listed.changed_seen_at) < TIME_STEP
                    || now.duration_since(listed.at) >= LIST_INTERVAL;
                if is_due {
                    listed.at = now;
                }
                is_due
            }
        }
    }

    fn list(&mut self, index: &Index) -> Result<(), RefreshError> {
        let found = writer_folders(&self.wal_dir)?;
        let there: HashSet<WriterId> = found.folders.iter().map(|folder| folder.writer).collect();
        self.sources.retain(|source| there.contains(&source.folder.writer));
        let known: HashSet<WriterId> = self.sources.iter().map(|source| source.folder.writer).collect();
        self.sources.iter_mut().for_each(Source::look_again);
        for folder in found.folders.into_iter().filter(|folder| !known.contains(&folder.writer)) {
            let checkpoint = index.checkpoint_of(folder.writer)?.unwrap_or(Checkpoint::START);
            self.sources.push(Source::new(folder, checkpoint, self.level));
        }
        if self.role == Role::Holder {
            found.unborn.iter().try_for_each(|folder| unborn::settle(&self.wal_dir, folder))?;
        }
        Ok(())
    }

    /// Folds of each log its share; `own` comes first. The transaction takes at most `bytes_max` bytes of payload, but for
    /// what one record of each log has.
    pub(super) fn fold(
        &mut self,
        round: &mut Round<'_>,
        own: Option<WriterId>,
        bytes_max: usize,
    ) -> Result<(), IndexError> {
        let (now, bytes_max) = (Instant::now(), bytes_max.min(BATCH_BYTES));
        let worth = |source: &Source| source.may_have_more(now) || source.is_to_be_ended();
        let mut living = self.indices(|source| !source.is_dead() && worth(source));
        let mut dead = self.indices(|source| source.is_dead() && worth(source));
        living.sort_by_key(|at| Some(self.sources[*at].folder.writer) != own);
        // What this process recorded comes before what others left, also when it ends.
        let own_dead = dead.iter().position(|at| Some(self.sources[*at].folder.writer) == own);
        living.extend(own_dead.map(|at| dead.remove(at)));
        let sharers = living.len() + usize::from(!dead.is_empty());
        let share = Share {
            records: (BATCH_RECORDS / sharers.max(1)).max(SHARE_RECORDS_MIN),
            bytes: (bytes_max / sharers.max(1)).max(SHARE_BYTES_MIN.min(bytes_max)),
        };
        for at in &living {
            round.take(&mut self.sources[*at], share)?;
        }
        let is_full = |round: &Round<'_>| {
            round.records >= BATCH_RECORDS || round.bytes >= bytes_max || round.has_too_little_room()
        };
        let count = dead.len().max(1);
        dead.rotate_left(self.next_dead % count);
        self.next_dead = (self.next_dead + 1) % count;
        // What is left of the transaction goes to those that have more, the living first.
        for at in living.into_iter().chain(dead) {
            let source = &mut self.sources[at];
            while !is_full(round) && source.has_more() {
                round.take(source, share)?;
            }
            let is_closed = FolderTask::of(self.role, source.lock_state(), source.content) == FolderTask::Close;
            if is_closed && !source.is_noted_dead {
                round.note_dead(source)?;
            }
        }
        Ok(())
    }

    fn indices(&self, is_wanted: impl Fn(&Source) -> bool) -> Vec<usize> {
        (0..self.sources.len()).filter(|at| is_wanted(&self.sources[*at])).collect()
    }

    /// That writers are dead is not noted.
    pub(super) fn note_undead(&mut self) {
        self.sources.iter_mut().filter(|source| !source.stays()).for_each(|source| source.is_noted_dead = false);
    }

    /// What was folded is not committed.
    pub(super) fn undo(&mut self) {
        self.sources.iter_mut().for_each(Source::undo);
    }

    /// Whether any log has more that is worth another round at once.
    pub(super) fn have_more(&self) -> bool {
        self.sources.iter().any(Source::has_more)
    }

    /// Whether everything is folded that a writer left, and its folder is closed; so is one that is not there.
    pub(super) fn is_closed(&self, writer: WriterId) -> bool {
        !self.sources.iter().any(|source| source.folder.writer == writer)
    }

    /// Whether that writer's log is left alone, because it is not for this build.
    pub(super) fn is_left(&self, writer: WriterId) -> bool {
        self.sources.iter().any(|source| source.folder.writer == writer && source.is_left())
    }

    /// Gives back what the logs of dead writers hold that are of no use now, so that others have their turn.
    pub(super) fn let_go(&mut self) {
        let left = |source: &&mut Source| source.is_dead() && source.why_left().is_some() && !source.stays();
        self.sources.iter_mut().filter(left).for_each(Source::let_go);
    }

    /// Which logs are left alone, and why; `None`: none is.
    pub(super) fn left_alone(&self) -> Option<String> {
        let left = self.sources.iter().filter_map(|source| Some((source.folder.writer, source.why_left()?)));
        let left: Vec<_> = left.map(|(writer, why)| format!("the log of writer {writer} waits: {why}")).collect();
        (!left.is_empty()).then(|| left.join("; "))
    }

    /// Whether a log can't be read for now, for a reason that may be this process's own.
    pub(super) fn any_failed(&self) -> bool {
        self.sources.iter().any(Source::has_failed)
    }

    /// Forgets logs whose folders are removed.
    pub(super) fn forget_gone(&mut self) {
        self.sources.retain(|source| !source.is_gone());
    }

    /// The writers that have a folder.
    pub(super) fn writers(&self) -> HashSet<WriterId> {
        self.sources.iter().map(|source| source.folder.writer).collect()
    }
}

/// Why it could not be found out which logs there are.
#[derive(Debug, thiserror::Error)]
pub(super) enum RefreshError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Io(#[from] PathError),
}
