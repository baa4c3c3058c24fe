//! One log, as who folds sees it: its folder, whether its writer lives, how far it is folded, and where it is read.
//!
//! Runs on the compactor. What can't be read of one log keeps no other from being folded.

use super::folder_task::{Content, LockState};
use crate::ground::error::{PathError, SegmentError};
use crate::ground::position::{SegmentId, Sequence, StoreId};
use crate::index::checkpoint::Checkpoint;
use crate::segment::directory::{SegmentFile, list};
use crate::segment::folder_lock::{FolderLock, FolderOwner};
use crate::segment::log_item::Owner;
use crate::segment::log_reader::LogReader;
use crate::segment::place::Place;
use crate::segment::reader::SegmentReader;
use crate::segment::writer_folder::WriterFolder;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often the lock of a writer that lives is tried.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// The first pause after a log could not be read, which doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// A place that the disk fails to read so many times in a row is given up: the records behind it must not wait for ever.
const UNREADABLE_TRIES: u32 = 3;

/// The log.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) folder: WriterFolder,
    /// The level of the records that this build knows.
    level: u16,
    /// Held while this process works on what a dead writer left.
    lock: Option<FolderLock>,
    lock_state: LockState,
    probed_at: Option<Instant>,
    /// The writer is dead, and so are too many others.
    waits_for_its_turn: bool,
    /// Up to here, committed.
    pub(super) checkpoint: Checkpoint,
    /// Up to here, in the transaction under way.
    pub(super) reached: Checkpoint,
    /// So far its writer was told that it is folded.
    pub(super) told: Sequence,
    reader: Option<LogReader>,
    pub(super) content: Content,
    /// Why the log is left alone.
    why: Option<String>,
    failure: Option<Failure>,
    /// The table may have a hole that ends where the log is folded, and whose end in time nobody knows yet.
    pub(super) may_end_with_hole: bool,
    /// It is noted that the writer is dead.
    pub(super) is_noted_dead: bool,
    /// Segments before this one were retired.
    retired_before: SegmentId,
    /// Its folder is removed.
    is_gone: bool,
    /// Why its folder stays, although its writer is dead and everything in it is folded.
    why_it_stays: Option<&'static str>,
}

/// The log could not be read.
#[derive(Debug)]
struct Failure {
    at: Instant,
    pause: Duration,
    /// How many times in a row the disk failed to give back what was written to it.
    unreadable: u32,
}

impl Source {
    pub(super) fn new(folder: WriterFolder, checkpoint: Checkpoint, level: u16) -> Self {
        Self {
            folder,
            level,
            lock: None,
            lock_state: LockState::Unknown,
            probed_at: None,
            waits_for_its_turn: false,
            checkpoint,
            reached: checkpoint,
            told: Sequence(0),
            reader: None,
            content: Content::Beyond,
            why: None,
            failure: None,
            may_end_with_hole: true,
            is_noted_dead: false,
            retired_before: SegmentId(0),
            is_gone: false,
            why_it_stays: None,
        }
    }

    pub(super) fn lock_state(&self) -> LockState {
        self.lock_state
    }

    pub(super) fn is_dead(&self) -> bool {
        self.lock_state == LockState::Taken
    }

    /// Tries the folder's lock, if that was not done for a while; or `at_once`. Where the writer is dead and `takes_dead` is
    /// not set, the log waits for its turn. Where nobody can tell, the writer is dead if it `has_ended`, as what is folded of
    /// its log says. Tells whether the folder is still there.
    pub(super) fn probe(
        &mut self,
        at_once: bool,
        takes_dead: bool,
        now: Instant,
        has_ended: impl FnOnce() -> bool,
    ) -> bool {
        let is_due = at_once
            || self.probed_at.is_none_or(|at| now.duration_since(at) >= PROBE_INTERVAL)
            || (self.waits_for_its_turn && takes_dead);
        if self.is_dead() || !is_due {
            return true;
        }
        self.probed_at = Some(now);
        self.waits_for_its_turn = false;
        match FolderLock::take(&self.folder.path) {
            FolderOwner::Dead(_) if !takes_dead => (self.reader, self.waits_for_its_turn) = (None, true),
            FolderOwner::Dead(lock) => {
                // What was seen before is looked at again: the writer may have gone on until just before it died.
                (self.lock, self.lock_state, self.content) = (Some(lock), LockState::Taken, Content::Beyond);
            }
            FolderOwner::Living => self.lock_state = LockState::Held,
            FolderOwner::Unknown(error) if is_gone(&error) => return false,
            FolderOwner::Unknown(_) if has_ended() && is_finished(&self.folder.path) => match takes_dead {
                true => (self.lock_state, self.content) = (LockState::Taken, Content::Beyond),
                false => (self.reader, self.waits_for_its_turn) = (None, true),
            },
            FolderOwner::Unknown(error) => {
                if self.lock_state != LockState::Unknown || self.why.is_none() {
                    let why = format!("whether its writer lives can't be told: {error}");
                    tracing::warn!(writer = %self.folder.writer, why, "a log is folded, and not retired");
                    self.why = Some(why);
                }
                self.lock_state = LockState::Unknown;
            }
        }
        true
    }

    /// Gives back lock and reader until the folder is looked at again.
    pub(super) fn let_go(&mut self) {
        self.reader = None;
        if self.lock.take().is_some() {
            self.lock_state = LockState::Unknown;
        }
    }

    /// Closes the file that is read: it is to be removed.
    pub(super) fn close_reader(&mut self) {
        self.reader = None;
    }

    /// Closes what is locked: it is to be removed, with the folder, in which nothing is left.
    pub(super) fn close_lock(&mut self) {
        self.lock = None;
    }

    /// A log that is left alone is looked at again: somebody may have mended it.
    pub(super) fn look_again(&mut self) {
        if self.content == Content::NotOurs {
            (self.content, self.probed_at) = (Content::Beyond, None);
        }
    }

    /// Whether there is more to fold at once, by the last look.
    pub(super) fn has_more(&self) -> bool {
        self.content == Content::Beyond && self.may_have_more(Instant::now())
    }

    /// Whether all that is there is folded, by the last look.
    pub(super) fn is_folded(&self) -> bool {
        self.content == Content::Folded
    }

    /// Whether the log is left alone: it waits for a newer mcplog, or is another store's.
    pub(super) fn is_left(&self) -> bool {
        self.content == Content::NotOurs
    }

    /// Whether everything of a dead writer is folded, and it is not noted yet that it is dead.
    pub(super) fn is_to_be_ended(&self) -> bool {
        self.is_dead() && self.content == Content::Folded && !self.is_noted_dead
    }

    /// Whether the log is worth a look now.
    pub(super) fn may_have_more(&self, now: Instant) -> bool {
        let rests = self.failure.as_ref().is_some_and(|failure| now.duration_since(failure.at) < failure.pause);
        if self.probed_at.is_none() || self.waits_for_its_turn {
            return false;
        }
        match self.content {
            Content::Beyond | Content::Unreadable => !rests,
            // A writer that lives may have gone on.
            Content::Folded => !self.is_dead(),
            Content::NotOurs => false,
        }
    }

    /// The reader, which stands where the transaction under way has come to, and whose log it reads.
    pub(super) fn reader(&mut self, store: StoreId) -> Result<(&mut LogReader, Owner), SegmentError> {
        let owner = if self.is_dead() { Owner::Dead } else { Owner::Living };
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => {
                let reader = none.insert(LogReader::open(&self.folder, Some(store), place_of(self.reached))?);
                reader.know_level(self.level);
                reader
            }
        };
        if self.failure.as_ref().is_some_and(|failure| failure.unreadable >= UNREADABLE_TRIES) {
            reader.pass_unreadable();
        }
        Ok((reader, owner))
    }

    /// Whether all that was folded is committed.
    pub(super) fn is_committed(&self) -> bool {
        self.reached == self.checkpoint
    }

    /// What was folded is committed.
    pub(super) fn commit(&mut self) {
        self.checkpoint = self.reached;
    }

    /// What was folded is not committed: it is read again from the checkpoint.
    pub(super) fn undo(&mut self) {
        (self.reached, self.reader) = (self.checkpoint, None);
        (self.may_end_with_hole, self.is_noted_dead) = (true, false);
        if self.content == Content::Folded {
            self.content = Content::Beyond;
        }
    }

    /// The log was read without an error.
    pub(super) fn note_read(&mut self, content: Content) {
        self.content = content;
        let gave_up = self.failure.as_ref().is_some_and(|failure| failure.unreadable >= UNREADABLE_TRIES);
        if !gave_up {
            self.failure = None;
        }
        if content != Content::NotOurs && self.lock_state != LockState::Unknown {
            self.why = None;
        }
    }

    /// The log is left alone from where it stands.
    pub(super) fn leave_alone(&mut self, why: String) {
        (self.content, self.why) = (Content::NotOurs, Some(why));
    }

    /// The log could not be read; it is tried again in a while. Tells how long that may last.
    pub(super) fn note_failure(&mut self, error: &SegmentError, now: Instant) {
        self.reader = None;
        if is_missing(error) {
            // Another one retired it. The checkpoint says so, or what is behind shows a hole.
            self.content = Content::Beyond;
        } else {
            (self.content, self.why) = (Content::Unreadable, Some(error.to_string()));
        }
        let before = self.failure.take();
        let pause = before.as_ref().map_or(RETRY_MIN, |before| (before.pause * 2).min(RETRY_MAX));
        let unreadable = before.map_or(0, |before| before.unreadable) + u32::from(is_unreadable(error));
        self.failure = Some(Failure { at: now, pause, unreadable });
    }

    /// Segments before this one were retired, as far as this process did that.
    pub(super) fn retired_before(&self) -> SegmentId {
        self.retired_before
    }

    /// All that could be retired is; with the one that the checkpoint names, if it `was_sealed`.
    pub(super) fn note_retired(&mut self, was_sealed: bool) {
        let segment = self.checkpoint.segment;
        self.retired_before = if was_sealed { segment.next() } else { segment };
    }

    /// Its folder can't be removed, though nothing of the log is left there.
    pub(super) fn note_stays(&mut self, why: &'static str) {
        (self.why_it_stays, self.reader) = (Some(why), None);
    }

    /// Whether that is so, as far as this process has tried.
    pub(super) fn stays(&self) -> bool {
        self.why_it_stays.is_some()
    }

    /// Its folder is removed.
    pub(super) fn note_gone(&mut self) {
        self.is_gone = true;
    }

    pub(super) fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Whether it can't be read for now.
    pub(super) fn has_failed(&self) -> bool {
        self.content == Content::Unreadable
    }

    /// Why the log is left alone, if it is.
    pub(super) fn why_left(&self) -> Option<&str> {
        let why = self.why.as_deref().filter(|_| matches!(self.content, Content::NotOurs | Content::Unreadable));
        why.or(self.why_it_stays)
    }
}

/// Where reading goes on.
fn place_of(checkpoint: Checkpoint) -> Place {
    let Checkpoint { segment, offset, sequence } = checkpoint;
    Place { segment, offset, sequence }
}

/// The checkpoint for what was read up to there.
pub(super) fn checkpoint_at(place: Place) -> Checkpoint {
    let Place { segment, offset, sequence } = place;
    Checkpoint { segment, offset, sequence }
}

/// Whether nothing more is written in a folder whose writer said that it ended: its last segment is sealed.
fn is_finished(folder: &Path) -> bool {
    let is_sealed =
        |file: &SegmentFile| SegmentReader::open(&file.path).is_ok_and(|reader| reader.mark().sealed.is_some());
    list(folder).is_ok_and(|files| files.last().is_none_or(is_sealed))
}

fn is_gone(error: &PathError) -> bool {
    error.source.kind() == std::io::ErrorKind::NotFound
}

fn is_missing(error: &SegmentError) -> bool {
    matches!(error, SegmentError::Gone { .. })
}

/// Whether the disk can't give back what was written to it.
fn is_unreadable(error: &SegmentError) -> bool {
    matches!(error, SegmentError::Io(error) if error.is_unreadable())
}
