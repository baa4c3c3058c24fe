//! What a crash left, made whole: every segment is sealed, and the store knows where to go on.
//!
//! Runs once, while the store opens, before any other thread. It is the only place that cuts frames off. It never
//! appends to an old segment: whoever opens a store starts a new one, so that no position is ever used twice.
//!
//! First all files are looked at ([`super::survey`], [`super::found_file`]), then [`super::reading_plan`] and
//! [`super::verdict`] decide ([`super::recovery_plan`]), then the decision is carried out here, in this order: what was being prepared is removed;
//! segment by segment, files are removed, moved, or cut and then sealed; the directory is synced. Each step leaves a
//! log of which the next opening makes the same. So a crash in between is a crash like any other, and recovering twice
//! changes nothing the second time. Nothing here waits for the disk but moving a file to quarantine and syncing the
//! directory.

use super::directory::{self, SegmentFile};
use super::format::{Extent, Mark, SegmentHeader};
use super::found_file::FoundFile;
pub(crate) use super::found_file::SealedSegment;
use super::quarantine::{self, DamagedPlace, Note};
use super::recovery_plan::RecoveryPlan;
use super::segment_state::SegmentState;
pub(crate) use super::segment_state::TornTail;
use super::survey::Survey;
use super::syncer::UnsyncedSegment;
use super::verdict::{Action, Header, NUMBER_MAX, Numbers, Tail, resume};
use super::witness::Folded;
use crate::ground::error::{AtPath, OpenError, PathError};
use crate::ground::position::{SegmentId, Sequence, WriterId};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What recovery found, and what it left.
#[derive(Debug)]
pub(crate) struct RecoveredLog {
    /// The segments, sealed, in the order of their sequence numbers.
    pub(crate) segments: Vec<SealedSegment>,
    /// Segments from which nothing is read: others have their records, or they have none.
    pub(crate) superseded: Vec<SealedSegment>,
    /// Whose log it is; `None` if nothing says so.
    writer_id: Option<WriterId>,
    /// The last sequence number in use, or that may be in use; 0 for none.
    pub(crate) last_sequence: Sequence,
    /// The highest segment id in use, by header or by name; 0 for none.
    pub(crate) last_segment: SegmentId,
    /// Segments that may not be on the disk to their end, in the order of their sequence numbers. Opening does not wait
    /// for that: whoever syncs the log owes them a sync before anything after them is called durable.
    pub(crate) unsynced: Vec<UnsyncedSegment>,
    /// What had to be done, for people.
    pub(crate) repairs: Vec<Repair>,
    /// What is in quarantine, now and from before, and what is to be there once it is folded.
    pub(crate) quarantined: Vec<Note>,
}

/// Something that recovery had to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Repair {
    /// A segment whose writer died was sealed behind its last frame.
    Sealed { segment: SegmentId, at: u32 },
    /// A torn tail was cut off.
    Cut { segment: SegmentId, at: u32, torn: TornTail },
    /// A segment was moved aside, with so many frames, all intact: records before them are missing. After a power cut
    /// that is because its pages reached the disk before theirs, and nobody was promised any of it. But the file of a
    /// failed sync that could not be read back looks the same after a kill, and then this is all that is left.
    SetAside { segment: SegmentId, frames: u32, to: PathBuf },
    /// A segment stays as it is although it is damaged there: its frames contradict its mark, and they count; or its tail
    /// is torn, and a later segment proves that no crash did it.
    KeptDamaged { segment: SegmentId, damaged: DamagedPlace },
    /// A file whose first page is lost was moved aside, and nothing tells that it had been synced: a power cut may have
    /// let later pages reach the disk first. Nobody was promised what it held.
    Pageless { from: PathBuf, to: PathBuf },
    /// A file that is no segment of this log was moved aside.
    Quarantined { from: PathBuf, to: PathBuf, reason: String },
}

/// Makes the log whole. `writer_id` is whose log it is, and `folded` how far the database has it: up to number 0 for not
/// at all.
pub(crate) fn recover(
    survey: Survey,
    quarantine_dir: &Path,
    writer_id: Option<WriterId>,
    folded: impl Into<Folded>,
) -> Result<RecoveredLog, OpenError> {
    let wal_dir = survey.wal_dir.clone();
    let folded = folded.into();
    let plan = RecoveryPlan::of(survey, writer_id, folded)?;

    let mut recovered = RecoveredLog::new(writer_id, folded.sequence, quarantine::notes(quarantine_dir));
    recovered.last_segment = plan.last_segment(&found_aside(quarantine_dir, writer_id));
    recovered.segments = plan.reading.order.iter().filter_map(|place| plan.files[*place].sealed()).collect();
    directory::remove_prepared(&wal_dir)?;
    let mut unsynced = vec![None; plan.files.len()];
    for place in plan.reading.work_order() {
        unsynced[place] = recovered.carry_out(&plan, place, quarantine_dir)?;
    }
    // Those without frames too: that they end where they begin tells the next opening that no records are missing behind
    // them, although the numbers jump.
    recovered.unsynced = unsynced.into_iter().flatten().collect();
    recovered.unsynced.sort_by_key(|unsynced| unsynced.base_sequence);
    // Names that a crash left in memory only are durable from here on, like what they name.
    directory::sync_directory(&wal_dir)?;
    Ok(recovered)
}

impl RecoveredLog {
    /// A log of which nothing is known but what the database and the notes in quarantine say.
    fn new(writer_id: Option<WriterId>, folded: Sequence, quarantined: Vec<Note>) -> Self {
        let held = quarantined.iter().map(Note::last_sequence).filter(|last| last.0 <= NUMBER_MAX);
        Self {
            segments: Vec::new(),
            superseded: Vec::new(),
            writer_id,
            last_sequence: held.fold(folded, resume),
            last_segment: SegmentId(0),
            unsynced: Vec::new(),
            repairs: Vec::new(),
            quarantined,
        }
    }

    /// Does with a file what is decided. Returns the segment if it is owed a sync.
    fn carry_out(
        &mut self,
        plan: &RecoveryPlan,
        place: usize,
        quarantine_dir: &Path,
    ) -> Result<Option<UnsyncedSegment>, OpenError> {
        let (found, numbers) = (&plan.files[place], plan.reading.numbers[place]);
        let path = &found.file.path;
        let (action, row) = plan.decided(place);
        tracing::debug!(path = %path.display(), row, ?action, "recovery");
        if action == Action::Remove {
            std::fs::remove_file(path).at("remove", path)?;
            return Ok(None);
        }
        let is_behind_gap = matches!(numbers, Numbers::BehindGap | Numbers::NoneBehindGap);
        let Some(segment) = found.segment.as_ref().filter(|_| !is_behind_gap) else {
            self.quarantine(plan, place, quarantine_dir)?;
            return Ok(None);
        };
        if matches!(numbers, Numbers::None | Numbers::Covered) {
            self.superseded.extend(found.sealed());
        }
        self.last_sequence = self.last_sequence.max(segment.last_sequence());
        if action == Action::KeepDamaged {
            if segment.torn.is_some() {
                // What is behind may be intact, and stays.
                let possible = found.last_sequence_possible(Sequence(0), None, plan.folded, self.writer_id)?;
                self.last_sequence = self.last_sequence.max(possible);
            }
            self.note_damage(segment, plan.tail(place));
        }
        Ok(self.mend(segment, action, path)?)
    }

    /// Seals a segment that stays, where that is decided. Returns it if it is owed a sync.
    fn mend(
        &mut self,
        segment: &SegmentState,
        action: Action,
        path: &Path,
    ) -> Result<Option<UnsyncedSegment>, PathError> {
        let id = segment.header.segment_id;
        if matches!(action, Action::SealAndSync | Action::CutAndSync) {
            let at = segment.extent.end.0;
            self.repairs.push(match segment.torn {
                Some(torn) => Repair::Cut { segment: id, at, torn },
                None => Repair::Sealed { segment: id, at },
            });
        }
        if matches!(action, Action::KeepAndSync | Action::SealAndSync | Action::CutAndSync) {
            seal(path, &segment.header, segment.mark, segment.extent)?;
        }
        let keeps_mark = action == Action::KeepDamaged;
        let owes_sync = keeps_mark || matches!(action, Action::KeepAndSync | Action::SealAndSync | Action::CutAndSync);
        Ok(owes_sync.then(|| UnsyncedSegment {
            writer: segment.header.writer_id,
            segment: id,
            path: path.to_owned(),
            base_sequence: segment.header.base_sequence,
            // Of what a wrong mark says nothing is to be believed.
            durable: if segment.wrong_marks.is_empty() { segment.mark.durable } else { Extent::EMPTY },
            keeps_mark,
        }))
    }

    /// A damaged segment stays as it is, so that every opening finds the same until it is folded, and is moved aside for
    /// this then.
    fn note_damage(&mut self, segment: &SegmentState, tail: Tail) {
        let id = segment.header.segment_id;
        let wrong_marks = segment.wrong_marks.iter();
        let mut damage: Vec<_> = wrong_marks
            .map(|(offset, reason)| DamagedPlace { offset: offset.0, bytes: 0, reason: reason.clone() })
            .collect();
        if let Some(torn) = segment.torn {
            let next = segment.next_sequence();
            let proof = if tail == Tail::Broken { ", which a later segment proves to have been there" } else { "" };
            let reason = format!("expected record {next}{proof}, found a tail that is no frame and that no crash tore");
            damage.push(DamagedPlace { offset: segment.extent.end.0, bytes: torn.bytes.into(), reason });
        }
        let kept = |damaged: &DamagedPlace| Repair::KeptDamaged { segment: id, damaged: damaged.clone() };
        self.repairs.extend(damage.iter().map(kept));
        self.quarantined.push(Note { segment: id.0, damage, last_sequence: None });
    }

    /// Moves a file aside. Of one that can't be read, and behind which nothing is read, the numbers that it may hold are not
    /// used again; nor are those of a segment under another one's name, wherever that name puts it.
    fn quarantine(&mut self, plan: &RecoveryPlan, place: usize, quarantine_dir: &Path) -> Result<(), OpenError> {
        let found = &plan.files[place];
        let is_last = !plan.reading.order.iter().any(|read| *read > place);
        let SegmentFile { id, path } = &found.file;
        let last_sequence = match &found.segment {
            Some(segment) => Some(segment.last_sequence()),
            // The numbers of a file before one that is read are below that one's.
            None if (is_last || found.misnamed_id().is_some())
                && plan.decided(place).0 == Action::QuarantineReservingNumbers =>
            {
                let next_base = plan.next_base(place);
                Some(found.last_sequence_possible(self.last_sequence, next_base, plan.folded, self.writer_id)?)
            }
            None => None,
        };
        self.last_sequence = self.last_sequence.max(last_sequence.unwrap_or(Sequence(0)));
        let mut note = Note { segment: id.0, damage: Vec::new(), last_sequence: last_sequence.map(|last| last.0) };
        let by_a_crash = found.header == Header::FirstPageLost && !plan.is_broken(place);
        if found.segment.is_none() && !by_a_crash {
            let bytes = std::fs::symlink_metadata(path).at("inspect", path)?.len();
            note.damage.push(DamagedPlace { offset: 0, bytes, reason: found.reason.clone() });
        }
        let to = quarantine::move_aside(path, quarantine_dir, &note)?;
        self.quarantined.push(note);
        let from = path.clone();
        self.repairs.push(match &found.segment {
            Some(segment) => Repair::SetAside { segment: *id, frames: segment.extent.frames, to },
            None if by_a_crash => Repair::Pageless { from, to },
            None => Repair::Quarantined { from, to, reason: found.reason.clone() },
        });
        Ok(())
    }
}

/// The files in quarantine, as if they lay in the log of `writer_id`; those left out that can't be read.
fn found_aside(quarantine_dir: &Path, writer_id: Option<WriterId>) -> Vec<FoundFile> {
    let aside = quarantine::segments(quarantine_dir);
    aside.iter().filter_map(|aside| FoundFile::headed_in_quarantine(aside, writer_id)).collect()
}

/// Cuts a segment at `extent` and seals it there, without waiting for the disk: a log of 1 GiB that was never synced
/// takes longer to write than to check. The durable mark stays where it is. So if the power goes before the segment is
/// synced, whatever part of all this is on the disk is checked again like what any crash leaves.
fn seal(path: &Path, header: &SegmentHeader, mark: Mark, extent: Extent) -> Result<(), PathError> {
    let file = OpenOptions::new().write(true).open(path).at("open", path)?;
    // Never lengthens: a file cut below its durable mark keeps telling so.
    if file.metadata().at("inspect", path)?.len() > u64::from(extent.end.0) {
        file.set_len(u64::from(extent.end.0)).at("cut", path)?;
    }
    if mark.sealed == Some(extent) {
        return Ok(());
    }
    let mark = Mark { generation: mark.generation + 1, durable: mark.durable, sealed: Some(extent) };
    file.write_all_at(&mark.encode(header.salt), u64::from(Mark::offset(mark.generation))).at("write", path)
}
