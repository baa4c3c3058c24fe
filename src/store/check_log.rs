//! The log's part of a check: every frame of every segment.
//!
//! By plain reads, like any reader. It must not change anything.

use super::finding::{Finding, Severity};
use crate::ground::error::{PathError, SegmentError};
use crate::ground::position::{Sequence, WriterId};
use crate::record::record::Record;
use crate::segment::directory::{SegmentFile, list};
use crate::segment::format::SegmentHeader;
use crate::segment::reader::{Item, SegmentReader, Stop};
use std::path::Path;

/// In each segment, so many records that can't be decoded are named one by one.
const UNDECODABLE_NAMED_MAX: u64 = 10;

/// What the log amounts to.
#[derive(Debug, Default)]
pub(super) struct LogState {
    pub(super) segments: u64,
    pub(super) bytes: u64,
    pub(super) records: u64,
    pub(super) unfolded_records: u64,
    /// Those of them that a newer build wrote.
    pub(super) unfolded_newer_records: u64,
    /// The highest sequence number seen.
    last_sequence: u64,
    writer_id: Option<WriterId>,
}

impl LogState {
    /// Reads the whole log. `owner` is whose it is, if that is known, and `folded` the last sequence number that the
    /// database has; `progress` is told how much is done, from 0 to 1.
    pub(super) fn read(
        wal_dir: &Path,
        in_use: bool,
        owner: Option<WriterId>,
        folded: Sequence,
        findings: &mut Vec<Finding>,
        progress: &mut dyn FnMut(f64),
    ) -> Result<Self, PathError> {
        let files = list(wal_dir)?;
        let sizes: Vec<u64> =
            files.iter().map(|file| file.path.symlink_metadata().map_or(0, |metadata| metadata.len())).collect();
        let total = sizes.iter().sum::<u64>().max(1) as f64;
        let mut state = Self { writer_id: owner, ..Self::default() };
        let mut done = 0;
        for (index, (file, bytes)) in files.iter().zip(&sizes).enumerate() {
            progress(done as f64 / total);
            let newest = index + 1 == files.len();
            state.read_segment(file, in_use && newest, folded.0, findings)?;
            state.bytes += bytes;
            done += bytes;
        }
        Ok(state)
    }

    fn read_segment(
        &mut self,
        file: &SegmentFile,
        active: bool,
        folded: u64,
        findings: &mut Vec<Finding>,
    ) -> Result<(), PathError> {
        let mut findings = SegmentFindings { path: &file.path, findings };
        let Some(mut reader) = findings.open() else { return Ok(()) };
        self.segments += 1;
        if self.is_of_this_log(file, reader.header(), &mut findings) {
            self.read_frames(&mut reader, active, folded, &mut findings)?;
        }
        Ok(())
    }

    /// Whether the segment is of the store that the ones before it are of.
    fn is_of_this_log(
        &mut self,
        file: &SegmentFile,
        header: &SegmentHeader,
        findings: &mut SegmentFindings<'_>,
    ) -> bool {
        if header.segment_id != file.id {
            findings.damaged(Some(0), format!("the name says segment {}, the header {}", file.id, header.segment_id));
        }
        let found = header.writer_id;
        let expected = *self.writer_id.get_or_insert(found);
        if found != expected {
            findings.damaged(Some(0), format!("of another store: written by {found}, and the log is of {expected}"));
        }
        found == expected
    }

    /// Reads every frame of a segment. One that is `active` may end in a frame that is being written.
    fn read_frames(
        &mut self,
        reader: &mut SegmentReader,
        active: bool,
        folded: u64,
        findings: &mut SegmentFindings<'_>,
    ) -> Result<(), PathError> {
        let mut undecodable = 0_u64;
        loop {
            match reader.next()? {
                Item::Frame(frame) => {
                    let error = Record::decode(frame.payload).err();
                    let is_newer = error.is_some_and(|error| error.newer().is_some());
                    // A record that was rewritten after a failed sync counts once.
                    if frame.sequence.0 > self.last_sequence {
                        let is_unfolded = frame.sequence.0 > folded;
                        self.records += 1;
                        self.unfolded_records += u64::from(is_unfolded);
                        self.unfolded_newer_records += u64::from(is_unfolded && is_newer);
                        self.last_sequence = frame.sequence.0;
                    }
                    if let Some(error) = error.filter(|_| !is_newer) {
                        undecodable += 1;
                        if undecodable <= UNDECODABLE_NAMED_MAX {
                            findings.damaged(Some(frame.offset.0), format!("record {}: {error}", frame.sequence));
                        }
                    }
                }
                Item::Damage(damage) => {
                    let (records, s) = (damage.records, if damage.records == 1 { "" } else { "s" });
                    let text = format!("{}; {} bytes and {records} record{s} lost", damage.reason, damage.bytes);
                    findings.damaged(Some(damage.offset.0), text);
                }
                Item::Stop(Stop::Torn { bytes, reason }) if !active => {
                    let text = format!("torn tail of {bytes} bytes ({reason}); the next opening cuts it");
                    findings.add(Severity::Unfinished, Some(reader.position().end.0), text);
                    break;
                }
                Item::Stop(_) => break,
            }
        }
        if undecodable > UNDECODABLE_NAMED_MAX {
            let more = undecodable - UNDECODABLE_NAMED_MAX;
            findings.damaged(None, format!("{more} more records can't be decoded"));
        }
        Ok(())
    }
}

/// Findings about one segment.
struct SegmentFindings<'a> {
    path: &'a Path,
    findings: &'a mut Vec<Finding>,
}

impl SegmentFindings<'_> {
    /// Opens the segment; `None` if there is nothing to read, and then that is a finding where it has to be one.
    fn open(&mut self) -> Option<SegmentReader> {
        match SegmentReader::open(self.path) {
            Ok(reader) => return Some(reader),
            // Retired since the directory was listed.
            Err(SegmentError::Io(error)) if error.source.kind() == std::io::ErrorKind::NotFound => {}
            Err(SegmentError::Header { never_started: true, found, .. }) => {
                let text = format!("no segment yet: {found}; the next opening removes it");
                self.add(Severity::Unfinished, Some(0), text);
            }
            Err(error) => self.damaged(Some(0), error.to_string()),
        }
        None
    }

    fn damaged(&mut self, offset: Option<u32>, text: String) {
        self.add(Severity::Damaged, offset, text);
    }

    fn add(&mut self, severity: Severity, offset: Option<u32>, text: String) {
        self.findings.push(Finding { severity, path: self.path.to_owned(), offset: offset.map(u64::from), text });
    }
}
