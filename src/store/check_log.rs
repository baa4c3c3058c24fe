//! The log's part of a check: every frame of every segment, and what the next opening would make of each file.
//!
//! By plain reads, like any reader. It must not change anything.

use super::finding::{Finding, FindingKind};
use crate::ground::error::{HeaderFault, SegmentError};
use crate::ground::position::{Offset, SegmentId, Sequence, WriterId};
use crate::record::record::Record;
use crate::segment::directory::{SegmentFile, list};
use crate::segment::format::SegmentHeader;
use crate::segment::reader::{Damage, Item, SegmentReader, Stop};
use crate::segment::recovery_plan::RecoveryPlan;
use crate::segment::verdict::Action;
use std::collections::HashSet;
use std::path::Path;

/// In each segment, so many records that can't be decoded are named one by one.
const UNDECODABLE_NAMED_MAX: u64 = 10;

/// What is known of the log before it is read.
#[derive(Debug)]
pub(super) struct LogCheck<'a> {
    /// A running process writes to the store: the newest segment may end in a frame that is being written.
    pub(super) in_use: bool,
    /// Whose log it is.
    pub(super) owner: Option<WriterId>,
    /// The last number that the database has; `None` if nobody can say.
    pub(super) folded: Option<Sequence>,
    /// The segments that folding found damaged: what was lost there is in no database.
    pub(super) found_damaged: &'a HashSet<SegmentId>,
    /// What the next opening would do; `None` where the store is open, or can't be opened.
    pub(super) plan: Option<&'a RecoveryPlan>,
}

/// What the log amounts to.
#[derive(Debug, Default)]
pub(super) struct LogState {
    pub(super) segments: u64,
    pub(super) bytes: u64,
    pub(super) records: u64,
    /// Those that the next opening would fold; 0 where nobody knows what is folded.
    pub(super) unfolded_records: u64,
    /// Those of them that a newer build wrote.
    pub(super) unfolded_newer_records: u64,
    /// Records in damaged places, of which folding will find nothing.
    pub(super) lost_records: u64,
    /// The highest sequence number seen.
    last_sequence: u64,
}

impl LogCheck<'_> {
    /// Reads the whole log, as far as there is one that can be listed; `progress` is told how much is done, from 0 to 1.
    pub(super) fn read(&self, wal_dir: &Path, findings: &mut Vec<Finding>, progress: &mut dyn FnMut(f64)) -> LogState {
        let files = list(wal_dir).unwrap_or_default();
        let sizes: Vec<u64> =
            files.iter().map(|file| file.path.symlink_metadata().map_or(0, |metadata| metadata.len())).collect();
        let total = sizes.iter().sum::<u64>().max(1) as f64;
        let mut state = LogState::default();
        let (mut owner, mut done) = (self.owner, 0);
        for (index, (file, bytes)) in files.iter().zip(&sizes).enumerate() {
            progress(done as f64 / total);
            let planned = self.plan.and_then(|plan| plan.files().find(|planned| planned.path == file.path));
            let segment = SegmentCheck {
                check: self,
                file,
                action: planned.map(|planned| planned.action),
                is_broken: planned.is_some_and(|planned| planned.is_broken),
                active: self.in_use && index + 1 == files.len(),
                findings: Vec::new(),
            };
            segment.read(&mut state, &mut owner, findings);
            state.bytes += bytes;
            done += bytes;
        }
        state
    }

    fn is_folded(&self, sequence: u64) -> bool {
        self.folded.is_none_or(|folded| sequence <= folded.0)
    }
}

/// One segment that is checked.
struct SegmentCheck<'a> {
    check: &'a LogCheck<'a>,
    file: &'a SegmentFile,
    /// What the next opening would do with it, if that is known.
    action: Option<Action>,
    /// A later segment proves that no crash tore its tail.
    is_broken: bool,
    active: bool,
    findings: Vec<Finding>,
}

impl SegmentCheck<'_> {
    fn read(mut self, state: &mut LogState, owner: &mut Option<WriterId>, findings: &mut Vec<Finding>) {
        match SegmentReader::open(&self.file.path) {
            Ok(mut reader) => {
                state.segments += 1;
                let header = *reader.header();
                if self.is_of_this_log(&header, owner) {
                    self.find_unreachable(&header);
                    self.read_frames(&mut reader, state);
                }
            }
            // Retired since the directory was listed.
            Err(SegmentError::Io(error)) if error.source.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                state.segments += 1;
                self.find_no_segment(error);
            }
        }
        findings.append(&mut self.findings);
    }

    fn find_no_segment(&mut self, error: SegmentError) {
        match error {
            SegmentError::Header { fault: HeaderFault::NeverStarted, found, .. } => {
                self.find(FindingKind::UnstartedSegment, format!("no segment yet: {found}"));
            }
            SegmentError::Header { expected, found, .. } => {
                self.find_at(FindingKind::DamagedHeader, 0, format!("no segment: expected {expected}, found {found}"));
            }
            SegmentError::UnsupportedVersion { supported, found, .. } => {
                let text = format!("format version {found} is not supported: this build reads up to {supported}");
                self.find(FindingKind::NewerSegment, text);
            }
            SegmentError::Io(error) => self.find(FindingKind::UnreadableSegment, error.source.to_string()),
        }
    }

    /// Whether the segment is of the store that the ones before it are of.
    fn is_of_this_log(&mut self, header: &SegmentHeader, owner: &mut Option<WriterId>) -> bool {
        let name_id = self.file.id;
        if header.segment_id != name_id {
            let text = format!("the name says segment {name_id}, the header {}", header.segment_id);
            self.find_at(FindingKind::MisnamedSegment, 0, text);
        }
        let found = header.writer_id;
        let expected = *owner.get_or_insert(found);
        if found != expected {
            let text = format!("of another store: written by {found}, and the log is of {expected}");
            self.find_at(FindingKind::ForeignSegment, 0, text);
        }
        found == expected
    }

    /// Names a segment of this log that goes because no store gets to its numbers.
    fn find_unreachable(&mut self, header: &SegmentHeader) {
        if self.action == Some(Action::Quarantine) {
            let (id, base) = (header.segment_id, header.base_sequence);
            let text = format!("no store gets to these numbers: segment {id}, sequence {base}");
            self.find_at(FindingKind::DamagedHeader, 0, text);
        }
    }

    fn read_frames(&mut self, reader: &mut SegmentReader, state: &mut LogState) {
        let (mut undecodable, mut behind_gap) = (0_u64, 0_u64);
        loop {
            let due = reader.next_sequence().0;
            let item = match reader.next() {
                Ok(item) => item,
                Err(error) => {
                    let at = reader.position().end;
                    self.find_at(FindingKind::UnreadableSegment, at.0, error.source.to_string());
                    break;
                }
            };
            match item {
                Item::Frame(frame) => {
                    let (offset, sequence) = (frame.offset, frame.sequence);
                    let error = Record::decode(frame.payload).err();
                    let is_newer = error.is_some_and(|error| error.newer().is_some());
                    if self.is_set_aside() {
                        behind_gap += 1;
                        state.records += 1;
                    } else if self.action != Some(Action::LeaveUnread) && sequence.0 > state.last_sequence {
                        // A record that was rewritten after a failed sync counts once.
                        let is_unfolded = !self.check.is_folded(sequence.0) && self.is_read();
                        state.records += 1;
                        state.unfolded_records += u64::from(is_unfolded);
                        state.unfolded_newer_records += u64::from(is_unfolded && is_newer);
                        state.last_sequence = sequence.0;
                    }
                    if let Some(error) = error.filter(|_| !is_newer) {
                        undecodable += 1;
                        if undecodable <= UNDECODABLE_NAMED_MAX {
                            let text = format!("record {sequence}: {error}");
                            self.find_at(FindingKind::UndecodableRecord, offset.0, text);
                        }
                    }
                }
                Item::Damage(damage) => self.find_damage(&damage, due, state),
                Item::WrongMark(wrong) => {
                    self.find_at(FindingKind::DisprovedEnd, wrong.offset().0, wrong.to_string());
                }
                Item::Stop(Stop::Torn { bytes, reason }) if !self.active && !self.is_set_aside() => {
                    self.find_torn_tail(bytes, &reason.to_string(), reader.position().end);
                    break;
                }
                Item::Stop(_) => break,
            }
        }
        if undecodable > UNDECODABLE_NAMED_MAX {
            let more = undecodable - UNDECODABLE_NAMED_MAX;
            self.find(FindingKind::UndecodableRecord, format!("{more} more records can't be decoded"));
        }
        self.find_behind_gap(behind_gap);
    }

    /// Names a damaged place and says what became of its records, of which the first has the number `first`.
    fn find_damage(&mut self, damage: &Damage, first: u64, state: &mut LogState) {
        let numbers = first..first + u64::from(damage.records);
        let total = numbers.end - numbers.start;
        let s = if total == 1 { "" } else { "s" };
        let unfolded = numbers.clone().filter(|number| !self.check.is_folded(*number)).count() as u64;
        let mut is_lost = false;
        let fate = if total == 0 {
            "no record in them".to_owned()
        } else if self.action == Some(Action::LeaveUnread) {
            format!("{total} record{s} that another segment has")
        } else if self.check.folded.is_none() {
            format!("{total} record{s}; nobody can say whether the database has them")
        } else if unfolded == 0 && !self.check.found_damaged.contains(&self.file.id) {
            format!("{total} record{s} that the database has")
        } else {
            // Those that folding passed over are in table quarantine, and counted there.
            state.lost_records += unfolded;
            is_lost = true;
            format!("{total} record{s} lost")
        };
        let text = format!("{}; {} bytes, {fate}", damage.reason, damage.bytes);
        let found = Finding::new(FindingKind::DamagedPlace, &self.file.path, text).at(damage.offset.0);
        let nothing_lost = "copy the file before anything else, and check the disk; nothing of it is lost so far";
        self.findings.push(if is_lost || self.check.folded.is_none() { found } else { found.next(nothing_lost) });
        state.last_sequence = state.last_sequence.max(numbers.end.saturating_sub(1));
    }

    fn find_torn_tail(&mut self, bytes: u32, reason: &str, end: Offset) {
        if self.is_broken {
            let text =
                format!("{reason}; {bytes} bytes that no crash tore: a later segment has records behind the missing");
            return self.find_at(FindingKind::DamagedPlace, end.0, text);
        }
        self.find_at(FindingKind::TornTail, end.0, format!("torn tail of {bytes} bytes ({reason})"));
    }

    fn find_behind_gap(&mut self, records: u64) {
        if !self.is_set_aside() {
            return;
        }
        let s = if records == 1 { "" } else { "s" };
        let text = match records {
            0 => "no records, and records before it are missing; the next opening removes it".to_owned(),
            _ => format!(
                "{records} intact record{s}, not folded, and records before them are missing: the next opening moves the \
                 file to quarantine/"
            ),
        };
        self.find(FindingKind::RecordsBehindGap, text);
    }

    /// Whether records before its own are missing, so that it goes, intact as it is.
    fn is_set_aside(&self) -> bool {
        let is_sound = !self.findings.iter().any(|found| found.kind == FindingKind::MisnamedSegment);
        is_sound && matches!(self.action, Some(Action::QuarantineReservingNumbers | Action::Remove))
    }

    /// Whether the next opening leaves it in the log, as far as anybody can tell.
    fn is_read(&self) -> bool {
        !matches!(self.action, Some(Action::QuarantineReservingNumbers | Action::Quarantine | Action::Remove))
    }

    fn find_at(&mut self, kind: FindingKind, offset: u32, text: impl Into<String>) {
        self.findings.push(Finding::new(kind, &self.file.path, text).at(offset));
    }

    fn find(&mut self, kind: FindingKind, text: impl Into<String>) {
        self.findings.push(Finding::new(kind, &self.file.path, text));
    }
}
