//! Retiring: a folded segment is deleted, or kept for rebuilding; one that is damaged, or that has records which count as
//! lost, goes to quarantine.
//!
//! Runs on the compactor. `retirement_plan.rs` decides; this file carries the plan out. The database says which
//! segments are damaged, so that a crash at any point changes nothing: a folded segment that still lies in the log is
//! retired at the next look.

use super::log_retention::LogRetention;
use super::newest_event::newest_event;
use super::retirement_plan::{Fate, PlannedSegment, RetirementPlan};
use crate::ground::config::Config;
use crate::ground::error::{AtPath, IndexError, OpenError, PathError};
use crate::ground::limits::Limits;
use crate::ground::position::{Offset, SegmentId, Sequence, WriterId};
use crate::ground::sabotage::{self, Spot};
use crate::index::damage::DamageRow;
use crate::index::database::Index;
use crate::segment::directory::sync_directory;
use crate::segment::quarantine::{DamagedPlace, NOTE_DAMAGE_MAX, Note, move_aside};
use crate::segment::segment_list::SegmentList;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often to look for segments that became too old to keep.
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
    log: Arc<SegmentList>,
    writer: WriterId,
    retention: LogRetention,
    wal_dir: PathBuf,
    quarantine_dir: PathBuf,
    /// The segments in which damage was found; `None` until they are read from the database.
    damaged: Option<HashSet<SegmentId>>,
    /// The notes of the files that were in quarantine when the store was opened, until the table has them.
    quarantined: Vec<Note>,
    /// How many folded segments the log had at the last look, and when that was.
    folded: usize,
    looked_at: Instant,
    /// Before which time everything was expired then.
    expired_before: Option<i64>,
    /// The time of the newest event in segments that are kept.
    newest: HashMap<SegmentId, i64>,
}

impl Retirement {
    pub(crate) fn new(
        log: Arc<SegmentList>,
        writer: WriterId,
        config: &Config,
        limits: &Limits,
        quarantined: Vec<Note>,
    ) -> Self {
        Self {
            log,
            writer,
            retention: LogRetention::new(limits),
            wal_dir: config.wal_dir(),
            quarantine_dir: config.quarantine_dir(),
            damaged: None,
            quarantined,
            folded: 0,
            looked_at: Instant::now(),
            expired_before: None,
            newest: HashMap::new(),
        }
    }

    /// For how long folded segments are kept, in milliseconds.
    pub(crate) fn age_max_ms(&self) -> Option<u64> {
        self.retention.age_max_ms()
    }

    /// Notes that damage in this segment was committed to the database.
    pub(crate) fn note_damaged(&mut self, segment: SegmentId) {
        if let Some(damaged) = &mut self.damaged {
            damaged.insert(segment);
        }
    }

    /// Adds the files that are in quarantine to table `quarantine`.
    pub(crate) fn note_quarantined(&mut self, index: &mut Index) -> Result<(), IndexError> {
        if self.quarantined.is_empty() {
            return Ok(());
        }
        let rows = self.quarantined.iter().flat_map(|note| {
            note.damage.iter().map(|damaged| DamageRow {
                writer: self.writer,
                segment: note.segment(),
                offset: Offset(damaged.offset),
                bytes: damaged.bytes,
                reason: damaged.reason.clone(),
            })
        });
        index.add_damage(rows)?;
        self.quarantined.clear();
        Ok(())
    }

    /// Retires segments of which everything is folded. `folded` is the checkpoint's number, `aged_at_ms` the time from
    /// which ages count. What is from before `expired_before` is expired in the database.
    pub(crate) fn retire(
        &mut self,
        index: &mut Index,
        folded: Sequence,
        aged_at_ms: i64,
        expired_before: Option<i64>,
    ) -> Result<(), RetireError> {
        let count = self.log.folded_count(folded);
        let is_unchanged = count == self.folded && expired_before == self.expired_before;
        if is_unchanged && self.looked_at.elapsed() < INTERVAL {
            return Ok(());
        }
        let damaged = match &mut self.damaged {
            Some(damaged) => damaged,
            not_read => not_read.insert(index.damaged_segments()?.into_iter().map(|(_, segment)| segment).collect()),
        };
        let mut plan = {
            let missing = index.missing_numbers()?.remove(&self.writer).unwrap_or_default();
            RetirementPlan::new(&self.log.folded(folded), damaged, &missing, &self.retention, aged_at_ms)
        };
        let has_read_all = self.expire(&mut plan, expired_before);
        let retired = plan.retired_count();
        self.looked_at = Instant::now();
        self.expired_before = expired_before;
        self.folded = if has_read_all { count } else { usize::MAX };
        if retired == 0 {
            return Ok(());
        }
        tracing::debug!(%plan, "retiring");
        // If this fails half-way, the next look comes at once.
        self.folded = usize::MAX;
        self.carry_out(index, &plan)?;
        if has_read_all {
            self.folded = count.saturating_sub(retired);
        }
        Ok(())
    }

    /// Lets segments go that are kept although everything in them is expired. They are read for that, each once, and not
    /// many at a time; `false`: some are left for the next look, which comes at once.
    fn expire(&mut self, plan: &mut RetirementPlan, expired_before: Option<i64>) -> bool {
        let Some(expired_before) = expired_before else { return true };
        let (newest, mut bytes, mut has_read_all) = (&mut self.newest, 0, true);
        plan.expire(|planned| {
            if let Some(newest) = newest.get(&planned.segment) {
                return *newest < expired_before;
            }
            has_read_all &= bytes < LOOK_BYTES;
            if !has_read_all {
                return false;
            }
            bytes += planned.bytes;
            *newest.entry(planned.segment).or_insert(newest_event(&planned.path)) < expired_before
        });
        let gone: Vec<_> = plan.segments.iter().filter(|planned| planned.fate == Fate::Expired).collect();
        if !gone.is_empty() {
            let segments: Vec<_> = gone.iter().map(|planned| planned.segment.to_string()).collect();
            let segments = segments.join(", ");
            tracing::info!(segments, "deleting segments: everything in them is older than keep_rows_age_ms");
        }
        has_read_all
    }

    /// Carries the plan out. A segment that can't be retired keeps no other from being retired.
    fn carry_out(&self, index: &mut Index, plan: &RetirementPlan) -> Result<(), RetireError> {
        index.make_durable()?;
        let mut done = Ok(());
        for planned in plan.deleted() {
            done = done.and(self.remove(planned).map_err(RetireError::from));
        }
        // Moving takes room and comes last: the disk may have no room before the other segments are gone.
        for planned in plan.moved() {
            done = done.and(self.quarantine(index, planned));
        }
        sync_directory(&self.wal_dir)?;
        done
    }

    fn remove(&self, planned: &PlannedSegment) -> Result<(), PathError> {
        match std::fs::remove_file(&planned.path) {
            // A segment that somebody else removed is gone too.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            removed => removed.at("remove", &planned.path)?,
        }
        self.log.remove(planned.segment);
        Ok(())
    }

    /// Moves a segment that is damaged, or has records that nobody folded, out of the log, with all its bytes.
    fn quarantine(&self, index: &Index, planned: &PlannedSegment) -> Result<(), RetireError> {
        sabotage::at(Spot::Quarantine, &planned.path).at("move", &planned.path)?;
        if std::fs::symlink_metadata(&planned.path).is_ok() {
            let damage = index
                .damage_in(self.writer, planned.segment, NOTE_DAMAGE_MAX)?
                .into_iter()
                .map(|row| DamagedPlace { offset: row.offset.0, bytes: row.bytes, reason: row.reason });
            // A note with a number says that there are records which are not folded.
            let last_sequence = (planned.fate == Fate::PassedOver).then_some(planned.last_sequence.0);
            let note = Note { segment: planned.segment.0, damage: damage.collect(), last_sequence };
            let to = move_aside(&planned.path, &self.quarantine_dir, &note)?;
            let (from, to) = (planned.path.display(), to.display());
            match planned.fate {
                Fate::PassedOver => tracing::warn!(
                    %from, %to, "a segment with records that count as lost was moved aside: mcplog rebuild --from-log folds it"
                ),
                _ => tracing::warn!(%from, %to, "a damaged segment was moved aside"),
            }
        }
        self.log.remove(planned.segment);
        Ok(())
    }
}
