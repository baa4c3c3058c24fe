//! The log's part of a check: every frame of every segment, and what the next opening would make of each file.
//!
//! By plain reads, like any reader. It must not change anything. What a file is to the log, and what is wrong with it, is
//! decided elsewhere ([`super::examined_log`], [`crate::segment::examination`]): `wal-inspect` says the same.

use super::examined_log::ExaminedLog;
use crate::ground::error::SegmentError;
use crate::ground::finding::{Finding, FindingKind};
use crate::ground::position::{SegmentId, Sequence};
use crate::record::record::Record;
use crate::segment::examination::Examination;
use crate::segment::log_file::{LogFile, LogPart};
use crate::segment::reader::{Damage, FrameAt, Item, SegmentReader};
use std::collections::HashSet;
use std::io::ErrorKind;

/// In each segment, so many records that can't be decoded are named one by one.
const UNDECODABLE_NAMED_MAX: u64 = 10;

/// What is known of the log before it is read.
#[derive(Debug)]
pub(super) struct LogCheck<'a> {
    /// A running process writes to the store: the newest segment may end in a frame that is being written.
    pub(super) in_use: bool,
    /// What each file is to the log.
    pub(super) examined: &'a ExaminedLog,
    /// The segments that folding found damaged: what was lost there is in no database.
    pub(super) found_damaged: &'a HashSet<SegmentId>,
}

/// What the log amounts to.
#[derive(Debug, Default)]
pub(super) struct LogState {
    pub(super) segments: u64,
    pub(super) bytes: u64,
    /// Intact records that a store reads from it, folded or not.
    pub(super) records: u64,
    /// Those that the next opening would fold; 0 where nobody knows what is folded.
    pub(super) unfolded_records: u64,
    /// Those of them that a newer build wrote.
    pub(super) unfolded_newer_records: u64,
    /// Records in damaged places, of which folding will find nothing, and those that no segment has and that are not folded.
    pub(super) lost_records: u64,
}

impl LogCheck<'_> {
    /// Reads the whole log; `progress` is told how much is done, from 0 to 1.
    pub(super) fn read(&self, findings: &mut Vec<Finding>, progress: &mut dyn FnMut(f64)) -> LogState {
        let files = &self.examined.log.files;
        let size = |file: &LogFile| file.file.path.symlink_metadata().map_or(0, |metadata| metadata.len());
        let sizes: Vec<u64> = files.iter().map(size).collect();
        let total = sizes.iter().sum::<u64>().max(1) as f64;
        let mut state = LogState::default();
        let mut done = 0;
        for (index, (file, bytes)) in files.iter().zip(&sizes).enumerate() {
            progress(done as f64 / total);
            for (_, hole) in self.examined.holes.iter().filter(|(hole, _)| hole.behind == file.file.id) {
                state.lost_records += hole.records.filter(|_| hole.kind == FindingKind::MissingRecords).unwrap_or(0);
                findings.push(hole.clone());
            }
            let segment = SegmentCheck {
                check: self,
                file,
                active: self.in_use && index + 1 == files.len(),
                undecodable: 0,
                findings: Vec::new(),
            };
            segment.read(&mut state, findings);
            state.bytes += bytes;
            done += bytes;
        }
        state
    }

    fn is_folded(&self, sequence: Sequence) -> bool {
        self.examined.folded.is_none_or(|folded| sequence <= folded)
    }
}

/// One segment that is checked.
struct SegmentCheck<'a> {
    check: &'a LogCheck<'a>,
    file: &'a LogFile,
    active: bool,
    /// How many records can't be decoded, so far.
    undecodable: u64,
    findings: Vec<Finding>,
}

impl SegmentCheck<'_> {
    fn read(mut self, state: &mut LogState, findings: &mut Vec<Finding>) {
        state.segments += 1;
        self.findings.extend(self.file.finding());
        if !matches!(self.file.part, LogPart::PassedOver(_)) {
            match SegmentReader::open(&self.file.file.path) {
                Ok(mut reader) => self.read_frames(&mut reader, state),
                // Retired since the directory was listed.
                Err(SegmentError::Io(error)) if error.source.kind() == ErrorKind::NotFound => state.segments -= 1,
                Err(error) => self.findings.push(Finding::of_segment_error(&error)),
            }
        }
        findings.append(&mut self.findings);
    }

    fn read_frames(&mut self, reader: &mut SegmentReader, state: &mut LogState) {
        let mut due = reader.next_sequence();
        let examined = Examination::of_reader(reader, |item| {
            match item {
                Item::Frame(frame) => {
                    due = frame.sequence.next();
                    self.read_frame(&frame, state);
                }
                Item::Damage(damage) => {
                    self.find_damage(&damage, due, state);
                    due.0 += u64::from(damage.records);
                }
                Item::WrongMark(wrong) => self.find(wrong.finding(&self.file.file.path)),
                Item::Stop(_) => {}
            }
            Ok::<_, SegmentError>(())
        });
        match examined {
            Ok(examined) => {
                let findings = examined.end_findings(&self.file.file.path, self.active);
                findings.into_iter().for_each(|finding| self.find(finding));
            }
            Err(error) => self.findings.push(Finding::of_segment_error(&error)),
        }
        if self.undecodable > UNDECODABLE_NAMED_MAX {
            let more = self.undecodable - UNDECODABLE_NAMED_MAX;
            let text = format!("{more} more records can't be decoded");
            self.find(Finding::new(FindingKind::UndecodableRecord, &self.file.file.path, text));
        }
    }

    fn read_frame(&mut self, frame: &FrameAt<'_>, state: &mut LogState) {
        let error = Record::decode(frame.payload).err();
        let kind = error.map(|error| error.kind_of_finding());
        if self.file.is_read(frame.sequence) {
            let is_unfolded = !self.check.is_folded(frame.sequence);
            state.records += 1;
            state.unfolded_records += u64::from(is_unfolded);
            state.unfolded_newer_records += u64::from(is_unfolded && kind == Some(FindingKind::NewerRecords));
        }
        // Those of a newer build are counted, and told once for the whole store.
        if let Some(error) = error.filter(|_| kind == Some(FindingKind::UndecodableRecord)) {
            self.undecodable += 1;
            if self.undecodable <= UNDECODABLE_NAMED_MAX {
                self.find(error.finding(&self.file.file.path, frame.offset, frame.sequence));
            }
        }
    }

    /// Names a damaged place and says what became of its records, of which the first has the number `first`.
    fn find_damage(&mut self, damage: &Damage, first: Sequence, state: &mut LogState) {
        let found = damage.finding(&self.file.file.path, first);
        let examined = self.check.examined;
        let lost = examined.lost_with(self.file, &found);
        let nobody_knows = examined.known_folded.is_none();
        let last = Sequence(first.0 + u64::from(damage.records).saturating_sub(1));
        let (fate, is_lost) = if damage.records == 0 {
            ("", false)
        } else if self.file.count_read(first, last) == 0 {
            ("; not read from here", false)
        } else if nobody_knows {
            ("; nobody can say whether the database has them", false)
        } else if lost == 0 && !self.check.found_damaged.contains(&self.file.file.id) {
            ("; the database has them", false)
        } else {
            // Those that folding passed over are counted by the database.
            state.lost_records += lost;
            ("; lost", true)
        };
        let found = Finding { text: format!("{}{fate}", found.text), ..found };
        let nothing_lost = "copy the file before anything else, and check the disk; nothing of it is lost so far";
        self.findings.push(if is_lost || nobody_knows { self.file.foresee(found) } else { found.next(nothing_lost) });
    }

    fn find(&mut self, finding: Finding) {
        self.findings.push(self.file.foresee(finding));
    }
}
