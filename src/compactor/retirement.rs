//! Retiring: a folded segment is deleted, or kept for rebuilding; one that is damaged, or that has records which count as
//! lost, goes to quarantine. The folder of a dead writer's log goes with its last segment.
//!
//! Runs on the compactor of who holds the fold lock. `retirement_plan.rs` decides; this file carries the plan out. The
//! database says which segments are damaged and how far each log is folded, so that a crash at any point changes nothing: a
//! folded segment that still lies in the log is retired at the next look.

use super::folded_segment::{FoldedSegment, SegmentFaults, is_folded};
use super::folder_task::{FolderTask, Role};
use super::kept_segments::KeptSegments;
use super::log_retention::LogRetention;
use super::newest_event::newest_event;
use super::retirement_plan::{Fate, PlannedSegment, RetirementPlan};
use super::source::Source;
use super::sources::Sources;
use crate::ground::config::Config;
use crate::ground::error::{AtPath, IndexError, OpenError, PathError};
use crate::ground::limits::Limits;
use crate::ground::position::{SegmentId, StoreId, WriterId};
use crate::ground::private_dir::create_private_dir;
use crate::ground::sabotage::{self, Spot};
use crate::index::database::Index;
use crate::segment::directory::{SegmentFile, file_name, list, remove_prepared, sync_directory};
use crate::segment::file_numbers::has_beyond;
use crate::segment::folded_hint;
use crate::segment::folder_boot;
use crate::segment::quarantine::{DamagedPlace, NOTE_DAMAGE_MAX, Note, move_aside};
use crate::segment::writer_folder::WriterFolder;
use std::collections::{BTreeSet, HashMap};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often to look for segments that became too old to keep, and for those that were sealed and have no successor.
const INTERVAL: Duration = Duration::from_secs(10);

/// How many bytes of segments are read in one look, to see how old what is in them is: some tens of milliseconds.
const LOOK_BYTES: u64 = 32 * 1024 * 1024;

/// Why a segment could not be retired. Retiring is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RetireError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Io(#[from] PathError),
    #[error(transparent)]
    Quarantine(#[from] OpenError),
}

/// The compactor's part that retires segments.
pub(crate) struct Retirement {
    store: StoreId,
    wal_dir: PathBuf,
    quarantine_dir: PathBuf,
    kept: KeptSegments,
    /// What the database says of segments; `None` until it is read.
    faults: Option<SegmentFaults>,
    looked_at: Option<Instant>,
    /// Before which time everything was expired then.
    expired_before: Option<i64>,
    /// The last look has left something to do at once.
    has_more: bool,
    /// The time of the newest event in segments that are kept.
    newest: HashMap<(WriterId, SegmentId), i64>,
}

impl Retirement {
    pub(crate) fn new(config: &Config, store: StoreId) -> Self {
        Self {
            store,
            wal_dir: config.wal_dir(),
            quarantine_dir: config.quarantine_dir(),
            kept: KeptSegments::new(config.kept_dir()),
            faults: None,
            looked_at: None,
            expired_before: None,
            has_more: false,
            newest: HashMap::new(),
        }
    }

    /// Notes that damage in these segments was committed to the database.
    pub(crate) fn note_damaged(&mut self, segments: Vec<(WriterId, SegmentId)>) {
        if let Some(faults) = &mut self.faults {
            faults.damaged.extend(segments);
        }
    }

    /// What is remembered of the database counts no more: somebody else committed.
    pub(crate) fn forget(&mut self) {
        (self.faults, self.has_more) = (None, true);
    }

    /// Retires segments of which everything is folded, and removes the folders of dead writers that have none any more.
    /// `aged_at_ms` is the time from which ages count. What is from before `expired_before` is expired in the database. Tells
    /// whether there is more to look at.
    pub(super) fn retire(
        &mut self,
        index: &mut Index,
        sources: &mut Sources,
        limits: &Limits,
        aged_at_ms: i64,
        expired_before: Option<i64>,
    ) -> Result<bool, RetireError> {
        let is_due = self.looked_at.is_none_or(|at| at.elapsed() >= INTERVAL);
        let is_changed = expired_before != self.expired_before;
        let retirable: Vec<_> = sources.sources.iter().map(|source| Retirable::of(source, is_due)).collect();
        if !is_due && !is_changed && !self.has_more && retirable.iter().all(|one| *one == Retirable::Nothing) {
            return Ok(false);
        }
        let retention = LogRetention::new(limits);
        let lets_go_of_kept = retention.is_limited() || expired_before.is_some();
        let (mut plan, knows_kept) = self.plan(index, sources, &retirable, &retention, lets_go_of_kept, aged_at_ms)?;
        let has_read_all = self.expire(&mut plan, expired_before) && knows_kept;
        // If this fails half-way, the next look comes at once.
        self.has_more = true;
        // On NFS and FUSE, a file that is removed while it is open stays in its folder under another name.
        let closing = sources.sources.iter_mut().zip(&retirable).filter(|(_, one)| **one == Retirable::All);
        closing.for_each(|(source, _)| source.close_reader());
        self.carry_out(index, &plan)?;
        self.close(sources, &retirable)?;
        for (source, retirable) in sources.sources.iter_mut().zip(retirable) {
            source.note_retired(retirable == Retirable::UpToSealed);
        }
        sources.forget_gone();
        (self.looked_at, self.expired_before, self.has_more) = (Some(Instant::now()), expired_before, !has_read_all);
        Ok(self.has_more)
    }

    /// The plan, and whether it speaks of all that is kept. As long as it does not, nothing more is let go of that.
    fn plan(
        &mut self,
        index: &Index,
        sources: &Sources,
        retirable: &[Retirable],
        retention: &LogRetention,
        lets_go_of_kept: bool,
        aged_at_ms: i64,
    ) -> Result<(RetirementPlan, bool), RetireError> {
        let faults = match &mut self.faults {
            Some(faults) => faults,
            not_read => not_read.insert(SegmentFaults {
                store: Some(self.store),
                damaged: index.damaged_segments()?,
                missing: index.missing_numbers()?,
            }),
        };
        let mut folded = Vec::new();
        for (source, retirable) in sources.sources.iter().zip(retirable) {
            if *retirable == Retirable::Nothing {
                continue;
            }
            let writer = source.folder.writer;
            let mut files = list(&source.folder.path)?;
            if !source.is_dead() && *retirable != Retirable::UpToSealed {
                // The last one may be written to, whatever its header looks like.
                files.pop();
            }
            // The place does not tell what was put back behind it: what has higher numbers is not folded yet.
            let is_beyond = |file: &SegmentFile| {
                *retirable != Retirable::All
                    && !faults.damaged.contains(&(writer, file.id))
                    && has_beyond(&file.path, source.checkpoint.sequence)
            };
            let files = files.into_iter().filter(|file| retirable.has(source, file.id) && !is_beyond(file));
            folded.extend(files.filter_map(|file| FoldedSegment::read(writer, file, false, faults)));
        }
        if !lets_go_of_kept {
            return Ok((RetirementPlan::new(folded, retention, aged_at_ms), true));
        }
        if self.kept.look()? {
            folded.extend(self.kept.segments().cloned());
            return Ok((RetirementPlan::new(folded, retention, aged_at_ms), true));
        }
        let until_then = if retention.keeps_none() { retention } else { &LogRetention::ALL };
        Ok((RetirementPlan::new(folded, until_then, aged_at_ms), false))
    }

    /// Lets segments go that are kept although everything in them is expired. They are read for that, each once, and not
    /// many at a time; `false`: some are left for the next look, which comes at once.
    fn expire(&mut self, plan: &mut RetirementPlan, expired_before: Option<i64>) -> bool {
        let Some(expired_before) = expired_before else { return true };
        let (newest, mut bytes, mut has_read_all) = (&mut self.newest, 0, true);
        plan.expire(|planned| {
            let key = (planned.writer, planned.segment);
            if let Some(newest) = newest.get(&key) {
                return *newest < expired_before;
            }
            has_read_all &= bytes < LOOK_BYTES;
            if !has_read_all {
                return false;
            }
            bytes += planned.bytes;
            *newest.entry(key).or_insert(newest_event(&planned.path)) < expired_before
        });
        let gone: Vec<_> = plan.segments.iter().filter(|planned| planned.fate == Fate::Expired).collect();
        if !gone.is_empty() {
            let segments: Vec<_> = gone.iter().map(|planned| planned.path.display().to_string()).collect();
            let segments = segments.join(", ");
            tracing::info!(segments, "deleting segments: everything in them is older than keep_rows_age_ms");
        }
        has_read_all
    }

    /// Carries the plan out. A segment that can't be retired keeps no other from being retired.
    fn carry_out(&mut self, index: &mut Index, plan: &RetirementPlan) -> Result<(), RetireError> {
        let newly_kept: Vec<_> = plan.newly_kept().collect();
        if plan.retired_count() == 0 && newly_kept.is_empty() {
            return Ok(());
        }
        tracing::debug!(%plan, "retiring");
        index.make_durable()?;
        let mut done = Ok(());
        let mut folders = BTreeSet::new();
        for planned in plan.deleted() {
            folders.extend(planned.path.parent());
            done = done.and(remove(&planned.path).map_err(RetireError::from));
            self.newest.remove(&(planned.writer, planned.segment));
            if planned.is_kept {
                self.kept.forget(planned.writer, planned.segment);
            }
        }
        // Moving takes room and comes last: the disk may have no room before the other segments are gone.
        folders.extend(newly_kept.iter().filter_map(|planned| planned.path.parent()));
        let taken = self.kept.take(&newly_kept).map_err(RetireError::from);
        let (done_taking, left) = taken.map_or_else(|error| (Err(error), Vec::new()), |left| (Ok(()), left));
        done = done.and(done_taking);
        for planned in plan.moved().chain(left) {
            done = done.and(self.quarantine(index, planned));
        }
        for folder in folders {
            match sync_directory(folder) {
                Err(error) if error.source.kind() == ErrorKind::NotFound => {}
                synced => synced?,
            }
        }
        done
    }

    /// Moves a segment that is damaged, or has records that nobody folded, out of the log, with all its bytes.
    fn quarantine(&self, index: &Index, planned: &PlannedSegment) -> Result<(), RetireError> {
        sabotage::at(Spot::Quarantine, &planned.path).at("move", &planned.path)?;
        if std::fs::symlink_metadata(&planned.path).is_err() {
            return Ok(());
        }
        let damage = index.damage_in(planned.writer, planned.segment, NOTE_DAMAGE_MAX)?;
        let damage =
            damage.into_iter().map(|row| DamagedPlace { offset: row.offset.0, bytes: row.bytes, reason: row.reason });
        let note = Note { segment: planned.segment.0, damage: damage.collect() };
        create_private_dir(&self.quarantine_dir)?;
        let folder = WriterFolder::within(&self.quarantine_dir, planned.writer).path;
        let to = move_aside(&planned.path, &folder, &note)?;
        sync_directory(&self.quarantine_dir)?;
        let (from, to) = (planned.path.display(), to.display());
        match planned.fate {
            Fate::PassedOver => tracing::warn!(
                %from, %to, "a segment with records that count as lost was moved aside: mcplog rebuild --from-log folds it"
            ),
            _ => tracing::warn!(%from, %to, "a damaged segment was moved aside"),
        }
        Ok(())
    }

    /// Removes the folders of dead writers of which everything is folded and retired.
    fn close(&self, sources: &mut Sources, retirable: &[Retirable]) -> Result<(), RetireError> {
        let closing = sources.sources.iter_mut().zip(retirable);
        let mut any = false;
        for (source, _) in closing.filter(|(source, one)| **one == Retirable::All && source.is_noted_dead) {
            source.close_lock();
            match close(&source.folder.path) {
                Ok(true) => {
                    source.note_gone();
                    any = true;
                }
                Ok(false) => source.note_stays("something else than its segments lies in its folder"),
                Err(error) => return Err(error.into()),
            }
        }
        if any {
            sync_directory(&self.wal_dir)?;
        }
        Ok(())
    }
}

/// What of a log may be retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retirable {
    Nothing,
    /// What lies before the segment that the checkpoint names.
    BeforeCheckpoint,
    /// That segment too: it is sealed, and folded to its end.
    UpToSealed,
    /// All of it.
    All,
}

impl Retirable {
    fn of(source: &Source, looks_at_last: bool) -> Self {
        match FolderTask::of(Role::Holder, source.lock_state(), source.content) {
            // What could not be removed is tried now and then.
            FolderTask::Close if source.is_committed() && (looks_at_last || !source.stays()) => Self::All,
            FolderTask::RetireEnded if looks_at_last && is_sealed_at_checkpoint(source) => Self::UpToSealed,
            _ if source.retired_before() < source.checkpoint.segment => Self::BeforeCheckpoint,
            _ => Self::Nothing,
        }
    }

    fn has(self, source: &Source, segment: SegmentId) -> bool {
        match self {
            Self::Nothing => false,
            Self::BeforeCheckpoint => segment < source.checkpoint.segment,
            Self::UpToSealed => segment <= source.checkpoint.segment,
            Self::All => true,
        }
    }
}

/// Whether the segment that the checkpoint names is folded whole.
fn is_sealed_at_checkpoint(source: &Source) -> bool {
    let id = source.checkpoint.segment;
    is_folded(&SegmentFile { id, path: source.folder.path.join(file_name(id)) }, source.checkpoint)
}

/// A file that somebody else removed is gone too.
fn remove(path: &Path) -> Result<(), PathError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.at("remove", path),
    }
}

/// Removes what is left of a log, and its folder. `false`: something else lies there.
fn close(folder: &Path) -> Result<bool, PathError> {
    remove(&folded_hint::path(folder))?;
    remove_prepared(folder)?;
    // Last: without it, nobody can tell on some file systems that its writer is dead.
    remove(&folder_boot::path(folder))?;
    match std::fs::remove_dir(folder) {
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(false),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        removed => removed.at("remove", folder).map(|()| true),
    }
}
